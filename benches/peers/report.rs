//! The results: Markdown to read, JSON to keep, two pictures.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::bench::{Bench, LeftOut};
use super::memory::{CacheFigures, IdleFigures, ZoneFigures};
use super::packages;
use super::plot;
use super::rounds::{Measured, Round, Workout};
use super::servers::{LIMIT, LIMIT_FORWARD};
use super::statistics::{median, ratio, spread};
use super::targets::{self, Claim, mib};

/// Everything that a run found out.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Where, when and what: names and values.
    pub about: Vec<(String, String)>,
    /// The workloads.
    pub workouts: Vec<Workout>,
    /// Zones of several sizes.
    pub zones: Vec<ZoneFigures>,
    /// Full caches.
    pub caches: Vec<CacheFigures>,
    /// Nobody asking.
    pub idle: Option<IdleFigures>,
    /// Who took no part, and why.
    pub left_out: Vec<LeftOut>,
    /// zonelet's figures beside what they are to be, by scenario.
    pub claims: Vec<(String, Vec<Claim>)>,
}

impl Report {
    /// An empty one that knows the machine and the versions.
    pub fn new(bench: &Bench) -> Self {
        let mut about = vec![
            ("date".into(), printed("date", &["-u", "+%F %R UTC"])),
            ("commit".into(), printed("git", &["describe", "--always", "--dirty"])),
            ("kernel".into(), printed("uname", &["-sr"])),
            ("CPU".into(), model()),
            ("command line".into(), std::env::args().skip(1).collect::<Vec<_>>().join(" ")),
        ];
        for server in &bench.servers {
            if let Some(version) = server.package.and_then(packages::version) {
                about.push((server.name.clone(), version));
            }
        }
        Self { about, left_out: bench.left_out.clone(), ..Self::default() }
    }

    /// Adds a workload; its tables as Markdown.
    pub fn add_workout(&mut self, workout: Workout, rate: Option<f64>) -> String {
        let mut text = workout_table(&workout);
        let claims = targets::of_workout(&workout, rate);
        text += &claims_table(&claims);
        self.claims.push((format!("{:?}", workout.scenario), claims));
        text += &left_out(&workout.left_out);
        self.workouts.push(workout);
        text
    }

    /// Adds zones; their table.
    pub fn add_zones(&mut self, figures: Vec<ZoneFigures>, absent: &[LeftOut]) -> String {
        let mut text = "\n### bigzone\n\n| server | records | first answer s | RSS MiB | PSS MiB |\n\
                        |---|---:|---:|---:|---:|\n"
            .to_owned();
        for zone in &figures {
            let (rss, pss) = (mib(zone.memory.rss), mib(zone.memory.pss));
            let _ = writeln!(
                text,
                "| {} | {} | {:.3} | {rss:.1} | {pss:.1} |",
                zone.name, zone.records, zone.first_answer
            );
        }
        let claims = targets::of_zones(&figures);
        text += &claims_table(&claims);
        self.claims.push(("Bigzone".into(), claims));
        self.zones = figures;
        text + &left_out(absent)
    }

    /// Adds caches; their table.
    pub fn add_caches(&mut self, figures: Vec<CacheFigures>, absent: &[LeftOut]) -> String {
        let mut text =
            "\n### bigcache\n\n| server | entries | PSS before MiB | after MiB | bytes/entry | held | \
                        lost | wrong |\n|---|---:|---:|---:|---:|---:|---:|---:|\n"
                .to_owned();
        for cache in &figures {
            let (before, after) = (mib(cache.before.pss), mib(cache.after.pss));
            let _ = writeln!(
                text,
                "| {} | {} | {before:.1} | {after:.1} | {:.0} | {:.2} % | {} | {} |",
                cache.name,
                cache.entries,
                cache.bytes_per_entry(),
                cache.held * 100.0,
                cache.fill.lost,
                cache.fill.wrong
            );
        }
        let claims = targets::of_caches(&figures);
        text += &claims_table(&claims);
        self.claims.push(("Bigcache".into(), claims));
        self.caches = figures;
        text + &left_out(absent)
    }

    /// Adds rest; its table.
    pub fn add_idle(&mut self, figures: IdleFigures) -> String {
        let claims = targets::of_idle(figures);
        let text = format!("\n### idle\n{}", claims_table(&claims));
        self.claims.push(("Idle".into(), claims));
        self.idle = Some(figures);
        text
    }

    /// Writes the JSON and the pictures.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write(&self, out: &Path) -> Result<()> {
        let put = |name: &str, text: String| {
            fs::write(out.join(name), text).with_context(|| format!("write {}", out.join(name).display()))
        };
        put("results.json", serde_json::to_string_pretty(self).context("the results as JSON")?)?;
        if !self.workouts.is_empty() {
            put("cost.svg", plot::cost(&self.workouts))?;
        }
        if !self.zones.is_empty() {
            put("memory.svg", plot::memory(&self.zones))?;
        }
        Ok(())
    }
}

fn series(server: &Measured, of: fn(&Round) -> f64) -> Vec<f64> {
    server.rounds.iter().map(of).collect()
}

/// The medians of a workload, the cheapest server first.
fn workout_table(workout: &Workout) -> String {
    let cpu =
        |name: &str| workout.servers.iter().find(|server| server.name == name).map(|s| series(s, |r| r.cpu));
    let (limit, forward) = (cpu(LIMIT).unwrap_or_default(), cpu(LIMIT_FORWARD).unwrap_or_default());
    let mut rows: Vec<(f64, String)> = Vec::new();
    for server in &workout.servers {
        let middle = |of: fn(&Round) -> f64| median(series(server, of)).unwrap_or(f64::NAN);
        let cost = series(server, |round| round.cpu);
        let over_forward = ratio(&cost, &forward).map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let note = server.void.as_ref().map_or(String::new(), |void| format!("VOID: {void}"));
        let row = format!(
            "| {} | {:.0} | {:.2} | {:.2} | {over_forward} | {:.2} | ±{:.0} % | {:.0} | {:.0} | {:.4} | {} | {:.1} | {note} |",
            server.name,
            middle(|round| round.load.per_second),
            middle(|round| round.cpu),
            ratio(&cost, &limit).unwrap_or(f64::NAN),
            middle(|round| round.user),
            spread(cost.iter().copied()).unwrap_or(f64::NAN) * 100.0,
            middle(|round| round.load.p50),
            middle(|round| round.load.p99),
            middle(|round| round.forwarded),
            server.rounds.iter().map(|round| round.load.lost).sum::<u64>(),
            mib(server.memory.rss),
        );
        rows.push((middle(|round| round.cpu), row));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let rows: Vec<String> = rows.into_iter().map(|(_, row)| row).collect();
    let title = format!("{:?}", workout.scenario).to_lowercase();
    format!(
        "\n### {title}\n\n| server | q/s | CPU µs/query | × limit | × forward | user µs | spread | p50 µs | p99 µs | \
         forwarded | lost | RSS MiB | |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n{}\n",
        rows.join("\n")
    )
}

fn claims_table(claims: &[Claim]) -> String {
    if claims.is_empty() {
        return String::new();
    }
    let number = |value: Option<f64>| match value {
        Some(value) if value.is_finite() && value == value.trunc() => format!("{value:.0}"),
        Some(value) if value.is_finite() => format!("{value:.3}"),
        _ => "–".into(),
    };
    let mut text = "\n| zonelet | figure | target ≤ | floor ≤ | |\n|---|---:|---:|---:|---|\n".to_owned();
    for claim in claims {
        let (value, target) = (number(claim.value), number(claim.target));
        let floor = number(Some(claim.floor));
        let _ =
            writeln!(text, "| {} | {value} | {target} | {floor} | {} |", claim.what, claim.verdict.label());
    }
    text
}

/// Who was left out, as a list.
pub fn left_out(servers: &[LeftOut]) -> String {
    let lines = servers.iter().map(|one| format!("\nLeft out: {}: {}\n", one.name, one.reason));
    lines.collect()
}

fn printed(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    out.map_or(String::new(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).collect();
    format!("{} × {}", models.len(), models.first().unwrap_or(&"unknown"))
}
