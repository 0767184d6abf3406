//! Why a name gets its answer: the very walk that answers queries, told step by step.
//!
//! The answer is that of `Answerer::respond`. The steps are those of a walk over the same zones, with the same
//! draw and the same answers of upstreams, which records what it comes by: it is the same code, so it cannot
//! differ. Nothing of this is in the way of a query.

mod report;
mod steps;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::answerer::{Answerer, Outcome, View};
use super::miss::{Fetched, Want};
use super::walk::trace::{Event, Recorder};
use super::walk::{self, MAX_RESTARTS, Resolved, Walk};
use super::{Asker, Transport};
use crate::metrics::{AnswerSource, Tally};
use crate::wire::ask::Query as OwnQuery;
use crate::wire::query::Query;
use crate::wire::response::{MAX_MESSAGE, Response, UDP_SIZE};
use crate::wire::{Name, Rtype, Suffixes, present};

pub use report::{Answer, Asked, Claim, Consulted, Explanation, ExtendedError};
pub use report::{Known, Missing, Record, Step, ZoneStep};

/// What is to be explained.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name.
    pub qname: Name,
    /// The type.
    pub qtype: Rtype,
    /// Who asks.
    pub client: IpAddr,
}

/// How far an explanation goes to find the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Upstreams are asked what is not known here, as for a client, for this long in all.
    Upstreams(Duration),
    /// Nobody is asked.
    Here,
}

impl Answerer {
    /// Explains what `question` is answered with. The answer, and what had to be asked for it, are cached as a
    /// client's would be, but not counted.
    pub async fn explain(&self, question: &Question, reach: Reach) -> Explanation {
        let query = OwnQuery {
            qname: question.qname.as_ref(),
            qtype: question.qtype,
            dnssec_ok: false,
            checking_disabled: false,
            edns: true,
            option: None,
        };
        let trial = Trial {
            answerer: self,
            question,
            query: query.to_bytes(),
            asker: Asker::new(SocketAddr::new(question.client, 0), Transport::Tcp),
            draw: u64::from(rand::random::<u32>()),
        };
        let mut explanation = trial.run(reach).await;
        explanation.is_offline = reach == Reach::Here;
        explanation
    }
}

/// One question on its way to an answer.
struct Trial<'a> {
    answerer: &'a Answerer,
    question: &'a Question,
    query: Vec<u8>,
    asker: Asker,
    draw: u64,
}

impl Trial<'_> {
    async fn run(&self, reach: Reach) -> Explanation {
        let (mut resolved, mut asked, started) = (Vec::new(), Vec::new(), Instant::now());
        loop {
            let Some(missing) = self.missing(&resolved) else { break self.told(&resolved, asked, "") };
            let Reach::Upstreams(limit) = reach else {
                break self.told(&resolved, asked, "offline, so nobody is asked");
            };
            let (left, began) = (limit.saturating_sub(started.elapsed()), Instant::now());
            let Ok(Ok(fetched)) = timeout(left, self.fetch(&missing)).await else {
                let why = format!("no answer came within {} s", limit.as_secs());
                break self.told(&resolved, asked, &why);
            };
            asked.push(Asked {
                name: missing.question.qname().to_string(),
                rtype: missing.question.qtype().to_string(),
                milliseconds: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
                outcome: match &fetched {
                    Fetched::Entry(entry) => steps::outcome(entry.learned.outcome).to_owned(),
                    Fetched::Stale(_, failure) | Fetched::Failed(failure) => failure.text.to_string(),
                },
            });
            resolved.push(Resolved { question: missing.question, fetched });
        }
    }

    fn fetch(&self, missing: &walk::Missing) -> oneshot::Receiver<Fetched> {
        let (done, outcome) = oneshot::channel();
        let want = Want {
            question: missing.question.clone(),
            dnssec_ok: false,
            checking_disabled: false,
            must_exist: missing.must_exist,
            client: self.asker.client,
            marker: None,
            was_in_use: missing.was_in_use,
            renews: false,
        };
        // Who waits may have lost patience.
        self.answerer.miss().fetch(want, Box::new(move |fetched: Fetched| drop(done.send(fetched))));
        outcome
    }

    fn respond(&self, view: &View, resolved: &[Resolved], out: &mut [u8]) -> Outcome {
        self.answerer.respond(view, &self.query, self.asker, out, &Tally::default(), self.draw, resolved)
    }

    /// What must be fetched for an answer.
    fn missing(&self, resolved: &[Resolved]) -> Option<walk::Missing> {
        match self.respond(&self.answerer.view_now(), resolved, &mut vec![0; MAX_MESSAGE]) {
            Outcome::Missing(missing) => Some(missing),
            Outcome::Respond(..) | Outcome::Stopped(_) | Outcome::Drop => None,
        }
    }

    /// The explanation with what is known by now; `why` nothing more was fetched.
    fn told(&self, resolved: &[Resolved], asked: Vec<Asked>, why: &str) -> Explanation {
        let (view, mut out) = (self.answerer.view_now(), vec![0; MAX_MESSAGE]);
        let outcome = self.respond(&view, resolved, &mut out);
        let admitted_by =
            view.rules.admitting(self.question.client, &Suffixes::of(self.question.qname.as_ref()));
        let (events, source) = match &admitted_by {
            Some(_) => self.trace(&view, resolved),
            None => (Vec::new(), AnswerSource::Local),
        };
        let Question { qname, qtype, client } = self.question;
        let telling = steps::Telling { answerer: self.answerer, qtype: *qtype, now: view.now };
        let missing = match &outcome {
            Outcome::Missing(missing) => Some(Missing {
                name: missing.question.qname().to_string(),
                rtype: missing.question.qtype().to_string(),
                why: why.to_owned(),
            }),
            Outcome::Respond(..) | Outcome::Stopped(_) | Outcome::Drop => None,
        };
        Explanation {
            qname: qname.to_string(),
            qtype: qtype.to_string(),
            client: client.to_string(),
            admitted_by,
            steps: telling.steps(&events),
            asked,
            missing,
            from: source.label().to_owned(),
            answer: match outcome {
                Outcome::Respond(len, _) => out.get(..len).and_then(answer),
                Outcome::Missing(_) | Outcome::Stopped(_) | Outcome::Drop => None,
            },
            ..Explanation::default()
        }
    }

    /// What a walk to the same answer comes by.
    fn trace<'v>(&'v self, view: &'v View, resolved: &'v [Resolved]) -> (Vec<Event<'v>>, AnswerSource) {
        let (mut out, mut qname) = (vec![0; MAX_MESSAGE], Suffixes::default());
        let Ok(query) = Query::parse(&self.query, &mut qname) else {
            return (Vec::new(), AnswerSource::Local);
        };
        let mut response = Response::start(&query, &mut out, MAX_MESSAGE);
        let mut walk = Walk {
            view,
            cache: self.answerer.cache(),
            resolved,
            response: &mut response,
            qtype: query.qtype,
            dnssec_ok: query.dnssec_ok(),
            checking_disabled: query.checking_disabled(),
            rotate: self.draw,
            authoritative: false,
            authentic: true,
            source: AnswerSource::Cache,
            restarts_left: MAX_RESTARTS,
            due: None,
            stale: None,
            trace: Recorder::default(),
        };
        walk.run(query.suffixes());
        let source = if walk.stale.is_some() { AnswerSource::Stale } else { walk.source };
        (walk.trace.0, source)
    }
}

fn answer(response: &[u8]) -> Option<Answer> {
    let told = present::message(response)?;
    let records = |records: &[present::Record]| {
        let one = |r: &present::Record| Record {
            owner: r.owner.clone(),
            ttl: r.ttl,
            rtype: r.rtype.to_string(),
            data: r.data.clone(),
        };
        records.iter().map(one).collect()
    };
    Some(Answer {
        rcode: format!("{:?}", told.rcode()),
        authoritative: told.authoritative,
        authentic: told.authentic,
        is_truncated_over_udp: response.len() > UDP_SIZE,
        answers: records(&told.answers),
        authorities: records(&told.authorities),
        ede: told.ede.map(|(code, text)| ExtendedError { code: code.0, text }),
    })
}
