//! Plays a scenario step by step.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Builder;
use zonelet::answer::{Asker, Disposition, Reply, Responder, Transport};
use zonelet::metrics::Tally;

use crate::compare;
use crate::model::{Action, Entry, Failure, Scenario, Step};
use crate::stage::Stage;
use crate::time::HandTime;

/// How often tasks and sockets are let run before something is said to be missing.
const ROUNDS: usize = 400;
/// How far time moves at once while a client waits.
const STRIDE: Duration = Duration::from_millis(100);
/// Longer than any client waits for an upstream.
const PATIENCE: Duration = Duration::from_secs(10);

/// A query and the response to it.
pub struct Answered {
    pub query: Vec<u8>,
    pub response: Vec<u8>,
}

/// Answers that were not checked yet, oldest first, and how many clients wait.
#[derive(Default)]
struct Inbox {
    answers: VecDeque<Answered>,
    waiting: usize,
}

struct Late {
    query: Vec<u8>,
    inbox: Arc<Mutex<Inbox>>,
}

impl Reply for Late {
    fn send(&self, _: &Asker, response: &[u8]) {
        let mut inbox = self.inbox.lock().unwrap();
        inbox.waiting -= 1;
        inbox.answers.push_back(Answered { query: self.query.clone(), response: response.to_vec() });
    }
}

/// Plays the whole scenario.
pub fn play(scenario: Scenario) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let time = HandTime::stop();
        let stage = Stage::set(scenario).await?;
        let player = Player { time, inbox: Arc::default(), tally: Tally::default(), stage };
        player.play().await
    })
}

struct Player {
    stage: Stage,
    time: HandTime,
    inbox: Arc<Mutex<Inbox>>,
    tally: Tally,
}

impl Player {
    async fn play(self) -> Result<(), Failure> {
        let scenario = &self.stage.script.scenario;
        for step in &scenario.steps {
            self.stage.script.step.store(step.number, Ordering::Relaxed);
            self.play_step(step).await?;
        }
        let last = scenario.steps.last().map_or(1, |step| step.line);
        let inbox = self.inbox.lock().unwrap();
        if let Some(answer) = inbox.answers.front() {
            let got = compare::show(&answer.response);
            return Err(scenario.failure(last, format!("an answer was not checked\n{got}")));
        }
        if inbox.waiting > 0 {
            return Err(scenario.failure(last, "a query still waits for its answer"));
        }
        let entries = || scenario.ranges.iter().flat_map(|range| &range.entries);
        match entries().find(|entry| !entry.is_used()) {
            Some(unused) => Err(scenario.failure(unused.line, "this entry was never used")),
            None => Ok(()),
        }
    }

    async fn play_step(&self, step: &Step) -> Result<(), Failure> {
        match &step.action {
            Action::Query(client, entry) => self.ask(*client, entry, step.number).await,
            Action::CheckAnswer(entry) => return self.check(step, entry).await,
            Action::CheckOutQuery(entry) => {
                if !self.until(|| self.stage.upstreams.iter().any(|u| u.has_open(entry))).await {
                    return Err(self.failure(step, "no upstream has been asked this"));
                }
            }
            Action::Reply(entry) => return self.reply(step, entry).await,
            Action::TimePasses(span) => self.pass(*span).await,
            Action::Timeout => return self.time_out(step).await,
            Action::Nothing => self.time.settle().await,
            Action::Import(zone) => return self.stage.import(zone).await,
        }
        Ok(())
    }

    fn failure(&self, step: &Step, what: impl Into<String>) -> Failure {
        self.stage.script.scenario.failure(step.line, what)
    }

    /// Lets things happen, without time passing, until `is_so`; false if it never is.
    async fn until(&self, is_so: impl Fn() -> bool) -> bool {
        for _ in 0..ROUNDS {
            if is_so() {
                return true;
            }
            self.time.settle().await;
        }
        is_so()
    }

    async fn ask(&self, client: SocketAddr, entry: &Entry, number: u32) {
        let query = entry.packet.to_bytes(number as u16 | 0x4000);
        let transport = if entry.matches.tcp == Some(true) { Transport::Tcp } else { Transport::Udp };
        let mut out = vec![0; if transport == Transport::Tcp { 65_535 } else { 1232 }];
        let (answerer, asker) = (&self.stage.answerer, Asker::new(client, transport));
        match answerer.answer(&answerer.view(), &query, asker, &mut out, &self.tally) {
            Disposition::Respond(len) => {
                out.truncate(len);
                self.inbox.lock().unwrap().answers.push_back(Answered { query, response: out });
            }
            Disposition::Forward(pending) => {
                self.inbox.lock().unwrap().waiting += 1;
                answerer.submit(pending, Arc::new(Late { query, inbox: Arc::clone(&self.inbox) }));
            }
            Disposition::Drop => {}
        }
        self.time.settle().await;
    }

    async fn check(&self, step: &Step, entry: &Entry) -> Result<(), Failure> {
        self.until(|| !self.inbox.lock().unwrap().answers.is_empty()).await;
        let answer = self.inbox.lock().unwrap().answers.pop_front();
        let Some(answer) = answer else {
            let expected = compare::show(&entry.packet.to_bytes(0));
            return Err(self.failure(step, format!("no answer has come\n;; expected\n{expected}")));
        };
        let scenario = &self.stage.script.scenario;
        compare::check(entry, &answer).map_err(|difference| scenario.failure(entry.line, difference))
    }

    async fn reply(&self, step: &Step, entry: &Entry) -> Result<(), Failure> {
        let is_open = |entry| self.stage.upstreams.iter().find(|upstream| upstream.has_open(entry));
        self.until(|| is_open(entry).is_some()).await;
        let Some(upstream) = is_open(entry) else {
            return Err(self.failure(step, "no upstream has been asked this"));
        };
        if !upstream.answer(entry).await {
            return Err(self.failure(step, "only queries over UDP are answered by a step"));
        }
        self.time.settle().await;
        Ok(())
    }

    /// Moves time on; slowly while a client waits, so that every timer has its effect in turn.
    async fn pass(&self, span: Duration) {
        let mut left = span;
        while !left.is_zero() {
            let waits = self.inbox.lock().unwrap().waiting > 0;
            let stride = if waits { left.min(STRIDE) } else { left };
            self.stage.clock.advance(stride);
            self.time.settle().await;
            tokio::time::advance(stride).await;
            left -= stride;
        }
        self.time.settle().await;
    }

    async fn time_out(&self, step: &Step) -> Result<(), Failure> {
        let mut passed = Duration::ZERO;
        while self.inbox.lock().unwrap().waiting > 0 {
            if passed >= PATIENCE {
                return Err(self.failure(step, format!("a query still waits after {PATIENCE:?}")));
            }
            self.pass(STRIDE).await;
            passed += STRIDE;
        }
        self.stage.upstreams.iter().for_each(|upstream| upstream.close_all());
        Ok(())
    }
}
