//! Pushed updates, requests, readiness, listing and reload.

use super::*;

#[tokio::test(start_paused = true)]
async fn pushed_updates_take_effect_without_waiting_for_the_schedule() {
    let source = Scripted::new("s");
    let pushes = source.pushing();
    source.zone("Z1", "one.test", &[("a", 1)]);
    let mut setup = Setup::default();
    setup.policy.refresh = Duration::from_secs(100_000);
    let world = setup.start(&[&source]);
    world.until("a.one.test", "1").await;
    let begun = Instant::now();

    source.content("Z1", "one.test", &[("a", 2)]);
    pushes.send(Push::Changed(ZoneId("Z1".into()))).await.unwrap();
    world.until("a.one.test", "2").await;

    let given = Fetched { data: data("one.test", &[("a", 3)]), calls: 1 };
    source.take_pages();
    pushes.send(Push::Zone(found("Z1", "one.test", Access::Readable), given)).await.unwrap();
    world.until("a.one.test", "3").await;
    assert!(source.take_pages().is_empty(), "pushed content is not fetched");

    let given = Fetched { data: data("two.test", &[("a", 9)]), calls: 1 };
    pushes.send(Push::Zone(found("Z9", "two.test", Access::Readable), given)).await.unwrap();
    world.until("a.two.test", "9").await;
    pushes.send(Push::Removed(ZoneId("Z9".into()))).await.unwrap();
    world.until("a.two.test", "forward").await;

    source.zone("Z3", "three.test", &[("a", 4)]);
    pushes.send(Push::Rediscover).await.unwrap();
    world.until("a.three.test", "4").await;
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_change_pushed_while_a_fetch_runs_is_not_missed() {
    let source = Scripted::new("s");
    let pushes = source.pushing();
    source.zone("Z1", "one.test", &[("a", 1)]);
    source.fault("Z1", 1, Fault::Stall);
    let mut setup = Setup::default();
    setup.policy.refresh = Duration::from_secs(100);
    let world = setup.start(&[&source]);
    world.until_true("the fetch runs", |_| source.fetches("Z1") == 1).await;
    let given = Fetched { data: data("one.test", &[("a", 7)]), calls: 1 };
    pushes.send(Push::Zone(found("Z1", "one.test", Access::Readable), given)).await.unwrap();
    world.until("a.one.test", "7").await;
    assert_eq!(source.fetches("Z1"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_requested_refresh_is_done_at_once_and_unknown_zones_are_told() {
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]);
    let mut setup = Setup::default();
    setup.policy.refresh = Duration::from_secs(100_000);
    let world = setup.start(&[&source]);
    world.until("a.one.test", "1").await;
    source.content("Z1", "one.test", &[("a", 2)]);
    source.zone("Z2", "two.test", &[("a", 1)]);
    assert_eq!(world.refresh(Some("ONE.test.")).await, Ok(1));
    world.until("a.one.test", "2").await;
    assert_eq!(world.refresh(Some("nowhere.test")).await, Err(RequestError::UnknownZone));
    assert_eq!(world.refresh(None).await, Ok(1));
    world.until("a.two.test", "1").await;
    let board = world.board.clone();
    world.stop().await;
    assert_eq!(board.request(RefreshRequest { zone: None }).await, Err(RequestError::Stopped));
}

#[tokio::test(start_paused = true)]
async fn readiness_waits_for_the_first_round_of_every_source_and_no_longer() {
    let (good, bad) = (Scripted::new("good"), Scripted::new("bad"));
    good.zone("Z1", "one.test", &[("a", 1)]);
    bad.zone("Z2", "two.test", &[]).zone("Z3", "three.test", &[]).carved("Z4", "four.test");
    bad.always("Z2", Some(Fault::Failed));
    bad.always("Z3", Some(Fault::Stall));
    let world = start(&[&good, &bad]);
    world.until("a.one.test", "1").await;
    assert!(!world.board.is_ready());
    let mut ready = world.board.watch_ready();
    ready.wait_for(|ready| *ready).await.unwrap();
    assert_eq!(world.state("Z3"), ZoneState::Unloaded, "a stalled zone has failed once by now");

    let none = start(&[]);
    none.until_true("no source, nothing to wait for", |w| w.board.is_ready()).await;
}

#[tokio::test(start_paused = true)]
async fn the_listing_and_the_metrics_say_what_is_served() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1), ("b", 2)]).carved("Z2", "two.test");
    let world = start(&[&source]);
    world.until_true("ready", |w| w.board.is_ready()).await;
    let status = world.status("Z1");
    assert_eq!((status.zone.as_str(), status.kind, status.source.as_str()), ("one.test.", "scripted", "s"));
    assert_eq!((status.counts.records, status.counts.rrsets, status.serial), (3, 3, Some(1)));
    assert_eq!((status.age_seconds, status.refresh_seconds), (Some(0), 60));
    assert!(status.next_attempt_seconds.is_some_and(|s| s <= 60) && !status.from_state_file);
    assert_eq!(world.status("Z2").error.as_deref(), Some("owned by a service"));
    assert!(serde_json::to_string(&status).unwrap().contains("\"state\":\"loaded\""));

    source.content("Z1", "one.test", &[("a", 1)]);
    world.until("b.one.test", "nxdomain of one.test.").await;
    world.board.update_gauges(&world.metrics);
    let text = recorder.handle().render() + &world.board.render_zones();
    for line in [
        "zonelet_import_zone_records{source=\"s\",zone=\"one.test.\",id=\"Z1\",kind=\"records\"} 2",
        "zonelet_import_zone_changed_rrsets_total{source=\"s\",zone=\"one.test.\",id=\"Z1\",change=\"removed\"} 1",
        "zonelet_import_changed_rrsets_total{change=\"removed\"} 1",
        "zonelet_import_refresh_seconds{source=\"s\",zone=\"one.test.\",id=\"Z1\"} 60",
        "zonelet_import_zones{state=\"carved_out\"} 1",
        "zonelet_import_skipped_records{reason=\"bad_ttl\"} 0",
    ] {
        assert!(text.contains(line), "{line} is missing from\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_importer_with_new_settings_takes_over_without_unloading_anything() {
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]);
    let world = start(&[&source]);
    world.until("a.one.test", "1").await;
    let table = Arc::clone(&world.table);
    let kept = world.stop().await;

    source.listing_fault(Some(Fault::Failed));
    let mut setup = Setup { kept, table, ..Setup::default() };
    setup.policy.on_missing_zones.insert("one.test.".into(), OnMissing::ForwardNxDomain);
    let world = setup.start(&[&source]);
    for _ in 0..50 {
        assert_eq!(world.ask("a.one.test"), "1");
        sleep(Duration::from_secs(1)).await;
    }
    source.listing_fault(None);
    world
        .until_true("the new settings hold", |w| {
            let name: Name = "one.test".parse().unwrap();
            match w.table.load().find(&Suffixes::of(name.as_ref())) {
                Some((_, Authority::Loaded(zone))) => zone.on_missing() == OnMissing::ForwardNxDomain,
                _ => panic!("the zone was unloaded"),
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_upstreams_said_of_changed_names_is_forgotten() {
    let source = Scripted::new("s");
    source.zone("Z1", "corp.internal", &[("same", 1), ("moved", 1), ("gone", 1)]);
    let vpc = Vpc::default();
    let world = Setup { vpc: vpc.clone(), ..Setup::default() }.start(&[&source]);
    world.until("moved.corp.internal", "1").await;
    assert!(vpc.1.lock().unwrap().is_empty(), "nothing was known before");
    source.content("Z1", "corp.internal", &[("same", 1), ("moved", 2), ("new", 1)]);
    world.until("moved.corp.internal", "2").await;
    let forgotten = vpc.1.lock().unwrap().clone();
    assert_eq!(forgotten, ["gone.corp.internal. A", "moved.corp.internal. A", "new.corp.internal. A"]);
}

#[tokio::test(start_paused = true)]
async fn a_zones_figures_follow_its_imports_and_go_with_it() {
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]).zone("Z2", "two.test", &[("a", 1)]);
    let pushes = source.pushing();
    let world = start(&[&source]);
    world.until("a.one.test", "1").await;
    world.until("a.two.test", "1").await;
    let line = |world: &World, name: &str, id: &str| {
        let text = world.board.render_zones();
        let is_it = |line: &&str| line.starts_with(name) && line.contains(&format!("id=\"{id}\""));
        text.lines().find(is_it).map(|line| line.rsplit_once(' ').unwrap().1.to_owned())
    };
    assert_eq!(line(&world, "zonelet_import_zone_last_calls", "Z1").as_deref(), Some("1"));
    assert!(line(&world, "zonelet_import_zone_last_fetch_seconds", "Z1").is_some());
    assert_eq!(line(&world, "zonelet_import_zone_throttles_total", "Z1").as_deref(), Some("0"));
    source.fault("Z1", 1, Fault::Throttled(Duration::ZERO));
    pushes.send(Push::Changed(ZoneId("Z1".into()))).await.unwrap();
    world
        .until_true("throttled once", |w| {
            line(w, "zonelet_import_zone_throttles_total", "Z1").as_deref() == Some("1")
        })
        .await;
    assert_eq!(line(&world, "zonelet_import_zone_throttles_total", "Z2").as_deref(), Some("0"));
    let kept = world.stop().await;
    let world = Setup { kept, ..Setup::default() }.start(&[&source]);
    world
        .until_true("counted on over a reload", |w| {
            line(w, "zonelet_import_zone_throttles_total", "Z1").as_deref() == Some("1")
        })
        .await;
    source.unlist("Z1");
    world.until_true("removed", |w| w.board.snapshot().len() == 1).await;
    assert!(!world.board.render_zones().contains("Z1"), "nothing is left of it");
}

#[tokio::test(start_paused = true)]
async fn the_time_from_a_hint_to_its_change_is_measured_and_a_hint_of_nothing_is_not() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]);
    let pushes = source.pushing();
    let world = start(&[&source]);
    world.until("a.one.test", "1").await;
    let counted = || {
        let text = recorder.handle().render();
        let line = text.lines().find(|line| line.starts_with("zonelet_import_hint_seconds_count"));
        line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
    };
    source.take_pages();
    pushes.send(Push::Changed(ZoneId("Z1".into()))).await.unwrap();
    world.until_true("looked", |_| !source.take_pages().is_empty()).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(counted(), 0, "nothing had changed");

    source.content("Z1", "one.test", &[("a", 2)]);
    source.fault("Z1", 1, Fault::Failed);
    pushes.send(Push::Changed(ZoneId("Z1".into()))).await.unwrap();
    world.until("a.one.test", "2").await;
    assert_eq!(counted(), 1, "a try that fails is part of the time");
    source.content("Z1", "one.test", &[("a", 3)]);
    world.until("a.one.test", "3").await;
    assert_eq!(counted(), 1, "the schedule is no hint");
    source.content("Z1", "one.test", &[("a", 4)]);
    world.refresh(Some("one.test")).await.unwrap();
    world.until("a.one.test", "4").await;
    assert_eq!(counted(), 2);
}
