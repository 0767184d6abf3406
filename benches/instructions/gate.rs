//! Runs the counted part, reads what it counted and holds it against the baseline.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

use crate::baseline::{Baseline, Counts, TOLERANCE};
use crate::cases::ROUNDS;

/// Set for the copy of this program that hands over to gungraun.
const COUNTED: &str = "ZONELET_COUNTED_PART";
/// The first argument of the copies that gungraun runs under callgrind, which see no environment.
const UNDER_CALLGRIND: &str = "--gungraun-run";
/// Pins the version of library and runner, which must be one.
const MANIFEST: &str = include_str!("../../Cargo.toml");

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
enum GateError {
    #[error("valgrind does not start: install the package valgrind")]
    NoValgrind,
    #[error("gungraun-runner {0} is not there: cargo install gungraun-runner --version {0} --locked")]
    NoRunner(String),
    #[error("Cargo.toml pins no version of gungraun as gungraun = \"=…\"")]
    NoVersion,
    #[error("no baseline can be read at {0}: write one with -- --rewrite")]
    NoBaseline(PathBuf),
    #[error("the counted part failed; what it said stands above")]
    Counting,
    #[error("nothing was counted")]
    Nothing,
    #[error("the counted part wrote what is no summary of a benchmark: {0}")]
    Summary(String),
    #[error("unknown argument {0}: there is only --rewrite")]
    Argument(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Whether this process is one that gungraun starts or is started by.
pub fn is_counted_part() -> bool {
    std::env::var_os(COUNTED).is_some() || std::env::args().nth(1).is_some_and(|arg| arg == UNDER_CALLGRIND)
}

/// Counts and compares; with `--rewrite` the counts become the baseline.
pub fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let outcome = wants_rewrite(args).and_then(|rewrite| if rewrite { write_anew() } else { hold() });
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// Cargo adds `--bench`.
fn wants_rewrite(args: impl Iterator<Item = String>) -> Result<bool, GateError> {
    let mut rewrite = false;
    for arg in args {
        match &*arg {
            "--bench" => {}
            "--rewrite" => rewrite = true,
            _ => return Err(GateError::Argument(arg)),
        }
    }
    Ok(rewrite)
}

/// A baseline for each instruction set.
fn path() -> PathBuf {
    let file = format!("benches/instructions/baseline.{}.txt", std::env::consts::ARCH);
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn hold() -> Result<ExitCode, GateError> {
    let (path, compiler) = (path(), compiler());
    let read = fs::read_to_string(&path).ok().and_then(|text| Baseline::parse(&text));
    let baseline = read.ok_or(GateError::NoBaseline(path))?;
    let (verdicts, table) = baseline.compare(&count()?);
    print!("{table}");
    if baseline.compiler != compiler {
        println!("The baseline was counted with {}, this is {compiler}.", baseline.compiler);
    }
    if verdicts.iter().any(|verdict| verdict.fails()) {
        println!(
            "The gate is shut: a path takes over {TOLERANCE} % more, or the paths are not the baseline's."
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn write_anew() -> Result<ExitCode, GateError> {
    let (path, counts) = (path(), count()?);
    let before = fs::read_to_string(&path).ok().and_then(|text| Baseline::parse(&text)).unwrap_or_default();
    print!("{}", before.compare(&counts).1);
    fs::write(&path, Baseline { compiler: compiler(), counts }.render())?;
    println!("The baseline now is what was counted.");
    Ok(ExitCode::SUCCESS)
}

/// Runs the counted part; takes about a minute.
fn count() -> Result<Counts, GateError> {
    said("valgrind").ok_or(GateError::NoValgrind)?;
    let version = pinned().ok_or(GateError::NoVersion)?;
    let runner = said("gungraun-runner").is_some_and(|said| said.ends_with(&format!(" {version}")));
    if !runner {
        return Err(GateError::NoRunner(version.into()));
    }
    let mut counted = Command::new(std::env::current_exe()?);
    // Nothing that gungraun reads from the environment may change what is counted.
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("GUNGRAUN_")) {
        counted.env_remove(key);
    }
    // Without `--bench` the runner takes it for a test run and counts nothing.
    counted.env(COUNTED, "1").args(["--bench", "--output-format=json"]).stderr(Stdio::inherit());
    let output = counted.output()?;
    if !output.status.success() {
        return Err(GateError::Counting);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let counts: Counts =
        text.lines().filter(|line| line.starts_with('{')).map(read).collect::<Result<_, _>>()?;
    if counts.is_empty() { Err(GateError::Nothing) } else { Ok(counts) }
}

/// The path and the instructions a query in one benchmark's summary.
fn read(line: &str) -> Result<(String, f64), GateError> {
    let summary: Value = serde_json::from_str(line).unwrap_or_default();
    let instructions =
        summary.pointer("/profiles/0/data/total/metrics/Ir/values/new").and_then(Value::as_f64);
    let id = summary.get("id").and_then(Value::as_str);
    let (id, all) = id.zip(instructions).ok_or_else(|| GateError::Summary(line.into()))?;
    Ok((id.into(), all / ROUNDS as f64))
}

/// The version in the manifest's `gungraun = "=…"`.
fn pinned() -> Option<&'static str> {
    MANIFEST.lines().find_map(|line| line.strip_prefix("gungraun = \"=")?.strip_suffix('"'))
}

/// What a program says its version is; `None` if it does not start.
fn said(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What compiles: counts of different compilers differ.
fn compiler() -> String {
    said("rustc").unwrap_or_else(|| "unknown".into())
}
