//! TCP: one persistent pipelined connection, and a connection for each query.

use anyhow::Result;

use super::super::ask::check_stream;
use super::super::bench::{Bench, CLIENT_CPU, LeftOut, SERVER_CPU};
use super::super::servers::Skill;
use super::super::stream::{Streams, Way};
use super::super::workload::Workload;
use super::stage::Stage;
use super::{Figure, measure, report};

/// Who keeps a connection, and how many queries are in flight on it.
const PIPELINED: (usize, Way) = (1, Way::Pipelined(64));
/// Who connects for each query: enough at once to keep a server busy.
const SINGLE: (usize, Way) = (8, Way::Single);

/// Zone answers and cache hits over TCP.
///
/// # Errors
/// The upstream, the load generator or the files fail.
pub fn tcp(bench: &Bench) -> Result<String> {
    let (mut figures, mut absent) = (Vec::new(), Vec::new());
    let zone = Workload::zone(bench.options.seed, 10_000);
    figures.extend(one(bench, "zone", zone, &[Skill::Both, Skill::Zones], &mut absent)?);
    let hit = Workload::hit(bench.options.seed);
    // Not those that pass TCP on as TCP: our upstream has none.
    figures.extend(one(bench, "hit", hit, &[Skill::Both], &mut absent)?);
    report(bench, "tcp", &figures, &absent)
}

fn one(
    bench: &Bench,
    name: &str,
    workload: Workload,
    skills: &[Skill],
    absent: &mut Vec<LeftOut>,
) -> Result<Vec<Figure>> {
    let mut stage = Stage::new(bench, &format!("tcp-{name}"), workload, bench.options.edns)?;
    let mut up = Vec::new();
    for server in stage.start_all(skills, &[SERVER_CPU]) {
        match check_stream(server.address, &stage.files.sample, bench.options.edns) {
            Ok(()) => up.push(server),
            Err(error) => stage.absent.push(LeftOut::new(&server.server.name, error)),
        }
    }
    let mut figures = Vec::new();
    for (what, (clients, way)) in [("pipelined", PIPELINED), ("connection each", SINGLE)] {
        figures.extend(measure(bench, &format!("{name}, {what}"), &up, |up, seconds| {
            let (server, questions) = (up.address, stage.files.questions.clone());
            Ok(Streams { server, questions, seconds, clients, way }.run(CLIENT_CPU)?.into())
        })?);
    }
    absent.append(&mut stage.absent);
    Ok(figures)
}
