//! Sources of several accounts, and the order of first imports.

use zonelet::wire::Suffixes;
use zonelet::zone::Authority;

use super::*;

fn two_accounts() -> Scripted {
    let source = Scripted::new("s");
    source.origin("", "");
    source.zone("Z1", "one.test", &[("a", 1)]).zone("Z2", "two.test", &[("a", 2)]);
    source.origin_of_zone("Z1", "111").origin_of_zone("Z2", "222");
    source
}

#[tokio::test(start_paused = true)]
async fn zones_of_an_account_that_cannot_be_listed_stay_and_others_may_go() {
    let source = two_accounts();
    let world = start(&[&source]);
    world.until("a.two.test", "2").await;
    world.until("a.one.test", "1").await;
    source.unseen(&["222"]);
    source.unlist("Z2");
    source.unlist("Z1");
    world.until("a.one.test", "forward").await;
    sleep(REFRESH * 20).await;
    assert_eq!(world.ask("a.two.test"), "2", "nobody said that it is gone");
    source.content("Z2", "two.test", &[("a", 7)]);
    world.until("a.two.test", "7").await;
    source.unseen(&[]);
    world.until("a.two.test", "forward").await;
}

#[tokio::test(start_paused = true)]
async fn last_good_zones_of_an_account_that_cannot_be_listed_are_served_and_hold_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let before = two_accounts();
    let world = Setup::state(dir.path()).start(&[&before]);
    world.until_true("all loaded", |w| w.board.is_ready()).await;
    world.stop().await;

    let after = two_accounts();
    after.unlist("Z2");
    after.unseen(&["222"]);
    let world = Setup::state(dir.path()).start(&[&after]);
    world.until_true("it is ready", |w| w.board.is_ready()).await;
    sleep(REFRESH * 10).await;
    assert_eq!((world.ask("a.one.test"), world.ask("a.two.test")), ("1".into(), "2".into()));
}

#[tokio::test(start_paused = true)]
async fn a_last_good_zone_of_an_account_that_it_no_longer_belongs_to_is_withdrawn() {
    let dir = tempfile::tempdir().unwrap();
    let world = Setup::state(dir.path()).start(&[&two_accounts()]);
    world.until_true("all loaded", |w| w.board.is_ready()).await;
    world.stop().await;
    let moved = two_accounts();
    moved.origin_of_zone("Z2", "333");
    moved.always("Z1", Some(Fault::Failed));
    moved.always("Z2", Some(Fault::Failed));
    let world = Setup::state(dir.path()).start(&[&moved]);
    world.until("a.one.test", "1").await;
    world.until("a.two.test", "unloaded, fail").await;
}

#[tokio::test(start_paused = true)]
async fn a_name_from_the_configuration_is_withheld_while_part_of_the_source_is_unseen() {
    let source = two_accounts();
    source.unlist("Z2");
    source.unseen(&["222"]);
    let warnings = Warnings::capture();
    let world = Setup::expecting("two.test").start(&[&source]);
    world.until("a.one.test", "1").await;
    assert_eq!(world.ask("a.two.test"), "unloaded, fail", "it may be in the account that was not seen");
    assert_eq!(warnings.about("does not have this zone"), 0);
    source.unseen(&[]);
    world.until("a.two.test", "forward").await;
    assert_eq!(warnings.about("does not have this zone"), 1);
}

#[tokio::test(start_paused = true)]
async fn another_number_of_record_sets_hurries_a_zone_and_the_same_number_delays_nothing() {
    let source = Scripted::new("s");
    let pushes = source.pushing();
    source.zone("Z1", "one.test", &[("a", 1)]);
    source.counted("Z1", 10);
    let world = start(&[&source]);
    world.until("a.one.test", "1").await;
    sleep(REFRESH * 3).await;
    let seen = source.fetches("Z1");
    assert!(seen >= 3, "an unchanged number replaces no refresh: {seen}");

    let mut setup = Setup::default();
    setup.policy.refresh = Duration::from_secs(50_000);
    let source = Scripted::new("t");
    let more = source.pushing();
    source.zone("Z1", "one.test", &[("a", 1)]);
    source.counted("Z1", 10);
    let slow = setup.start(&[&source]);
    slow.until("a.one.test", "1").await;
    source.content("Z1", "one.test", &[("a", 2)]);
    more.send(Push::Rediscover).await.unwrap();
    sleep(REFRESH).await;
    assert_eq!(source.fetches("Z1"), 1, "nothing says that it has changed");
    source.counted("Z1", 11);
    more.send(Push::Rediscover).await.unwrap();
    slow.until("a.one.test", "2").await;
    drop(pushes);
}

/// Asks as the answering threads do where a zone is not loaded.
fn ask_in_vain(world: &World, qname: &str, times: usize) {
    let qname: Name = qname.parse().unwrap();
    let table = world.table.load();
    match table.find(&Suffixes::of(qname.as_ref())) {
        Some((_, Authority::Unloaded(_, asked))) => (0..times).for_each(|_| asked.note()),
        other => panic!("{qname} is no unloaded zone's: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_new_zones_those_asked_for_most_are_imported_first() {
    let source = Scripted::new("s");
    for n in 0..40 {
        source.zone(&format!("Z{n:02}"), &format!("z{n:02}.test"), &[("a", n)]);
    }
    // The listing and a first batch of fetches, which go in the order of the listing.
    source.budget(1, 1);
    let world = start(&[&source]);
    world.until_true("the zones are listed", |w| w.board.snapshot().len() == 40).await;
    ask_in_vain(&world, "a.z30.test", 5);
    ask_in_vain(&world, "b.c.z35.test", 9);
    world.until_true("all loaded", |w| w.board.is_ready()).await;
    let order: Vec<String> = source.take_pages().into_iter().take(8).collect();
    assert_eq!(order, ["Z00/1", "Z01/1", "Z02/1", "Z03/1", "Z35/1", "Z30/1", "Z04/1", "Z05/1"]);
}

#[tokio::test(start_paused = true)]
async fn five_hundred_zones_are_imported_as_fast_as_the_budget_of_an_account_lets() {
    let source = Scripted::new("s");
    for n in 0..500 {
        source.zone(&format!("Z{n:03}"), &format!("z{n:03}.test"), &[("a", 1)]);
    }
    source.budget(50, 10);
    let begun = Instant::now();
    let world = start(&[&source]);
    world.until_true("all loaded", |w| w.board.is_ready()).await;
    let took = begun.elapsed();
    // A listing and 500 fetches: 50 at once, 451 at ten a second.
    assert!((Duration::from_secs(45)..Duration::from_secs(47)).contains(&took), "{took:?}");
    assert_eq!(source.take_pages().len(), 500, "and none of them twice");
}
