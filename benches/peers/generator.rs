//! The load generator: keeps queries in flight from one CPU and judges every response.

use std::fs;
use std::hint::spin_loop;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::socket::MsgFlags;

use super::batch::{BATCH, Batch};
use super::dns::HEADER;
use super::flight::{Flights, Verdict};
use super::histogram::Histogram;
use super::limit::socket;
use super::load::{Load, Outcome, Question, read_questions};
use super::ready::{UNIQUE_DIGITS, UNIQUE_PREFIX};

/// How often queries without an answer are looked for.
const SWEEP: Duration = Duration::from_millis(20);
/// Queries in flight on a socket in the open loop, where the server alone decides how many there are.
const OPEN_WINDOW: usize = 4096;

/// Puts the load on the server.
///
/// # Errors
/// No questions, no sockets, or a server's address that cannot be reached.
pub fn generate(load: &Load) -> Result<Outcome> {
    let bytes = fs::read(&load.questions).with_context(|| format!("{}", load.questions.display()))?;
    let questions = read_questions(&bytes);
    if questions.is_empty() {
        bail!("no questions in {}", load.questions.display());
    }
    Generator::new(load, &questions)?.run()
}

/// One source port.
struct Line {
    socket: UdpSocket,
    flights: Flights,
    answered: u64,
}

struct Generator<'a> {
    load: &'a Load,
    questions: &'a [Question<'a>],
    lines: Vec<Line>,
    batch: Batch<()>,
    began: Instant,
    latencies: Histogram,
    outcome: Outcome,
    response_bytes: u64,
    next: usize,
    last_answer: u64,
}

impl<'a> Generator<'a> {
    fn new(load: &'a Load, questions: &'a [Question<'a>]) -> Result<Self> {
        let any = match load.server {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let window = if load.rate.is_some() { OPEN_WINDOW } else { load.window };
        let mut lines = Vec::new();
        for _ in 0..load.sockets {
            let socket = socket(any)?;
            socket.connect(load.server).with_context(|| format!("connect to {}", load.server))?;
            lines.push(Line { socket, flights: Flights::new(window), answered: 0 });
        }
        Ok(Self {
            load,
            questions,
            lines,
            batch: Batch::new(),
            began: Instant::now(),
            latencies: Histogram::new(),
            outcome: Outcome::default(),
            response_bytes: 0,
            next: 0,
            last_answer: 0,
        })
    }

    /// Nanoseconds since the load began.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn run(mut self) -> Result<Outcome> {
        let end = nanos(self.load.seconds);
        let limit = self.load.count.unwrap_or(u64::MAX);
        let (mut swept, mut stopped, mut first) = (0, None, 0);
        loop {
            let now = self.now();
            if stopped.is_none() && (now >= end || self.outcome.sent >= limit) {
                stopped = Some(now);
            }
            let mut due = match (stopped, self.load.rate) {
                (Some(_), _) => 0,
                (None, Some(rate)) => {
                    ((now as f64 * 1e-9 * rate) as u64).min(limit) - self.outcome.sent.min(limit)
                }
                (None, None) => limit - self.outcome.sent,
            };
            let mut moved = 0;
            for turn in 0..self.lines.len() {
                let line = (first + turn) % self.lines.len();
                moved += self.receive(line);
                let sent = self.send(line, due);
                due -= sent;
                moved += sent;
            }
            // In the open loop the ports take turns.
            first += usize::from(self.load.rate.is_some());
            let now = self.now();
            if now - swept > SWEEP.as_nanos() as u64 {
                swept = now;
                self.sweep(now);
            }
            if stopped.is_some() && self.lines.iter().all(|line| line.flights.is_empty()) {
                break;
            }
            if moved == 0 {
                if self.load.gives_way { yield_now() } else { spin_loop() }
            }
        }
        Ok(self.finish())
    }

    /// Takes in what a socket has; how many packets that were.
    fn receive(&mut self, line: usize) -> u64 {
        let Some(line) = self.lines.get_mut(line) else { return 0 };
        let Ok(count) = self.batch.receive(&line.socket, MsgFlags::MSG_DONTWAIT) else { return 0 };
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        for slot in self.batch.packets(count) {
            let response = slot.bytes.get(..*slot.len).unwrap_or_default();
            let (verdict, flight) = line.flights.land(response, self.questions, self.load.is_checked);
            if verdict == Verdict::Wrong {
                self.outcome.wrong += 1;
            }
            let Some(flight) = flight else { continue };
            self.latencies.add(now.saturating_sub(flight));
            self.outcome.answered += 1;
            line.answered += 1;
            self.response_bytes += response.len() as u64;
            let [_, _, _, flags, _, _, high, low, ..] = slot.bytes;
            if let Some(count) = self.outcome.rcodes.get_mut(usize::from(*flags & 15)) {
                *count += 1;
            }
            self.outcome.with_answer += u64::from((*high, *low) != (0, 0));
        }
        self.last_answer = now;
        count as u64
    }

    /// Sends from a socket what is due and fits into its window; how many queries that were.
    fn send(&mut self, line: usize, due: u64) -> u64 {
        let now = self.now();
        let Some(line) = self.lines.get_mut(line) else { return 0 };
        let room = line.flights.room().min(BATCH);
        let count = usize::try_from(due).unwrap_or(usize::MAX).min(room);
        for index in 0..count {
            let number = self.outcome.sent + index as u64;
            let at = self.load.rate.map_or(now, |rate| ((number + 1) as f64 / rate * 1e9) as u64);
            let unique = self.load.unique.map(|first| first + number);
            let Some(question) = self.questions.get(self.next) else { break };
            let Some(mut slot) = self.batch.packet(index) else { break };
            slot.copy_from(question.query);
            *slot.peer = None;
            if let Some(unique) = unique {
                write_number(slot.bytes, unique);
            }
            let id = line.flights.take_off(at, self.next, unique);
            let [high, low, ..] = slot.bytes;
            [*high, *low] = id.to_be_bytes();
            self.next = (self.next + 1) % self.questions.len();
        }
        if count > 0 {
            self.batch.send(&line.socket, count);
            self.outcome.sent += count as u64;
        }
        count as u64
    }

    fn sweep(&mut self, now: u64) {
        let oldest = now.saturating_sub(nanos(self.load.timeout));
        self.outcome.lost += self.lines.iter_mut().map(|line| line.flights.give_up(oldest)).sum::<u64>();
    }

    fn finish(mut self) -> Outcome {
        let answered = self.outcome.answered.max(1) as f64;
        let seconds = self.last_answer.max(1) as f64 * 1e-9;
        self.outcome.per_second = self.outcome.answered as f64 / seconds;
        self.outcome.response_bytes = self.response_bytes as f64 / answered;
        let micros = |share| self.latencies.quantile(share) as f64 / 1e3;
        (self.outcome.p50, self.outcome.p99, self.outcome.p999) = (micros(0.5), micros(0.99), micros(0.999));
        self.outcome.by_socket = self.lines.iter().map(|line| line.answered).collect();
        self.outcome
    }
}

/// Writes a unique name's number over the digits of its first label.
fn write_number(query: &mut [u8], number: u64) {
    let digits = query.iter_mut().skip(HEADER + UNIQUE_PREFIX).take(UNIQUE_DIGITS);
    for (place, digit) in digits.enumerate() {
        let nibble = (number >> (4 * (UNIQUE_DIGITS - 1 - place)) & 15) as u8;
        *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    }
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
