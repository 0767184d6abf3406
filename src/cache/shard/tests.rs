//! Tests of what stays, what goes, and that nothing is ever taken for something else.

use std::collections::HashMap;
use std::time::Duration;

use super::super::index::MAX_CHAIN;
use super::super::{Cache, CacheKey, Settings};
use crate::clock::Moment;
use crate::metrics::CacheMetrics;
use crate::wire::sample::{Rec, name, response, soa};
use crate::wire::{Learned, Name, Rcode, Rtype, learn};

fn cache(max_bytes: u64) -> Cache {
    Cache::new(&Settings { max_bytes, ..Settings::default() }, CacheMetrics::register())
}

fn key(qname: &Name, qtype: Rtype) -> CacheKey<'_> {
    CacheKey { qname: qname.as_ref(), qtype, dnssec_ok: false, checking_disabled: false }
}

/// A TXT answer that carries a number, filled up to a length.
fn text(qname: &Name, qtype: Rtype, ttl: u32, number: u32, len: usize) -> Learned {
    let rdata = [&number.to_be_bytes()[..], &vec![7; len]].concat();
    let record: Rec = (qname.clone(), qtype, ttl, rdata);
    let message = response(&qname.to_string(), qtype, Rcode::NOERROR, &[record], &[]);
    learn(&message, qname.as_ref(), qtype, false).unwrap()
}

fn denial(qname: &Name, qtype: Rtype) -> Learned {
    let denial = soa("test", 30, 30);
    let message = response(&qname.to_string(), qtype, Rcode::NXDOMAIN, &[], &[denial]);
    learn(&message, qname.as_ref(), qtype, false).unwrap()
}

/// The number and the length that an answer carries; `None` for a denial.
fn carried(cache: &Cache, key: &CacheKey<'_>, now: Moment) -> Option<Option<(u32, usize)>> {
    cache.with(key, now, |entry| {
        let record = entry.learned.records().next().unwrap();
        let rdata = &entry.learned.block[record.rdata];
        let number = rdata.first_chunk().map(|n| (u32::from_be_bytes(*n), rdata.len() - 4));
        number.filter(|_| entry.learned.rcode == Rcode::NOERROR)
    })
}

fn put(cache: &Cache, n: u32, now: Moment) {
    let qname = name(&format!("n{n}.test"));
    cache.insert(&key(&qname, Rtype::TXT), text(&qname, Rtype::TXT, 60, n, 20), now);
}

fn knows(cache: &Cache, n: u32, now: Moment) -> bool {
    let qname = name(&format!("n{n}.test"));
    match carried(cache, &key(&qname, Rtype::TXT), now) {
        Some(found) => {
            assert_eq!(found, Some((n, 20)));
            true
        }
        None => false,
    }
}

#[test]
fn as_many_as_there_is_room_for_are_all_held() {
    let (cache, now) = (cache(8 << 20), Moment::default());
    (0..20_000).for_each(|n| put(&cache, n, now));
    assert!((0..20_000).all(|n| knows(&cache, n, now)));
    assert_eq!(cache.size().0, 20_000);
    assert!(cache.size().1 < 20_000 * 140, "{:?}", cache.size());
}

#[test]
fn a_flood_of_names_asked_once_leaves_those_in_use_alone() {
    let (cache, now) = (cache(256 << 10), Moment::default());
    (0..300).for_each(|n| put(&cache, n, now));
    for n in 300..100_000 {
        if n % 100 == 0 {
            assert!((0..300).all(|hot| knows(&cache, hot, now)), "{n}");
        }
        put(&cache, n, now);
    }
}

#[test]
fn what_comes_again_soon_after_it_was_dropped_stays_longer() {
    // What comes back would be gone again behind so many others, as all that is new. How many stay
    // hangs on random hashes: of one cache 3 to 20 of 20, of ten together far from the bound.
    let held = |from: u32| {
        let (cache, now) = (cache(256 << 10), Moment::default());
        (from..from + 3000).for_each(|n| put(&cache, n, now));
        let gone: Vec<u32> = (from..from + 3000).rev().filter(|&n| !knows(&cache, n, now)).take(20).collect();
        gone.iter().for_each(|&n| put(&cache, n, now));
        (from + 10_000..from + 12_500).for_each(|n| put(&cache, n, now));
        gone.iter().filter(|&&n| knows(&cache, n, now)).count()
    };
    let held: usize = (0..10).map(|round| held(round * 20_000)).sum();
    assert!(held > 50, "{held} of 200");
}

#[test]
fn expired_answers_that_were_in_use_are_spared_once_for_as_long_as_they_may_be_given() {
    let (day, now) = (Duration::from_secs(86_400), Moment::from_millis(100_000_000));
    let left_of = |expired: Duration| {
        let cache = cache(64 << 10);
        (0..200).for_each(|n| put(&cache, n, now));
        (0..5).for_each(|_| (0..200).for_each(|n| assert!(knows(&cache, n, now))));
        let later = now.after(Duration::from_secs(60) + expired);
        let left_after = |more: std::ops::Range<u32>| {
            more.for_each(|n| {
                put(&cache, n, later);
                (0..2).for_each(|_| assert!(knows(&cache, n, later)));
            });
            let is_there = |n: &u32| {
                let qname = name(&format!("n{n}.test"));
                cache.stale(&key(&qname, Rtype::TXT), later, 2 * day, day).is_some()
            };
            (0..200).filter(is_there).count()
        };
        let room = cache.size().0 as u32;
        (left_after(1000..1000 + 2 * room), left_after(5000..5000 + 20 * room))
    };
    let ((soon, late), (too_old, _)) = (left_of(Duration::from_secs(1)), left_of(day));
    assert!(soon > too_old + 20 && late == 0, "{soon} and {too_old} of 200, {late} in the end");
}

#[test]
fn a_client_that_asks_for_every_type_of_a_name_fills_one_bucket_at_most() {
    let (cache, now, qname) = (cache(8 << 20), Moment::default(), name("a.test"));
    for qtype in 256..2256 {
        let qtype = Rtype(qtype);
        cache.insert(&key(&qname, qtype), text(&qname, qtype, 60, 1, 8), now);
        assert!(carried(&cache, &key(&qname, qtype), now).is_some());
    }
    assert!(cache.size().0 <= MAX_CHAIN, "{:?}", cache.size());
}

#[test]
fn an_answer_too_long_for_the_budget_is_handed_out_and_ends_what_was_known() {
    let (cache, now, qname) = (cache(8 << 10), Moment::default(), name("a.test"));
    cache.insert(&key(&qname, Rtype::TXT), text(&qname, Rtype::TXT, 60, 1, 8), now);
    let entry = cache.insert(&key(&qname, Rtype::TXT), text(&qname, Rtype::TXT, 60, 2, 9000), now);
    assert_eq!(entry.learned.answers, 1);
    assert_eq!(carried(&cache, &key(&qname, Rtype::TXT), now), None);
}

#[test]
fn answers_of_all_lengths_stay_within_their_bytes() {
    let (cache, now) = (cache(1 << 20), Moment::default());
    for n in 0..3000u32 {
        let qname = name(&format!("n{}.test", n % 400));
        let len = (n as usize * 7919) % 60_000;
        cache.insert(&key(&qname, Rtype::TXT), text(&qname, Rtype::TXT, 60, n, len), now);
        assert_eq!(carried(&cache, &key(&qname, Rtype::TXT), now), Some(Some((n, len))));
        assert!(cache.size().1 <= 1 << 20, "{:?}", cache.size());
    }
    assert!(cache.size().1 > 700 << 10, "{:?}", cache.size());
}

#[test]
fn a_change_of_the_budget_keeps_what_has_room() {
    let (cache, now) = (cache(4 << 20), Moment::default());
    (0..1000).for_each(|n| put(&cache, n, now));
    let bytes = |max_bytes| Settings { max_bytes, ..Settings::default() };
    for max_bytes in [64 << 20, 1 << 20, 4 << 20] {
        cache.reload(&bytes(max_bytes));
        assert!((0..1000).all(|n| knows(&cache, n, now)), "{max_bytes}");
    }
    cache.reload(&bytes(64 << 10));
    let held = (0..1000).filter(|&n| knows(&cache, n, now)).count();
    assert!((200..1000).contains(&held), "{held}");
    assert_eq!(cache.size().0, held);
}

#[test]
fn threads_never_see_anything_but_what_was_put_in() {
    let (cache, now) = (cache(128 << 10), Moment::default());
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let cache = &cache;
            scope.spawn(move || {
                for step in 0..20_000u32 {
                    let n = step.wrapping_mul(2_654_435_761).wrapping_add(thread) % 3000;
                    if step % 3 == 0 {
                        put(cache, n, now)
                    } else {
                        knows(cache, n, now);
                    }
                }
            });
        }
    });
}

/// What is known of a name: its denial, or a number and a length for some types.
#[derive(Default)]
struct Model {
    types: HashMap<(u8, u16), (u32, usize)>,
    denied: HashMap<u8, ()>,
}

proptest::proptest! {
    #[test]
    fn a_hit_is_always_what_was_learned_last(
        steps in proptest::collection::vec((0u8..40, 0u16..4, 0usize..5, 0usize..900), 1..400),
        max_bytes in proptest::sample::select(vec![8u64 << 10, 40 << 10, 4 << 20]),
    ) {
        let (cache, now) = (cache(max_bytes), Moment::default());
        let mut model = Model::default();
        for (number, (owner, kind, act, len)) in steps.into_iter().enumerate() {
            let (qname, qtype) = (name(&format!("n{owner}.test")), Rtype(256 + kind));
            let key = key(&qname, qtype);
            match act {
                0 | 1 => {
                    cache.insert(&key, text(&qname, qtype, 60, number as u32, len), now);
                    model.types.insert((owner, kind), (number as u32, len));
                    model.denied.remove(&owner);
                }
                2 => {
                    cache.insert(&key, denial(&qname, qtype), now);
                    model.types.remove(&(owner, kind));
                    model.denied.insert(owner, ());
                }
                _ => {}
            }
            let expected = match model.types.get(&(owner, kind)) {
                Some(&known) => Some(Some(known)),
                None => model.denied.get(&owner).map(|()| None),
            };
            // A denial may have been dropped where an answer for the type was, or the other way.
            match carried(&cache, &key, now) {
                None => proptest::prop_assert!(max_bytes < 4 << 20 || expected.is_none()),
                Some(None) if model.denied.contains_key(&owner) => {}
                found => proptest::prop_assert_eq!(found, expected),
            }
        }
    }
}
