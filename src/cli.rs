//! Floor 7: command line in, exit code out.
//!
//! Exit codes: 0 for success and for a drain that ended well, 1 for anything that failed, 2 for a
//! command line or a configuration with problems.

pub mod check;
pub mod logs;
pub mod zones;

use std::error::Error;
use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tracing::{error, warn};

use crate::admin::client::ask;
use crate::admin::{Request, Response};
use crate::app::online;
use crate::config::{Config, Environment, Problems};

/// Success.
pub const OK: u8 = 0;
/// Something failed: an address in use, nobody on the socket.
pub const FAILED: u8 = 1;
/// The command line or the configuration has problems.
pub const MISUSED: u8 = 2;

/// Read where no other file is named, if it is there.
const DEFAULT_FILE: &str = "config.toml";
/// Asked where no other socket is configured: systemd's `RuntimeDirectory=zonelet`.
const DEFAULT_SOCKET: &str = "/run/zonelet/admin.sock";
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
}

#[derive(Args)]
struct Target {
    /// The admin socket [default: the one of the configuration]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
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
    let path = cli.config.filter(|path| !path.as_os_str().is_empty()).or_else(default_file);
    let environment = Environment::of_process();
    match cli.command.unwrap_or(Command::Run) {
        Command::Run => match Config::load(path.as_deref(), &environment) {
            Ok(config) => run(config, path, environment, err, serve),
            Err(problems) => refuse(&problems, err),
        },
        Command::Check { online, policy } => match Config::load(path.as_deref(), &environment) {
            Ok(config) => {
                say(err, &check::warnings(&config));
                if policy {
                    say(out, &check::policies(&config));
                    return OK;
                }
                say(out, &check::summary(&config, path.as_deref()));
                if online { check_online(&config, out, err) } else { OK }
            }
            Err(problems) => refuse(&problems, err),
        },
        Command::Zones { target, json, skipped } => {
            let show = |response| match response {
                Response::Zones(listing) if json => zones::json(&listing),
                Response::Zones(listing) => zones::table(&listing),
                _ => None,
            };
            command(target, path, &environment, &Request::Zones { skipped }, show, out, err)
        }
        Command::Refresh { zone, target } => {
            let show = |response| match response {
                Response::Refreshing(zones) => Some(format!("importing {zones} zones now\n")),
                _ => None,
            };
            command(target, path, &environment, &Request::Refresh { zone }, show, out, err)
        }
        Command::Flush { target } => {
            let show = |response| match response {
                Response::Flushed(responses) => Some(format!("dropped {responses} responses\n")),
                _ => None,
            };
            command(target, path, &environment, &Request::Flush {}, show, out, err)
        }
    }
}

fn default_file() -> Option<PathBuf> {
    Path::new(DEFAULT_FILE).is_file().then(|| DEFAULT_FILE.into())
}

fn refuse(problems: &Problems, err: &mut dyn Write) -> u8 {
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    say(err, &format!("{problems}\nzonelet: {count} in the configuration\n"));
    MISUSED
}

fn run<F>(
    config: Config,
    config_path: Option<PathBuf>,
    environment: Environment,
    err: &mut dyn Write,
    serve: impl FnOnce(Start) -> F,
) -> u8
where
    F: Future<Output = anyhow::Result<()>>,
{
    let set_level = logs::init(&config.log);
    for warning in &config.warnings {
        warn!(place = %warning.place, key = warning.key, fix = warning.fix, "{}", warning.what);
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, err),
    };
    let ended = runtime.block_on(serve(Start { config, config_path, environment, set_level }));
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

/// Asks the running zonelet and shows what it says.
fn command(
    target: Target,
    config_path: Option<PathBuf>,
    environment: &Environment,
    request: &Request,
    show: impl FnOnce(Response) -> Option<String>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let socket = match target.socket {
        Some(socket) => socket,
        None => match Config::load(config_path.as_deref(), environment) {
            Ok(config) => config.admin.socket.unwrap_or_else(|| DEFAULT_SOCKET.into()),
            Err(problems) => return refuse(&problems, err),
        },
    };
    match ask(&socket, request) {
        Ok(response) => match show(response) {
            Some(text) => {
                say(out, &text);
                OK
            }
            None => {
                say(err, "zonelet: the answer is to another question\n");
                FAILED
            }
        },
        Err(error) => {
            let code = failed(&error, err);
            if !socket.exists() {
                say(err, "set admin.socket in the configuration, or name a socket with --socket\n");
            }
            code
        }
    }
}

fn failed(error: &dyn Error, err: &mut dyn Write) -> u8 {
    let mut text = format!("zonelet: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    say(err, &format!("{text}\n"));
    FAILED
}

/// Nobody is left to tell when a pipe is closed.
fn say(stream: &mut dyn Write, text: &str) {
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
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
