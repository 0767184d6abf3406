//! The importer over scripted sources, with time paused: what is in the zone table, and when.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use zonelet::clock::Clock;
use zonelet::import::{
    Importer, Kept, OnUnloaded, RefreshRequest, RequestError, Settings, SourcePolicy, StatusBoard, Upstreams,
    ZoneState, ZoneStatus,
};
use zonelet::metrics::import::ImportMetrics;
use zonelet::source::{Access, Fetched, Push, ZoneId, ZoneSource};
use zonelet::wire::{Name, NameRef, Rtype, Suffixes};
use zonelet::zone::{Authority, Lookup, OnMissing, SharedTable, WhenUnloaded};

use crate::harness::source::{Fault, Scripted, data, found};

const REFRESH: Duration = Duration::from_secs(60);

struct Vpc(bool);

impl Upstreams for Vpc {
    fn is_vpc_resolver(&self, _apex: NameRef<'_>) -> bool {
        self.0
    }
}

/// A running importer.
struct World {
    table: SharedTable,
    board: StatusBoard,
    metrics: Arc<ImportMetrics>,
    shutdown: CancellationToken,
    task: JoinHandle<Kept>,
}

#[derive(Default)]
struct Setup {
    policy: SourcePolicy,
    state: Option<std::path::PathBuf>,
    kept: Kept,
    vpc: bool,
    table: SharedTable,
}

impl Setup {
    fn expecting(apex: &str) -> Self {
        let policy = SourcePolicy { expected: vec![apex.parse().unwrap()], ..SourcePolicy::default() };
        Self { policy, ..Self::default() }
    }

    fn state(dir: &Path) -> Self {
        Self { state: Some(dir.to_owned()), ..Self::default() }
    }

    fn start(self, sources: &[&Scripted]) -> World {
        let metrics = Arc::new(ImportMetrics::register());
        let sources = sources
            .iter()
            .map(|s| (Arc::new((*s).clone()) as Arc<dyn ZoneSource>, self.policy.clone()))
            .collect();
        let mut importer = Importer::new(
            Settings { state_dir: self.state },
            sources,
            Arc::clone(&self.table),
            Clock::real(),
            Arc::clone(&metrics),
            Arc::new(Vpc(self.vpc)),
        );
        importer.inherit(self.kept);
        let (board, shutdown) = (importer.board(), CancellationToken::new());
        let task = tokio::spawn(importer.run(shutdown.clone()));
        World { table: self.table, board, metrics, shutdown, task }
    }
}

fn start(sources: &[&Scripted]) -> World {
    Setup::default().start(sources)
}

impl World {
    /// What the table says of an A query: an address's last byte, or the outcome in words.
    fn ask(&self, qname: &str) -> String {
        let qname: Name = qname.parse().unwrap();
        let (table, all) = (self.table.load(), Suffixes::of(qname.as_ref()));
        match table.find(&all) {
            None => "forward".into(),
            Some((_, Authority::CarvedOut)) => "carved out".into(),
            Some((_, Authority::Unloaded(WhenUnloaded::Forward))) => "unloaded, forward".into(),
            Some((_, Authority::Unloaded(WhenUnloaded::Fail))) => "unloaded, fail".into(),
            Some((apex, Authority::Loaded(zone))) => match zone.lookup(&all, Rtype::A) {
                Lookup::Answer(rrset) => rrset.rdata().map(|r| r[3].to_string()).collect(),
                Lookup::NxDomain => format!("nxdomain of {apex}"),
                other => format!("{other:?}"),
            },
        }
    }

    /// Lets virtual time pass until `qname` is answered with `expected`.
    async fn until(&self, qname: &str, expected: &str) {
        self.until_true(&format!("{qname} is {expected}"), |w| w.ask(qname) == expected).await;
    }

    async fn until_true(&self, what: &str, claim: impl Fn(&World) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(24 * 3600);
        while !claim(self) {
            assert!(Instant::now() < deadline, "never came true: {what}; {:#?}", self.board.snapshot());
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn status(&self, id: &str) -> ZoneStatus {
        self.board.snapshot().into_iter().find(|z| z.id == id).expect("no such zone in the listing")
    }

    fn state(&self, id: &str) -> ZoneState {
        self.status(id).state
    }

    async fn refresh(&self, zone: Option<&str>) -> Result<usize, RequestError> {
        self.board.request(RefreshRequest { zone: zone.map(|z| z.parse().unwrap()) }).await
    }

    async fn stop(self) -> Kept {
        self.shutdown.cancel();
        self.task.await.unwrap()
    }
}

/// The warnings logged on this thread.
struct Warnings(Arc<Mutex<Vec<u8>>>, #[allow(dead_code)] tracing::subscriber::DefaultGuard);

impl Warnings {
    fn capture() -> Self {
        // While only one subscriber is alive, a log line first met by a thread without one is
        // switched off for good: a second one that keeps nothing prevents that.
        static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| {
            let quiet = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN);
            tracing::Dispatch::new(quiet.with_writer(std::io::sink).finish())
        });
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .finish();
        Self(text, tracing::subscriber::set_default(subscriber))
    }

    fn about(&self, what: &str) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|l| l.contains(what)).count()
    }
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn hosts(count: u8) -> Vec<(String, u8)> {
    (0..count).map(|n| (format!("h{n}"), n)).collect()
}

fn borrowed(hosts: &[(String, u8)]) -> Vec<(&str, u8)> {
    hosts.iter().map(|(h, n)| (h.as_str(), *n)).collect()
}

// Throttling and other failures (trap 13).

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

// A zone that never loaded (trap 14).

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
        let mut setup = Setup { vpc, ..Setup::expecting("corp.internal") };
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

// Which zone answers (traps 15, 17).

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

// Zones that cannot be read, and zones that go away (trap 18).

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
    source.listing_fault(Some(Fault::Failed));
    source.unlist("Z1");
    sleep(REFRESH * 50).await;
    source.content("Z1", "one.test", &[("a", 3)]);
    world.until("a.one.test", "3").await;
    assert_eq!(world.ask("a.two.test"), "carved out");
    assert!(world.board.sources()[0].error.is_some());
}

// The schedule.

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
async fn a_swapped_out_table_is_freed_by_the_importer_after_a_grace() {
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]);
    let world = start(&[&source]);
    world.until("a.one.test", "1").await;
    let old = Arc::downgrade(&world.table.load_full());
    source.content("Z1", "one.test", &[("a", 2)]);
    world.until("a.one.test", "2").await;
    assert!(old.upgrade().is_some(), "a worker's batch must not free it");
    sleep(Duration::from_secs(10)).await;
    assert!(old.upgrade().is_none());
}

// The shrink guard.

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

// Pushed updates and requests.

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

// Readiness, listing, reload.

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
    let text = recorder.handle().render();
    for line in [
        "zonelet_import_zone_records{source=\"s\",zone=\"one.test.\",id=\"Z1\",kind=\"records\"} 2",
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

// Last-good state.

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
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("zones"), "a file where the directory should be").unwrap();
    let source = Scripted::new("s");
    source.zone("Z1", "one.test", &[("a", 1)]);
    let world = Setup::state(home.path()).start(&[&source]);
    world.until("a.one.test", "1").await;
    source.content("Z1", "one.test", &[("a", 2)]);
    world.until("a.one.test", "2").await;
    world.stop().await;
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
