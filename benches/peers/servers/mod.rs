//! Who takes part: how each server is configured and started. One thread each, no logs of queries, no rate
//! limits, small responses where there is such a switch.
//!
//! To add one: write a function from [`Setup`] to [`Invocation`] and name it in [`peers`].

mod authoritative;
mod limits;
mod ours;
mod resolvers;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::process::Invocation;
use super::zonefile::Zone;

pub use limits::{LIMIT, LIMIT_FORWARD, limits};
pub use ours::{OURS, another_build, ours};

/// What a server is to do.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// Answer a zone.
    Zone {
        /// Its records.
        zone: &'a Zone,
        /// The same as a zone file.
        file: &'a Path,
    },
    /// Forward and remember.
    Forward {
        /// Who knows the answers.
        upstream: SocketAddr,
        /// How many answers the cache must be able to hold.
        entries: u64,
    },
}

/// Where and how a server is to be started.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// A directory of its own.
    pub dir: PathBuf,
    /// Where it is to answer.
    pub listen: SocketAddr,
    /// What it is to do.
    pub task: Task<'a>,
    /// Threads that answer.
    pub workers: usize,
    /// Ready answers of the workload, for the limits.
    pub answers: &'a Path,
}

impl Setup<'_> {
    /// Writes a file into the server's directory.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.dir.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

/// What a server can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skill {
    /// Serve a zone.
    Zones,
    /// Forward and cache.
    Cache,
    /// Both.
    Both,
    /// Send anything back, at the same price (a limit).
    Anything,
    /// Answer what it was given with its answer (a limit).
    Table,
    /// Forward without a cache (a limit).
    Forward,
}

/// How a server's command comes about.
type Command = Box<dyn Fn(&Setup<'_>) -> Result<Invocation>>;

/// A server that can be measured.
pub struct Server {
    /// As in the tables.
    pub name: String,
    /// The Debian package that it comes from; `None` for what is built here.
    pub package: Option<&'static str>,
    /// The program's name or path.
    pub program: String,
    /// What it can do.
    pub skill: Skill,
    /// Whether its answers can be right; an echo's cannot.
    pub is_checked: bool,
    /// Whether `--short` has it.
    pub is_short: bool,
    command: Command,
}

impl Server {
    /// The command that starts it in the foreground; its configuration is written.
    ///
    /// # Errors
    /// The configuration cannot be written.
    pub fn command(&self, setup: &Setup<'_>) -> Result<Invocation> {
        (self.command)(setup)
    }

    fn peer(
        name: &str,
        (package, program): (&'static str, &'static str),
        skill: Skill,
        is_short: bool,
        command: fn(&Setup<'_>) -> Result<Invocation>,
    ) -> Self {
        Self {
            name: name.into(),
            package: Some(package),
            program: program.into(),
            skill,
            is_checked: true,
            is_short,
            command: Box::new(command),
        }
    }
}

/// Other people's servers, from Debian.
pub fn peers() -> Vec<Server> {
    vec![
        Server::peer("nsd", ("nsd", "nsd"), Skill::Zones, true, authoritative::nsd),
        Server::peer("knot", ("knot", "knotd"), Skill::Zones, false, authoritative::knot),
        Server::peer("unbound", ("unbound", "unbound"), Skill::Both, true, resolvers::unbound),
        Server::peer("dnsdist", ("dnsdist", "dnsdist"), Skill::Cache, true, resolvers::dnsdist),
        Server::peer("bind", ("bind9", "named"), Skill::Both, false, resolvers::bind),
        Server::peer("dnsmasq", ("dnsmasq-base", "dnsmasq"), Skill::Both, false, resolvers::dnsmasq),
    ]
}
