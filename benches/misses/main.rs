//! Names that nobody knows, at a rate that does not wait for answers: what a miss costs a whole server, and what
//! second queries beside late ones cost and save. See `benches/README.md`.

#[path = "../../tests/scene/mod.rs"]
mod scene;

mod client;
mod upstream;

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, Runtime};
use zonelet::answer::miss::MissPath;
use zonelet::answer::{self, Answerer};
use zonelet::cache::{self, Cache};
use zonelet::clock::Clock;
use zonelet::metrics::{Board, CacheMetrics};
use zonelet::server::{self, Running, Server};
use zonelet::upstream::{ForwardDomain, Forwarder, Policy, Settings, UpstreamSpec};
use zonelet::wire::Name;
use zonelet::zone::ZoneTable;

use upstream::Upstream;

/// Of the answers of a slow upstream one in so many is late.
const LATE_EVERY: u64 = 50;

/// What is measured.
struct Case {
    what: &'static str,
    is_slow: bool,
    policy: Policy,
    hedge: bool,
}

const CASES: [Case; 6] = [
    Case { what: "both quick, `random`", is_slow: false, policy: Policy::Random, hedge: false },
    Case { what: "both quick, `random`", is_slow: false, policy: Policy::Random, hedge: true },
    Case { what: "one slow, `random`", is_slow: true, policy: Policy::Random, hedge: false },
    Case { what: "one slow, `random`", is_slow: true, policy: Policy::Random, hedge: true },
    Case { what: "one slow, `fastest`", is_slow: true, policy: Policy::Fastest, hedge: false },
    Case { what: "one slow, `fastest`", is_slow: true, policy: Policy::Fastest, hedge: true },
];

/// A server with one worker, and what runs beside it.
struct Bench {
    addr: SocketAddr,
    runtime: Runtime,
    running: Option<Running>,
}

impl Bench {
    fn start(case: &Case, upstreams: &[&Upstream]) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let _context = runtime.enter();
        let handle = runtime.handle().clone();
        let (clock, board) = (Clock::real(), Board::default());
        let specs = upstreams.iter().map(|upstream| UpstreamSpec::Plain(upstream.addr)).collect();
        let domain = ForwardDomain { policy: case.policy, ..ForwardDomain::new(Name::root(), specs) };
        let settings = Settings { domains: vec![domain], hedge: case.hedge, ..Settings::default() };
        let cache = Arc::new(Cache::new(&cache::Settings::default(), CacheMetrics::register()));
        let forwarder = Forwarder::new(settings, clock.clone(), handle.clone());
        let answers = answer::Settings::default();
        let miss = MissPath::new(&answers, Arc::clone(&cache), forwarder, clock.clone(), handle);
        let table = Arc::new(ArcSwap::from_pointee(ZoneTable::default()));
        let answerer = Answerer::new(table, cache, miss, answers, clock, &board);
        let listen = vec!["127.0.0.1:0".parse().expect("an address")];
        let settings = server::Settings { listen, workers: 1, ..server::Settings::default() };
        let bound = Server::bind(settings).expect("a port");
        let addr = bound.local_addrs()[0];
        let running = Some(bound.start(Arc::new(answerer), &board).expect("a server"));
        drop(_context);
        Self { addr, runtime, running }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _context = self.runtime.enter();
        drop(self.running.take());
    }
}

/// Nanoseconds that each thread of this process has run but for the client and the upstreams.
fn on_cpu() -> HashMap<String, u64> {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc");
    let mut all = HashMap::new();
    for task in tasks.filter_map(Result::ok) {
        let id = task.file_name().to_string_lossy().into_owned();
        let read = |file: &str| fs::read_to_string(task.path().join(file)).ok();
        let (Some(name), Some(times)) = (read("comm"), read("schedstat")) else { continue };
        let is_ours = !name.starts_with("bench-") && id != std::process::id().to_string();
        let time = times.split_whitespace().next().and_then(|time| time.parse().ok());
        all.extend(time.filter(|_| is_ours).map(|time| (id, time)));
    }
    all
}

fn measure(round: usize, case: &Case, rate: usize, span: Duration) {
    let slow = case.is_slow.then_some(LATE_EVERY);
    let upstreams = [Upstream::start(slow), Upstream::start(None)];
    let bench = Bench::start(case, &[&upstreams[0], &upstreams[1]]);
    let packets = || upstreams.iter().map(Upstream::packets).sum::<u64>();
    // Sockets are opened and latencies learned before it counts.
    client::ask(bench.addr, round * 2, rate / 4, span / 5);
    let (before, sent) = (on_cpu(), packets());
    let told = client::ask(bench.addr, round * 2 + 1, rate, span);
    let after = on_cpu();
    let spent: u64 = after.iter().map(|(id, time)| time - before.get(id).copied().unwrap_or(0)).sum();
    let micros = |share| told.percentile(share).as_micros();
    println!(
        "| {} | {} | {} | {} | {} | {} | {:.2} | {:.4} |",
        case.what,
        if case.hedge { "yes" } else { "no" },
        told.lost(),
        micros(0.5),
        micros(0.99),
        micros(0.999),
        spent as f64 / 1000.0 / told.answered().max(1) as f64,
        (packets() - sent) as f64 / told.asked.max(1) as f64,
    );
    assert!(told.lost() * 100 <= told.asked, "{} of {} were lost", told.lost(), told.asked);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // As criterion has it: each once and shortly, to see that it works.
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let numbers: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let number = |at: usize, usual| numbers.get(at).copied().unwrap_or(usual);
    let (seconds, rate) = (number(0, 8), number(1, 20_000));
    let (span, rate) = if is_test {
        (Duration::from_millis(200), 2000)
    } else {
        (Duration::from_secs(seconds as u64), rate)
    };
    println!("{rate} new names a second, {span:?} each; times in µs");
    println!("| upstreams | hedged | lost | p50 | p99 | p99.9 | CPU µs a miss | packets a miss |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    for (round, case) in CASES.iter().enumerate() {
        measure(round, case, rate, span);
    }
}
