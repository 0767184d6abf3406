//! The fast path: one query in, one disposition out, all steps as plain calls.

mod front;
mod laid;
mod late;
mod outcome;
mod watched;

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use super::lane::OwnLane;
use super::miss::{Landed, MissPath, Want};
use super::walk::trace::Untraced;
use super::walk::{Due, End, Expired, MAX_RESTARTS, Resolved, Walk, Why};
use super::{Asker, Disposition, Lane, PendingQuery, Reply, Responder, Settings, Transport};
use crate::cache::Cache;
use crate::clock::{Clock, Moment};
use crate::metrics::{AnswerSource, Board, DropReason, Tally};
use crate::watch::{Sampling, Stop, Watch};
use crate::wire::query::{Query, seeming_hash};
use crate::wire::response::{MAX_MESSAGE, Response, UDP_SIZE, Verdict};
use crate::wire::{Rcode, Suffixes};
use crate::zone::{SharedTable, ZoneTable};

use front::Front;
use laid::Laid;
use outcome::{Made, Stopped};

pub(super) use front::Rules;
pub(super) use late::with_one_view;
pub(super) use outcome::Outcome;

/// Questions put to upstreams for one client's query: an upstream that answers each with one more
/// CNAME must not turn one packet into dozens.
const MAX_FETCHES: usize = 8;

/// Answers queries from zones and cache, and knows who fetches the rest.
///
/// Cloning shares everything.
#[derive(Clone)]
pub struct Answerer(Arc<Inner>);

struct Inner {
    table: SharedTable,
    cache: Arc<Cache>,
    miss: MissPath,
    rules: ArcSwap<Rules>,
    laid: Mutex<Laid>,
    clock: Clock,
    /// Cells for responses that come late, on whatever thread they come.
    late: Arc<Tally>,
    /// Who is told what came of queries.
    watch: OnceLock<Watch>,
}

/// What a batch reads once.
pub struct View {
    /// The time of the batch.
    pub now: Moment,
    /// The same for who is told of its queries, more exactly where that is asked for.
    received: Duration,
    /// What has been fetched before the batch.
    pub(super) landed: Landed,
    /// The zones of the batch.
    pub table: Guard<Arc<ZoneTable>>,
    /// Whether there is leisure to learn anew what is about to expire.
    pub(super) has_leisure: bool,
    pub(super) rules: Guard<Arc<Rules>>,
}

impl Answerer {
    /// Puts the pieces together.
    pub fn new(
        table: SharedTable,
        cache: Arc<Cache>,
        miss: MissPath,
        settings: Settings,
        clock: Clock,
        board: &Board,
    ) -> Self {
        let rules = ArcSwap::from_pointee(Rules::of(&settings, &[], Sampling::NONE, None));
        let (laid, late, watch) = (Mutex::new(Laid::new(settings)), board.register(), OnceLock::new());
        Self(Arc::new(Inner { table, cache, miss, rules, laid, clock, late, watch }))
    }

    #[allow(clippy::too_many_arguments)] // All of them are what one query is; a struct would be written and read once.
    pub(super) fn respond(
        &self,
        view: &View,
        query: &[u8],
        asker: Asker,
        out: &mut [u8],
        tally: &Tally,
        draw: u64,
        resolved: &[Resolved],
    ) -> Outcome {
        let mut qname = Suffixes::default();
        let query = match Query::parse(query, &mut qname) {
            Ok(query) => query,
            Err(unreadable) => return front::unreadable(&view.rules, query, unreadable, &asker, out, tally),
        };
        let max = match asker.transport {
            Transport::Udp => query.udp_size().min(UDP_SIZE),
            _ => MAX_MESSAGE,
        };
        let mut response = Response::start(&query, out, max);
        match self.front(view, &query, &asker, &mut response) {
            None => {}
            Some(Front::Verdict(verdict)) => {
                tally.response(AnswerSource::Local, verdict.rcode);
                let rcode = verdict.rcode;
                return Outcome::local(response.finish(verdict), rcode);
            }
            Some(Front::Silence) => {
                tally.drop_for(DropReason::Access);
                return Outcome::Stopped(Stopped::silently(Stop::Access));
            }
        }
        let mut walk = Walk {
            view,
            cache: &self.0.cache,
            resolved,
            response: &mut response,
            qtype: query.qtype,
            dnssec_ok: query.dnssec_ok(),
            checking_disabled: query.checking_disabled(),
            rotate: draw,
            authoritative: false,
            authentic: true,
            source: AnswerSource::Cache,
            restarts_left: MAX_RESTARTS,
            due: None,
            stale: None,
            trace: Untraced,
        };
        let end = match walk.run(query.suffixes()) {
            End::Missing(_) if resolved.len() >= MAX_FETCHES => End::Failed(Why::ChainTooLong),
            end => end,
        };
        let Walk { source, authoritative, authentic, due, stale, .. } = walk;
        if let Some(due) = due {
            self.renew(*due, &query);
        }
        finish(response, end, Said { source, authoritative, authentic, stale }, tally)
    }

    #[cold]
    fn renew(&self, due: Due, query: &Query<'_>) {
        let Due { question, must_exist, is_expired } = due;
        let want = Want::renewal(question, must_exist, query.dnssec_ok(), query.checking_disabled());
        if is_expired { self.0.miss.refresh(want) } else { self.0.miss.renew(want) }
    }

    fn view_at(&self, now: Moment) -> View {
        let landed = self.0.miss.landed();
        let (has_leisure, rules) = (self.0.miss.has_leisure(now), self.0.rules.load());
        let received = self.received(&rules, now);
        View { now, received, landed, table: self.0.table.load(), has_leisure, rules }
    }

    /// What a query that came now would be answered from.
    pub(super) fn view_now(&self) -> View {
        self.view_at(self.0.clock.now())
    }

    /// What was learned before.
    pub(super) fn cache(&self) -> &Cache {
        &self.0.cache
    }

    /// The way to the upstreams.
    pub(super) fn miss(&self) -> &MissPath {
        &self.0.miss
    }
}

impl Responder for Answerer {
    type View = View;

    fn view(&self) -> View {
        self.view_at(self.0.clock.now())
    }

    fn expect(&self, query: &[u8]) {
        if let Some(hash) = seeming_hash(query) {
            self.0.cache.expect(hash);
        }
    }

    fn answer(&self, view: &View, query: &[u8], asker: Asker, out: &mut [u8], tally: &Tally) -> Disposition {
        let proto = asker.transport.proto();
        tally.query(proto);
        if let Some(limits) = &view.rules.limits
            && let Some(excess) = limits.excess(&asker, view.now)
        {
            let stopped = front::exceeded(excess, (&view.rules, &asker), query, out, tally);
            return self.stopped(view, (query, &asker), out, stopped, spread(tally.queries(proto)));
        }
        let draw = spread(tally.queries(proto));
        match self.respond(view, query, asker, out, tally, draw, &[]) {
            Outcome::Respond(len, made) => {
                if view.rules.sampling.takes(draw) {
                    self.seen(view, (query, &asker, view.received), out.get(..len), made, draw);
                }
                Disposition::Respond(len)
            }
            Outcome::Missing(missing) => {
                let mut pending =
                    PendingQuery::waiting(query, asker, missing, view.landed, draw, view.received);
                if let Some(limits) = &view.rules.limits {
                    match limits.seat(asker.client.ip()) {
                        Ok(seat) => pending.seat = seat,
                        Err(_) => {
                            let stopped = front::no_seat(query, out, tally);
                            return self.stopped(view, (query, &asker), out, stopped, draw);
                        }
                    }
                }
                Disposition::Forward(Box::new(pending))
            }
            Outcome::Stopped(stopped) => self.stopped(view, (query, &asker), out, stopped, draw),
            Outcome::Drop => Disposition::Drop,
        }
    }

    fn submit(&self, pending: Box<PendingQuery>, reply: Arc<dyn Reply>) {
        self.fetch(pending, reply, None);
    }

    fn lane(&self) -> io::Result<Option<Box<dyn Lane>>> {
        let lane = self.0.miss.lane()?;
        Ok(Some(Box::new(OwnLane { answerer: self.clone(), lane })))
    }
}

/// Where RRsets start turning for the query of this number.
///
/// The number itself would do badly: stubs ask for A and AAAA in pairs, and a set of two records
/// would show each type the same one first for ever. Fibonacci hashing breaks every such step.
fn spread(query: u64) -> u64 {
    query.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// What a walk found out beside its end.
struct Said {
    source: AnswerSource,
    authoritative: bool,
    authentic: bool,
    stale: Option<Box<Expired>>,
}

fn finish(mut response: Response<'_, '_>, end: End, said: Said, tally: &Tally) -> Outcome {
    let Said { mut source, authoritative, authentic, stale } = said;
    match end {
        End::Missing(missing) => Outcome::Missing(missing),
        End::Failed(why) => {
            tally.response(source, Rcode::SERVFAIL);
            response.clear();
            Outcome::Respond(
                response.finish(Verdict { ede: Some(why.ede()), ..Verdict::code(Rcode::SERVFAIL) }),
                Made { source, rcode: Rcode::SERVFAIL },
            )
        }
        End::Told { rcode, ede } => {
            tally.response(source, rcode);
            let verdict = Verdict { rcode, authoritative, authentic, ede: Some(ede) };
            Outcome::Respond(response.finish(verdict), Made { source, rcode })
        }
        End::Done { rcode, mut ede } => {
            if let Some(expired) = stale {
                source = AnswerSource::Stale;
                ede = Some(Box::new(expired.ede(rcode)));
            }
            tally.response(source, rcode);
            if response.is_truncated() {
                tally.truncated();
            }
            let ede = ede.as_deref().map(|(code, text)| (*code, &**text));
            let verdict = Verdict { rcode, authoritative, authentic, ede };
            Outcome::Respond(response.finish(verdict), Made { source, rcode })
        }
    }
}
