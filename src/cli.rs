//! Floor 7: command line in, exit code out.
//!
//! Exit codes: 0 for success and for a drain that ended well, 1 for anything that failed, 2 for a
//! command line or a configuration with problems.

pub mod check;
pub mod explain;
pub mod import;
pub mod logs;
mod offline;
mod remote;
mod shell;
mod top;
pub mod zones;

use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tracing::{error, warn};

use crate::app::online;
use crate::config::{Config, Environment, Problems};

use remote::Target;
use shell::{Loaded, Shell, failed, refuse, say};

/// Success.
pub const OK: u8 = 0;
/// Something failed: an address in use, nobody on the socket.
pub const FAILED: u8 = 1;
/// The command line or the configuration has problems.
pub const MISUSED: u8 = 2;

/// Read where no other file is named, if it is there.
const DEFAULT_FILE: &str = "config.toml";
/// Asked where no other socket is configured: systemd's `RuntimeDirectory=zonelet`.
const USUAL_SOCKET: &str = "/run/zonelet/admin.sock";
/// Threads of the control plane, TCP and the miss path; UDP workers have their own.
const MAX_THREADS: usize = 4;
/// What blocking work may still take when everything else has ended.
const LAST_WORK: Duration = Duration::from_secs(1);

/// What the running program is given.
pub struct Start {
    /// The configuration; its warnings have been logged.
    pub config: Config,
    /// Where it came from, to be read again on a reload; `None` for the defaults alone.
    pub config_path: Option<PathBuf>,
    /// The text of that file.
    pub config_text: Option<String>,
    /// The file has problems, and this is the last good one.
    pub is_fallback: bool,
    /// The variables that override it, for the same purpose.
    pub environment: Environment,
    /// Takes over a changed `log.level`.
    pub set_level: logs::SetLevel,
}

#[derive(Parser)]
#[command(
    name = "zonelet",
    version,
    about = "DNS agent: answers imported private zones from memory, forwards and caches the rest",
    after_help = "Exit codes: 0 success, 1 failure, 2 a command line or configuration with problems.\n\
                  ZONELET_<SECTION>__<KEY> overrides a key of the configuration."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// The configuration [default: config.toml in the working directory if it is there, else the
    /// built-in defaults]
    #[arg(long, short, global = true, env = "ZONELET_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (what zonelet does without a command)
    Run,
    /// Check the configuration and list all its problems
    Check {
        /// Try the sources out, too: credentials, roles, permissions, zone ids and names
        #[arg(long)]
        online: bool,
        /// Print only the IAM policies that the configuration needs
        #[arg(long, conflicts_with = "online")]
        policy: bool,
    },
    /// List the zones of the running zonelet
    Zones {
        #[command(flatten)]
        target: Target,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// List the records that are not served, too
        #[arg(long)]
        skipped: bool,
    },
    /// Have the running zonelet import a zone now
    Refresh {
        /// The zone; all zones without it
        zone: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Empty the cache of the running zonelet
    Flush {
        #[command(flatten)]
        target: Target,
    },
    /// Say why a name gets its answer
    Explain {
        /// The name
        name: String,
        /// The type
        #[arg(default_value = "A")]
        qtype: String,
        /// Who asks
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
        client: IpAddr,
        /// Ask nobody: neither the running zonelet nor upstreams. From zone files and last-good zones
        #[arg(long)]
        offline: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Import every source once without serving it, and say what would be served
    Import {
        /// Only the zones of this name
        #[arg(long, value_name = "NAME")]
        zone: Option<String>,
        /// Give up after so many seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..))]
        timeout: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a zone as a zone file: as the running zonelet serves it, or without one from zone files and last-good zones
    Export {
        /// The zone
        zone: String,
        /// Do not ask the running zonelet
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Show how the running zonelet does: rates, upstreams, zones, and who and what is asked most
    Top {
        #[command(flatten)]
        look: top::Look,
        #[command(flatten)]
        target: Target,
    },
}

/// Runs this process' command line; `serve` is the program itself.
pub fn main<F>(serve: impl FnOnce(Start) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    execute(std::env::args_os(), &mut io::stdout(), &mut io::stderr(), serve).into()
}

/// Runs the command line `args`, program name first; the exit code.
///
/// `run` sets up logging and a runtime, which a process can do once.
pub fn execute<F>(
    args: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
    serve: impl FnOnce(Start) -> F,
) -> u8
where
    F: Future<Output = anyhow::Result<()>>,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way, too.
            let misused = error.use_stderr();
            say(if misused { err } else { out }, &error.render().to_string());
            return if misused { MISUSED } else { OK };
        }
    };
    let named = cli.config.filter(|path| !path.as_os_str().is_empty());
    let is_named = named.is_some();
    let path = named.or_else(default_file);
    let environment = Environment::of_process();
    let mut shell = Shell { path, is_named, usual_socket: USUAL_SOCKET.into(), environment, out, err };
    match cli.command.unwrap_or(Command::Run) {
        Command::Run => match shell.config_to_serve() {
            Ok(loaded) => run(loaded, shell.path, shell.environment, shell.err, serve),
            Err(code) => code,
        },
        Command::Check { online, policy } => match shell.config() {
            Ok(config) => {
                say(shell.err, &check::warnings(&config));
                if let Some(faults) = Problems::of(&config.faults) {
                    return refuse(&faults, shell.err);
                }
                if policy {
                    say(shell.out, &check::policies(&config));
                    return OK;
                }
                say(shell.out, &check::summary(&config, shell.path.as_deref()));
                if online { check_online(&config, shell.out, shell.err) } else { OK }
            }
            Err(code) => code,
        },
        Command::Zones { target, json, skipped } => shell.zones(target, json, skipped),
        Command::Refresh { zone, target } => shell.refresh(target, zone),
        Command::Flush { target } => shell.flush(target),
        Command::Explain { name, qtype, client, offline, json, target } => {
            let asked = remote::Asked { name, qtype, client };
            if offline { shell.explain_offline(&asked, json) } else { shell.explain(target, asked, json) }
        }
        Command::Import { zone, timeout, json } => shell.import(zone.as_deref(), timeout, json),
        Command::Export { zone, offline, target } => shell.export(target, &zone, offline),
        Command::Top { look, target } => shell.top(target, &look),
    }
}

fn default_file() -> Option<PathBuf> {
    Path::new(DEFAULT_FILE).is_file().then(|| DEFAULT_FILE.into())
}

fn run<F>(
    loaded: Loaded,
    config_path: Option<PathBuf>,
    environment: Environment,
    err: &mut dyn Write,
    serve: impl FnOnce(Start) -> F,
) -> u8
where
    F: Future<Output = anyhow::Result<()>>,
{
    let Loaded { config, text, problems } = loaded;
    let set_level = logs::init(&config.log);
    if let Some(problems) = &problems {
        error!("the configuration has problems, the last good one is at work in its place:\n{problems}");
    }
    for warning in &config.warnings {
        warn!(place = %warning.place, key = warning.key, fix = warning.fix, "{}", warning.what);
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, err),
    };
    let ended = runtime.block_on(serve(Start {
        config,
        config_path,
        config_text: text,
        is_fallback: problems.is_some(),
        environment,
        set_level,
    }));
    runtime.shutdown_timeout(LAST_WORK);
    match ended {
        Ok(()) => OK,
        Err(error) => {
            error!(error = format!("{error:#}"), "zonelet ends");
            FAILED
        }
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS));
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}

/// Tries the sources out and says what was found.
fn check_online(config: &Config, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, err),
    };
    let tried = runtime.block_on(online::try_sources(config));
    runtime.shutdown_timeout(LAST_WORK);
    say(out, &check::findings(config, &tried));
    if check::all_work(&tried) { OK } else { FAILED }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_file_may_be_named_before_or_behind_the_command() {
        for args in [&["zonelet", "--config", "x", "check"][..], &["zonelet", "check", "-c", "x"]] {
            let cli = Cli::try_parse_from(args).unwrap();
            assert_eq!(cli.config.as_deref(), Some(Path::new("x")));
            assert!(matches!(cli.command, Some(Command::Check { online: false, policy: false })));
        }
        assert!(Cli::try_parse_from(["zonelet"]).unwrap().command.is_none());
    }
}
