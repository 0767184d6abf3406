//! The workloads, measured in rounds: every server in turn, again and again.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use serde::Serialize;

use super::ask::asked_of;
use super::bench::{Bench, CLIENT_CPU, ENTRIES, Files, LeftOut, SERVER_CPU, Up};
use super::cli::Scenario;
use super::load::{Load, Outcome};
use super::proc::{Memory, busy, cpu, memory};
use super::servers::{Skill, Task};
use super::workload::Workload;

/// Seconds of the round that does not count.
const FIRST_ROUND: f64 = 0.5;
/// How far the shares of a round may be from the workload's.
const TOLERANCE: f64 = 0.02;
/// Between the first numbers of unique names of two loads: more than one can send.
const UNIQUE_STEP: u64 = 1 << 24;

/// One server's figures in one round.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// CPU time of the server a query, in microseconds.
    pub cpu: f64,
    /// The part of it outside the kernel.
    pub user: f64,
    /// What else ran on the server's CPU, per query.
    pub foreign: f64,
    /// Queries that the server asked of the upstream, per query.
    pub forwarded: f64,
    /// What the load generator saw.
    pub load: Outcome,
}

/// One server's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// Whether its answers can be right.
    pub is_checked: bool,
    /// Its rounds, in their order.
    pub rounds: Vec<Round>,
    /// Its memory after the last round, in bytes.
    pub memory: Memory,
    /// Why nothing of it counts.
    pub void: Option<String>,
}

/// A workload's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Workout {
    /// Which workload.
    pub scenario: Scenario,
    /// Who took part.
    pub servers: Vec<Measured>,
    /// Who did not, and why.
    pub left_out: Vec<LeftOut>,
}

/// Measures one of the four workloads.
///
/// # Errors
/// The upstream, the load generator or the files fail. A server that fails is only left out.
pub fn measure(bench: &Bench, scenario: Scenario) -> Result<Workout> {
    let seed = bench.options.seed;
    let workload = match scenario {
        Scenario::Zone => Workload::zone(seed, 10_000),
        Scenario::Hit => Workload::hit(seed),
        Scenario::Miss => Workload::miss(),
        Scenario::Mix => Workload::mix(seed),
        other => bail!("{other:?} has no rounds"),
    };
    let files = Files::write(&bench.room(&format!("{scenario:?}"))?, &workload, bench.options.edns)?;
    let task = match &workload.zone {
        Some(zone) => Task::Zone { zone, file: &files.zone },
        None => Task::Forward { upstream: bench.upstream(), entries: ENTRIES },
    };
    let upstream = match (&workload.zone, files.sample.first()) {
        (None, Some(known)) => Some(bench.start_upstream(&files, known)?),
        _ => None,
    };
    let mut workout = Workout { scenario, servers: Vec::new(), left_out: Vec::new() };
    let mut up = Vec::new();
    for (turn, server) in bench.participants(skills(scenario)).into_iter().enumerate() {
        match bench.start(server, turn, (&files, task), &files.sample, &[SERVER_CPU]) {
            Ok(server) => up.push(server),
            Err(error) => workout.left_out.push(LeftOut::new(&server.name, error)),
        }
    }
    let rounds = Rounds { bench, workload: &workload, files: &files, unique: first_unique() };
    workout.servers = rounds.run(&up)?;
    drop(upstream);
    Ok(workout)
}

fn skills(scenario: Scenario) -> &'static [Skill] {
    match scenario {
        Scenario::Zone => &[Skill::Anything, Skill::Table, Skill::Both, Skill::Zones],
        Scenario::Miss => &[Skill::Anything, Skill::Both, Skill::Cache, Skill::Forward],
        _ => &[Skill::Anything, Skill::Table, Skill::Both, Skill::Cache],
    }
}

/// Numbers that no earlier run has asked a server for.
fn first_unique() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() << 20) & 0x7fff_ffff_ffff
}

struct Rounds<'a> {
    bench: &'a Bench,
    workload: &'a Workload,
    files: &'a Files,
    unique: u64,
}

impl Rounds<'_> {
    fn run(mut self, up: &[Up<'_>]) -> Result<Vec<Measured>> {
        let (rounds, seconds) = self.bench.rounds();
        let mut figures: Vec<Vec<Round>> = vec![Vec::new(); up.len()];
        for round in 0..=rounds {
            for (server, figures) in up.iter().zip(&mut figures) {
                self.files.warm(self.workload, server)?;
                let figure = self.one(server, if round == 0 { FIRST_ROUND } else { seconds })?;
                if round > 0 {
                    eprintln!(
                        "  round {round} {:18} {:8.0} q/s {:7.3} µs (user {:.3})",
                        server.server.name, figure.load.per_second, figure.cpu, figure.user
                    );
                    figures.push(figure);
                }
            }
        }
        let measured = up.iter().zip(figures).map(|(server, rounds)| Measured {
            name: server.server.name.clone(),
            is_checked: server.server.is_checked,
            void: rounds.iter().find_map(|round| self.void(server, &round.load)),
            memory: memory(server.process.id()),
            rounds,
        });
        Ok(measured.collect())
    }

    fn one(&mut self, server: &Up<'_>, seconds: f64) -> Result<Round> {
        let questions = &self.files.questions;
        let mut load = match self.bench.options.rate {
            Some(rate) => Load::open(server.address, questions, seconds, rate),
            None => Load::closed(server.address, questions, seconds),
        };
        load.is_checked = server.server.is_checked;
        if self.workload.is_unique {
            (load.unique, load.gives_way) = (Some(self.unique), true);
            self.unique += UNIQUE_STEP;
        }
        let upstream = self.workload.zone.is_none().then(|| self.bench.upstream());
        let asked = || upstream.map_or(Ok(0), asked_of);
        let before = (cpu(server.process.id()), busy(SERVER_CPU), asked()?);
        let outcome = load.run(CLIENT_CPU)?;
        let used = cpu(server.process.id()) - before.0;
        let busy = busy(SERVER_CPU).saturating_sub(before.1);
        let per_query = |time: std::time::Duration| time.as_secs_f64() * 1e6 / outcome.answered.max(1) as f64;
        let forwarded = asked()?.wrapping_sub(before.2) as f64 / outcome.answered.max(1) as f64;
        Ok(Round {
            cpu: per_query(used.total()),
            user: per_query(used.user()),
            foreign: per_query(busy.saturating_sub(used.total())),
            forwarded,
            load: outcome,
        })
    }

    /// Why a round does not count, if it does not.
    fn void(&self, server: &Up<'_>, load: &Outcome) -> Option<String> {
        if load.wrong > 0 {
            return Some(format!("{} wrong answers", load.wrong));
        }
        if load.answered == 0 {
            return Some("no answers".into());
        }
        let share = |count: u64| count as f64 / load.answered as f64;
        let came = (share(load.rcodes[3]), share(load.with_answer));
        let wanted = self.workload.shares();
        let is_off = (came.0 - wanted.0).abs() > TOLERANCE || (came.1 - wanted.1).abs() > TOLERANCE;
        (server.server.is_checked && is_off)
            .then(|| format!("NXDOMAIN and answers {came:.3?}, wanted {wanted:.3?}"))
    }
}
