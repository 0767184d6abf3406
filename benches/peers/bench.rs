//! What every scenario needs: the options, the directories, the CPUs, and servers that are up and right.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::ask::{check, wait_for};
use super::cli::Options;
use super::dns::Case;
use super::load::{Load, write_questions};
use super::process::{Invocation, Process};
use super::ready::Ready;
use super::servers::{Server, Setup, Skill, Task};
use super::workload::Workload;

/// Servers run here.
pub const SERVER_CPU: usize = 0;
/// The load generator and the upstream run here.
pub const CLIENT_CPU: usize = 1;
/// Our upstream.
const UPSTREAM_PORT: u16 = 5400;
/// The first server; the next ones follow.
const FIRST_PORT: u16 = 5301;
/// How long a server may take until its first answer.
pub const STARTUP: Duration = Duration::from_secs(60);
/// Questions that are asked, and their answers compared, before anything is measured.
const SAMPLE: usize = 200;
/// Answers that caches must hold where a scenario does not say more.
pub const ENTRIES: u64 = 30_000;

/// The benchmark's surroundings.
pub struct Bench {
    /// The command line.
    pub options: Options,
    /// Where results go.
    pub out: PathBuf,
    /// Everybody that may take part, the limits first.
    pub servers: Vec<Server>,
    /// Servers that cannot take part, and why.
    pub left_out: Vec<LeftOut>,
}

/// A server that took no part in something.
#[derive(Clone, Debug, serde::Serialize)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl LeftOut {
    /// Says so at once, too.
    pub fn new(name: &str, reason: impl std::fmt::Display) -> Self {
        eprintln!("  {name} is left out: {reason:#}");
        Self { name: name.to_owned(), reason: format!("{reason:#}") }
    }
}

/// A server that is up.
pub struct Up<'a> {
    /// Which one.
    pub server: &'a Server,
    /// Its process.
    pub process: Process,
    /// Where it answers.
    pub address: SocketAddr,
    /// From its start to the first right answer.
    pub first_answer: Duration,
}

impl Bench {
    /// The loopback address of the chosen family.
    pub fn ip(&self) -> IpAddr {
        if self.options.ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
    }

    /// Rounds that count, and seconds of each.
    pub fn rounds(&self) -> (usize, f64) {
        let (rounds, seconds) = if self.options.short { (2, 1.0) } else { (5, 2.0) };
        (self.options.rounds.unwrap_or(rounds), self.options.seconds.unwrap_or(seconds))
    }

    /// Where the upstream answers.
    pub fn upstream(&self) -> SocketAddr {
        SocketAddr::new(self.ip(), UPSTREAM_PORT)
    }

    /// Who takes part in a scenario: those with one of the `skills` that the command line does not leave out.
    pub fn participants(&self, skills: &[Skill]) -> Vec<&Server> {
        self.everybody().into_iter().filter(|server| skills.contains(&server.skill)).collect()
    }

    /// Who takes part at all: the servers that were named, the limits and ours always with them.
    pub fn everybody(&self) -> Vec<&Server> {
        let is_in = |server: &&Server| match self.options.servers.as_slice() {
            [] => server.is_short || !self.options.short,
            named => server.package.is_none() || named.contains(&server.name),
        };
        self.servers.iter().filter(is_in).collect()
    }

    /// A directory for what one scenario needs, empty.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn room(&self, name: &str) -> Result<PathBuf> {
        let dir = self.out.join("run").join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("empty {}", dir.display()))?;
        }
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        Ok(dir)
    }

    /// Starts our upstream, which knows the answers to all cases and to unique names.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_upstream(&self, files: &Files, known: &Case) -> Result<Process> {
        let args =
            ["upstream".into(), self.upstream().to_string().into(), files.answers.clone().into_os_string()];
        let log = files.dir.join("upstream.log");
        let mut process = Process::start(&Invocation::ourselves(args)?, &[CLIENT_CPU], &log)?;
        wait_for(&mut process, self.upstream(), known, STARTUP).context("our upstream")?;
        Ok(process)
    }

    /// Starts a server on `cpus` and checks its answers to `sample`.
    ///
    /// # Errors
    /// It does not come up, or an answer is wrong; it has been ended then.
    pub fn start<'a>(
        &self,
        server: &'a Server,
        turn: usize,
        (files, task): (&Files, Task<'_>),
        sample: &[Case],
        cpus: &[usize],
    ) -> Result<Up<'a>> {
        let dir = files.dir.join(&server.name);
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let address = SocketAddr::new(self.ip(), FIRST_PORT + turn as u16);
        let log = dir.join("log.txt");
        let answers = &files.answers;
        let setup = Setup { dir, listen: address, task, workers: cpus.len(), answers };
        let began = std::time::Instant::now();
        let mut process = Process::start(&server.command(&setup)?, cpus, &log)?;
        if server.is_checked {
            let first =
                sample.iter().find(|case| !case.records.is_empty()).context("a case with an answer")?;
            wait_for(&mut process, address, first, STARTUP)?;
        } else {
            std::thread::sleep(Duration::from_millis(200));
            anyhow::ensure!(process.is_running(), "it ended: {}", process.last_words());
        }
        let first_answer = began.elapsed();
        if server.is_checked {
            check(address, sample, self.options.edns).context("WRONG ANSWER")?;
        }
        Ok(Up { server, process, address, first_answer })
    }
}

/// What a workload's servers and load generators read.
pub struct Files {
    /// The scenario's directory.
    pub dir: PathBuf,
    /// The questions in their order.
    pub questions: PathBuf,
    /// Every question once.
    pub warm: PathBuf,
    /// The answers, ready.
    pub answers: PathBuf,
    /// The zone.
    pub zone: PathBuf,
    /// What is checked before measuring.
    pub sample: Vec<Case>,
}

/// How often a cache is filled at most until nothing is lost.
const TRIES: usize = 6;

impl Files {
    /// Fills the server's cache: everything is asked once, slowly enough that nothing is lost. A
    /// server that keeps no answers, or forwards all, has nothing to be filled.
    ///
    /// # Errors
    /// The load generator fails.
    pub fn warm(&self, workload: &Workload, up: &Up<'_>) -> Result<()> {
        if workload.zone.is_some() || workload.is_unique || !up.server.is_checked {
            return Ok(());
        }
        let count = workload.cases.len() as u64;
        let mut load = Load::closed(up.address, &self.warm, 30.0);
        (load.sockets, load.window, load.count, load.gives_way) = (4, 8, Some(count), true);
        for _ in 0..TRIES {
            if load.run(CLIENT_CPU)?.lost == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Writes them.
    ///
    /// # Errors
    /// One cannot be written.
    pub fn write(dir: &Path, workload: &Workload, with_edns: bool) -> Result<Self> {
        let at = |name| dir.join(name);
        let (questions, warm, answers, zone) = (at("questions"), at("warm"), at("answers"), at("zone.txt"));
        write_questions(&questions, workload.asked(), with_edns)?;
        write_questions(&warm, &workload.cases, with_edns)?;
        Ready::write(&answers, if workload.is_unique { &[] } else { &workload.cases[..] })?;
        let text = workload.zone.as_ref().map(super::zonefile::Zone::text).unwrap_or_default();
        fs::write(&zone, text).with_context(|| format!("write {}", zone.display()))?;
        Ok(Self { dir: dir.to_path_buf(), questions, warm, answers, zone, sample: workload.sample(SAMPLE) })
    }
}
