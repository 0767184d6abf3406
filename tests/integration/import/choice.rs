//! Which of several zones answers (traps 15, 17), and what a shrunken one is held to.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_most_specific_zone_answers_without_falling_back() {
    let source = Scripted::new("s");
    source.zone("Z1", "example.com", &[("www.a", 1)]).zone("Z2", "a.example.com", &[]);
    let world = start(&[&source]);
    world.until("www.a.example.com", "nxdomain of a.example.com.").await;
    assert_eq!(world.state("Z1"), ZoneState::Loaded);
}

#[tokio::test(start_paused = true)]
async fn a_newly_associated_zone_of_the_same_name_replaces_the_other_once_it_has_loaded() {
    let source = Scripted::new("s");
    source.zone("Z1", "corp.internal", &[("only-one", 1), ("both", 1)]);
    source.content("Z2", "corp.internal", &[("only-two", 2), ("both", 2)]);
    let world = start(&[&source]);
    world.until("both.corp.internal", "1").await;
    assert_eq!(world.ask("only-two.corp.internal"), "nxdomain of corp.internal.");

    source.unlist("Z1");
    source.zone("Z2", "corp.internal", &[("only-two", 2), ("both", 2)]);
    source.always("Z2", Some(Fault::Failed));
    let moved = Instant::now();
    world.until_true("the new zone is known", |w| w.board.snapshot().len() == 2).await;
    assert!(moved.elapsed() <= REFRESH + REFRESH / 10, "within one discovery");
    assert_eq!(world.ask("both.corp.internal"), "1", "the old one stays until the new one has loaded");

    source.always("Z2", None);
    world.until("both.corp.internal", "2").await;
    assert_eq!(world.ask("only-one.corp.internal"), "nxdomain of corp.internal.", "no union");
    assert_eq!(world.board.snapshot().len(), 1, "the old one is gone at once");
}

#[tokio::test(start_paused = true)]
async fn of_two_sources_with_one_zone_the_first_wins_with_one_warning() {
    let warnings = Warnings::capture();
    let (first, second) = (Scripted::new("first"), Scripted::new("second"));
    first.zone("A", "corp.internal", &[("db", 1)]);
    second.zone("B", "corp.internal", &[("db", 2), ("extra", 2)]);
    first.always("A", Some(Fault::Failed));
    let world = start(&[&first, &second]);
    world.until("db.corp.internal", "2").await;
    first.always("A", None);
    world.until("db.corp.internal", "1").await;
    assert_eq!(world.ask("extra.corp.internal"), "nxdomain of corp.internal.");
    assert_eq!(world.state("B"), ZoneState::Shadowed);
    sleep(REFRESH * 10).await;
    second.content("B", "corp.internal", &[("db", 3)]);
    sleep(REFRESH * 10).await;
    assert_eq!((world.ask("db.corp.internal").as_str(), warnings.about("several zones")), ("1", 1));
}

#[tokio::test(start_paused = true)]
async fn a_sharply_shrunken_zone_is_held_until_a_second_import_confirms_it() {
    let source = Scripted::new("s");
    let many = hosts(40);
    source.zone("Z1", "one.test", &borrowed(&many));
    let world = start(&[&source]);
    world.until("h39.one.test", "39").await;
    source.content("Z1", "one.test", &borrowed(&many[..5]));
    world.until_true("held", |w| w.state("Z1") == ZoneState::Held).await;
    let held = Instant::now();
    assert_eq!(world.ask("h39.one.test"), "39");
    world.until("h39.one.test", "nxdomain of one.test.").await;
    assert!(held.elapsed() <= Duration::from_secs(10), "the confirming import comes soon");
    assert_eq!((world.ask("h4.one.test"), world.state("Z1")), ("4".into(), ZoneState::Loaded));
}

#[tokio::test(start_paused = true)]
async fn a_shrink_that_a_second_import_does_not_confirm_is_never_served() {
    let source = Scripted::new("s");
    let many = hosts(40);
    source.zone("Z1", "one.test", &borrowed(&many));
    let world = start(&[&source]);
    world.until("h39.one.test", "39").await;
    source.content("Z1", "one.test", &[]);
    world.until_true("held", |w| w.state("Z1") == ZoneState::Held).await;
    source.content("Z1", "one.test", &borrowed(&many));
    world.until_true("released", |w| w.state("Z1") == ZoneState::Loaded).await;
    assert_eq!(world.ask("h39.one.test"), "39");
}
