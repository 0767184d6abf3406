//! The fast path: one query in, one disposition out, all steps as plain calls.

mod late;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use ipnet::IpNet;

use super::access::AccessList;
use super::lane::OwnLane;
use super::miss::{Landed, MissPath};
use super::settings::SpecialNames;
use super::walk::trace::Untraced;
use super::walk::{End, MAX_RESTARTS, Missing, Resolved, Walk, Why};
use super::{Asker, Disposition, Lane, PendingQuery, Reply, Responder, Settings, Transport};
use crate::cache::Cache;
use crate::clock::{Clock, Moment};
use crate::metrics::{AnswerSource, Board, DropReason, Tally};
use crate::upstream::Question;
use crate::wire::query::{Query, Unreadable, seeming_hash};
use crate::wire::response::{self, MAX_MESSAGE, Response, UDP_SIZE, Verdict};
use crate::wire::{CLASS_IN, EdeCode, Rcode, Rtype, Suffixes};
use crate::zone::{SharedTable, ZoneTable};

pub(super) use late::with_one_view;

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
    clock: Clock,
    /// Cells for responses that come late, on whatever thread they come.
    late: Arc<Tally>,
}

/// What of the settings every query is held against.
pub(super) struct Rules {
    access: AccessList,
    pub special: SpecialNames,
}

impl Rules {
    fn of(settings: &Settings) -> Self {
        Self { access: AccessList::new(&settings.access), special: settings.special }
    }

    /// The network of the access list that the client is let in by.
    pub fn admitting(&self, client: IpAddr) -> Option<IpNet> {
        self.access.admitting(client)
    }
}

/// What a batch reads once.
pub struct View {
    /// The time of the batch.
    pub now: Moment,
    /// What has been fetched before the batch.
    pub(super) landed: Landed,
    /// The zones of the batch.
    pub table: Guard<Arc<ZoneTable>>,
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
        let rules = ArcSwap::from_pointee(Rules::of(&settings));
        Self(Arc::new(Inner { table, cache, miss, rules, clock, late: board.register() }))
    }

    /// Takes other settings from the next batch on.
    pub fn reload(&self, settings: Settings) {
        self.0.miss.reload(&settings);
        self.0.rules.store(Arc::new(Rules::of(&settings)));
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
            Err(unreadable) => return answer_unreadable(query, unreadable, out, tally),
        };
        let max = match asker.transport {
            Transport::Udp => query.udp_size().min(UDP_SIZE),
            _ => MAX_MESSAGE,
        };
        let mut response = Response::start(&query, out, max);
        if let Some(verdict) = self.turned_away(view, &query, asker.client.ip()) {
            tally.response(AnswerSource::Local, verdict.rcode);
            return Outcome::Respond(response.finish(verdict));
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
            trace: Untraced,
        };
        let end = match walk.run(query.suffixes()) {
            End::Missing(_) if resolved.len() >= MAX_FETCHES => End::Failed(Why::ChainTooLong),
            end => end,
        };
        let Walk { source, authoritative, authentic, due, .. } = walk;
        if let Some(question) = due {
            self.renew(&question, &query);
        }
        finish(response, end, Said { source, authoritative, authentic }, tally)
    }

    #[cold]
    fn renew(&self, question: &Question, query: &Query<'_>) {
        self.0.miss.renew(question.clone(), query.dnssec_ok(), query.checking_disabled());
    }

    /// Everything that is refused before zones and cache are looked at.
    fn turned_away(&self, view: &View, query: &Query<'_>, client: IpAddr) -> Option<Verdict<'static>> {
        if !view.rules.access.admits(client) {
            let ede = Some((EdeCode::PROHIBITED, "this client's network is not on the access list"));
            return Some(Verdict { ede, ..Verdict::code(Rcode::REFUSED) });
        }
        if query.edns.is_some_and(|edns| edns.version != 0) {
            return Some(Verdict::code(Rcode::BADVERS));
        }
        let unsupported =
            |rcode, text| Some(Verdict { ede: Some((EdeCode::NOT_SUPPORTED, text)), ..Verdict::code(rcode) });
        match query.qtype {
            _ if query.qclass != CLASS_IN => unsupported(Rcode::REFUSED, "only class IN is served"),
            Rtype::AXFR | Rtype::IXFR => unsupported(Rcode::REFUSED, "no zone transfers here"),
            Rtype::ANY => None,
            qtype if qtype == Rtype::OPT || qtype.0 == 0 => Some(Verdict::code(Rcode::FORMERR)),
            qtype if qtype.is_meta() => unsupported(Rcode::NOTIMP, "not a type of data"),
            _ if self.0.miss.saw_probe(query.qname()) => {
                let ede = Some((EdeCode::OTHER, "a loop probe came back"));
                Some(Verdict { ede, ..Verdict::code(Rcode::REFUSED) })
            }
            _ => None,
        }
    }

    fn view_at(&self, now: Moment) -> View {
        let landed = self.0.miss.landed();
        View { now, landed, table: self.0.table.load(), rules: self.0.rules.load() }
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

/// What comes of a walk.
pub(super) enum Outcome {
    /// So many bytes of the output are the response.
    Respond(usize),
    /// Something must be fetched first.
    Missing(Missing),
    /// There is nothing to say.
    Drop,
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
        let draw = spread(tally.queries(proto));
        match self.respond(view, query, asker, out, tally, draw, &[]) {
            Outcome::Respond(len) => Disposition::Respond(len),
            Outcome::Drop => Disposition::Drop,
            Outcome::Missing(missing) => {
                let pending = PendingQuery::waiting(query, asker, missing, view.landed, draw);
                Disposition::Forward(Box::new(pending))
            }
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

fn answer_unreadable(query: &[u8], unreadable: Unreadable, out: &mut [u8], tally: &Tally) -> Outcome {
    match unreadable {
        Unreadable::ShortHeader => tally.drop_for(DropReason::ShortHeader),
        Unreadable::IsResponse => tally.drop_for(DropReason::IsResponse),
        Unreadable::Error { rcode, question_end } => {
            tally.response(AnswerSource::Local, rcode);
            return Outcome::Respond(response::error(query, question_end, rcode, out));
        }
    }
    Outcome::Drop
}

/// What a walk found out beside its end.
struct Said {
    source: AnswerSource,
    authoritative: bool,
    authentic: bool,
}

fn finish(mut response: Response<'_, '_>, end: End, said: Said, tally: &Tally) -> Outcome {
    let Said { source, authoritative, authentic } = said;
    match end {
        End::Missing(missing) => Outcome::Missing(missing),
        End::Failed(why) => {
            tally.response(source, Rcode::SERVFAIL);
            response.clear();
            Outcome::Respond(
                response.finish(Verdict { ede: Some(why.ede()), ..Verdict::code(Rcode::SERVFAIL) }),
            )
        }
        End::Done { rcode, ede } => {
            tally.response(source, rcode);
            if response.is_truncated() {
                tally.truncated();
            }
            let ede = ede.as_deref().map(|(code, text)| (*code, &**text));
            Outcome::Respond(response.finish(Verdict { rcode, authoritative, authentic, ede }))
        }
    }
}
