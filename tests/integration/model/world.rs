//! An upstream whose data changes by steps, and that writes down whatever it said.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use zonelet::clock::{Clock, Moment};
use zonelet::wire::{Name, Rtype};

use crate::harness::message::{Question, Rec, a, cname, name, soa};

/// Names of the world, by number.
pub const NAMES: usize = 3;
/// Types of the world, by number.
pub const TYPES: [Rtype; 3] = [Rtype::A, Rtype::AAAA, Rtype::TXT];
/// Where its SOA stands.
const APEX: &str = "world.test";

/// What there is at a name.
#[derive(Clone, Debug)]
pub enum State {
    /// RRsets of some types, TTL and content; denials of the other types carry a SOA, or not.
    Sets([Option<(u32, u8)>; TYPES.len()], Denial),
    /// A CNAME to a name with a higher number, which the upstream follows.
    Cname(usize, u32),
    /// Nothing.
    Denied(Denial),
    /// The upstream answers with this error code.
    Failing(u8),
}

/// The SOA's TTL and MINIMUM, if there is a SOA.
pub type Denial = Option<(u32, u32)>;

/// Who asks what, as far as answers are kept apart by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub name: usize,
    pub rtype: usize,
    pub dnssec_ok: bool,
    pub checking_disabled: bool,
}

/// What the upstream said.
#[derive(Clone, Debug)]
pub struct Said {
    pub key: Key,
    pub at: Moment,
    pub rcode: u8,
    pub answers: Vec<Rec>,
    pub soa: Option<Rec>,
}

impl Said {
    pub fn is_failure(&self) -> bool {
        !matches!(self.rcode, 0 | 3)
    }

    /// Whether it says of the name asked for that nothing is there, of whatever type.
    pub fn denies_name(&self) -> bool {
        self.rcode == 3 && self.answers.is_empty()
    }

    /// For how many seconds it may be believed (RFC 2308 §5, RFC 2181 §5.2).
    pub fn lifetime(&self) -> u32 {
        let is_positive = self.answers.iter().any(|(_, rtype, ..)| *rtype != Rtype::CNAME);
        let negative = match &self.soa {
            _ if is_positive => u32::MAX,
            Some((_, _, ttl, _)) => *ttl,
            None => 0,
        };
        self.answers.iter().map(|(_, _, ttl, _)| *ttl).fold(negative, u32::min)
    }
}

/// The upstream's data and its memory.
pub struct World {
    pub states: Vec<State>,
    pub clock: Clock,
    pub said: Vec<Said>,
}

pub fn owner(number: usize) -> Name {
    name(&owner_text(number))
}

pub fn owner_text(number: usize) -> String {
    format!("n{number}.{APEX}")
}

fn record(number: usize, rtype: Rtype, (ttl, content): (u32, u8)) -> Rec {
    let rdata = match rtype {
        Rtype::A => return a(&owner_text(number), ttl, content),
        Rtype::AAAA => vec![content; 16],
        // Too long for a datagram where the content is even.
        _ => [vec![200; 201], vec![100; 101]].concat().repeat(if content % 2 == 0 { 10 } else { 1 }),
    };
    (owner(number), rtype, ttl, strings(rdata, content))
}

/// TXT RDATA is marked by its content; addresses have theirs already.
fn strings(mut rdata: Vec<u8>, content: u8) -> Vec<u8> {
    if let [200, first, ..] = &mut rdata[..] {
        *first = content;
    }
    rdata
}

impl World {
    /// What there is to say, CNAMEs followed.
    fn look_up(&self, number: usize, rtype: Rtype) -> (u8, Vec<Rec>, Option<Denial>) {
        match &self.states[number] {
            State::Failing(rcode) => (*rcode, Vec::new(), None),
            State::Denied(denial) => (3, Vec::new(), Some(*denial)),
            State::Cname(to, ttl) => {
                let (rcode, answers, denial) = self.look_up(*to, rtype);
                if !matches!(rcode, 0 | 3) {
                    return (rcode, Vec::new(), None);
                }
                let link = cname(&owner_text(number), *ttl, &owner_text(*to));
                // Without a SOA its end would be taken for one that was not followed.
                let denial = denial.map(|denial| denial.or(Some((10, 10))));
                (rcode, [vec![link], answers].concat(), denial)
            }
            State::Sets(sets, denial) => match TYPES.iter().zip(sets).find(|(t, _)| **t == rtype) {
                Some((_, Some(set))) => (0, vec![record(number, rtype, *set)], None),
                _ => (0, Vec::new(), Some(*denial)),
            },
        }
    }

    /// The reply to a question, written down unless it is for another transport.
    pub fn reply(&mut self, question: &Question, tcp: bool) -> Vec<u8> {
        let asked = (0..NAMES)
            .find(|&n| owner(n) == question.qname)
            .zip(TYPES.iter().position(|t| *t == question.qtype));
        let Some((number, rtype)) = asked else { return question.reply(5, &[], &[]) };
        let (rcode, answers, denial) = self.look_up(number, question.qtype);
        let soa_record = denial.flatten().map(|(ttl, minimum)| soa(APEX, ttl, minimum));
        let reply = question.reply(rcode, &answers, soa_record.as_slice());
        if !tcp && reply.len() > 1232 {
            let mut cut = question.reply(0, &[], &[]);
            cut[2] |= 2;
            return cut;
        }
        let (dnssec_ok, checking_disabled) = (question.dnssec_ok(), question.checking_disabled());
        let key = Key { name: number, rtype, dnssec_ok, checking_disabled };
        // What may be given of the SOA's TTL (RFC 2308 §5).
        let soa = denial.flatten().map(|(ttl, minimum)| soa(APEX, ttl.min(minimum), minimum));
        self.said.push(Said { key, at: self.clock.now(), rcode, answers, soa });
        reply
    }
}

/// The world as an upstream sees it.
pub type Shared = Arc<Mutex<World>>;

fn denial() -> impl Strategy<Value = Denial> {
    prop_oneof![1 => Just(None), 4 => (1u32..30, 1u32..30).prop_map(Some)]
}

pub fn state(number: usize) -> impl Strategy<Value = State> {
    let ttl = prop_oneof![1 => Just(0u32), 4 => 1u32..20, 2 => 100u32..300];
    let set = proptest::option::weighted(0.7, (ttl.clone(), any::<u8>()));
    let sets =
        (proptest::array::uniform3(set), denial()).prop_map(|(sets, denial)| State::Sets(sets, denial));
    let failing = proptest::sample::select(vec![2u8, 5]).prop_map(State::Failing);
    // The last one has none to point at.
    let target = (number + 1).min(NAMES - 1)..NAMES;
    let chain = (target, ttl).prop_map(move |(to, ttl)| match to > number {
        true => State::Cname(to, ttl),
        false => State::Denied(None),
    });
    prop_oneof![4 => sets, 2 => denial().prop_map(State::Denied), 3 => failing, 2 => chain]
}
