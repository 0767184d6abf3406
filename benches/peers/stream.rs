//! The load over TCP: one pipelined connection, a connection for each query, or one after a truncated answer.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::flight::{Flights, Verdict};
use super::limit::socket;
use super::load::{Question, read_questions};
use super::process::{Invocation, Process};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most bytes of a message.
const LARGEST: usize = 65_535;

/// How queries reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// All on one connection for each client, with so many in flight.
    Pipelined(usize),
    /// Each on a connection of its own, which the client closes.
    Single,
    /// Each over UDP, where the answer must be truncated, and then like `Single`.
    Retried,
}

/// A load of clients that use TCP, from a process of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Streams {
    /// Who is asked.
    pub server: SocketAddr,
    /// What is asked, as `write_questions` wrote it, round and round.
    pub questions: PathBuf,
    /// How long queries are sent.
    pub seconds: f64,
    /// Clients at once.
    pub clients: usize,
    /// How.
    pub way: Way,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct StreamOutcome {
    /// Right answers.
    pub answered: u64,
    /// Answers that were not what was expected.
    pub wrong: u64,
    /// Clients that ended early: a refused or broken connection, no answer in time.
    pub failed: u64,
    /// Right answers a second.
    pub per_second: f64,
}

impl Streams {
    /// Puts the load on the server from one CPU and waits for its end.
    ///
    /// # Errors
    /// The load generator failed.
    pub fn run(&self, cpu: usize) -> Result<StreamOutcome> {
        let plan = serde_json::to_string(self).context("the load as text")?;
        let process = Process::piped(&Invocation::ourselves(["stream", &plan])?, &[cpu])?;
        serde_json::from_str(&process.output()?).context("what the load generator printed")
    }

    /// Is the load generator.
    ///
    /// # Errors
    /// The questions cannot be read, or no client got any answer.
    pub fn generate(&self) -> Result<StreamOutcome> {
        let bytes = fs::read(&self.questions).context("questions")?;
        let questions = read_questions(&bytes);
        let began = Instant::now();
        let end = began + Duration::from_secs_f64(self.seconds);
        let ends: Vec<(StreamOutcome, Result<()>)> = thread::scope(|scope| {
            let run = |number| {
                let client = Client::new(self, &questions, number);
                scope.spawn(move || client.run(end))
            };
            let running: Vec<_> = (0..self.clients).map(run).collect();
            running.into_iter().filter_map(|client| client.join().ok()).collect()
        });
        let mut sum = StreamOutcome::default();
        for (outcome, result) in &ends {
            sum.answered += outcome.answered;
            sum.wrong += outcome.wrong;
            sum.failed += u64::from(result.is_err());
        }
        if let Some((_, Err(error))) = ends.iter().find(|(_, result)| result.is_err()) {
            eprintln!("  a client of {}: {error:#}", self.server);
        }
        ensure!(sum.answered > 0, "no answers over TCP");
        sum.per_second = sum.answered as f64 / began.elapsed().as_secs_f64();
        Ok(sum)
    }
}

struct Client<'a> {
    plan: &'a Streams,
    questions: &'a [Question<'a>],
    flights: Flights,
    next: usize,
    outcome: StreamOutcome,
}

impl<'a> Client<'a> {
    /// Clients begin at different questions.
    fn new(plan: &'a Streams, questions: &'a [Question<'a>], number: usize) -> Self {
        let window = if let Way::Pipelined(window) = plan.way { window } else { 1 };
        let next = number * questions.len() / plan.clients.max(1);
        Self { plan, questions, flights: Flights::new(window), next, outcome: StreamOutcome::default() }
    }

    fn run(mut self, end: Instant) -> (StreamOutcome, Result<()>) {
        let result = match self.plan.way {
            Way::Pipelined(_) => self.pipelined(end),
            Way::Single => self.one_by_one(end, Self::single),
            Way::Retried => self.one_by_one(end, Self::retried),
        };
        (self.outcome, result)
    }

    fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.plan.server).context("connect")?;
        stream.set_nodelay(true).context("no delay")?;
        stream.set_read_timeout(Some(PATIENCE)).context("time-out")?;
        Ok(stream)
    }

    /// The next query with its length in front.
    fn query(&mut self) -> Vec<u8> {
        let Some(question) = self.questions.get(self.next) else { return Vec::new() };
        let id = self.flights.take_off(0, self.next, None).to_be_bytes();
        self.next = (self.next + 1) % self.questions.len();
        let len = (question.query.len() as u16).to_be_bytes();
        [&len[..], &id, question.query.get(2..).unwrap_or_default()].concat()
    }

    fn judge(&mut self, response: &[u8]) {
        match self.flights.land(response, self.questions, true).0 {
            Verdict::Right => self.outcome.answered += 1,
            Verdict::Wrong | Verdict::Late => self.outcome.wrong += 1,
        }
    }

    fn pipelined(&mut self, end: Instant) -> Result<()> {
        let mut stream = self.connect()?;
        let (mut held, mut buffer) = (Vec::new(), vec![0; LARGEST]);
        loop {
            if Instant::now() < end {
                let queries: Vec<u8> = (0..self.flights.room()).flat_map(|_| self.query()).collect();
                stream.write_all(&queries).context("send")?;
            } else if self.flights.is_empty() {
                return Ok(());
            }
            let len = stream.read(&mut buffer).context("receive")?;
            ensure!(len > 0, "the server closed the connection");
            held.extend_from_slice(buffer.get(..len).unwrap_or_default());
            let taken = self.take_in(&held);
            held.drain(..taken);
        }
    }

    /// Judges all whole responses; how many bytes that were.
    fn take_in(&mut self, held: &[u8]) -> usize {
        let mut rest = held;
        while let Some((len, after)) = rest.split_first_chunk::<2>() {
            let Some((response, after)) = after.split_at_checked(u16::from_be_bytes(*len).into()) else {
                break;
            };
            self.judge(response);
            rest = after;
        }
        held.len() - rest.len()
    }

    fn one_by_one(&mut self, end: Instant, one: fn(&mut Self, &[u8]) -> Result<()>) -> Result<()> {
        while Instant::now() < end {
            let query = self.query();
            one(self, &query)?;
        }
        Ok(())
    }

    fn single(&mut self, query: &[u8]) -> Result<()> {
        let mut stream = self.connect()?;
        stream.write_all(query).context("send")?;
        let mut len = [0; 2];
        stream.read_exact(&mut len).context("receive")?;
        let mut response = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut response).context("receive")?;
        self.judge(&response);
        Ok(())
    }

    fn retried(&mut self, query: &[u8]) -> Result<()> {
        let any = SocketAddr::new(self.plan.server.ip(), 0);
        let udp = socket(any)?;
        udp.connect(self.plan.server).context("connect")?;
        udp.set_read_timeout(Some(PATIENCE)).context("time-out")?;
        udp.send(query.get(2..).unwrap_or_default()).context("send")?;
        let mut response = [0; 4096];
        udp.recv(&mut response).context("no answer over UDP")?;
        let [first, second, flags, ..] = response;
        if query.get(2..4) != Some(&[first, second]) || flags & 2 == 0 {
            bail!("the answer over UDP is not truncated, or no answer to this query");
        }
        self.single(query)
    }
}
