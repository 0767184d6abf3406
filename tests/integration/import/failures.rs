//! Failures, throttling and backoff (trap 13).

use super::*;

#[tokio::test(start_paused = true)]
async fn a_throttled_fetch_resumes_at_its_page_while_the_whole_previous_zone_is_served() {
    let source = Scripted::new("s");
    source.zone("Z1", "corp.internal", &[("db", 1), ("www", 1)]);
    let world = start(&[&source]);
    world.until("db.corp.internal", "1").await;
    source.take_pages();

    source.content("Z1", "corp.internal", &[("db", 2), ("www", 2)]);
    source.set_pages("Z1", 5);
    source.fault("Z1", 3, Fault::Throttled(Duration::from_secs(30)));
    world.until_true("the fetch is throttled", |w| w.status("Z1").error.is_some()).await;
    let throttled = Instant::now();
    assert_eq!((world.ask("db.corp.internal"), world.ask("www.corp.internal")), ("1".into(), "1".into()));
    assert!(world.status("Z1").error.unwrap().contains("throttled"));
    assert_eq!(world.refresh(Some("corp.internal")).await, Ok(1), "a request does not overrule the source");

    world.until("db.corp.internal", "2").await;
    assert_eq!(world.ask("www.corp.internal"), "2");
    assert!(throttled.elapsed() >= Duration::from_secs(29), "retry-after was not honoured");
    assert_eq!(source.take_pages(), ["Z1/1", "Z1/2", "Z1/3", "Z1/3", "Z1/4", "Z1/5"]);
    assert_eq!(world.status("Z1").error, None);
}

#[tokio::test(start_paused = true)]
async fn pages_that_have_grown_old_are_not_resumed_from() {
    let source = Scripted::new("s");
    source.zone("Z1", "corp.internal", &[("db", 1)]);
    source.set_pages("Z1", 3);
    source.fault("Z1", 2, Fault::Throttled(Duration::from_secs(900)));
    let world = start(&[&source]);
    world.until("db.corp.internal", "1").await;
    assert_eq!(source.take_pages(), ["Z1/1", "Z1/2", "Z1/1", "Z1/2", "Z1/3"]);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_reply_starts_the_listing_over_and_publishes_nothing() {
    let source = Scripted::new("s");
    source.zone("Z1", "corp.internal", &[("db", 1)]);
    let world = start(&[&source]);
    world.until("db.corp.internal", "1").await;
    source.take_pages();
    source.content("Z1", "corp.internal", &[("db", 2)]);
    source.set_pages("Z1", 2);
    source.fault("Z1", 2, Fault::Damaged);
    world.until("db.corp.internal", "2").await;
    assert_eq!(source.take_pages(), ["Z1/1", "Z1/2", "Z1/1", "Z1/2"]);
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_failure_leaves_the_published_zone_while_its_age_grows() {
    let source = Scripted::new("s");
    source.zone("Z1", "corp.internal", &[("db", 1)]);
    let world = start(&[&source]);
    world.until("db.corp.internal", "1").await;
    source.content("Z1", "corp.internal", &[("db", 2)]);
    for fault in [Fault::Failed, Fault::Denied, Fault::Damaged, Fault::Panic, Fault::Stall] {
        let age = world.status("Z1").age_seconds.unwrap();
        source.always("Z1", Some(fault.clone()));
        sleep(Duration::from_secs(1000)).await;
        assert_eq!(world.ask("db.corp.internal"), "1", "{fault:?}");
        assert!(world.status("Z1").age_seconds.unwrap() >= age + 1000, "{fault:?}");
        assert!(world.status("Z1").error.is_some());
        assert_eq!(world.state("Z1"), ZoneState::Stale);
    }
    source.always("Z1", None);
    world.until("db.corp.internal", "2").await;
    assert_eq!((world.state("Z1"), world.status("Z1").error), (ZoneState::Loaded, None));
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_ever_more_slowly_and_warned_about_once() {
    let warnings = Warnings::capture();
    let source = Scripted::new("s");
    source.zone("Z1", "corp.internal", &[("db", 1)]);
    source.always("Z1", Some(Fault::Failed));
    let world = start(&[&source]);
    sleep(Duration::from_secs(3600)).await;
    let first_hour = source.take_pages().len();
    assert!((12..=80).contains(&first_hour), "{first_hour} tries in the first hour");
    assert_eq!(warnings.about("import failed"), 1);
    source.always("Z1", None);
    world.until("db.corp.internal", "1").await;
}

#[tokio::test(start_paused = true)]
async fn stalled_zones_do_not_hold_up_the_others() {
    let source = Scripted::new("s");
    for n in 0..5 {
        source.zone(&format!("Z{n}"), &format!("z{n}.test"), &[("a", n)]);
    }
    source.always("Z0", Some(Fault::Stall));
    let world = start(&[&source]);
    let begun = Instant::now();
    world.until("a.z4.test", "4").await;
    assert!(begun.elapsed() < Duration::from_secs(2), "one stalled zone costs the others nothing");
    for n in 1..4 {
        source.always(&format!("Z{n}"), Some(Fault::Stall));
    }
    source.zone("Z4", "z4.test", &[("a", 44)]);
    world.until("a.z4.test", "44").await;
    sleep(Duration::from_secs(600)).await;
    source.zone("Z4", "z4.test", &[("a", 45)]);
    world.until("a.z4.test", "45").await;
    assert_eq!(world.state("Z0"), ZoneState::Unloaded);
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_fails_has_the_others_refreshed_on_time() {
    let source = Scripted::new("s");
    source.zone("Z1", "bad.test", &[("a", 1)]).zone("Z2", "good.test", &[("a", 1)]);
    source.always("Z1", Some(Fault::Failed));
    let world = start(&[&source]);
    world.until("a.good.test", "1").await;
    source.content("Z2", "good.test", &[("a", 2)]);
    let changed = Instant::now();
    world.until("a.good.test", "2").await;
    assert!(changed.elapsed() <= REFRESH + REFRESH / 10);
}
