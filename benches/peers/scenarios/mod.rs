//! Scenarios beside the workloads: more than one worker, TCP, large answers.

pub mod large;
pub mod profile;
mod stage;
pub mod tcp;
pub mod workers;

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::bench::{Bench, LeftOut, Up};
use super::load::Outcome;
use super::plot;
use super::proc::cpu;
use super::statistics::{median, spread};
use super::stream::StreamOutcome;

/// Seconds of the round that does not count.
const FIRST_ROUND: f64 = 0.3;

/// What a load brought back.
#[derive(Clone, Debug, Default)]
pub struct Came {
    /// Right answers.
    pub answered: u64,
    /// The same a second.
    pub per_second: f64,
    /// Queries without an answer, or clients that had to give up.
    pub lost: u64,
    /// Wrong answers.
    pub wrong: u64,
    /// Mean bytes of a response; 0 where nobody counted.
    pub bytes: f64,
    /// Answers by client.
    pub by_client: Vec<u64>,
}

impl From<Outcome> for Came {
    fn from(outcome: Outcome) -> Self {
        let Outcome { answered, per_second, lost, wrong, response_bytes, by_socket, .. } = outcome;
        Self { answered, per_second, lost, wrong, bytes: response_bytes, by_client: by_socket }
    }
}

impl From<StreamOutcome> for Came {
    fn from(StreamOutcome { answered, wrong, failed, per_second }: StreamOutcome) -> Self {
        Self { answered, per_second, lost: failed, wrong, ..Self::default() }
    }
}

/// One server's medians under one load.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// The load.
    pub load: String,
    /// The server.
    pub server: String,
    /// Answers a second.
    pub per_second: f64,
    /// CPU time of the server an answer, microseconds.
    pub cpu: f64,
    /// The part of it outside the kernel.
    pub user: f64,
    /// Half the range of `cpu` over its median.
    pub spread: f64,
    /// Over all rounds.
    pub lost: u64,
    /// Over all rounds.
    pub wrong: u64,
    /// Mean bytes of a response; 0 where nobody counted.
    pub bytes: f64,
    /// Jain's index of the clients' shares: 1 when all got the same.
    pub jain: f64,
    /// The worst client's share over the mean, and the best one's.
    pub worst_best: (f64, f64),
}

#[derive(Default)]
struct Rounds {
    per_second: Vec<f64>,
    cpu: Vec<f64>,
    user: Vec<f64>,
    came: Came,
}

/// Puts a load on every server in turn, round after round; `put` does so for the given seconds.
///
/// # Errors
/// The load generator failed.
pub fn measure(
    bench: &Bench,
    load: &str,
    up: &[Up<'_>],
    put: impl Fn(&Up<'_>, f64) -> Result<Came>,
) -> Result<Vec<Figure>> {
    let (rounds, seconds) = bench.rounds();
    let mut all: Vec<Rounds> = up.iter().map(|_| Rounds::default()).collect();
    for round in 0..=rounds {
        for (server, sums) in up.iter().zip(&mut all) {
            let before = cpu(server.process.id());
            let came = put(server, if round == 0 { FIRST_ROUND } else { seconds })
                .with_context(|| format!("{load}: {}", server.server.name))?;
            let used = cpu(server.process.id()) - before;
            if round > 0 {
                sums.add(came, used.total(), used.user());
            }
        }
    }
    Ok(up.iter().zip(all).map(|(server, sums)| sums.figure(load, &server.server.name)).collect())
}

impl Rounds {
    fn add(&mut self, came: Came, total: Duration, user: Duration) {
        let per_answer = |time: Duration| time.as_secs_f64() * 1e6 / came.answered.max(1) as f64;
        self.per_second.push(came.per_second);
        self.cpu.push(per_answer(total));
        self.user.push(per_answer(user));
        self.came.lost += came.lost;
        self.came.wrong += came.wrong;
        self.came.bytes = came.bytes;
        self.came.by_client.resize(came.by_client.len(), 0);
        self.came.by_client.iter_mut().zip(&came.by_client).for_each(|(sum, count)| *sum += count);
    }

    fn figure(self, load: &str, server: &str) -> Figure {
        let spread = spread(self.cpu.iter().copied()).unwrap_or(f64::NAN);
        let (jain, worst_best) = fairness(&self.came.by_client);
        Figure {
            load: load.into(),
            server: server.into(),
            per_second: median(self.per_second).unwrap_or(f64::NAN),
            cpu: median(self.cpu).unwrap_or(f64::NAN),
            user: median(self.user).unwrap_or(f64::NAN),
            spread,
            lost: self.came.lost,
            wrong: self.came.wrong,
            bytes: self.came.bytes,
            jain,
            worst_best,
        }
    }
}

/// Jain's index, and the least and the greatest share over the mean one.
fn fairness(counts: &[u64]) -> (f64, (f64, f64)) {
    let shares: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
    let (sum, squares) = (shares.iter().sum::<f64>(), shares.iter().map(|share| share * share).sum::<f64>());
    let count = shares.len().max(1) as f64;
    let over_mean = |share: Option<f64>| share.map_or(f64::NAN, |share| share * count / sum);
    let least = shares.iter().copied().min_by(f64::total_cmp);
    let greatest = shares.iter().copied().max_by(f64::total_cmp);
    (sum * sum / (count * squares), (over_mean(least), over_mean(greatest)))
}

/// The figures as Markdown; as JSON and as a picture beside the other results.
///
/// # Errors
/// A file cannot be written.
pub fn report(bench: &Bench, title: &str, figures: &[Figure], absent: &[LeftOut]) -> Result<String> {
    let mut text = format!(
        "\n### {title}\n\n| load | server | answers/s | CPU µs each | user µs | spread | bytes | lost | wrong |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|\n"
    );
    for figure in figures {
        let Figure { load, server, per_second, cpu, user, spread, lost, wrong, bytes, .. } = figure;
        let spread = spread * 100.0;
        let _ = writeln!(
            text,
            "| {load} | {server} | {per_second:.0} | {cpu:.2} | {user:.2} | ±{spread:.0} % | {bytes:.0} | {lost} | {wrong} |"
        );
    }
    let put = |ending: &str, text: String| {
        let path = bench.out.join(format!("{title}.{ending}"));
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    put("json", serde_json::to_string_pretty(figures).context("the figures as JSON")?)?;
    put("svg", picture(figures))?;
    Ok(text + &super::report::left_out(absent))
}

/// CPU time an answer by server, load by load.
fn picture(figures: &[Figure]) -> String {
    let mut loads: Vec<&str> = figures.iter().map(|figure| figure.load.as_str()).collect();
    loads.sort_unstable();
    loads.dedup();
    let bars = |load| {
        let of_load = figures.iter().filter(|figure| figure.load == load);
        of_load.map(|figure| (figure.server.clone(), figure.cpu, figure.user)).collect()
    };
    plot::chart(loads.into_iter().map(|load| (load.to_owned(), bars(load))))
}
