use super::encode::MAX_TEXT;
use super::*;
use crate::wire::{Name, Rtype};
use crate::zone::{Alias, Content, DeferredReason, Location, Member, Place, Policy, SkipReason, Skipped};

fn alias(target: &str, is_inside: bool) -> Body {
    Body::Alias(Alias { target: target.parse().unwrap(), is_inside, evaluates_health: is_inside })
}

fn member(policy: Policy, check: Option<&str>) -> RecordSet {
    let content = match (&policy, alias("x.z.test", true)) {
        (Policy::Weighted(_), Body::Alias(alias)) => Content::Alias(alias),
        _ => Content::Records { ttl: 60, rdata: vec![[10, 0, 0, 1].into()] },
    };
    let (identifier, health_check) = (format!("{policy:?}").into(), check.map(Into::into));
    let body = Body::Member(Box::new(Member { identifier, policy, health_check, content }));
    RecordSet { owner: "m.z.test".parse().unwrap(), rtype: Rtype::A, body }
}

fn near(place: Place, bias: i8) -> Policy {
    Policy::Geoproximity { place, bias }
}

fn sample() -> StateFile {
    let apex: Name = "z.test".parse().unwrap();
    let set = |owner: &str, rtype, body| RecordSet { owner: owner.parse().unwrap(), rtype, body };
    let skip = |reason| Skipped {
        owner: "ö\\377".into(),
        rtype: "WAT".into(),
        reason,
        detail: "no such type".into(),
    };
    StateFile {
        kind: "route53".into(),
        label: "vpc auto".into(),
        origin: Some(Origin { account: "123456789012".into(), vpc: "vpc-1".into() }),
        id: ZoneId("Z1".into()),
        fetched_at: 1_700_000_000_123,
        calls: 34,
        region: Some("eu-west-1".into()),
        standing: Standing::Records,
        data: ZoneData {
            sets: vec![
                set(
                    "a.z.test",
                    Rtype::A,
                    Body::Records { ttl: 60, rdata: vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()] },
                ),
                set("*.z.test", Rtype::TXT, Body::Records { ttl: 0, rdata: vec![[1, 0xff].into()] }),
                set("b.z.test", Rtype::AAAA, Body::Deferred(DeferredReason::Flattened)),
                set("e.z.test", Rtype::A, alias("a.z.test", true)),
                set("f.z.test", Rtype::A, alias("lb.test", false)),
                member(Policy::Simple, Some("hc-1")),
                member(Policy::Weighted(255), None),
                member(Policy::Failover { is_primary: true }, None),
                member(Policy::Failover { is_primary: false }, None),
                member(Policy::Multivalue, None),
                member(Policy::Latency("eu-west-1".into()), Some("hc-2")),
                member(Policy::Geolocation(Location::Default), None),
                member(Policy::Geolocation(Location::Continent("EU".into())), None),
                member(Policy::Geolocation(Location::Country("DE".into())), None),
                member(Policy::Geolocation(Location::Subdivision("US".into(), "VA".into())), None),
                member(near(Place::Region("eu-west-1".into()), -99), None),
                member(near(Place::Point { latitude: -9000, longitude: 18_000 }, 99), Some("hc-3")),
                set("c.z.test", Rtype(65280), Body::Deferred(DeferredReason::Choice)),
                set("d.z.test", Rtype::A, Body::Deferred(DeferredReason::Unknown)),
            ],
            apex,
            skipped: SkipReason::ALL.map(skip).to_vec(),
        },
    }
}

fn body(bytes: &[u8]) -> &[u8] {
    &bytes[PREFIX..bytes.len() - SEAL]
}

#[test]
fn a_zone_comes_back_as_it_was_written() {
    let state = sample();
    assert_eq!(parse_state(&encode_state(&state).unwrap()), Ok(state.clone()));
    let plain = StateFile {
        origin: None,
        data: ZoneData { sets: vec![], skipped: vec![], ..state.data.clone() },
        ..state
    };
    assert_eq!(parse_state(&encode_state(&plain).unwrap()), Ok(plain.clone()));
    for standing in [Standing::CarvedOut("owned by a service".into()), Standing::Denied("no".into())] {
        let unread = StateFile { standing, region: None, ..plain.clone() };
        assert_eq!(parse_state(&encode_state(&unread).unwrap()), Ok(unread));
    }
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let bytes = encode_state(&sample()).unwrap();
    for len in 0..bytes.len() {
        assert!(parse_state(&bytes[..len]).is_err(), "cut at {len}");
        assert!(
            len >= body(&bytes).len() || parse_unsealed(&body(&bytes)[..len]).is_err(),
            "body cut at {len}"
        );
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(parse_state(&longer), Err(StateError::Checksum));
}

#[test]
fn a_file_with_any_bit_flipped_is_refused() {
    let bytes = encode_state(&sample()).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            assert!(parse_state(&bad).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_damaged_body_under_a_right_checksum_never_panics_and_never_comes_back_longer() {
    let bytes = encode_state(&sample()).unwrap();
    for at in 0..body(&bytes).len() {
        for value in [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xff] {
            let mut bad = body(&bytes).to_vec();
            bad[at] = value;
            if let Ok(state) = parse_unsealed(&bad) {
                assert!(
                    state.data.sets.len() <= sample().data.sets.len()
                        && state.data.skipped.len() <= SkipReason::ALL.len(),
                    "byte {at}"
                );
            }
        }
    }
    assert!(parse_unsealed(&[]).is_err());
}

#[test]
fn the_refusal_names_what_is_wrong() {
    let good = encode_state(&sample()).unwrap();
    assert_eq!(parse_state(b"; a zone file"), Err(StateError::Foreign));
    assert_eq!(parse_state(b""), Err(StateError::Foreign));
    assert_eq!(parse_state(MAGIC), Err(StateError::Checksum));
    let mut newer = good.clone();
    newer[9] = 9;
    assert_eq!(parse_state(&newer), Err(StateError::Version(9)));
    let mut cut = body(&good).to_vec();
    cut.pop();
    assert_eq!(parse_unsealed(&cut), Err(StateError::Bad { section: "skipped" }));
    assert_eq!(parse_unsealed(&cut[..120]), Err(StateError::Bad { section: "records" }));
    assert_eq!(parse_unsealed(&cut[..20]), Err(StateError::Bad { section: "head" }));
    assert_eq!(parse_state(&vec![0; MAX_BYTES + 1]), Err(StateError::TooLarge));
}

#[test]
fn what_does_not_fit_is_not_written() {
    let mut state = sample();
    state.label = "l".repeat(70_000);
    assert_eq!(encode_state(&state), Err(StateError::TooLarge));
    let mut state = sample();
    let rdata = vec![vec![0; 60_000].into(); 1200];
    state.data.sets[0].body = Body::Records { ttl: 1, rdata };
    assert_eq!(encode_state(&state), Err(StateError::TooLarge));
}

#[test]
fn long_skipped_lists_and_texts_are_cut() {
    let mut state = sample();
    let mut skip = state.data.skipped[0].clone();
    skip.detail = "ä".repeat(MAX_TEXT);
    state.data.skipped = vec![skip; MAX_SKIPPED + 5];
    let back = parse_state(&encode_state(&state).unwrap()).unwrap();
    assert_eq!(back.data.skipped.len(), MAX_SKIPPED);
    assert_eq!(back.data.skipped[0].detail, "ä".repeat(MAX_TEXT / 2));
}

#[test]
fn the_age_survives_restarts_and_a_clock_that_stepped_back() {
    let state = sample();
    let at = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
    assert_eq!(state.age(at(state.fetched_at + 90_000)), Duration::from_secs(90));
    assert_eq!(state.age(at(state.fetched_at - 90_000)), Duration::ZERO);
    assert_eq!(state.age(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), Duration::ZERO);
}

#[test]
fn file_names_are_safe_and_tell_every_source_and_zone_apart() {
    let names = [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("a", "b", "../../etc/passwd")]
        .map(|(kind, label, id)| file_name(kind, label, &ZoneId(id.into())));
    for (at, name) in names.iter().enumerate() {
        assert!(name.len() == 37 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'));
        assert!(!names[..at].contains(name));
    }
}

#[test]
fn a_file_of_the_version_before_aliases_is_read() {
    let mut state = sample();
    state.data.sets.retain(|set| !matches!(set.body, Body::Alias(_) | Body::Member(_)));
    state.region = None;
    let mut bytes = encode_state(&state).unwrap();
    bytes.truncate(bytes.len() - SEAL);
    // Neither Region nor standing stood behind the number of calls.
    let calls = bytes.windows(4).position(|four| four == state.calls.to_be_bytes()).unwrap();
    bytes.drain(calls + 4..calls + 6);
    bytes[MAGIC.len()..PREFIX].copy_from_slice(&1u16.to_be_bytes());
    let seal = seal(&bytes);
    bytes.extend_from_slice(&seal);
    assert_eq!(parse_state(&bytes), Ok(state));
}
