//! From a question to the end of its CNAME chain, through zones, cache and what was just fetched.

mod chosen;
mod flattened;
mod forwarded;
mod local;
pub mod trace;

use std::sync::Arc;
use std::time::Duration;

use super::answerer::View;
use super::miss::Fetched;
use super::special::{self, Special};
use crate::cache::{Cache, Failure};
use crate::metrics::AnswerSource;
use crate::upstream::Question;
use crate::wire::query::HEADER;
use crate::wire::response::{Full, NameAt, Response};
use crate::wire::{EdeCode, NameRef, Rcode, Rtype, Suffixes};
use crate::zone::{Authority, Lookup, OnMissing, Part, Rrset, WhenUnloaded, Zone};

use trace::{Event, Trace};

/// Restarts of ours at a CNAME's target; past it the chain is a failure, never a partial answer.
pub const MAX_RESTARTS: usize = 16;

/// A question that has to be fetched before the walk can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The query's own question, or its type for a target in its chain.
    pub question: Question,
    /// The name is known to exist, so NXDOMAIN would be a lie.
    pub must_exist: bool,
    /// Clients have been given an answer to it that has expired since.
    pub was_in_use: bool,
}

/// A question that was fetched for this query, and what came of it.
#[derive(Debug)]
pub struct Resolved {
    /// What was asked.
    pub question: Question,
    /// What came.
    pub fetched: Fetched,
}

/// Where a walk ended.
pub enum End {
    /// The answer and authority sections are written.
    Done {
        /// The last name's code (RFC 6604 §2).
        rcode: Rcode,
        /// The upstream's extended error, to be passed on; few answers have one.
        ede: Option<Box<(EdeCode, Box<str>)>>,
    },
    /// The answer and authority sections are written, and it is told why they are so.
    Told {
        /// The last name's code.
        rcode: Rcode,
        /// The extended error.
        ede: (EdeCode, &'static str),
    },
    /// A failure of ours, to be told with its extended error; nothing written counts.
    Failed(Why),
    /// Something must be fetched first.
    Missing(Missing),
}

/// Why a query is answered SERVFAIL.
pub enum Why {
    /// The upstreams gave nothing.
    Upstream(Arc<Failure>),
    /// The zone has not been loaded yet.
    NotLoaded,
    /// Too many CNAMEs, or a loop of them.
    ChainTooLong,
    /// The upstream denies a name that is known to exist.
    Denied,
    /// An alias that leads back to itself.
    AliasLoop,
    /// The upstream's answer for the target of an alias is an error.
    Target,
}

impl Why {
    /// The extended error (RFC 8914).
    pub fn ede(&self) -> (EdeCode, &str) {
        match self {
            Self::Upstream(failure) => (failure.ede, &failure.text),
            Self::NotLoaded => (EdeCode::NOT_READY, "the zone has not been loaded yet"),
            Self::ChainTooLong => (EdeCode::OTHER, "CNAME chain too long"),
            Self::AliasLoop => (EdeCode::OTHER, "the record is an alias that leads back to itself"),
            Self::Target => (EdeCode::OTHER, "the target of the alias cannot be resolved"),
            Self::Denied => (EdeCode::OTHER, "the upstream denies a name that exists in an imported zone"),
        }
    }
}

/// One walk, which tells `T` what it comes by.
pub struct Walk<'w, 'r, 'o, 'q, T> {
    /// The batch's view of time, zones and settings.
    pub view: &'w View,
    /// Responses learned before.
    pub cache: &'w Cache,
    /// What was fetched for this very query.
    pub resolved: &'w [Resolved],
    /// Written into.
    pub response: &'r mut Response<'o, 'q>,
    /// The query's type.
    pub qtype: Rtype,
    /// The query's DO bit.
    pub dnssec_ok: bool,
    /// The query's CD bit.
    pub checking_disabled: bool,
    /// Where RRsets start turning.
    pub rotate: u64,
    /// AA: the first owner is of a zone here (RFC 1035 §4.1.1).
    pub authoritative: bool,
    /// AD: everything so far came from upstreams that vouch for it.
    pub authentic: bool,
    /// Where the answer came from, for the counters.
    pub source: AnswerSource,
    /// How many more CNAMEs may be followed; begins at [`MAX_RESTARTS`].
    pub restarts_left: usize,
    /// A question whose cached answer was used and is to be learned anew before it expires.
    pub due: Option<Box<Due>>,
    /// Why something was given that has expired.
    pub stale: Option<Box<Expired>>,
    /// Told of every step; for who answers queries, nobody.
    pub trace: T,
}

/// A question to be asked beside the query that has been answered.
#[derive(Debug)]
pub struct Due {
    /// The question.
    pub question: Question,
    /// The name is known to exist.
    pub must_exist: bool,
    /// The answer that was given had expired.
    pub is_expired: bool,
}

/// Why an expired answer is given, for the extended error.
#[derive(Debug)]
pub struct Expired {
    /// How long ago it expired.
    since: Duration,
    /// What upstreams said, or did not say.
    failure: Arc<Failure>,
}

impl Expired {
    /// The extended error of an answer with this code (RFC 8914 §4.4, §4.20).
    pub fn ede(&self, rcode: Rcode) -> (EdeCode, Box<str>) {
        let code = if rcode == Rcode::NXDOMAIN { EdeCode::STALE_NXDOMAIN } else { EdeCode::STALE };
        let text = match self.since.as_secs() {
            0 => self.failure.text.clone(),
            seconds => format!("expired {seconds} s ago: {}", self.failure.text).into(),
        };
        (code, text)
    }
}

enum Step {
    /// Go on at the target whose name stands at this offset.
    Restart(usize),
    End(End),
}

/// A loaded zone as the table has it.
#[derive(Clone, Copy)]
struct Ours<'w> {
    zone: &'w Zone,
    part: Part<'w>,
}

impl Ours<'_> {
    /// Whether every name below the apex is answered by this zone, so that its own links may be
    /// followed: none belongs to another zone, loaded or not, and none is special.
    fn owns_all_below(&self) -> bool {
        !self.part.is_divided && !special::lies_below(self.part.apex)
    }
}

/// What to say when the upstream has nothing better.
#[derive(Clone, Copy)]
enum Fallback<'z> {
    None,
    /// The name exists: the upstream's NXDOMAIN means nothing.
    MustExist,
    /// The zone's own NODATA stands unless the upstream has the type.
    NoData(&'z Zone),
}

impl<'w, T: Trace<'w>> Walk<'w, '_, '_, '_, T> {
    /// Walks from `qname`; a response that grew past its room comes back truncated.
    pub fn run(&mut self, qname: &Suffixes) -> End {
        let (mut name, mut at, mut followed) = (qname, HEADER, None);
        // Where a name passed before stands: a loop comes by it again, before it fills the response.
        let mut landmark = HEADER;
        for step in 0..=MAX_RESTARTS {
            let target_at = match self.step(NameAt { at, name: name.name() }, name, step == 0) {
                Err(Full) => return self.cut(),
                Ok(Step::End(end)) => return end,
                Ok(Step::Restart(target_at)) => target_at,
            };
            let Some(target) = self.response.name_at(target_at) else { break };
            if self.response.name_at(landmark).is_some_and(|passed| passed.eq_ignore_ascii_case(target)) {
                break;
            }
            if step.is_power_of_two() {
                landmark = target_at;
            }
            let Some(left) = self.restarts_left.checked_sub(1) else { break };
            self.restarts_left = left;
            let next = followed.insert(Suffixes::default());
            if next.read(target).is_none() {
                break;
            }
            (name, at) = (next, target_at);
        }
        End::Failed(Why::ChainTooLong)
    }

    fn cut(&mut self) -> End {
        self.response.truncate();
        End::Done { rcode: Rcode::NOERROR, ede: None }
    }

    fn step(&mut self, owner: NameAt<'_>, name: &Suffixes, first: bool) -> Result<Step, Full> {
        let view: &'w View = self.view;
        self.trace.note(|| Event::Name(name.name().to_owned()));
        if let Some(names) = &view.rules.local
            && let Some(local) = names.find(name)
        {
            self.trace.note(|| Event::Local(local));
            return self.pinned(owner, local, first);
        }
        if let Some(special) = special::find(name, self.qtype, view.rules.special) {
            self.trace.note(|| Event::Special(special));
            return self.special(owner, special, first);
        }
        let Some(part) = view.table.find_part(name) else { return self.unclaimed(owner, name, first) };
        self.trace.note(|| Event::Zone(part));
        match part.authority {
            Authority::Loaded(zone) => self.in_zone(Ours { zone, part }, owner, name, first),
            Authority::Unloaded(when, asked) => {
                asked.note();
                match when {
                    WhenUnloaded::Fail => Ok(Step::End(End::Failed(Why::NotLoaded))),
                    WhenUnloaded::Forward => self.forwarded(owner, Fallback::None),
                }
            }
            Authority::CarvedOut => self.forwarded(owner, Fallback::None),
        }
    }

    fn in_zone(
        &mut self,
        ours: Ours<'w>,
        owner: NameAt<'_>,
        name: &Suffixes,
        first: bool,
    ) -> Result<Step, Full> {
        let zone = ours.zone;
        let lookup = zone.lookup(name, self.qtype);
        self.trace.note(|| Event::Found(lookup));
        match (lookup, zone.on_missing()) {
            (Lookup::Deferred(_), _) => return self.forwarded(owner, Fallback::MustExist),
            (Lookup::Delegated, _) => return self.forwarded(owner, Fallback::None),
            (Lookup::Choice(choice), _) if choice.is_uncertain() => {
                return self.uncertain(ours, choice, owner, first);
            }
            (Lookup::NxDomain, OnMissing::ForwardNxDomain | OnMissing::ForwardNoData) => {
                return self.forwarded(owner, Fallback::None);
            }
            (Lookup::NoData, OnMissing::ForwardNoData) => {
                return self.forwarded(owner, Fallback::NoData(zone));
            }
            (Lookup::Choice(choice), OnMissing::ForwardNoData) if choice.is_nothing() => {
                return self.forwarded(owner, Fallback::NoData(zone));
            }
            _ => {}
        }
        self.local(first);
        match lookup {
            Lookup::Cname(alias) => self.chain(ours, owner.at, alias),
            Lookup::Answer(rrset) => {
                self.response.answer(owner, rrset.block(), rrset.count, self.rotate)?;
                Ok(done(Rcode::NOERROR))
            }
            Lookup::Any => self.any(owner),
            Lookup::Outside(target) => self.flattened(zone, owner, target, first),
            Lookup::Loop => Ok(failed(Why::AliasLoop)),
            Lookup::Choice(choice) => self.chosen(ours, choice, owner, first),
            Lookup::NxDomain => self.negative(zone, owner, Rcode::NXDOMAIN),
            _ => self.negative(zone, owner, Rcode::NOERROR),
        }
    }

    /// Notes that data of ours goes into the response.
    fn local(&mut self, first: bool) {
        self.authentic = false;
        if first {
            self.authoritative = true;
            self.source = AnswerSource::Zone;
        }
    }

    /// Writes a CNAME, and those it leads to, up to their end, as far as the zone knows the way.
    fn chain(&mut self, ours: Ours<'w>, owner_at: usize, mut alias: Rrset<'w>) -> Result<Step, Full> {
        let mut at = owner_at;
        loop {
            let start = self.response.position();
            self.trace.note(|| Event::Cname(alias));
            self.response.answer(target(at), alias.block(), alias.count, 0)?;
            // The owner is a pointer of two bytes, the fixed fields ten: the target follows.
            at = start + 12;
            let owns_all = ours.owns_all_below() && self.view.rules.local.is_none();
            let next = if owns_all { ours.zone.follow(alias, self.qtype) } else { None };
            match (next, self.restarts_left.checked_sub(1)) {
                (Some(Lookup::Answer(rrset)), Some(_)) => {
                    self.trace.note(|| Event::Linked(rrset));
                    self.response.answer(target(at), rrset.block(), rrset.count, self.rotate)?;
                    return Ok(done(Rcode::NOERROR));
                }
                (Some(Lookup::Cname(next)), Some(left)) => (alias, self.restarts_left) = (next, left),
                // Negative, deferred, somebody else's: what that means is decided in one place.
                _ => return Ok(Step::Restart(at)),
            }
        }
    }

    /// A special name is answered here, also where a chain leads to it: it is no upstream's.
    fn special(&mut self, owner: NameAt<'_>, special: Special, first: bool) -> Result<Step, Full> {
        self.local(first);
        if first {
            self.source = AnswerSource::Special;
        }
        match special.rdata {
            Some(rdata) => self.response.record(false, owner.at, self.qtype, special::TTL, rdata)?,
            None => {
                let zone_at = owner.at + owner.name.as_bytes().len() - special.zone_len;
                self.response.record(true, zone_at, Rtype::SOA, special::TTL, special::SOA)?;
            }
        }
        Ok(done(special.rcode))
    }

    /// ANY gets one made-up record (RFC 8482 §4.2).
    fn any(&mut self, owner: NameAt<'_>) -> Result<Step, Full> {
        self.response.record(false, owner.at, Rtype::HINFO, 3600, b"\x07RFC8482\x00")?;
        Ok(done(Rcode::NOERROR))
    }

    fn negative(&mut self, zone: &Zone, owner: NameAt<'_>, rcode: Rcode) -> Result<Step, Full> {
        let apex_at = owner.at + owner.name.as_bytes().len() - zone.apex().as_bytes().len();
        self.response.authority(apex_at, zone.denial())?;
        Ok(done(rcode))
    }
}

/// The name that stands at this offset of the response; what it is does not matter for its pointer.
fn target(at: usize) -> NameAt<'static> {
    NameAt { at, name: NameRef::from_checked(&[0]) }
}

fn failed(why: Why) -> Step {
    Step::End(End::Failed(why))
}

fn done(rcode: Rcode) -> Step {
    Step::End(End::Done { rcode, ede: None })
}
