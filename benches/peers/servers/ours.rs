//! zonelet: its release build with its default configuration, but for addresses, the zone and the workers.

use std::fmt::Write as _;

use anyhow::Result;

use super::super::process::Invocation;
use super::{Server, Setup, Skill, Task};

/// The name in the tables.
pub const OURS: &str = "zonelet";
/// Answers that fit into the default cache; for more it is made larger.
const DEFAULT_ENTRIES: u64 = 100_000;
/// Bytes of cache asked for an answer then: more than it takes.
const ROOM: u64 = 512;
/// From the DNS port to the port for metrics.
const ADMIN: u16 = 2000;

/// The build that belongs to this benchmark.
pub fn ours() -> Server {
    another_build(OURS.into(), env!("CARGO_BIN_EXE_zonelet").into())
}

/// Another build, to be measured beside it.
pub fn another_build(name: String, path: String) -> Server {
    Server {
        name,
        package: None,
        program: path.clone(),
        skill: Skill::Both,
        is_checked: true,
        is_short: true,
        command: Box::new(move |setup| {
            let config = setup.write("zonelet.toml", &configuration(setup)?)?;
            Ok(Invocation::new(path.clone(), ["--config".into(), config.into_os_string()]))
        }),
    }
}

fn configuration(setup: &Setup<'_>) -> Result<String> {
    let admin = std::net::SocketAddr::new(setup.listen.ip(), setup.listen.port() + ADMIN);
    let mut text = format!(
        "[server]\nlisten = [\"{}\"]\nworkers = {}\n[admin]\nlisten = \"{admin}\"\n",
        setup.listen, setup.workers
    );
    match setup.task {
        Task::Zone { file, .. } => {
            writeln!(text, "[[source]]\nkind = \"file\"\npath = {:?}", file.display().to_string())?;
        }
        Task::Forward { upstream, entries } => {
            writeln!(text, "[[forward]]\ndomain = \".\"\nupstreams = [\"{upstream}\"]")?;
            if entries > DEFAULT_ENTRIES {
                writeln!(text, "[cache]\nmax_bytes = \"{}MiB\"", (entries * ROOM) >> 20)?;
            }
        }
    }
    Ok(text)
}
