//! Hints that a zone has changed: followed at once, and no more often than the budget bears.

use super::*;

fn changed(id: &str) -> Push {
    Push::Changed(ZoneId(id.into()))
}

/// An importer that refreshes so rarely that only hints make it fetch, with a budget.
fn hinted(source: &Scripted, calls_per_second: f64) -> World {
    let refresh = Duration::from_secs(80_000);
    let policy =
        SourcePolicy { refresh, calls_per_second: Some(calls_per_second), ..SourcePolicy::default() };
    Setup { policy, ..Setup::default() }.start(&[source])
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_hints_for_one_zone_leaves_half_of_the_budget_to_the_others() {
    let source = Scripted::new("s");
    let pushes = source.pushing();
    source.zone("Z1", "one.test", &[("a", 1)]).zone("Z2", "two.test", &[("a", 1)]);
    source.set_pages("Z1", 30);
    let world = hinted(&source, 1.0);
    world.until("a.one.test", "1").await;
    world.until("a.two.test", "1").await;
    source.take_pages();
    let begun = Instant::now();
    // Ten hints a second, for ten minutes.
    while begun.elapsed() < Duration::from_secs(600) {
        pushes.send(changed("Z1")).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    // Thirty calls, then sixty seconds.
    let fetches = source.take_pages().iter().filter(|page| *page == "Z1/1").count();
    assert!((9..=11).contains(&fetches), "{fetches}");

    source.content("Z2", "two.test", &[("a", 2)]);
    let sent = Instant::now();
    pushes.send(changed("Z2")).await.unwrap();
    world.until("a.two.test", "2").await;
    assert!(sent.elapsed() < Duration::from_secs(5), "another zone's hint does not wait");
}

#[tokio::test(start_paused = true)]
async fn the_last_of_a_row_of_changes_is_imported_without_a_further_hint() {
    let source = Scripted::new("s");
    let pushes = source.pushing();
    source.zone("Z1", "one.test", &[("a", 1)]);
    let world = hinted(&source, 1.0);
    world.until("a.one.test", "1").await;
    for byte in 2..=4 {
        source.content("Z1", "one.test", &[("a", byte)]);
        pushes.send(changed("Z1")).await.unwrap();
    }
    let sent = Instant::now();
    world.until("a.one.test", "4").await;
    assert!(sent.elapsed() < Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_rediscoveries_is_thinned_out_too() {
    let source = Scripted::new("s");
    let pushes = source.pushing();
    source.zone("Z1", "one.test", &[("a", 1)]);
    let world = hinted(&source, 1.0);
    world.until("a.one.test", "1").await;
    let before = source.listings();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(100) {
        pushes.send(Push::Rediscover).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    let listings = source.listings() - before;
    assert!((18..=22).contains(&listings), "{listings}: one in five seconds");
}

#[tokio::test(start_paused = true)]
async fn a_source_without_a_budget_is_asked_at_once_each_time() {
    let source = Scripted::new("s");
    let pushes = source.pushing();
    source.zone("Z1", "one.test", &[("a", 1)]);
    let refresh = Duration::from_secs(80_000);
    let policy = SourcePolicy { refresh, ..SourcePolicy::default() };
    let world = Setup { policy, ..Setup::default() }.start(&[&source]);
    world.until("a.one.test", "1").await;
    let begun = Instant::now();
    for byte in 2..=6 {
        source.content("Z1", "one.test", &[("a", byte)]);
        pushes.send(changed("Z1")).await.unwrap();
        world.until("a.one.test", &byte.to_string()).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
}
