//! Last-good zones on disk.

use super::*;

fn files(home: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(home.join("zones")) else { return Vec::new() };
    entries.map(|e| e.unwrap().path()).collect()
}

/// A home with one zone `Z1` on disk, of account 1 and VPC vpc-a.
async fn home_with_state(source: &Scripted) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    source.origin("1", "vpc-a").zone("Z1", "one.test", &[("a", 1)]);
    let world = Setup::state(home.path()).start(&[source]);
    world.until("a.one.test", "1").await;
    world.stop().await;
    assert_eq!(files(home.path()).len(), 1, "written before the importer stops");
    home
}

#[tokio::test(start_paused = true)]
async fn the_last_good_zone_is_served_after_a_restart_while_the_source_is_down() {
    let source = Scripted::new("s");
    let home = home_with_state(&source).await;
    source.listing_fault(Some(Fault::Stall));
    let world = Setup::state(home.path()).start(&[&source]);
    world.until("a.one.test", "1").await;
    let status = world.status("Z1");
    assert!(status.from_state_file && status.age_seconds.is_some());
    assert!(!world.board.is_ready());
    sleep(Duration::from_secs(5000)).await;
    assert!(world.status("Z1").age_seconds.unwrap() >= 5000);
    assert_eq!((world.ask("a.one.test"), world.state("Z1")), ("1".into(), ZoneState::Stale));
    source.listing_fault(None);
    source.content("Z1", "one.test", &[("a", 2)]);
    world.until("a.one.test", "2").await;
    assert!(!world.status("Z1").from_state_file);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_state_file_is_left_alone_and_the_zone_is_fetched() {
    let source = Scripted::new("s");
    let home = home_with_state(&source).await;
    let path = files(home.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    source.listing_fault(Some(Fault::Failed));
    let world = Setup::state(home.path()).start(&[&source]);
    world.until_true("the first round is over", |w| w.board.is_ready()).await;
    assert_eq!((world.ask("a.one.test").as_str(), fs::read(&path).unwrap() == bytes), ("forward", true));
    source.listing_fault(None);
    world.until("a.one.test", "1").await;
    world.stop().await;
    assert_ne!(fs::read(&path).unwrap(), bytes, "a good import replaces it");
}

#[tokio::test(start_paused = true)]
async fn state_of_another_origin_or_source_is_not_served_and_stays_on_disk() {
    let source = Scripted::new("s");
    let home = home_with_state(&source).await;
    source.listing_fault(Some(Fault::Failed));
    source.origin("1", "vpc-b");
    let world = Setup::state(home.path()).start(&[&source]);
    world.until_true("the first round is over", |w| w.board.is_ready()).await;
    assert_eq!(world.ask("a.one.test"), "forward");
    world.stop().await;
    let stranger = Scripted::new("another");
    stranger.listing_fault(Some(Fault::Failed));
    let world = Setup::state(home.path()).start(&[&stranger]);
    world.until_true("the first round is over", |w| w.board.is_ready()).await;
    assert_eq!((world.ask("a.one.test").as_str(), files(home.path()).len()), ("forward", 1));
}

#[tokio::test(start_paused = true)]
async fn provisional_state_is_withdrawn_when_the_origin_turns_out_to_be_another() {
    let source = Scripted::new("s");
    let home = home_with_state(&source).await;
    let later = Scripted::new("s");
    later.listing_fault(Some(Fault::Failed));
    let world = Setup::state(home.path()).start(&[&later]);
    world.until("a.one.test", "1").await;
    sleep(REFRESH * 10).await;
    assert_eq!(world.ask("a.one.test"), "1", "an origin not known yet is no other origin");
    later.origin("1", "vpc-b");
    world.until("a.one.test", "forward").await;
    world.stop().await;
    assert_eq!(files(home.path()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_file_of_a_removed_zone_is_deleted() {
    let source = Scripted::new("s");
    let home = home_with_state(&source).await;
    let world = Setup::state(home.path()).start(&[&source]);
    world.until("a.one.test", "1").await;
    world.until_true("confirmed", |w| !w.status("Z1").from_state_file).await;
    source.unlist("Z1");
    world.until("a.one.test", "forward").await;
    world.until_true("the file is gone", |_| files(home.path()).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn an_unwritable_state_directory_costs_only_the_state() {
    let warnings = Warnings::capture();
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("zones"), "a file where the directory should be").unwrap();
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]);
    let world = Setup::state(home.path()).start(&[&source]);
    world.until("a.one.test", "1").await;
    source.content("Z1", "one.test", &[("a", 2)]);
    world.until("a.one.test", "2").await;
    sleep(Duration::from_secs(5000)).await;
    world.stop().await;
    assert_eq!(warnings.about("was not written"), 1);
}

#[tokio::test(start_paused = true)]
async fn files_are_rewritten_when_content_changes_and_now_and_then_for_their_age() {
    let source = Scripted::new("s");
    let home = home_with_state(&source).await;
    let path = files(home.path()).remove(0);
    let world = Setup::state(home.path()).start(&[&source]);
    world.until_true("confirmed", |w| w.board.is_ready()).await;
    sleep(Duration::from_secs(5)).await;
    fs::remove_file(&path).unwrap();
    sleep(REFRESH * 5).await;
    assert!(!path.exists(), "an unchanged zone is not written each time");
    source.content("Z1", "one.test", &[("a", 2)]);
    world.until_true("written for its content", |_| path.exists()).await;
    fs::remove_file(&path).unwrap();
    world.until_true("written for its age", |_| path.exists()).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_left_to_upstreams_over_a_restart_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let source = Scripted::new("s");
    source.zone("Z1", "corp.test", &[("a", 1)]).carved("Z2", "vpce.corp.test");
    source.zone("Z3", "sec.corp.test", &[("a", 3)]).always("Z3", Some(Fault::Denied));
    let world = Setup::state(dir.path()).start(&[&source]);
    for (qname, expected) in
        [("a.corp.test", "1"), ("a.vpce.corp.test", "carved out"), ("a.sec.corp.test", "carved out")]
    {
        world.until(qname, expected).await;
    }
    world.stop().await;

    source.listing_fault(Some(Fault::Failed));
    let world = Setup::state(dir.path()).start(&[&source]);
    world.until("a.corp.test", "1").await;
    sleep(REFRESH).await;
    for qname in ["a.vpce.corp.test", "a.sec.corp.test"] {
        assert_eq!(world.ask(qname), "carved out", "{qname}: the zone above knows nothing of it");
    }
    source.listing_fault(None);
    source.always("Z3", None);
    source.unlist("Z2");
    world.until("a.sec.corp.test", "3").await;
    world.until("a.vpce.corp.test", "nxdomain of corp.test.").await;
    world.stop().await;

    source.listing_fault(Some(Fault::Failed));
    let world = Setup::state(dir.path()).start(&[&source]);
    world.until("a.sec.corp.test", "3").await;
    assert_eq!(world.ask("a.vpce.corp.test"), "nxdomain of corp.test.", "nothing is left of it");
}
