//! Memory, start and rest: large zones, a large cache, and nobody asking.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::ask::asked_of;
use super::bench::{Bench, CLIENT_CPU, Files, LeftOut, SERVER_CPU};
use super::load::{Load, Outcome};
use super::proc::{Memory, memory, sleeps};
use super::process::{Invocation, Process};
use super::random::Random;
use super::servers::{OURS, Skill, Task};
use super::statistics::median;
use super::workload::{Workload, unique};
use super::zonefile::Zone;

/// Records of the zones; the last one is what the targets are about, and is started more than once.
const ZONES: [usize; 4] = [1_000, 10_000, 30_000, 100_000];
const STARTS: usize = 3;
/// A server's rest before its memory is read.
const REST: Duration = Duration::from_secs(1);
/// How long wake-ups are counted, after as long a rest.
const IDLE: Duration = Duration::from_secs(10);
/// Number of the first unique name of the large cache.
const FIRST: u64 = 1 << 44;

/// A server with a zone of some size.
#[derive(Clone, Debug, Serialize)]
pub struct ZoneFigures {
    /// The server.
    pub name: String,
    /// Records of the zone.
    pub records: usize,
    /// Seconds from its start to the right answer for the file's last record.
    pub first_answer: f64,
    /// Its memory then.
    pub memory: Memory,
}

/// Measures zones of all sizes; who was left out, and why.
///
/// # Errors
/// Files cannot be written.
pub fn bigzone(bench: &Bench) -> Result<(Vec<ZoneFigures>, Vec<LeftOut>)> {
    let (mut figures, mut left_out) = (Vec::new(), Vec::new());
    for records in ZONES {
        let zone = Zone::new(&mut Random::new(bench.options.seed, "bigzone"), records);
        let cases = zone.last().into_iter().chain(zone.hosts.iter().step_by(997).map(|host| zone.host(host)));
        let workload =
            Workload { cases: cases.collect(), zone: Some(zone.clone()), order: vec![0], is_unique: false };
        let mut files = Files::write(&bench.room("bigzone")?, &workload, bench.options.edns)?;
        files.sample = workload.cases;
        let task = Task::Zone { zone: &zone, file: &files.zone };
        for (turn, server) in bench.participants(&[Skill::Zones, Skill::Both]).into_iter().enumerate() {
            let starts = if Some(&records) == ZONES.last() { STARTS } else { 1 };
            let (mut seconds, mut seen) = (Vec::new(), Memory::default());
            for _ in 0..starts {
                match bench.start(server, turn, (&files, task), &files.sample, &[SERVER_CPU]) {
                    Ok(up) => {
                        sleep(REST);
                        seen = memory(up.process.id());
                        seconds.push(up.first_answer.as_secs_f64());
                    }
                    Err(error) => left_out.push(LeftOut::new(&server.name, error)),
                }
            }
            let Some(first_answer) = median(seconds) else { continue };
            eprintln!("  {:10} {records} records: {first_answer:.3} s, {} KiB", server.name, seen.pss >> 10);
            figures.push(ZoneFigures { name: server.name.clone(), records, first_answer, memory: seen });
        }
    }
    Ok((figures, left_out))
}

/// A server with a full cache.
#[derive(Clone, Debug, Serialize)]
pub struct CacheFigures {
    /// The server.
    pub name: String,
    /// Answers that it was given.
    pub entries: u64,
    /// Its memory before and after.
    pub before: Memory,
    /// See `before`.
    pub after: Memory,
    /// What the load generator saw while filling.
    pub fill: Outcome,
    /// Of the tenth that came first, the share that is answered without asking the upstream again.
    pub held: f64,
}

impl CacheFigures {
    /// What an answer takes, all told.
    pub fn bytes_per_entry(&self) -> f64 {
        self.after.pss.saturating_sub(self.before.pss) as f64 / self.entries.max(1) as f64
    }
}

/// Fills the caches; who was left out, and why.
///
/// # Errors
/// The upstream or the load generator fails.
pub fn bigcache(bench: &Bench) -> Result<(Vec<CacheFigures>, Vec<LeftOut>)> {
    let (mut figures, mut left_out) = (Vec::new(), Vec::new());
    let workload = Workload::miss();
    let files = Files::write(&bench.room("bigcache")?, &workload, bench.options.edns)?;
    let entries = bench.options.entries;
    let _upstream = bench.start_upstream(&files, &unique(1))?;
    let task = Task::Forward { upstream: bench.upstream(), entries: entries + entries / 10 };
    for (turn, server) in bench.participants(&[Skill::Both, Skill::Cache]).into_iter().enumerate() {
        if server.name == "dnsmasq" {
            left_out.push(LeftOut::new(&server.name, "its cache is not made for so many entries"));
            continue;
        }
        let up = match bench.start(server, turn, (&files, task), &files.sample, &[SERVER_CPU]) {
            Ok(up) => up,
            Err(error) => {
                left_out.push(LeftOut::new(&server.name, error));
                continue;
            }
        };
        sleep(REST);
        let before = memory(up.process.id());
        let mut load = Load::closed(up.address, &files.questions, 600.0);
        (load.window, load.gives_way, load.unique, load.count) = (16, true, Some(FIRST), Some(entries));
        let fill = load.run(CLIENT_CPU)?;
        sleep(REST);
        let after = memory(up.process.id());
        let asked = asked_of(bench.upstream())?;
        load.count = Some(entries / 10);
        let again = load.run(CLIENT_CPU)?;
        let forwarded = asked_of(bench.upstream())?.wrapping_sub(asked);
        let held = 1.0 - forwarded as f64 / again.answered.max(1) as f64;
        let figure = CacheFigures { name: server.name.clone(), entries, before, after, fill, held };
        eprintln!("  {:10} {:.0} bytes an entry, {held:.4} held", figure.name, figure.bytes_per_entry());
        figures.push(figure);
    }
    Ok((figures, left_out))
}

/// zonelet with the checked-in configuration and nobody asking.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct IdleFigures {
    /// Its memory.
    pub memory: Memory,
    /// How often a second one of its threads wakes up.
    pub wakeups: f64,
}

/// Measures rest.
///
/// # Errors
/// zonelet does not run with the checked-in configuration.
pub fn idle(bench: &Bench) -> Result<IdleFigures> {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    let ours = bench.servers.iter().find(|server| server.name == OURS).context("zonelet")?;
    let program = Invocation::new(ours.program.clone(), ["--config".into(), config.into_os_string()]);
    let mut process =
        Process::start(&program, &[SERVER_CPU, CLIENT_CPU], &bench.room("idle")?.join("log.txt"))?;
    sleep(IDLE);
    anyhow::ensure!(process.is_running(), "zonelet ended: {}", process.last_words());
    let before = sleeps(process.id());
    sleep(IDLE);
    let wakeups = (sleeps(process.id()) - before) as f64 / IDLE.as_secs_f64();
    Ok(IdleFigures { memory: memory(process.id()), wakeups })
}
