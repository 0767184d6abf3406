//! Zones, made up or read from files: what is compiled says what the naive model says.

use std::collections::BTreeSet;

use zonelet::source::file::{json, zonefile};
use zonelet::wire::{Name, Rtype, Suffixes};
use zonelet::zone::{Alias, Body, DeferredReason, RecordSet, Zone, ZoneData, ZoneOptions, rdata};

use super::Feed;
use super::message;
use super::naive::{Naive, Said};

/// Most owners of a zone that are asked for: the model's cost grows with the cube of their number.
const MAX_OWNERS: usize = 12;
const LABELS: [&[u8]; 8] = [b"a", b"b", b"*", b"a-*", b"www", b"\x00", b".", b"**"];
const TYPES: [Rtype; 10] = [
    Rtype::A,
    Rtype::TXT,
    Rtype::CNAME,
    Rtype::NS,
    Rtype::SOA,
    Rtype::DNAME,
    Rtype::DS,
    Rtype::MX,
    Rtype::ANY,
    Rtype(65280),
];
const DEFERRED: [DeferredReason; 3] =
    [DeferredReason::Flattened, DeferredReason::Choice, DeferredReason::Unknown];

/// Bytes decoded into record sets, odd ones among them.
pub fn zone_lookup(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let apex = if feed.byte() & 7 == 0 { Name::root() } else { "apex.test".parse().expect("a name") };
    let mut data = ZoneData { apex, sets: Vec::new(), skipped: Vec::new() };
    while !feed.is_empty() && data.sets.len() < MAX_OWNERS {
        let set = record_set(&mut feed, &data.apex);
        data.sets.push(set);
    }
    audit(&data);
}

fn record_set(feed: &mut Feed<'_>, apex: &Name) -> RecordSet {
    let shape = feed.byte();
    let owner = owner(shape, feed, apex);
    let rtype = TYPES[feed.below(TYPES.len())];
    let body = match shape & 0x70 {
        0x70 => Body::Deferred(DEFERRED[feed.below(3)]),
        0x60 => {
            let shape = feed.byte();
            let target = self::owner(shape, feed, apex);
            let is_inside = shape & 0x40 == 0 && target.as_ref().is_at_or_below(apex.as_ref());
            Body::Alias(Alias { target, is_inside, evaluates_health: false })
        }
        _ => {
            let count = feed.below(4);
            let ttl = u32::from(feed.number()) << (shape >> 2 & 0x1f);
            Body::Records { ttl, rdata: (0..count).map(|_| data_of(rtype, feed)).collect() }
        }
    };
    RecordSet { owner, rtype, body }
}

fn owner(shape: u8, feed: &mut Feed<'_>, apex: &Name) -> Name {
    let mut owner = if shape & 0x80 != 0 { Name::root() } else { apex.clone() };
    for _ in 0..shape & 3 {
        let label = LABELS[feed.below(LABELS.len())];
        owner = Name::child(label, owner.as_ref()).unwrap_or(owner);
    }
    owner
}

/// RDATA that is sound unless the feed says otherwise.
fn data_of(rtype: Rtype, feed: &mut Feed<'_>) -> Box<[u8]> {
    let byte = feed.byte();
    let name = [&[1, byte][..], b"\x04test\x00"].concat();
    let mut data = match rtype {
        Rtype::A => vec![10, 0, 0, byte],
        Rtype::CNAME | Rtype::NS | Rtype::DNAME => name,
        Rtype::MX => [&[0, byte][..], &name].concat(),
        Rtype::SOA => [&name[..], b"\x00", &[byte; 20]].concat(),
        Rtype::TXT => [&[byte][..], &vec![b'x'; byte.into()]].concat(),
        _ => vec![byte; usize::from(byte) * 64],
    };
    if byte & 0x0f == 0x0f {
        data.pop();
    }
    data.into()
}

/// The JSON of a listing: read whole or refused, and compiled to what it says.
pub fn api_json(bytes: &[u8]) {
    let zone = Name::from_wire(b"\x04zone\x04test\x00").ok();
    for zone in [None, zone] {
        match json::parse(bytes, zone.clone()) {
            Ok(Some(data)) => {
                assert!(zone.is_none_or(|zone| zone == data.apex));
                assert!(data.sets.iter().all(|set| set.owner.as_ref().is_at_or_below(data.apex.as_ref())));
                values_stand(&data);
                audit(&data);
            }
            Ok(None) => assert!(zone.is_none()),
            Err(error) => assert!(!error.problem.is_empty()),
        }
    }
}

/// A zone file: read, each bad record left out by itself, and compiled to what it says.
pub fn zone_file(bytes: &[u8]) {
    let origin = Name::from_wire(b"\x04zone\x04test\x00").ok();
    let lines = 1 + bytes.iter().filter(|&&b| b == b'\n').count();
    let file = match zonefile::parse(bytes, origin) {
        Ok(file) => file,
        Err(error) => return assert!((1..=lines).contains(&error.line) && !error.problem.is_empty()),
    };
    assert!(file.records.iter().all(|(line, _)| (1..=lines).contains(line)));
    let apex = file.soa.or(file.first_origin).unwrap_or_else(Name::root);
    let sets = file.records.into_iter().map(|(_, set)| set).collect();
    let data = ZoneData { apex, sets, skipped: file.skipped };
    values_stand(&data);
    audit(&data);
}

/// What a source hands over needs no second judgement.
fn values_stand(data: &ZoneData) {
    for set in &data.sets {
        if let Body::Records { ttl, rdata } = &set.body {
            assert!(*ttl <= i32::MAX as u32 && !rdata.is_empty());
            for value in rdata {
                assert_eq!(rdata::check(set.rtype, value), Ok(()), "{} {}", set.owner, set.rtype);
            }
        }
    }
}

/// Compiles `data` and asks it for all it has and for names around that.
pub fn audit(data: &ZoneData) {
    let built = Zone::build(data, &ZoneOptions::default());
    let (zone, naive) = (&built.zone, Naive::of(data));
    assert!(built.skipped.len() >= data.skipped.len());
    listing(zone);
    let mut types: BTreeSet<Rtype> = data.sets.iter().map(|set| set.rtype).take(MAX_OWNERS).collect();
    types.extend([Rtype::A, Rtype::DS, Rtype::CNAME, Rtype::ANY, Rtype::NS]);
    let mut names: BTreeSet<Name> = BTreeSet::new();
    for set in data.sets.iter().take(MAX_OWNERS) {
        let owner = set.owner.as_ref();
        names.extend(owner.suffixes().map(|name| name.to_owned()));
        for label in [&b"*"[..], b"a", b"zz"] {
            names.extend(Name::child(label, owner));
        }
        names.extend(Name::child(b"x", owner).and_then(|n| Name::child(b"*", n.as_ref())));
    }
    names.insert(data.apex.clone());
    for name in names.iter().filter(|n| n.as_ref().is_at_or_below(data.apex.as_ref())) {
        for &rtype in &types {
            let made_up = rtype == Rtype::SOA && *name == data.apex;
            let said = Said::from(zone.lookup(&Suffixes::of(name.as_ref()), rtype));
            let expected = naive.lookup(name.as_ref(), rtype);
            if made_up && !matches!(expected, Said::Answer(..)) {
                assert!(matches!(said, Said::Answer(..)), "a SOA at the apex, in any case");
                continue;
            }
            assert_eq!(said, expected, "{name} {rtype} in {data:?}");
        }
    }
}

/// Every RRset of a compiled zone is whole, in order, and within the zone.
fn listing(zone: &Zone) {
    let apex = zone.apex().as_ref();
    let (mut rrsets, mut records) = (0, 0);
    for view in zone.rrsets() {
        assert!(view.owner.is_at_or_below(apex));
        let question = [&[0; 12][..], view.owner.as_bytes(), view.rrset.block()].concat();
        let at = 12 + view.owner.as_bytes().len();
        let (read, end) = message::records(&question, at, view.rrset.count.into());
        assert_eq!(end, question.len());
        let whole = |r: &message::Record| r.owner == view.owner.as_bytes() && r.ttl == view.rrset.ttl();
        assert!(read.iter().all(whole));
        assert!(read.is_sorted_by(|a, b| a.rdata < b.rdata), "sorted and distinct");
        assert_eq!(read.is_empty(), !view.rrset.is_plain());
        (rrsets, records) = (rrsets + 1, records + read.len());
    }
    assert_eq!((rrsets, records), (zone.counts().rrsets, zone.counts().records));
    assert_eq!((zone.soa().rtype, zone.soa().count), (Rtype::SOA, 1));
    assert!(zone.negative_ttl() <= 30);
}
