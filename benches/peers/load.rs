//! The load, as the benchmark sees it: what to send, and what came of it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::dns::Case;
use super::process::{Invocation, Process};

/// A load to be put on a server, by a process of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// Who is asked.
    pub server: SocketAddr,
    /// What is asked, as [`write_questions`] wrote it, round and round.
    pub questions: PathBuf,
    /// How long questions are sent; answers are awaited for `timeout` more.
    pub seconds: f64,
    /// Source ports.
    pub sockets: usize,
    /// Closed loop: queries in flight on each socket, at most 4096.
    pub window: usize,
    /// Open loop instead: queries a second, whatever comes back; latency counts from when one was due.
    pub rate: Option<f64>,
    /// No more queries than these.
    pub count: Option<u64>,
    /// Questions for unique names, numbered from here.
    pub unique: Option<u64>,
    /// A query without an answer for this many seconds is lost.
    pub timeout: f64,
    /// Whether responses are held against what is expected; an echo is not.
    pub is_checked: bool,
    /// Whether the CPU is left to others (the upstream) while nothing comes in.
    pub gives_way: bool,
}

impl Load {
    /// A closed loop over eight sockets with 24 queries in flight on each: enough to keep a server busy.
    pub fn closed(server: SocketAddr, questions: &Path, seconds: f64) -> Self {
        Self {
            server,
            questions: questions.to_path_buf(),
            seconds,
            sockets: 8,
            window: 24,
            rate: None,
            count: None,
            unique: None,
            timeout: 2.0,
            is_checked: true,
            gives_way: false,
        }
    }

    /// An open loop at `rate` queries a second.
    pub fn open(server: SocketAddr, questions: &Path, seconds: f64, rate: f64) -> Self {
        Self { rate: Some(rate), ..Self::closed(server, questions, seconds) }
    }

    /// Puts the load on the server from one CPU and waits for its end.
    ///
    /// # Errors
    /// The load generator failed: an unreachable server, an unreadable file.
    pub fn run(&self, cpu: usize) -> Result<Outcome> {
        self.start(cpu)?.finish()
    }

    /// Starts the load without waiting.
    ///
    /// # Errors
    /// No process can be started.
    pub fn start(&self, cpu: usize) -> Result<RunningLoad> {
        let plan = serde_json::to_string(self).context("the load as text")?;
        Ok(RunningLoad(Process::piped(&Invocation::ourselves(["load", &plan])?, &[cpu])?))
    }
}

/// A load under way.
pub struct RunningLoad(Process);

impl RunningLoad {
    /// Waits for its end.
    ///
    /// # Errors
    /// The load generator failed.
    pub fn finish(self) -> Result<Outcome> {
        serde_json::from_str(&self.0.output()?).context("what the load generator printed")
    }
}

/// What came of a load.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Queries that left.
    pub sent: u64,
    /// Queries that were answered in time.
    pub answered: u64,
    /// Queries that were not.
    pub lost: u64,
    /// Responses that are not what was expected, or to no question of ours.
    pub wrong: u64,
    /// Responses by response code.
    pub rcodes: [u64; 16],
    /// Responses with a record in the answer section.
    pub with_answer: u64,
    /// Answered queries a second, up to the last answer.
    pub per_second: f64,
    /// Latencies in microseconds: the middle, 99 of 100, 999 of 1000.
    pub p50: f64,
    /// See `p50`.
    pub p99: f64,
    /// See `p50`.
    pub p999: f64,
    /// Mean bytes of a response.
    pub response_bytes: f64,
    /// Answers by socket, for fairness.
    pub by_socket: Vec<u64>,
}

/// One query, and what is held against its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The whole message, with id 0.
    pub query: &'a [u8],
    /// The response code that is right.
    pub rcode: u8,
    /// Whether there must be a record in the answer section.
    pub has_answer: bool,
}

/// Writes the questions of `cases` in their order.
///
/// # Errors
/// The file cannot be written.
pub fn write_questions<'a>(
    path: &Path,
    cases: impl IntoIterator<Item = &'a Case>,
    with_edns: bool,
) -> Result<()> {
    let mut out = Vec::new();
    for case in cases {
        let query = case.query(with_edns);
        out.extend([query.len() as u8, case.rcode(), u8::from(!case.records.is_empty())]);
        out.extend(query);
    }
    fs::write(path, out).with_context(|| format!("questions {}", path.display()))
}

/// Reads what [`write_questions`] wrote.
pub fn read_questions(bytes: &[u8]) -> Vec<Question<'_>> {
    let mut questions = Vec::new();
    let mut rest = bytes;
    while let Some(([len, rcode, has_answer], after)) = rest.split_first_chunk::<3>() {
        let Some((query, after)) = after.split_at_checked(usize::from(*len)) else { break };
        questions.push(Question { query, rcode: *rcode, has_answer: *has_answer != 0 });
        rest = after;
    }
    questions
}
