//! Two workers on two CPUs against one, the clients on both CPUs each time.
//!
//! With two CPUs server and clients share them, so the ratio of the throughputs cannot come to 2: one worker
//! and its clients have to share already. CPU time an answer says what a second worker costs.

use std::fmt::Write as _;

use anyhow::Result;

use super::super::bench::{Bench, Files, LeftOut, Up};
use super::super::load::Load;
use super::super::servers::{Server, Skill};
use super::super::workload::Workload;
use super::stage::Stage;
use super::{Came, Figure, measure, report};

/// The CPUs.
const CPUS: [usize; 2] = [0, 1];
/// Clients on each CPU, one source port each: the kernel chooses a worker by the port.
const CLIENTS: usize = 32;
/// Queries that a client has in flight.
const WINDOW: usize = 4;

/// Cache hits and zone answers with one worker and with two.
///
/// # Errors
/// The upstream, the load generator or the files fail.
pub fn workers(bench: &Bench) -> Result<String> {
    let (mut figures, mut absent) = (Vec::new(), Vec::new());
    let hit = Workload::hit(bench.options.seed);
    let zone = Workload::zone(bench.options.seed, 10_000);
    for (name, workload, skills) in
        [("hit", hit, &[Skill::Both, Skill::Cache][..]), ("zone", zone, &[Skill::Both, Skill::Zones])]
    {
        let stage = Stage::new(bench, &format!("workers-{name}"), workload, bench.options.edns)?;
        for server in bench.participants(skills) {
            match both(bench, &stage, name, server) {
                Ok(pair) => figures.extend(pair),
                Err(error) => absent.push(LeftOut::new(&server.name, error)),
            }
        }
    }
    Ok(report(bench, "workers", &figures, &absent)? + &ratios(&figures))
}

/// One server with one worker and then with two, each alone: it has the machine with its clients.
fn both<'a>(bench: &'a Bench, stage: &Stage<'a>, name: &str, server: &'a Server) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for count in 1..=CPUS.len() {
        let up = stage.start(server, 0, CPUS.get(..count).unwrap_or(&CPUS))?;
        let load = format!("{name}, {count}");
        figures.extend(measure(bench, &load, &[up], |up, seconds| put(up, &stage.files, seconds))?);
    }
    Ok(figures)
}

/// The same load from both CPUs at once.
fn put(up: &Up<'_>, files: &Files, seconds: f64) -> Result<Came> {
    let mut load = Load::closed(up.address, &files.questions, seconds);
    (load.sockets, load.window, load.gives_way) = (CLIENTS, WINDOW, true);
    let running = CPUS.map(|cpu| load.start(cpu));
    let mut sum = Came::default();
    for load in running {
        let came = Came::from(load?.finish()?);
        sum.answered += came.answered;
        sum.per_second += came.per_second;
        sum.lost += came.lost;
        sum.wrong += came.wrong;
        sum.bytes = came.bytes;
        sum.by_client.extend(came.by_client);
    }
    Ok(sum)
}

/// What a second worker brings, and how the clients fared.
fn ratios(figures: &[Figure]) -> String {
    let mut text = "\n| load | server | throughput, 2 over 1 | CPU each, 2 over 1 | Jain's index 1 → 2 | \
                    worst and best share, 2 workers |\n|---|---|---:|---:|---:|---:|\n"
        .to_owned();
    for pair in figures.chunks_exact(2) {
        let [one, two] = pair else { continue };
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.2} | {:.3} → {:.3} | {:.2}, {:.2} |",
            two.load.split(',').next().unwrap_or_default(),
            two.server,
            two.per_second / one.per_second,
            two.cpu / one.cpu,
            one.jain,
            two.jain,
            two.worst_best.0,
            two.worst_best.1
        );
    }
    text
}
