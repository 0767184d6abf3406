//! Whether replacing a zone of 100 000 records can be felt by those who ask meanwhile.
//!
//! A server and its importer run as they do in zonelet. Rounds in which the zone is imported again
//! and again take turns with rounds in which nothing happens. Printed are the latency of queries
//! sent at a fixed rate, and the longest batch by its thread's processor time, letting go of the
//! zone table included.
//!
//!     cargo bench --no-default-features --bench swaps -- [ROUNDS [SECONDS [QUERIES PER SECOND]]]

mod client;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use client::{Latencies, ask};
use nix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use zonelet::answer::miss::MissPath;
use zonelet::answer::{Answerer, Asker, Disposition, PendingQuery, Reply, Responder, Settings};
use zonelet::cache::{self, Cache};
use zonelet::clock::Clock;
use zonelet::import::{self, Importer, SourcePolicy, Upstreams};
use zonelet::metrics::{Board, CacheMetrics, ImportMetrics, Tally};
use zonelet::server::{self, Server};
use zonelet::source::file::zonefile;
use zonelet::source::{
    Access, BoxFuture, Fetched, FoundZone, Origin, Progress, Push, SourceError, ZoneId, ZoneSource,
};
use zonelet::sys::in_background;
use zonelet::upstream::{self, Forwarder};
use zonelet::wire::{Name, NameRef, Rtype};
use zonelet::zone::{Authority, SharedTable, ZoneData, ZoneTable};

/// The longest that a batch may take, and the most that swaps may add to the 99.9th percentile.
const LIMITS: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(1));
/// Between the end of one import and the begin of the next.
const PAUSE: Duration = Duration::from_millis(50);

/// Time that the calling thread has spent on a processor.
fn thread_cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
}

/// A source of one zone, which differs in every record each time it is fetched.
struct Flip {
    texts: Arc<[String; 2]>,
    turn: AtomicUsize,
    pushes: Mutex<Option<mpsc::Receiver<Push>>>,
}

fn found() -> FoundZone {
    FoundZone { id: ZoneId("Z1".into()), apex: apex(), access: Access::Readable, records: None }
}

fn apex() -> Name {
    "corp.test".parse().expect("a name")
}

fn text(records: usize, last: usize) -> String {
    let mut text = String::from("$TTL 300\n@ SOA ns h 1 7200 900 1209600 60\n@ NS ns\n");
    for n in 0..records {
        let _ = writeln!(text, "host-{n}.rack-{} A 10.{}.{}.{last}", n % 64, n >> 8 & 255, n & 255);
    }
    text
}

impl ZoneSource for Flip {
    fn kind(&self) -> &'static str {
        "flip"
    }

    fn label(&self) -> &str {
        "flip"
    }

    fn origin(&self) -> Option<Origin> {
        Some(Origin::default())
    }

    fn discover(&self) -> BoxFuture<'_, Result<Vec<FoundZone>, SourceError>> {
        Box::pin(async { Ok(vec![found()]) })
    }

    fn fetch<'a>(
        &'a self,
        _: &'a FoundZone,
        _: &'a mut Progress,
    ) -> BoxFuture<'a, Result<Fetched, SourceError>> {
        let (texts, turn) = (Arc::clone(&self.texts), self.turn.fetch_add(1, Relaxed) % 2);
        Box::pin(async move {
            // As the source of zone files does it.
            let read = move || {
                let file = zonefile::parse(texts[turn].as_bytes(), Some(apex())).expect("a zone file");
                let sets = file.records.into_iter().map(|(_, set)| set).collect();
                ZoneData { apex: apex(), sets, skipped: file.skipped }
            };
            let read = tokio::task::spawn_blocking(|| in_background(read)).await.expect("a reader");
            Ok(Fetched { data: read.expect("a thread"), calls: 0 })
        })
    }

    fn pushes(&self) -> Option<mpsc::Receiver<Push>> {
        self.pushes.lock().expect("a lock").take()
    }
}

struct NoUpstreams;

impl Upstreams for NoUpstreams {
    fn is_vpc_resolver(&self, _: NameRef<'_>) -> bool {
        false
    }

    fn forget(&self, _: &[(Name, Rtype)]) {}
}

/// The real answerer, each of whose batches is timed by its thread's clock.
struct Timed {
    answerer: Answerer,
    longest: Arc<AtomicU64>,
}

struct TimedView {
    view: Option<<Answerer as Responder>::View>,
    began: Duration,
    longest: Arc<AtomicU64>,
}

impl Drop for TimedView {
    fn drop(&mut self) {
        // First of all: whoever is the last to let go of a table frees it.
        self.view = None;
        let took = thread_cpu_time().saturating_sub(self.began);
        self.longest.fetch_max(took.as_nanos() as u64, Relaxed);
    }
}

impl Responder for Timed {
    type View = TimedView;

    fn view(&self) -> TimedView {
        let (began, longest) = (thread_cpu_time(), Arc::clone(&self.longest));
        TimedView { view: Some(self.answerer.view()), began, longest }
    }

    fn answer(
        &self,
        view: &TimedView,
        query: &[u8],
        asker: Asker,
        out: &mut [u8],
        tally: &Tally,
    ) -> Disposition {
        match &view.view {
            Some(view) => self.answerer.answer(view, query, asker, out, tally),
            None => Disposition::Drop,
        }
    }

    fn submit(&self, pending: Box<PendingQuery>, reply: Arc<dyn Reply>) {
        self.answerer.submit(pending, reply);
    }
}

/// Everything at work.
struct World {
    table: SharedTable,
    longest: Arc<AtomicU64>,
    pushes: mpsc::Sender<Push>,
    address: std::net::SocketAddr,
    records: usize,
    /// Held for as long as the rounds last; the lock is for the sharing alone.
    _running: Mutex<server::Running>,
}

impl World {
    fn start(records: usize) -> Self {
        let (clock, runtime, settings) = (Clock::real(), Handle::current(), Settings::default());
        let cache = Arc::new(Cache::new(&cache::Settings::default(), CacheMetrics::register()));
        let nowhere = upstream::Settings { domains: Vec::new(), ..upstream::Settings::default() };
        let forwarder = Forwarder::new(nowhere, clock.clone(), runtime.clone());
        let miss = MissPath::new(&settings, Arc::clone(&cache), forwarder, clock.clone(), runtime);
        let table: SharedTable = Arc::new(ArcSwap::from_pointee(ZoneTable::default()));
        let board = Board::default();
        let answerer = Answerer::new(Arc::clone(&table), cache, miss, settings, clock.clone(), &board);
        let (pushes, receiver) = mpsc::channel(4);
        let source = Flip {
            texts: Arc::new([text(records, 1), text(records, 2)]),
            turn: AtomicUsize::new(0),
            pushes: Mutex::new(Some(receiver)),
        };
        let policy = SourcePolicy { refresh: Duration::from_secs(3600), ..SourcePolicy::default() };
        let importer = Importer::new(
            import::Settings::default(),
            vec![(Arc::new(source), policy)],
            Arc::clone(&table),
            clock,
            Arc::new(ImportMetrics::register()),
            Arc::new(NoUpstreams),
        );
        tokio::spawn(importer.run(CancellationToken::new()));
        let longest = Arc::new(AtomicU64::new(0));
        let listen = vec!["127.0.0.1:0".parse().expect("an address")];
        let bound =
            Server::bind(server::Settings { listen, workers: 1, ..Default::default() }).expect("a port");
        let address = bound.local_addrs()[0];
        let timed = Timed { answerer, longest: Arc::clone(&longest) };
        let running = bound.start(Arc::new(timed), &board).expect("a server");
        Self { table, longest, pushes, address, records, _running: Mutex::new(running) }
    }

    fn is_loaded(&self) -> bool {
        self.table.load().entries().iter().any(|(_, authority)| matches!(authority, Authority::Loaded(_)))
    }

    fn version(&self) -> *const ZoneTable {
        Arc::as_ptr(&self.table.load())
    }

    /// Waits until the table is another than `old`.
    fn wait_for_swap(&self, old: *const ZoneTable) {
        while self.version() == old {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Imports again and again until `is_over`; how often.
    fn swap_until(&self, is_over: &AtomicBool) -> usize {
        let mut swaps = 0;
        while !is_over.load(Relaxed) {
            let old = self.version();
            self.pushes.blocking_send(Push::Changed(found().id)).expect("the importer listens");
            self.wait_for_swap(old);
            swaps += 1;
            thread::sleep(PAUSE);
        }
        swaps
    }
}

/// Ends a round when it is dropped, by a panic too.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// What goes on beside the queries of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// A thread of the importer's priority counts: what a busy processor costs, whoever keeps it busy.
    Counting,
    Swaps,
}

fn count_until(is_over: &AtomicBool) {
    let count = || while !is_over.load(Relaxed) {};
    in_background(count).expect("a thread");
}

/// One round: what was felt, the longest batch, and how many swaps there were.
fn round(world: &World, beside: Beside, rate: usize, span: Duration) -> (Latencies, Duration, usize) {
    world.longest.store(0, Relaxed);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        if beside == Beside::Counting {
            scope.spawn(|| count_until(&is_over));
        }
        let swapper = (beside == Beside::Swaps).then(|| scope.spawn(|| world.swap_until(&is_over)));
        let end = End(&is_over);
        let latencies = ask(world.address, world.records, rate, span);
        drop(end);
        let swaps = swapper.map_or(0, |s| s.join().expect("swaps"));
        (latencies, Duration::from_nanos(world.longest.load(Relaxed)), swaps)
    })
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn main() {
    let is_test = std::env::args().any(|arg| arg == "--test");
    let numbers: Vec<usize> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let number = |at: usize, default: usize| numbers.get(at).copied().unwrap_or(default);
    let (rounds, records) = if is_test { (1, 1000) } else { (number(0, 5), 100_000) };
    let (span, rate) = (Duration::from_secs(number(1, 2) as u64), number(2, 10_000));
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let _context = runtime.enter();
    let world = World::start(records);
    while !world.is_loaded() {
        thread::sleep(Duration::from_millis(1));
    }
    round(&world, Beside::Swaps, rate, Duration::from_millis(300));
    println!("{records} records, {rate} queries a second, {rounds} rounds of {span:?} each way");
    println!("| beside | swaps | p50 | p99 | p99.9 | longest batch | lost |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let (mut felt, mut batches) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    for beside in (0..rounds).flat_map(|_| [Beside::Nothing, Beside::Counting, Beside::Swaps]) {
        let (latencies, batch, swaps) = round(&world, beside, rate, span);
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| latencies.percentile(share));
        println!(
            "| {beside:?} | {swaps} | {p50:?} | {p99:?} | {p999:?} | {batch:?} | {} |",
            latencies.lost()
        );
        felt[beside as usize].push(p999);
        batches[beside as usize].push(batch);
    }
    let ([still, counting, swapped], batches) = (felt.map(median), batches.map(median));
    println!(
        "medians of p99.9: {still:?} beside nothing, {counting:?} beside counting, {swapped:?} beside swaps"
    );
    println!(
        "swaps over nothing: {:?}, over counting: {:?} (limit {:?})",
        swapped.saturating_sub(still),
        swapped.saturating_sub(counting),
        LIMITS.1
    );
    println!("medians of the longest batch: {batches:?} (limit {:?})", LIMITS.0);
}
