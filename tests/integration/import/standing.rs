//! What a name is while its zone is not loaded, cannot be read, or has gone (traps 14, 18).

use super::*;

#[tokio::test(start_paused = true)]
async fn a_zone_that_never_loaded_fails_or_is_forwarded_and_is_never_an_empty_zone() {
    for (on_unloaded, vpc, expected) in [
        (OnUnloaded::Auto, false, "unloaded, fail"),
        (OnUnloaded::Auto, true, "unloaded, forward"),
        (OnUnloaded::Fail, true, "unloaded, fail"),
        (OnUnloaded::Forward, false, "unloaded, forward"),
    ] {
        let source = Scripted::new("s");
        source.zone("Z1", "corp.internal", &[("db", 1)]);
        source.listing_fault(Some(Fault::Failed));
        let mut setup = Setup { vpc: vpc.into(), ..Setup::expecting("corp.internal") };
        setup.policy.on_unloaded = on_unloaded;
        let world = setup.start(&[&source]);
        world.until_true("one listing failed", |w| w.board.is_ready()).await;
        assert_eq!(world.ask("db.corp.internal"), expected);
        assert_eq!(world.ask("example.org"), "forward");
        assert_eq!(world.board.snapshot()[0].state, ZoneState::Unloaded);

        source.listing_fault(None);
        source.always("Z1", Some(Fault::Failed));
        world.until_true("a fetch failed", |w| source.fetches("Z1") > 3 && w.board.is_ready()).await;
        assert_eq!(world.ask("db.corp.internal"), expected);
        source.always("Z1", None);
        world.until("db.corp.internal", "1").await;
        assert_eq!(world.ask("nx.corp.internal"), "nxdomain of corp.internal.");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unloaded_zone_follows_a_change_of_its_upstream() {
    let source = Scripted::new("s");
    source.listing_fault(Some(Fault::Failed));
    let vpc = Vpc::default();
    let world = Setup { vpc: vpc.clone(), ..Setup::expecting("corp.internal") }.start(&[&source]);
    world.until("db.corp.internal", "unloaded, fail").await;
    vpc.0.store(true, Ordering::Relaxed);
    world.until("db.corp.internal", "unloaded, forward").await;
}

#[tokio::test(start_paused = true)]
async fn an_expected_zone_that_the_source_does_not_have_is_no_longer_withheld() {
    let source = Scripted::new("s");
    let world = Setup::expecting("corp.internal").start(&[&source]);
    world.until_true("the listing is there", |w| w.board.is_ready()).await;
    assert_eq!(world.ask("db.corp.internal"), "forward");
    assert!(world.board.snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_broken_configuration_at_the_source_is_named_and_everything_is_forwarded() {
    let source = Scripted::new("s");
    source.listing_fault(Some(Fault::Misconfigured));
    let world = start(&[&source]);
    world.until_true("it is named", |w| w.board.sources()[0].error.is_some()).await;
    assert!(world.board.sources()[0].error.as_ref().unwrap().contains("source.zones.vpc"));
    assert_eq!(world.ask("db.corp.internal"), "forward");
}

#[tokio::test(start_paused = true)]
async fn unreadable_zones_are_carved_out_with_one_warning_each_and_the_rest_goes_on() {
    let warnings = Warnings::capture();
    let source = Scripted::new("s");
    source.carved("Z1", "vpce.amazonaws.com").zone("Z2", "denied.test", &[("a", 1)]);
    source.zone("Z3", "corp.internal", &[("db", 3)]).zone("Z4", "test", &[("a", 4)]);
    source.always("Z2", Some(Fault::Denied));
    let world = start(&[&source]);
    world.until("db.corp.internal", "3").await;
    world.until("x.denied.test", "carved out").await;
    assert_eq!(world.ask("x.vpce.amazonaws.com"), "carved out");
    assert_eq!(world.ask("a.test"), "4", "only the denied subtree is forwarded");
    source.content("Z3", "corp.internal", &[("db", 33)]);
    world.until("db.corp.internal", "33").await;
    sleep(REFRESH * 30).await;
    assert_eq!((warnings.about("vpce.amazonaws.com"), warnings.about("denied.test")), (1, 1));
    assert!(source.fetches("Z2") > 3, "a denied zone is tried again");
    assert_eq!(source.fetches("Z1"), 0, "a carved-out one is not");
    source.always("Z2", None);
    world.until("a.denied.test", "1").await;
}

#[tokio::test(start_paused = true)]
async fn access_denied_after_success_keeps_the_zone_and_marks_it_stale() {
    let warnings = Warnings::capture();
    let source = Scripted::new("s");
    source.zone("Z1", "corp.internal", &[("db", 1)]);
    let world = start(&[&source]);
    world.until("db.corp.internal", "1").await;
    source.always("Z1", Some(Fault::Denied));
    world.until_true("stale", |w| w.state("Z1") == ZoneState::Stale).await;
    sleep(REFRESH * 100).await;
    assert_eq!((world.ask("db.corp.internal").as_str(), warnings.about("import failed")), ("1", 1));
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_no_longer_exists_is_removed_after_a_grace() {
    let source = Scripted::new("s");
    source.zone("Z1", "corp.internal", &[("db", 1)]);
    let world = start(&[&source]);
    world.until("db.corp.internal", "1").await;
    source.always("Z1", Some(Fault::Gone));
    world.until_true("gone once", |w| w.state("Z1") == ZoneState::Stale).await;
    let noticed = Instant::now();
    world.until("db.corp.internal", "forward").await;
    assert!(noticed.elapsed() >= REFRESH + REFRESH / 2, "not without a grace");
    assert!(noticed.elapsed() <= REFRESH * 20);
}

#[tokio::test(start_paused = true)]
async fn zones_that_appear_are_loaded_and_those_that_disappear_go_after_a_grace() {
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]);
    let world = start(&[&source]);
    world.until("a.one.test", "1").await;
    source.zone("Z2", "two.test", &[("a", 2)]);
    let appeared = Instant::now();
    world.until("a.two.test", "2").await;
    assert!(appeared.elapsed() <= REFRESH + REFRESH / 10);

    source.unlist("Z1");
    world.until_true("missed once", |w| w.state("Z1") == ZoneState::Stale).await;
    assert_eq!(world.ask("a.one.test"), "1");
    let missed = Instant::now();
    world.until("a.one.test", "forward").await;
    assert!(missed.elapsed() >= REFRESH + REFRESH / 2 && missed.elapsed() <= REFRESH * 3);
    assert_eq!(world.board.snapshot().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_is_missing_from_one_listing_only_stays() {
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]);
    let world = start(&[&source]);
    world.until("a.one.test", "1").await;
    source.unlist("Z1");
    world.until_true("missed once", |w| w.state("Z1") == ZoneState::Stale).await;
    source.zone("Z1", "one.test", &[("a", 2)]);
    world.until("a.one.test", "2").await;
    sleep(REFRESH * 10).await;
    assert_eq!(world.ask("a.one.test"), "2");
    assert_eq!(world.state("Z1"), ZoneState::Loaded);
}

#[tokio::test(start_paused = true)]
async fn failing_discoveries_leave_every_zone_where_it_is() {
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]).carved("Z2", "two.test");
    let world = start(&[&source]);
    world.until("a.one.test", "1").await;
    source.unlist("Z1");
    for fault in [Fault::Panic, Fault::Stall, Fault::Denied, Fault::Failed] {
        source.listing_fault(Some(fault));
        sleep(REFRESH * 50).await;
    }
    source.content("Z1", "one.test", &[("a", 3)]);
    world.until("a.one.test", "3").await;
    assert_eq!(world.ask("a.two.test"), "carved out");
    assert!(world.board.sources()[0].error.is_some());
}

#[tokio::test(start_paused = true)]
async fn without_a_source_nothing_is_waited_for() {
    let world = start(&[]);
    world.until_true("ready", |w| w.board.is_ready()).await;
    assert_eq!(world.ask("example.org"), "forward");
}
