//! What a response may be, by all that the upstream said before.

use std::collections::BTreeSet;

use zonelet::wire::Rtype;

use super::Query;
use super::world::{Key, Said, World};
use crate::harness::message::Rec;
use crate::oracle::message::{Message, Record};

/// For how long expired answers are kept, milliseconds.
const STALE: u64 = 86_400_000;
/// For how long failures may be remembered, milliseconds.
const FAILURE: u64 = 30_000;
/// The most an expired answer has for a TTL, seconds.
const STALE_TTL: u32 = 30;

/// How many responses there were of each kind.
#[derive(Debug, Default)]
pub struct Kinds {
    fetched: usize,
    cached: usize,
    stale: usize,
    failed: usize,
    denied: usize,
    empty: usize,
    chains: usize,
    cut: usize,
}

impl Kinds {
    pub fn all_above(&self, least: usize) -> bool {
        let Self { fetched, cached, stale, failed, denied, empty, chains, cut } = *self;
        [fetched, cached, stale, failed, denied, empty, chains, cut].iter().all(|&n| n > least)
    }
}

/// What may be told of a question without the upstream.
struct Known<'a> {
    /// Answers to it, or denials of its name.
    usable: Vec<&'a Said>,
}

impl<'a> Known<'a> {
    /// The last answer to the question itself, and the last denial of the name, which ends when it is seen
    /// again, with whatever type.
    fn of(said: &'a [Said], key: Key) -> Self {
        let of_name = |said: &Said| !said.is_failure() && Key { rtype: key.rtype, ..said.key } == key;
        let all: Vec<&Said> = said.iter().filter(|said| of_name(said)).collect();
        let seen = all.iter().rposition(|said| !said.denies_name());
        let own = all.iter().rposition(|said| said.key == key).filter(|&at| !all[at].denies_name());
        let denial =
            all.iter().rposition(|said| said.denies_name()).filter(|&at| seen.is_none_or(|s| s < at));
        Self { usable: own.into_iter().chain(denial).map(|at| all[at]).collect() }
    }
}

fn expires(said: &Said) -> u64 {
    said.at.as_millis() + u64::from(said.lifetime()) * 1000
}

/// Panics unless the response to `query` may be given: after `said[before..]` was learned for it.
pub fn check(world: &World, before: usize, query: &Query, bytes: &[u8], kinds: &mut Kinds) {
    let (said, now, key) = (&world.said, world.clock.now().as_millis(), query.key);
    let response = Message::read(bytes);
    assert_eq!(bytes[..2], query.bytes[..2], "the id");
    assert_eq!(
        response.question,
        query.bytes[12..12 + response.question.len()],
        "the question, as it was cased"
    );
    assert_eq!(response.additionals.len(), usize::from(query.edns), "OPT for who sent one");
    assert_eq!(response.flags & 0x8180, 0x8180, "QR, RD, RA");
    assert_eq!(response.flags & 0x0400, 0, "no AA");
    let told =
        || format!("at {now}: {key:?}\n{response:#?}\nafter {:#?}", &said[said.len().saturating_sub(12)..]);

    let known = Known::of(said, key);
    let fetched = said.get(before).filter(|s| s.key == key);
    if let Some(fetched) = fetched.filter(|s| !s.is_failure()) {
        kinds.fetched += 1;
        assert!(is_told(fetched, 0, query, &response, kinds), "not what was fetched, {}", told());
        return;
    }
    let fresh: Vec<_> = known.usable.iter().filter(|s| now < expires(s)).collect();
    if fetched.is_none() && !fresh.is_empty() {
        kinds.cached += 1;
        let age = |s: &Said| u32::try_from((now - s.at.as_millis()) / 1000).unwrap();
        assert!(
            fresh.iter().any(|s| is_told(s, age(s), query, &response, kinds)),
            "not what is fresh, {}",
            told()
        );
        return;
    }
    let failed = said.iter().rev().find(|s| s.is_failure() && s.key == key);
    let is_failing = failed.is_some_and(|s| now <= s.at.as_millis() + FAILURE);
    assert!(is_failing, "neither fresh, nor fetched, nor failing, {}", told());
    let stale: Vec<_> =
        known.usable.iter().filter(|s| s.lifetime() > 0 && now < expires(s) + STALE).collect();
    if stale.is_empty() {
        kinds.failed += 1;
        assert_eq!((response.flags & 15, response.answers.len()), (2, 0), "{}", told());
        return;
    }
    kinds.stale += 1;
    assert!(stale.iter().any(|s| is_told_stale(s, query, &response)), "not what was known, {}", told());
    let ede = if response.flags & 15 == 3 { 19 } else { 3 };
    assert!(!query.edns || has_ede(&response, ede), "no extended error {ede}, {}", told());
}

/// Whether the response is what was said, this many seconds ago.
fn is_told(said: &Said, age: u32, query: &Query, response: &Message, kinds: &mut Kinds) -> bool {
    if is_cut(said, query, response) {
        kinds.cut += 1;
        return true;
    }
    kinds.chains += usize::from(said.answers.iter().any(|(_, rtype, ..)| *rtype == Rtype::CNAME));
    kinds.denied += usize::from(said.rcode == 3);
    kinds.empty += usize::from(said.rcode == 0 && said.answers.is_empty());
    let aged = |ttl: u32| ttl.saturating_sub(age);
    response.flags & 15 == u16::from(said.rcode)
        && set(&response.answers) == expected(&said.answers, aged)
        && set(&response.authorities) == expected(said.soa.as_slice(), aged)
}

/// Whether nothing is said, because it would not fit.
fn is_cut(said: &Said, query: &Query, response: &Message) -> bool {
    let records: usize = said.answers.iter().map(|(.., rdata)| rdata.len()).sum();
    let fits = query.tcp || records + 100 < if query.edns { 1232 } else { 512 };
    !fits && response.flags & 0x0200 != 0 && response.answers.is_empty()
}

fn is_told_stale(said: &Said, query: &Query, response: &Message) -> bool {
    let least = |ttl: u32| ttl.min(STALE_TTL);
    is_cut(said, query, response)
        || response.flags & 15 == u16::from(said.rcode)
            && set(&response.answers) == expected(&said.answers, least)
            && set(&response.authorities) == expected(said.soa.as_slice(), least)
}

type Bare = (Vec<u8>, u16, u32, Vec<u8>);

fn set(records: &[Record]) -> BTreeSet<Bare> {
    let lower = |r: &Record| r.owner.to_ascii_lowercase();
    let bare: BTreeSet<_> = records.iter().map(|r| (lower(r), r.rtype, r.ttl, r.rdata.clone())).collect();
    assert_eq!(bare.len(), records.len(), "a record twice");
    bare
}

fn expected(records: &[Rec], ttl: impl Fn(u32) -> u32) -> BTreeSet<Bare> {
    let one =
        |(owner, rtype, own, rdata): &Rec| (owner.as_bytes().to_vec(), rtype.0, ttl(*own), rdata.clone());
    records.iter().map(one).collect()
}

/// Whether there is an extended error of this code (RFC 8914 §2).
fn has_ede(response: &Message, code: u8) -> bool {
    let mut rest = response.options().unwrap_or_default();
    while let [0, 15, high, low, 0, told, ..] = rest {
        if *told == code {
            return true;
        }
        rest = &rest[4 + usize::from(u16::from_be_bytes([*high, *low]))..];
    }
    false
}
