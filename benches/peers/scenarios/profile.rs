//! Where a query's time goes: the server is recorded by perf while the load is on it.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::super::bench::{Bench, CLIENT_CPU, SERVER_CPU};
use super::super::cli::Scenario;
use super::super::load::Load;
use super::super::process::{Invocation, Process};
use super::super::servers::Skill;
use super::super::workload::Workload;
use super::stage::Stage;

/// Samples a second: not a multiple of any timer's rate.
const RATE: &str = "4999";
/// From the load's begin to the first sample.
const AHEAD: Duration = Duration::from_millis(500);
/// For the load to go on after the last sample.
const BEHIND: f64 = 1.5;

/// Records the last build that was named, or ours, into `dir`: `<scenario>.perf`, for perf script.
///
/// # Errors
/// The server, the load generator or perf fail.
pub fn profile(bench: &Bench, scenario: Scenario, dir: &Path) -> Result<String> {
    let seed = bench.options.seed;
    let (name, workload) = match scenario {
        Scenario::Zone => ("zone", Workload::zone(seed, 10_000)),
        Scenario::Hit => ("hit", Workload::hit(seed)),
        Scenario::Miss => ("miss", Workload::miss()),
        Scenario::Mix => ("mix", Workload::mix(seed)),
        other => bail!("{other:?} cannot be recorded"),
    };
    let is_unique = workload.is_unique;
    let stage = Stage::new(bench, &format!("profile-{name}"), workload, bench.options.edns)?;
    let server = bench.servers.iter().rfind(|one| one.package.is_none() && one.skill == Skill::Both);
    let up = stage.start(server.context("a build of ours")?, 0, &[SERVER_CPU])?;
    let seconds = bench.rounds().1;
    let mut load = Load::closed(up.address, &stage.files.questions, seconds + BEHIND);
    if is_unique {
        (load.unique, load.gives_way) = (Some(0), true);
    }
    let running = load.start(CLIENT_CPU)?;
    thread::sleep(AHEAD);
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let file = dir.join(format!("{name}.perf"));
    record(up.process.id(), seconds, &file)?;
    let outcome = running.finish()?;
    Ok(format!(
        "{name}: {:.0} queries/s under perf, {} lost, {} wrong: {}",
        outcome.per_second,
        outcome.lost,
        outcome.wrong,
        file.display()
    ))
}

/// Samples a process with its stacks, by frame pointers, in the kernel and outside it.
fn record(pid: i32, seconds: f64, file: &Path) -> Result<()> {
    let (pid, seconds) = (pid.to_string(), seconds.to_string());
    let mut args: Vec<std::ffi::OsString> =
        ["record", "--quiet", "-F", RATE, "-g", "-p", &pid, "-o"].map(Into::into).into();
    args.push(file.into());
    args.extend(["--", "sleep", &seconds].map(Into::into));
    Process::piped(&Invocation::new("perf", args), &[CLIENT_CPU])?
        .output()
        .context("perf (package linux-perf)")?;
    Ok(())
}
