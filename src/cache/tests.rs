//! Tests of the cache's rules.

use super::*;
use crate::clock::Clock;
use crate::wire::sample::{Rec, a, cname, name, response, soa};
use crate::wire::{EdeCode, Name, Rcode, Rtype, learn};

fn cache(settings: &Settings) -> Cache {
    Cache::new(settings, CacheMetrics::register())
}

fn key(qname: &Name, qtype: Rtype) -> CacheKey<'_> {
    CacheKey { qname: qname.as_ref(), qtype, dnssec_ok: false, checking_disabled: false }
}

fn learned(qname: &str, qtype: Rtype, rcode: Rcode, answers: &[Rec], authorities: &[Rec]) -> Learned {
    let message = response(qname, qtype, rcode, answers, authorities);
    learn(&message, name(qname).as_ref(), qtype, false).unwrap()
}

fn good(ttl: u32) -> Learned {
    learned("a.test", Rtype::A, Rcode::NOERROR, &[a("a.test", ttl, 1)], &[])
}

fn failure(text: &str) -> Failure {
    Failure { rcode: Rcode::SERVFAIL, ede: EdeCode::NO_REACHABLE_AUTHORITY, text: text.into() }
}

#[test]
fn an_answer_is_given_until_it_expires_and_by_age() {
    let (cache, clock, qname) = (cache(&Settings::default()), Clock::manual(), name("a.test"));
    cache.insert(&key(&qname, Rtype::A), good(60), clock.now());
    clock.advance(Duration::from_millis(20_500));
    let entry = cache.get(&key(&qname, Rtype::A), clock.now()).unwrap();
    assert_eq!((entry.age(clock.now()), entry.qtype()), (20, Some(Rtype::A)));
    clock.advance(Duration::from_millis(39_499));
    assert!(cache.get(&key(&qname, Rtype::A), clock.now()).is_some());
    clock.advance(Duration::from_millis(1));
    assert!(cache.get(&key(&qname, Rtype::A), clock.now()).is_none());
    assert_eq!(cache.size().0, 1, "kept until its room is needed");
}

#[test]
fn type_do_and_cd_tell_questions_apart() {
    let (cache, now, qname) = (cache(&Settings::default()), Moment::default(), name("a.test"));
    let plain = key(&qname, Rtype::A);
    cache.insert(&plain, good(60), now);
    assert!(cache.get(&plain, now).is_some());
    assert!(cache.get(&CacheKey { dnssec_ok: true, ..plain }, now).is_none());
    assert!(cache.get(&CacheKey { checking_disabled: true, ..plain }, now).is_none());
    assert!(cache.get(&key(&qname, Rtype::AAAA), now).is_none());
    assert!(cache.get(&key(&name("b.test"), Rtype::A), now).is_none());
}

#[test]
fn an_answer_ends_what_was_believed_of_a_name_that_did_not_exist() {
    let (cache, now, qname) = (cache(&Settings::default()), Moment::default(), name("a.test"));
    let denied = learned("a.test", Rtype::AAAA, Rcode::NXDOMAIN, &[], &[soa("test", 30, 30)]);
    cache.insert(&key(&qname, Rtype::AAAA), denied, now);
    cache.insert(&key(&qname, Rtype::A), good(60), now);
    assert!(cache.get(&key(&qname, Rtype::A), now).is_some());
    assert!(cache.get(&key(&qname, Rtype::AAAA), now).is_none());
}

#[test]
fn nxdomain_answers_every_type_and_nodata_only_its_own() {
    let (cache, now, qname) = (cache(&Settings::default()), Moment::default(), name("x.test"));
    let denied = learned("x.test", Rtype::A, Rcode::NXDOMAIN, &[], &[soa("test", 30, 30)]);
    let entry = cache.insert(&key(&qname, Rtype::A), denied, now);
    assert_eq!(entry.qtype(), None);
    assert!(cache.get(&key(&qname, Rtype::AAAA), now).is_some());
    assert!(cache.get(&key(&name("y.x.test"), Rtype::A), now).is_none(), "no cut below it");

    let qname = name("y.test");
    let empty = learned("y.test", Rtype::AAAA, Rcode::NOERROR, &[], &[soa("test", 30, 30)]);
    cache.insert(&key(&qname, Rtype::AAAA), empty, now);
    assert!(cache.get(&key(&qname, Rtype::AAAA), now).is_some());
    assert!(cache.get(&key(&qname, Rtype::A), now).is_none());
}

#[test]
fn asking_for_type_zero_says_nothing_about_other_types() {
    let (cache, now, qname) = (cache(&Settings::default()), Moment::default(), name("a.test"));
    let empty = learned("a.test", Rtype(0), Rcode::NOERROR, &[], &[soa("test", 30, 30)]);
    cache.insert(&key(&qname, Rtype(0)), empty, now);
    assert!(cache.get(&key(&qname, Rtype(0)), now).is_some());
    assert!(cache.get(&key(&qname, Rtype::A), now).is_none());
}

#[test]
fn a_chain_to_a_missing_name_counts_for_its_type_only() {
    let (cache, now, qname) = (cache(&Settings::default()), Moment::default(), name("a.test"));
    let answers = [cname("a.test", 60, "b.test")];
    let chain = learned("a.test", Rtype::A, Rcode::NXDOMAIN, &answers, &[soa("test", 30, 30)]);
    cache.insert(&key(&qname, Rtype::A), chain, now);
    let entry = cache.get(&key(&qname, Rtype::A), now).unwrap();
    assert_eq!((entry.learned.answers, entry.learned.rcode), (1, Rcode::NXDOMAIN));
    assert!(cache.get(&key(&qname, Rtype::CNAME), now).is_none());
}

#[test]
fn nxdomain_replaces_what_was_known_for_the_question() {
    let (cache, qname) = (cache(&Settings::default()), name("a.test"));
    cache.insert(&key(&qname, Rtype::A), good(60), Moment::default());
    let denied = learned("a.test", Rtype::A, Rcode::NXDOMAIN, &[], &[soa("test", 30, 30)]);
    let now = Moment::from_millis(10);
    cache.insert(&key(&qname, Rtype::A), denied, now);
    assert_eq!(cache.get(&key(&qname, Rtype::A), now).unwrap().learned.rcode, Rcode::NXDOMAIN);
}

#[test]
fn what_lives_no_time_is_handed_out_but_not_kept() {
    let (cache, now, qname) = (cache(&Settings::default()), Moment::default(), name("a.test"));
    let entry = cache.insert(&key(&qname, Rtype::A), good(0), now);
    assert_eq!(entry.learned.answers, 1);
    cache.insert(&key(&qname, Rtype::A), learned("a.test", Rtype::A, Rcode::NXDOMAIN, &[], &[]), now);
    cache.insert(&key(&qname, Rtype::A), learned("a.test", Rtype::A, Rcode(6), &[], &[]), now);
    assert_eq!(cache.size().0, 0);
}

#[test]
fn what_may_not_be_kept_ends_what_it_refreshes_and_errors_end_nothing() {
    let (cache, qname) = (cache(&Settings::default()), name("a.test"));
    let (key, later, day) = (key(&qname, Rtype::A), Moment::from_millis(10_000), Duration::from_secs(86_400));
    let denied = learned("a.test", Rtype::A, Rcode::NXDOMAIN, &[], &[]);
    for last_word in [good(0), denied] {
        cache.insert(&key, good(5), Moment::default());
        cache.insert(&key, learned("a.test", Rtype::A, Rcode(6), &[], &[]), later);
        assert!(cache.stale(&key, later, day, day).is_some());
        cache.insert(&key, last_word, later);
        assert!(cache.stale(&key, later, day, day).is_none());
    }
}

#[test]
fn a_denial_that_may_not_be_kept_ends_no_answer_before_its_time() {
    let (cache, qname) = (cache(&Settings::default()), name("a.test"));
    let (key, later) = (key(&qname, Rtype::A), Moment::from_millis(10_000));
    cache.insert(&key, good(300), Moment::default());
    cache.insert(&key, learned("a.test", Rtype::A, Rcode::NXDOMAIN, &[], &[]), later);
    assert!(cache.get(&key, later).is_some_and(|entry| entry.learned.answers == 1));
    cache.insert(&key, good(0), later);
    assert!(cache.get(&key, later).is_none());
}

#[test]
fn caps_bound_lifetimes_and_the_ttls_shown() {
    let settings = Settings { max_ttl: Duration::from_secs(100), ..Settings::default() };
    let (cache, now, qname) = (cache(&settings), Moment::default(), name("a.test"));
    let entry = cache.insert(&key(&qname, Rtype::A), good(7200), now);
    assert_eq!(entry.expires, Moment::from_millis(100_000));
    assert_eq!(entry.learned.records().next().unwrap().ttl, 100);
    let denied = learned("b.test", Rtype::A, Rcode::NXDOMAIN, &[], &[soa("test", 900, 900)]);
    let entry = cache.insert(&key(&name("b.test"), Rtype::A), denied, now);
    assert_eq!(entry.expires, Moment::from_millis(30_000));
    assert_eq!(entry.learned.records().next().unwrap().ttl, 30);
}

#[test]
fn memory_stays_within_its_bytes() {
    let settings = Settings { max_bytes: 64 << 10, ..Settings::default() };
    let cache = cache(&settings);
    for i in 0..2000 {
        let qname = name(&format!("n{i}.test"));
        let text = format!("n{i}.test");
        let answer = learned(&text, Rtype::A, Rcode::NOERROR, &[a(&text, 60, 1)], &[]);
        cache.insert(&key(&qname, Rtype::A), answer, Moment::default());
    }
    let (entries, bytes) = cache.size();
    assert!(bytes <= 64 << 10, "{bytes}");
    assert!(entries > 50, "{entries}");
    cache.flush();
    assert_eq!(cache.size(), (0, 0));
}

#[test]
fn failures_last_a_second_and_twice_as_long_each_time_up_to_the_cap() {
    let (cache, clock, qname) = (cache(&Settings::default()), Clock::manual(), name("a.test"));
    let key = key(&qname, Rtype::A);
    for lasts in [1, 2, 4, 8, 16, 30, 30] {
        assert!(cache.failure(&key, clock.now()).is_none());
        cache.remember_failure(&key, failure("no reply"), clock.now());
        clock.advance(Duration::from_millis(lasts * 1000 - 1));
        assert_eq!(&*cache.failure(&key, clock.now()).unwrap().failure.text, "no reply");
        clock.advance(Duration::from_millis(1));
    }
    cache.insert(&key, good(1), clock.now());
    cache.remember_failure(&key, failure("again"), clock.now());
    clock.advance(Duration::from_secs(1));
    assert!(cache.failure(&key, clock.now()).is_none(), "a success starts the count anew");
}

#[test]
fn a_failure_never_shadows_a_good_answer() {
    let (cache, now, qname) = (cache(&Settings::default()), Moment::default(), name("a.test"));
    cache.insert(&key(&qname, Rtype::A), good(60), now);
    cache.remember_failure(&key(&qname, Rtype::A), failure("no reply"), now);
    assert!(cache.get(&key(&qname, Rtype::A), now).is_some());
}

#[test]
fn evictions_are_counted() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let settings = Settings { max_bytes: 4 << 10, ..Settings::default() };
    let cache = metrics::with_local_recorder(&recorder, || cache(&settings));
    for i in 0..100 {
        let qname = name(&format!("n{i}.test"));
        let text = format!("n{i}.test");
        let answer = learned(&text, Rtype::A, Rcode::NOERROR, &[a(&text, 60, 1)], &[]);
        cache.insert(&key(&qname, Rtype::A), answer, Moment::default());
    }
    cache.observe();
    let text = handle.render();
    assert!(text.contains("zonelet_cache_inserts_total 100"), "{text}");
    let kept = cache.size().0;
    assert!(text.contains(&format!("zonelet_cache_evictions_total {}", 100 - kept)), "{text}");
    assert!(text.contains(&format!("zonelet_cache_entries {kept}")), "{text}");
}

#[test]
fn other_times_hold_for_what_is_put_in_from_then_on() {
    let (cache, clock) = (cache(&Settings::default()), Clock::manual());
    let (before, after, broken) = (name("a.test"), name("b.test"), name("broken.test"));
    cache.insert(&key(&before, Rtype::A), good(60), clock.now());
    cache.reload(&Settings {
        max_ttl: Duration::from_secs(5),
        max_negative_ttl: Duration::from_secs(2),
        failure_ttl: Duration::from_secs(9),
        max_failure_ttl: Duration::from_secs(9),
        ..Settings::default()
    });
    let late = learned("b.test", Rtype::A, Rcode::NOERROR, &[a("b.test", 60, 1)], &[]);
    cache.insert(&key(&after, Rtype::A), late, clock.now());
    let denied = learned("x.test", Rtype::A, Rcode::NXDOMAIN, &[], &[soa("test", 30, 30)]);
    cache.insert(&key(&name("x.test"), Rtype::A), denied, clock.now());
    cache.remember_failure(&key(&broken, Rtype::A), failure("down"), clock.now());
    let knows = |qname: &str| cache.get(&key(&name(qname), Rtype::A), clock.now()).is_some();
    clock.advance(Duration::from_secs(3));
    assert_eq!(["a.test", "b.test", "x.test"].map(knows), [true, true, false]);
    clock.advance(Duration::from_secs(3));
    assert_eq!(["a.test", "b.test"].map(knows), [true, false]);
    assert!(cache.failure(&key(&broken, Rtype::A), clock.now()).is_some());
    clock.advance(Duration::from_secs(3));
    assert!(cache.failure(&key(&broken, Rtype::A), clock.now()).is_none());
}

#[test]
fn less_memory_evicts_at_once_and_more_has_room_again() {
    let settings = Settings { max_bytes: 1 << 20, ..Settings::default() };
    let (cache, now) = (cache(&settings), Moment::default());
    let fill = || {
        for n in 0..10_000 {
            let qname = format!("n{n}.test");
            let answer = learned(&qname, Rtype::A, Rcode::NOERROR, &[a(&qname, 60, 1)], &[]);
            cache.insert(&key(&name(&qname), Rtype::A), answer, now);
        }
        cache.size().1
    };
    let whole = fill();
    assert!(whole > 1 << 19, "{whole}");
    cache.reload(&Settings { max_bytes: 1 << 17, ..settings.clone() });
    assert!(cache.size().1 <= 1 << 17, "{:?}", cache.size());
    assert!(fill() <= 1 << 17);
    cache.reload(&settings);
    assert!(fill() > 1 << 19);
}

#[test]
fn what_is_forgotten_of_a_name_is_all_of_it_and_nothing_else() {
    let (cache, now) = (cache(&Settings::default()), Moment::default());
    let (here, there) = (name("a.test"), name("b.test"));
    let (plain, signed) = (key(&here, Rtype::A), CacheKey { dnssec_ok: true, ..key(&here, Rtype::A) });
    for key in [&plain, &signed, &key(&there, Rtype::A)] {
        cache.insert(key, good(60), now);
    }
    let denied = learned("a.test", Rtype::TXT, Rcode::NOERROR, &[], &[soa("test", 30, 30)]);
    cache.insert(&key(&here, Rtype::TXT), denied, now);
    cache.remember_failure(&key(&here, Rtype::AAAA), failure("silent"), now);
    cache.forget(here.as_ref(), Rtype::AAAA, now);
    assert!(cache.get(&plain, now).is_none() && cache.get(&signed, now).is_none());
    assert!(cache.get(&key(&here, Rtype::TXT), now).is_none());
    assert!(cache.failure(&key(&here, Rtype::AAAA), now).is_none());
    assert!(cache.get(&key(&there, Rtype::A), now).is_some());
    assert_eq!(cache.size().0, 1);
}

/// What a stale answer of `qname` says: code, TTLs, how long ago it expired.
fn given_stale(cache: &Cache, key: &CacheKey<'_>, now: Moment, max: u64) -> Option<(Rcode, Vec<u32>, u64)> {
    let stale = cache.stale(key, now, Duration::from_secs(max), Duration::from_secs(30))?;
    let ttls = stale.entry.learned.records().map(|record| record.ttl).collect();
    assert_eq!((stale.entry.stored, stale.entry.is_fresh(now)), (now, true));
    Some((stale.entry.learned.rcode, ttls, stale.expired.as_secs()))
}

#[test]
fn an_expired_answer_is_given_with_a_short_ttl_for_as_long_as_it_may_be() {
    let (cache, qname) = (cache(&Settings::default()), name("a.test"));
    let key = key(&qname, Rtype::A);
    cache.insert(&key, good(300), Moment::default());
    let at = |seconds: u64| Moment::from_millis(seconds * 1000);
    assert!(cache.get(&key, at(400)).is_none());
    assert_eq!(given_stale(&cache, &key, at(400), 3600), Some((Rcode::NOERROR, vec![30], 100)));
    assert_eq!(given_stale(&cache, &key, at(3899), 3600), Some((Rcode::NOERROR, vec![30], 3599)));
    assert_eq!(given_stale(&cache, &key, at(3900), 3600), None);
    cache.insert(&key, good(10), at(4000));
    assert_eq!(
        given_stale(&cache, &key, at(4011), 3600),
        Some((Rcode::NOERROR, vec![10], 1)),
        "no TTL grows"
    );
}

#[test]
fn of_what_has_expired_the_last_word_counts_however_long_it_was_good_for() {
    let (cache, qname) = (cache(&Settings::default()), name("a.test"));
    let key = key(&qname, Rtype::A);
    let at = |seconds: u64| Moment::from_millis(seconds * 1000);
    cache.insert(&key, good(60), at(0));
    cache.insert(
        &super::CacheKey { qtype: Rtype::AAAA, ..key },
        learned("a.test", Rtype::AAAA, Rcode::NXDOMAIN, &[], &[soa("test", 30, 30)]),
        at(50),
    );
    assert!(cache.get(&key, at(55)).is_some_and(|entry| entry.learned.rcode == Rcode::NOERROR));
    let (rcode, ..) = given_stale(&cache, &key, at(500), 3600).unwrap();
    assert_eq!(rcode, Rcode::NXDOMAIN);
}

#[test]
fn only_what_clients_were_given_is_worth_renewing_and_not_before_its_end_is_near() {
    let (cache, qname) = (cache(&Settings::default()), name("a.test"));
    let (key, hour) = (key(&qname, Rtype::A), Duration::from_secs(3600));
    let at = |seconds: u64| Moment::from_millis(seconds * 1000);
    cache.insert(&key, good(300), at(0));
    assert!(!cache.is_worth_renewing(&key, at(299), hour), "nobody has asked");
    assert_eq!(cache.consult(&key, at(400), |_| ()), Err(false));
    assert_eq!(cache.consult(&key, at(1), |entry| entry.uses), Ok(1));
    assert_eq!(cache.consult(&key, at(1), |entry| entry.uses), Ok(2));
    assert!(!cache.is_worth_renewing(&key, at(200), hour));
    assert!(cache.is_worth_renewing(&key, at(299), hour) && cache.is_worth_renewing(&key, at(3899), hour));
    assert!(!cache.is_worth_renewing(&key, at(3900), hour));
    assert_eq!(cache.consult(&key, at(400), |_| ()), Err(true));
}
