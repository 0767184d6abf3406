//! A shard against a naive model: what is found is what was put in last, and never too old.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Shard, entries_of};
use crate::cache::layout::{Fresh, UNIT};
use crate::cache::{CacheKey, Entry};
use crate::clock::Moment;
use crate::wire::learned::Turning;
use crate::wire::{EdeCode, Learned, Name, Outcome, Rcode, Rtype};

/// So few that all there is to know of them fits one full bucket.
static NAMES: LazyLock<[Name; 6]> = LazyLock::new(|| {
    [".", "a", "b.a", "a.b", "xn--a.a", "0.0.0.0.ip6.arpa"].map(|name| name.parse().unwrap())
});
const ROOMY: usize = 32 << 20;

/// What the hash of a name is here: two names share a hash, two more only the bucket.
fn tag(name: usize) -> u32 {
    [1, 1, 0x8000_0001, 0x4000_0001, 2, 0][name]
}

#[derive(Clone, Debug)]
enum Act {
    Put { key: Key, denies: bool, len: usize, ttl: u32 },
    Ask(Key),
    Wait(u64),
    Resize(usize),
    Clear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    name: usize,
    flags: u8,
    qtype: u16,
}

impl Key {
    fn asked(self) -> CacheKey<'static> {
        CacheKey {
            qname: NAMES[self.name].as_ref(),
            qtype: Rtype(self.qtype),
            dnssec_ok: self.flags & 1 != 0,
            checking_disabled: self.flags & 2 != 0,
        }
    }
}

fn key() -> impl Strategy<Value = Key> {
    (0..NAMES.len(), 0u8..4, 0u16..3).prop_map(|(name, flags, qtype)| Key { name, flags, qtype })
}

fn act(budgets: Vec<usize>) -> impl Strategy<Value = Act> {
    let len = prop_oneof![4 => 0usize..200, 1 => 0usize..5000, 1 => 60_000usize..65_000];
    let put = (key(), any::<bool>(), len, 1u32..20);
    prop_oneof![
        12 => put.prop_map(|(key, denies, len, ttl)| Act::Put { key, denies, len, ttl }),
        8 => key().prop_map(Act::Ask),
        4 => (0u64..6000).prop_map(Act::Wait),
        1 => select(budgets).prop_map(Act::Resize),
        1 => Just(Act::Clear),
    ]
}

/// A response unlike every other: in all that an entry keeps stands its number.
fn learned(qname: &Name, number: u16, denies: bool, len: usize, ttl: u32) -> Learned {
    let text = format!("number {number}").into();
    Learned {
        rcode: Rcode(number % 16),
        outcome: if denies { Outcome::NxDomain } else { Outcome::Answer },
        authentic: number.is_multiple_of(2),
        answers: if denies { 0 } else { 1 + number },
        authorities: number,
        block: number.to_be_bytes().into_iter().chain(vec![7; len]).collect(),
        turning: Turning { at: number, count: number / 2 },
        open_end: (number % 4 < 2).then_some(number),
        qname_len: qname.as_bytes().len() as u8,
        lifetime: ttl,
        ede: (number % 8 < 4).then_some((EdeCode(number), text)),
    }
}

#[derive(Default)]
struct Model {
    /// By name, flags and type, no type for a denial.
    known: HashMap<(usize, u8, Option<u16>), Entry>,
}

impl Model {
    fn fresh(&self, key: Key, qtype: Option<u16>, now: Moment) -> Option<&Entry> {
        self.known.get(&(key.name, key.flags, qtype)).filter(|entry| entry.is_fresh(now))
    }
}

struct World {
    shard: Shard,
    model: Model,
    now: Moment,
    number: u16,
    /// Nothing ever had to go.
    is_whole: bool,
}

impl World {
    fn new(budget: usize) -> Self {
        Self {
            shard: Shard::new(budget),
            model: Model::default(),
            now: Moment::default(),
            number: 0,
            is_whole: true,
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Put { key, denies, len, ttl } => self.put(key, denies, len, ttl),
            Act::Ask(key) => self.ask(key),
            Act::Wait(millis) => self.now = self.now.after(Duration::from_millis(millis)),
            Act::Resize(budget) => {
                let gone = self.shard.resize(budget);
                self.is_whole &= gone == 0;
            }
            Act::Clear => {
                self.shard.clear();
                self.model.known.clear();
            }
        }
    }

    fn put(&mut self, key: Key, denies: bool, len: usize, ttl: u32) {
        self.number += 1;
        let learned = learned(&NAMES[key.name], self.number, denies, len, ttl);
        let (stored, expires) = (self.now, self.now.after(Duration::from_secs(ttl.into())));
        let qtype = (!denies).then_some(key.qtype);
        let entry = Entry { learned, stored, expires, qtype: qtype.map(Rtype) };
        let asked = key.asked();
        let fresh = Fresh { key: &asked, tag: tag(key.name), entry: entry.view() };
        let len = fresh.len();
        let gone = self.shard.insert(&fresh, self.now);
        self.is_whole &= gone == 0 && len <= self.shard.limit / super::LARGEST_PART;
        self.model.known.remove(&(key.name, key.flags, denies.then_some(key.qtype)));
        self.model.known.insert((key.name, key.flags, qtype), entry);
    }

    /// A denial is believed for a type only where no answer for it is found; one that had to go may
    /// have been that answer.
    fn ask(&mut self, key: Key) {
        let asked = key.asked();
        let mut was_in_use = false;
        let found = self.shard.get(tag(key.name), &asked, self.now, &mut was_in_use);
        let found = found.map(|entry| entry.to_owned());
        let answer = self.model.fresh(key, Some(key.qtype), self.now);
        let denial = self.model.fresh(key, None, self.now);
        match found {
            Some(found) => {
                let known = if found.qtype.is_some() { answer } else { denial };
                let known = known.expect("it was put in and is fresh");
                assert_eq!(found.learned, known.learned);
                assert_eq!((found.stored, found.expires), (known.stored, known.expires));
                assert!(found.qtype.is_some() || answer.is_none() || !self.is_whole);
            }
            None => assert!(!self.is_whole || (answer.is_none() && denial.is_none())),
        }
    }

    /// What is counted is what is there, and it is within the budget but for a step of growth.
    fn is_sound(&self) {
        let shard = &self.shard;
        let mut live = 0;
        for queue in [&shard.small, &shard.main] {
            assert_eq!(queue.bytes, queue.chunks.iter().map(|&id| shard.chunks.len_of(id)).sum::<usize>());
            assert!(queue.open.is_none_or(|open| queue.chunks.contains(&open)));
            for &id in &queue.chunks {
                live += entries_of(id, &shard.chunks).filter(|(_, packed)| !packed.is_dead()).count();
                assert!(entries_of(id, &shard.chunks).all(|(_, packed)| packed.len().is_multiple_of(UNIT)));
            }
        }
        assert_eq!(live, shard.entries);
        let taken = shard.chunks.held() + shard.overhead();
        assert!(shard.chunks.filled() <= shard.chunks.held());
        assert!(taken <= shard.limit.max(1024) + 1024, "{taken} of {}", shard.limit);
    }
}

fn play(budget: usize, acts: Vec<Act>) -> World {
    let mut world = World::new(budget);
    for act in acts {
        world.act(act);
        world.is_sound();
    }
    world
}

proptest! {
    #[test]
    fn what_is_found_was_put_in_last_and_is_fresh(
        budget in select(vec![0usize, 1, 1 << 10, 8 << 10, 64 << 10, 300 << 10]),
        acts in vec(act(vec![600, 4 << 10, 64 << 10, 300 << 10, ROOMY]), 1..300),
    ) {
        play(budget, acts);
    }

    #[test]
    fn where_there_is_room_all_that_is_fresh_is_found(acts in vec(act(vec![ROOMY, 2 * ROOMY]), 1..300)) {
        let world = play(ROOMY, acts);
        prop_assert!(world.is_whole);
    }
}
