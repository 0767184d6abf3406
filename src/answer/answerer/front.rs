//! What every query passes before zones and cache are looked at: bounds, access, protocol.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Answerer, Outcome, Stopped, View};
use crate::answer::access::AccessList;
use crate::answer::identity::Told;
use crate::answer::keeping::Keepings;
use crate::answer::limits::{Excess, Limits};
use crate::answer::local::LocalNames;
use crate::answer::relief::ReliefRules;
use crate::answer::rules::AccessRules;
use crate::answer::settings::{AccessAction, SpecialNames};
use crate::answer::{Asker, Settings, Transport};
use crate::metrics::{AnswerSource, Bound, DropReason, Tally};
use crate::source::hosts::Hosts;
use crate::watch::{Sampling, Stop};
use crate::wire::query::{Query, Unreadable};
use crate::wire::response::{self, MAX_MESSAGE, NSID, Response, UDP_SIZE, Verdict};
use crate::wire::{CLASS_CH, CLASS_IN, EdeCode, Rcode, Rtype, Suffixes};

const STRANGER: (EdeCode, &str) = (EdeCode::PROHIBITED, "this client's network is not on the access list");
const BY_CLIENT: (EdeCode, &str) = (EdeCode::PROHIBITED, "an access rule refuses this client");
const BY_NAME: (EdeCode, &str) = (EdeCode::BLOCKED, "an access rule refuses this name");
const TOO_FAST: (EdeCode, &str) =
    (EdeCode::PROHIBITED, "this client asks more than limits.client_rate allows");
const TOO_MANY: (EdeCode, &str) =
    (EdeCode::PROHIBITED, "too many questions of this client wait for upstreams (limits.client_in_flight)");

/// What of the settings every query is held against. What is `None` costs a branch.
pub(in crate::answer) struct Rules {
    access: AccessList,
    /// What few configurations have, apart from what all need.
    extra: Option<Box<Extra>>,
    pub limits: Option<Arc<Limits>>,
    told: Told,
    pub special: SpecialNames,
    pub local: Option<Box<LocalNames>>,
    pub relief: Option<Box<ReliefRules>>,
    /// How what upstreams say is kept, for who finds no fresh answer.
    pub keepings: Keepings,
    /// Which queries the watch is told of.
    pub(super) sampling: Sampling,
}

/// The parts of the front that are off by default.
struct Extra {
    rules: Option<AccessRules>,
    /// The networks whose clients are no strangers, and the most that others get over UDP.
    near: AccessList,
    stranger_udp: usize,
    nsid: Option<Box<str>>,
}

/// What becomes of a query at the front.
enum Turn<'a> {
    /// It goes on.
    In,
    /// It is answered so.
    Away(Verdict<'static>),
    /// It is answered with this text of class CH.
    Chaos(&'a str),
    /// It is not answered.
    Silence,
}

impl Turn<'_> {
    fn refused(ede: (EdeCode, &'static str)) -> Self {
        Self::Away(Verdict { ede: Some(ede), ..Verdict::code(Rcode::REFUSED) })
    }
}

impl Rules {
    pub fn of(settings: &Settings, hosts: &[Arc<Hosts>], sampling: Sampling, before: Option<&Self>) -> Self {
        let told = Told::of(&settings.identity);
        Self {
            access: AccessList::new(&settings.access),
            extra: Extra::of(settings, &told),
            limits: Limits::new(&settings.clients, before.and_then(|before| before.limits.as_ref())),
            told,
            special: settings.special,
            local: LocalNames::new(&settings.overrides, hosts, settings.special),
            relief: ReliefRules::new(&settings.relief),
            keepings: Keepings::of(settings),
            sampling,
        }
    }

    /// What lets a client ask for a name, for people: a network of the access list, or a rule.
    pub fn admitting(&self, client: IpAddr, qname: &Suffixes) -> Option<String> {
        let rules = self.extra.as_ref().and_then(|extra| extra.rules.as_ref());
        match rules.and_then(|rules| rules.judge(client, Some(qname))) {
            Some(ruling) if ruling.action == AccessAction::Allow => {
                Some(format!("access rule {}", ruling.rule + 1))
            }
            Some(_) => None,
            None => self.access.admitting(client).map(|network| network.to_string()),
        }
    }

    /// Whether the client may ask; `qname` is `None` for what is no readable query.
    fn admit(&self, client: IpAddr, qname: Option<&Suffixes>) -> Turn<'static> {
        let rules = self.extra.as_ref().and_then(|extra| extra.rules.as_ref());
        rules.and_then(|rules| ruled(rules, client, qname)).unwrap_or_else(|| self.listed(client))
    }

    /// What the access list says by itself.
    #[inline]
    fn listed(&self, client: IpAddr) -> Turn<'static> {
        if self.access.admits(client) { Turn::In } else { Turn::refused(STRANGER) }
    }
}

fn ruled(rules: &AccessRules, client: IpAddr, qname: Option<&Suffixes>) -> Option<Turn<'static>> {
    let ruling = rules.judge(client, qname)?;
    Some(match ruling.action {
        AccessAction::Allow => Turn::In,
        AccessAction::Drop => Turn::Silence,
        AccessAction::Refuse => Turn::refused(if ruling.is_by_name { BY_NAME } else { BY_CLIENT }),
    })
}

impl Extra {
    /// `None` where all of it is as it is by default.
    fn of(settings: &Settings, told: &Told) -> Option<Box<Self>> {
        use crate::answer::settings::named_networks;
        let near: Vec<_> = ["loopback", "private"].into_iter().filter_map(named_networks).flatten().collect();
        let extra = Self {
            rules: AccessRules::new(&settings.access_rules),
            near: AccessList::new(&near),
            stranger_udp: settings.stranger_udp,
            nsid: told.server.clone(),
        };
        let is_plain = extra.rules.is_none() && extra.nsid.is_none() && extra.stranger_udp >= UDP_SIZE;
        (!is_plain).then(|| Box::new(extra))
    }

    /// Has the response keep to what the asker may get, and tell what it asks for.
    #[cold]
    fn dress<'q>(&'q self, response: &mut Response<'_, 'q>, query: &Query<'_>, asker: &Asker) {
        if asker.transport == Transport::Udp && !self.near.admits(asker.client.ip()) {
            response.limit_to(self.stranger_udp);
        }
        if let Some(nsid) = &self.nsid
            && query.edns.is_some_and(|edns| edns.option(NSID).is_some())
        {
            response.identify(nsid.as_bytes());
        }
    }
}

impl Answerer {
    /// Answers what is refused, or answered without a look at zones and cache; `None` for what goes on.
    #[inline]
    pub(super) fn front<'q>(
        &self,
        view: &'q View,
        query: &Query<'_>,
        asker: &Asker,
        response: &mut Response<'_, 'q>,
    ) -> Option<Front> {
        let rules: &'q Rules = &view.rules;
        let entry = match &rules.extra {
            None => rules.listed(asker.client.ip()),
            Some(extra) => {
                extra.dress(response, query, asker);
                rules.admit(asker.client.ip(), Some(query.suffixes()))
            }
        };
        let turn = if let Turn::In = entry { self.protocol(rules, query) } else { entry };
        match turn {
            Turn::In => None,
            Turn::Silence => Some(Front::Silence),
            Turn::Away(verdict) => Some(Front::Verdict(verdict)),
            Turn::Chaos(text) => Some(match response.chaos(text) {
                Ok(()) => Front::Verdict(Verdict { authoritative: true, ..Verdict::code(Rcode::NOERROR) }),
                Err(response::Full) => Front::Verdict(Verdict::code(Rcode::REFUSED)),
            }),
        }
    }

    /// What the protocol says of a query of somebody who may ask.
    #[inline]
    fn protocol<'a>(&self, rules: &'a Rules, query: &Query<'_>) -> Turn<'a> {
        if query.edns.is_some_and(|edns| edns.version != 0) {
            return Turn::Away(Verdict::code(Rcode::BADVERS));
        }
        let unsupported = |rcode, text| {
            Turn::Away(Verdict { ede: Some((EdeCode::NOT_SUPPORTED, text)), ..Verdict::code(rcode) })
        };
        match query.qtype {
            _ if query.qclass != CLASS_IN => match rules.told.text(query.qname(), query.qtype) {
                Some(text) if query.qclass == CLASS_CH => Turn::Chaos(text),
                _ => unsupported(Rcode::REFUSED, "only class IN is served"),
            },
            Rtype::AXFR | Rtype::IXFR => unsupported(Rcode::REFUSED, "no zone transfers here"),
            Rtype::ANY => Turn::In,
            qtype if qtype == Rtype::OPT || qtype.0 == 0 => Turn::Away(Verdict::code(Rcode::FORMERR)),
            qtype if qtype.is_meta() => unsupported(Rcode::NOTIMP, "not a type of data"),
            _ if self.0.miss.saw_probe(query.qname()) => {
                let ede = Some((EdeCode::OTHER, "a loop probe came back"));
                Turn::Away(Verdict { ede, ..Verdict::code(Rcode::REFUSED) })
            }
            _ => Turn::In,
        }
    }
}

/// What the front makes of a query.
pub(super) enum Front {
    /// The response ends so.
    Verdict(Verdict<'static>),
    /// There is none.
    Silence,
}

/// Answers what is no well-formed query. Who is not on the access list learns no more than that (RFC 8906
/// §3.1.4 asks for FORMERR and NOTIMP where one answers).
#[cold]
pub(super) fn unreadable(
    rules: &Rules,
    query: &[u8],
    unreadable: Unreadable,
    asker: &Asker,
    out: &mut [u8],
    tally: &Tally,
) -> Outcome {
    let (rcode, question_end) = match unreadable {
        Unreadable::ShortHeader => {
            tally.drop_for(DropReason::ShortHeader);
            return Outcome::Drop;
        }
        Unreadable::IsResponse => {
            tally.drop_for(DropReason::IsResponse);
            return Outcome::Drop;
        }
        Unreadable::Error { rcode, question_end } => (rcode, question_end),
    };
    let rcode = match rules.admit(asker.client.ip(), None) {
        Turn::In | Turn::Chaos(_) => rcode,
        Turn::Away(verdict) => verdict.rcode,
        Turn::Silence => {
            tally.drop_for(DropReason::Access);
            return Outcome::Stopped(Stopped::silently(Stop::Access));
        }
    };
    tally.response(AnswerSource::Local, rcode);
    Outcome::local(response::error(query, question_end, rcode, out), rcode)
}

/// What a query above its client's rate gets.
#[cold]
pub(super) fn exceeded(
    excess: Excess,
    (rules, asker): (&Rules, &Asker),
    query: &[u8],
    out: &mut [u8],
    tally: &Tally,
) -> Stopped {
    let mut qname = Suffixes::default();
    let parsed = Query::parse(query, &mut qname);
    // Who may not ask is told nothing, above the rate or below it.
    let may_ask = |query: &Query<'_>| {
        matches!(rules.admit(asker.client.ip(), Some(query.suffixes())), Turn::In | Turn::Chaos(_))
    };
    let (Excess::Slip | Excess::Refuse, Some(query)) = (excess, parsed.ok().filter(may_ask)) else {
        tally.bounded(Bound::Dropped);
        tally.drop_for(DropReason::RateLimited);
        return Stopped::silently(Stop::Bound(Bound::Dropped));
    };
    let mut response = Response::start(&query, out, UDP_SIZE);
    if excess == Excess::Slip {
        tally.bounded(Bound::Slipped);
        tally.truncated();
        tally.response(AnswerSource::Local, Rcode::NOERROR);
        response.truncate();
        let len = response.finish(Verdict::code(Rcode::NOERROR));
        return Stopped { by: Stop::Bound(Bound::Slipped), response: Some((len, Rcode::NOERROR)) };
    }
    tally.bounded(Bound::Refused);
    tally.response(AnswerSource::Local, Rcode::REFUSED);
    let verdict = Verdict { ede: Some(TOO_FAST), ..Verdict::code(Rcode::REFUSED) };
    Stopped { by: Stop::Bound(Bound::Refused), response: Some((response.finish(verdict), Rcode::REFUSED)) }
}

/// What a query gets whose client has too many others waiting.
#[cold]
pub(super) fn no_seat(query: &[u8], out: &mut [u8], tally: &Tally) -> Stopped {
    let (by, mut qname) = (Stop::Bound(Bound::InFlight), Suffixes::default());
    let Ok(query) = Query::parse(query, &mut qname) else { return Stopped::silently(by) };
    tally.bounded(Bound::InFlight);
    tally.response(AnswerSource::Local, Rcode::SERVFAIL);
    let verdict = Verdict { ede: Some(TOO_MANY), ..Verdict::code(Rcode::SERVFAIL) };
    let max = MAX_MESSAGE.min(query.udp_size().min(UDP_SIZE));
    let len = Response::start(&query, out, max).finish(verdict);
    Stopped { by, response: Some((len, Rcode::SERVFAIL)) }
}
