//! When zones are fetched, and what a fetch that finds nothing new leaves alone.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_effective_refresh_is_what_the_budget_allows_and_is_shown() {
    let source = Scripted::new("s");
    for n in 0..9 {
        source.zone(&format!("Z{n}"), &format!("z{n}.test"), &[("a", n)]);
        source.set_pages(&format!("Z{n}"), 11);
    }
    let mut setup = Setup::default();
    setup.policy.calls_per_second = Some(0.5);
    let world = setup.start(&[&source]);
    world.until_true("all loaded", |w| w.board.is_ready()).await;
    assert_eq!(world.status("Z3").refresh_seconds, 200, "(1 + 9 × 11) calls at 0.5/s");
    sleep(Duration::from_secs(400)).await;
    source.take_pages();
    sleep(Duration::from_secs(2000)).await;
    let calls = source.take_pages().len();
    assert!((800..=1100).contains(&calls), "{calls} calls in 2000 s at 0.5/s");
}

#[tokio::test(start_paused = true)]
async fn zones_are_listed_once_an_interval_and_hurried_only_as_far_as_the_source_allows() {
    let source = Scripted::new("s");
    let pushes = source.pushing();
    let world = start(&[&source]);
    sleep(REFRESH * 10 + REFRESH / 2).await;
    assert!((10..=12).contains(&source.listings()), "{} listings in 10 intervals", source.listings());
    source.listing_fault(Some(Fault::Throttled(Duration::from_secs(1000))));
    world.until_true("throttled", |w| w.board.sources()[0].error.is_some()).await;
    let before = source.listings();
    for _ in 0..50 {
        pushes.send(Push::Rediscover).await.unwrap();
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(source.listings(), before);
}

#[tokio::test(start_paused = true)]
async fn throttling_stretches_the_refresh_of_the_source() {
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]);
    source.fault("Z1", 1, Fault::Throttled(Duration::ZERO));
    let world = start(&[&source]);
    world.until("a.one.test", "1").await;
    assert_eq!(world.status("Z1").refresh_seconds, 120);
    world.until_true("it recovers", |w| w.status("Z1").refresh_seconds == 60).await;
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_zone_is_not_swapped() {
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]);
    let world = start(&[&source]);
    world.until("a.one.test", "1").await;
    let table = world.table.load_full();
    sleep(REFRESH * 5).await;
    assert!(source.fetches("Z1") > 3);
    assert!(Arc::ptr_eq(&table, &world.table.load_full()));
    assert!(world.status("Z1").age_seconds.unwrap() <= 66);
}

#[tokio::test(start_paused = true)]
async fn a_swapped_out_table_is_freed() {
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]);
    let world = start(&[&source]);
    world.until("a.one.test", "1").await;
    let old = Arc::downgrade(&world.table.load_full());
    source.content("Z1", "one.test", &[("a", 2)]);
    world.until("a.one.test", "2").await;
    sleep(Duration::from_secs(10)).await;
    assert!(old.upgrade().is_none());
}
