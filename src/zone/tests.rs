//! Compiled lookups against examples and against a naive reading of RFC 1034 §4.3.2 and RFC 4592.

use proptest::prelude::*;

use super::*;
use crate::wire::{Name, NameRef, Rtype, Suffixes};

mod aliases;
mod choices;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn set(owner: &str, rtype: Rtype) -> RecordSet {
    let rdata: Vec<u8> = match rtype {
        Rtype::A => vec![10, 0, 0, owner.len() as u8],
        Rtype::CNAME | Rtype::NS | Rtype::DNAME => name("target.example").as_bytes().to_vec(),
        Rtype::TXT => vec![1, b'x'],
        _ => vec![0; 4],
    };
    RecordSet { owner: name(owner), rtype, body: Body::Records { ttl: 300, rdata: vec![rdata.into()] } }
}

fn soa(ttl: u32, minimum: u32) -> RecordSet {
    let mut rdata = b"\x01m\x00\x01r\x00".to_vec();
    for number in [42, 1, 1, 1, minimum] {
        rdata.extend_from_slice(&u32::to_be_bytes(number));
    }
    let body = Body::Records { ttl, rdata: vec![rdata.into()] };
    RecordSet { owner: name("corp.internal"), rtype: Rtype::SOA, body }
}

fn data(sets: Vec<RecordSet>) -> ZoneData {
    ZoneData { apex: name("corp.internal"), sets, skipped: Vec::new() }
}

fn build(sets: Vec<RecordSet>) -> Zone {
    let built = Zone::build(&data(sets), &ZoneOptions::default());
    assert_eq!(built.skipped, []);
    built.zone
}

fn said(zone: &Zone, qname: &str, qtype: Rtype) -> &'static str {
    let qname = name(qname);
    word(zone.lookup(&Suffixes::of(qname.as_ref()), qtype))
}

fn word(lookup: Lookup<'_>) -> &'static str {
    match lookup {
        Lookup::Answer(_) => "answer",
        Lookup::Cname(_) => "cname",
        Lookup::Any => "any",
        Lookup::NoData => "nodata",
        Lookup::NxDomain => "nxdomain",
        Lookup::Delegated => "delegated",
        Lookup::Deferred(_) => "deferred",
        Lookup::Outside(_) => "outside",
        Lookup::Loop => "loop",
        Lookup::Choice(_) => "choice",
    }
}

#[test]
fn empty_non_terminals_and_other_types_block_a_wildcard() {
    let zone = build(vec![
        set("x.b.corp.internal", Rtype::A),
        set("*.corp.internal", Rtype::A),
        set("h.corp.internal", Rtype::TXT),
    ]);
    assert_eq!(said(&zone, "b.corp.internal", Rtype::A), "nodata");
    assert_eq!(said(&zone, "y.b.corp.internal", Rtype::A), "nxdomain");
    assert_eq!(said(&zone, "h.corp.internal", Rtype::A), "nodata");
    assert_eq!(said(&zone, "deep.er.corp.internal", Rtype::A), "answer");
    assert_eq!(said(&zone, "any.corp.internal", Rtype::TXT), "nodata");
    assert_eq!(said(&zone, "*.corp.internal", Rtype::A), "answer");
    assert_eq!(said(&zone, "corp.internal", Rtype::A), "nodata");
}

#[test]
fn a_star_inside_a_label_is_a_literal() {
    let zone = build(vec![set("a-*.apps.corp.internal", Rtype::TXT)]);
    assert_eq!(said(&zone, "a-foo.apps.corp.internal", Rtype::TXT), "nxdomain");
    assert_eq!(said(&zone, "a-*.apps.corp.internal", Rtype::TXT), "answer");
}

#[test]
fn names_at_and_below_a_zone_cut_are_delegated_but_for_ds() {
    let zone = build(vec![set("sub.corp.internal", Rtype::NS), set("x.sub.corp.internal", Rtype::A)]);
    for qname in ["sub.corp.internal", "x.sub.corp.internal", "no.x.sub.corp.internal"] {
        assert_eq!(said(&zone, qname, Rtype::A), "delegated", "{qname}");
    }
    assert_eq!(said(&zone, "sub.corp.internal", Rtype::DS), "nodata");
    assert_eq!(said(&zone, "x.sub.corp.internal", Rtype::DS), "delegated");
    assert_eq!(said(&zone, "other.corp.internal", Rtype::A), "nxdomain");
    assert_eq!(zone.counts().cuts, 1);
}

#[test]
fn names_below_a_dname_are_delegated_and_its_owner_is_not() {
    let zone = build(vec![set("d.corp.internal", Rtype::DNAME), set("d.corp.internal", Rtype::A)]);
    assert_eq!(said(&zone, "d.corp.internal", Rtype::A), "answer");
    assert_eq!(said(&zone, "d.corp.internal", Rtype::DNAME), "answer");
    assert_eq!(said(&zone, "x.d.corp.internal", Rtype::A), "delegated");
}

#[test]
fn deferred_sets_exist_and_their_siblings_are_answered() {
    let deferred =
        RecordSet { body: Body::Deferred(DeferredReason::Flattened), ..set("lb.corp.internal", Rtype::A) };
    let choice =
        RecordSet { body: Body::Deferred(DeferredReason::Choice), ..set("w.corp.internal", Rtype::CNAME) };
    let zone = build(vec![deferred, set("lb.corp.internal", Rtype::TXT), choice]);
    assert_eq!(said(&zone, "lb.corp.internal", Rtype::A), "deferred");
    assert_eq!(said(&zone, "lb.corp.internal", Rtype::AAAA), "nodata");
    assert_eq!(said(&zone, "lb.corp.internal", Rtype::TXT), "answer");
    assert_eq!(said(&zone, "w.corp.internal", Rtype::AAAA), "deferred");
    assert_eq!(zone.counts().deferred, 2);
}

#[test]
fn one_plain_and_one_deferred_set_of_a_type_are_never_merged() {
    let plain = set("w.corp.internal", Rtype::A);
    let deferred = RecordSet { body: Body::Deferred(DeferredReason::Choice), ..plain.clone() };
    for sets in [vec![plain.clone(), deferred.clone()], vec![deferred, plain]] {
        assert_eq!(said(&build(sets), "w.corp.internal", Rtype::A), "deferred");
    }
}

#[test]
fn an_unreadable_record_beside_readable_ones_leaves_them_served() {
    let plain = set("w.corp.internal", Rtype::A);
    let unread = RecordSet { body: Body::Deferred(DeferredReason::Unknown), ..plain.clone() };
    for sets in [vec![plain.clone(), unread.clone()], vec![unread.clone(), plain]] {
        assert_eq!(said(&build(sets), "w.corp.internal", Rtype::A), "answer");
    }
    assert_eq!(said(&build(vec![unread]), "w.corp.internal", Rtype::A), "deferred");
}

#[test]
fn a_set_of_unnameable_type_keeps_its_name_from_being_denied() {
    let unknown =
        RecordSet { body: Body::Deferred(DeferredReason::Unknown), ..set("new.corp.internal", Rtype::ANY) };
    let zone = build(vec![unknown, set("new.corp.internal", Rtype::A)]);
    assert_eq!(said(&zone, "new.corp.internal", Rtype::A), "answer");
    assert_eq!(said(&zone, "new.corp.internal", Rtype::TXT), "deferred");
    assert_eq!(said(&zone, "new.corp.internal", Rtype::ANY), "any");
}

#[test]
fn negative_ttl_is_the_least_of_soa_ttl_minimum_and_cap() {
    for (ttl, minimum, cap, expected) in [(900, 86_400, 30, 30), (10, 3600, 30, 10), (900, 5, 30, 5)] {
        let options = ZoneOptions { negative_ttl_max: cap, ..ZoneOptions::default() };
        let zone = Zone::build(&data(vec![soa(ttl, minimum)]), &options).zone;
        assert_eq!((zone.negative_ttl(), zone.serial()), (expected, 42));
        // Ready to be copied: the SOA's own record but for its TTL.
        let (denial, soa) = (zone.denial(), zone.soa().block());
        assert_eq!((&denial[..6], &denial[10..]), (&soa[..6], &soa[10..]));
        assert_eq!(denial[6..10], expected.to_be_bytes());
    }
}

#[test]
fn a_zone_without_a_usable_soa_gets_one_made_up() {
    let broken = RecordSet {
        body: Body::Records { ttl: 900, rdata: vec![b"{'Value': 'ns".as_slice().into()] },
        ..set("corp.internal", Rtype::SOA)
    };
    for sets in [vec![], vec![broken]] {
        let zone = Zone::build(&data(sets.clone()), &ZoneOptions::default()).zone;
        let soa = zone.soa();
        assert_eq!((soa.rtype, soa.count, soa.ttl(), zone.serial()), (Rtype::SOA, 1, 900, 1), "{sets:?}");
        assert_eq!(said(&zone, "corp.internal", Rtype::SOA), "answer");
    }
}

#[test]
fn what_cannot_stand_is_skipped_by_itself_and_named() {
    let mut bad_a = set("bad.corp.internal", Rtype::A);
    bad_a.body = Body::Records { ttl: 60, rdata: vec![[1, 2, 3].as_slice().into()] };
    let mut half = set("half.corp.internal", Rtype::A);
    half.body = Body::Records {
        ttl: u32::MAX,
        rdata: vec![[1, 2, 3].as_slice().into(), [10, 0, 0, 1].as_slice().into()],
    };
    let mut huge = set("huge.corp.internal", Rtype::TXT);
    huge.body = Body::Records { ttl: 60, rdata: (0..300u16).map(|i| long_text(i).into()).collect() };
    let built = Zone::build(
        &data(vec![
            bad_a,
            half,
            huge,
            set("else.where", Rtype::A),
            set("c.corp.internal", Rtype::CNAME),
            set("c.corp.internal", Rtype::TXT),
            set("corp.internal", Rtype::CNAME),
            RecordSet { owner: name("s.corp.internal"), ..soa(1, 1) },
            set("m.corp.internal", Rtype::ANY),
        ]),
        &ZoneOptions::default(),
    );
    let reasons: Vec<_> = built.skipped.iter().map(|s| (s.owner.as_str(), s.reason)).collect();
    for expected in [
        ("bad.corp.internal.", SkipReason::BadValue),
        ("half.corp.internal.", SkipReason::BadValue),
        ("huge.corp.internal.", SkipReason::TooLarge),
        ("else.where.", SkipReason::OutOfZone),
        ("c.corp.internal.", SkipReason::Conflict),
        ("corp.internal.", SkipReason::Conflict),
        ("s.corp.internal.", SkipReason::Conflict),
        ("m.corp.internal.", SkipReason::UnsupportedType),
    ] {
        assert!(reasons.contains(&expected), "{expected:?} in {reasons:?}");
    }
    assert_eq!(reasons.len(), 8);
    let zone = built.zone;
    assert_eq!(said(&zone, "bad.corp.internal", Rtype::A), "deferred");
    assert_eq!(said(&zone, "huge.corp.internal", Rtype::TXT), "deferred");
    assert_eq!(said(&zone, "half.corp.internal", Rtype::A), "answer");
    assert_eq!(said(&zone, "c.corp.internal", Rtype::TXT), "cname");
    let half = zone.rrsets().find(|v| v.owner == name("half.corp.internal").as_ref()).unwrap();
    assert_eq!(half.rrset.ttl(), 0, "a TTL with the top bit set reads as zero");
}

fn long_text(seed: u16) -> Vec<u8> {
    let mut rdata = vec![255u8];
    rdata.extend(std::iter::repeat_n(b'x', 253));
    rdata.extend(seed.to_be_bytes());
    rdata
}

#[test]
fn records_of_one_rrset_are_merged_sorted_and_distinct_under_the_least_ttl() {
    let mut one = set("m.corp.internal", Rtype::A);
    one.body = Body::Records { ttl: 300, rdata: vec![Box::new([10, 0, 0, 2]), Box::new([10, 0, 0, 1])] };
    let mut two = set("m.corp.internal", Rtype::A);
    two.body = Body::Records { ttl: 60, rdata: vec![Box::new([10, 0, 0, 1])] };
    let zone = build(vec![one, two]);
    let view = zone.rrsets().find(|v| v.rrset.rtype == Rtype::A).unwrap().rrset;
    assert_eq!((view.ttl(), view.count), (60, 2));
    assert_eq!(view.rdata().collect::<Vec<_>>(), [[10, 0, 0, 1], [10, 0, 0, 2]]);
}

/// The naive model: no index, straight from the text of the RFCs.
struct Naive<'d>(&'d ZoneData);

impl Naive<'_> {
    fn exists(&self, qname: NameRef<'_>) -> bool {
        qname == self.0.apex.as_ref() || self.0.sets.iter().any(|s| s.owner.as_ref().is_at_or_below(qname))
    }

    fn types_at(&self, owner: NameRef<'_>) -> Vec<Rtype> {
        let mut types: Vec<_> =
            self.0.sets.iter().filter(|s| s.owner.as_ref() == owner).map(|s| s.rtype).collect();
        if types.contains(&Rtype::CNAME) && owner != self.0.apex.as_ref() {
            types.retain(|&t| t == Rtype::CNAME);
        } else {
            types.retain(|&t| t != Rtype::CNAME);
        }
        if owner == self.0.apex.as_ref() {
            types.push(Rtype::SOA);
        }
        types
    }

    fn is_cut(&self, owner: NameRef<'_>) -> bool {
        owner != self.0.apex.as_ref() && !owner.is_wildcard() && self.types_at(owner).contains(&Rtype::NS)
    }

    fn lookup(&self, qname: NameRef<'_>, qtype: Rtype) -> &'static str {
        // RFC 1034 §4.3.2 step 3: match down from the apex, label by label.
        let mut path: Vec<_> =
            qname.suffixes().take_while(|s| s.is_at_or_below(self.0.apex.as_ref())).collect();
        path.reverse();
        let mut closest_encloser = path[0];
        for &node in &path {
            if !self.exists(node) {
                break;
            }
            if self.is_cut(node) && !(node == qname && qtype == Rtype::DS) {
                return "delegated"; // step 3b
            }
            closest_encloser = node;
        }
        if closest_encloser == qname {
            return self.at(qname, qtype); // step 3a
        }
        let source = Name::child(b"*", closest_encloser).unwrap(); // step 3c
        if self.exists(source.as_ref()) { self.at(source.as_ref(), qtype) } else { "nxdomain" }
    }

    fn at(&self, owner: NameRef<'_>, qtype: Rtype) -> &'static str {
        let types = self.types_at(owner);
        if qtype == Rtype::ANY {
            "any"
        } else if types.contains(&qtype) {
            "answer"
        } else if types.contains(&Rtype::CNAME) {
            "cname"
        } else {
            "nodata"
        }
    }
}

fn any_owner() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "a-*", "c"]), 0..4)
        .prop_map(|labels| labels.into_iter().map(|l| format!("{l}.")).collect::<String>() + "corp.internal")
}

fn alias(owner: &str, target: &str) -> RecordSet {
    let rdata = vec![name(target).as_bytes().into()];
    RecordSet { body: Body::Records { ttl: 300, rdata }, ..set(owner, Rtype::CNAME) }
}

/// What following the links from `owner` comes to, name by name.
fn followed(zone: &Zone, owner: &str, qtype: Rtype) -> Vec<&'static str> {
    let owner = name(owner);
    let mut lookup = zone.lookup(&Suffixes::of(owner.as_ref()), qtype);
    let mut words = vec![word(lookup)];
    while let Lookup::Cname(alias) = lookup {
        let Some(next) = zone.follow(alias, qtype) else { break };
        lookup = next;
        words.push(word(lookup));
    }
    words
}

#[test]
fn a_cname_is_linked_to_what_the_zone_has_at_its_target() {
    let zone = build(vec![
        alias("one.corp.internal", "two.corp.internal"),
        alias("two.corp.internal", "three.corp.internal"),
        set("three.corp.internal", Rtype::A),
        set("*.wild.corp.internal", Rtype::A),
        alias("*.star.corp.internal", "any.wild.corp.internal"),
        set("sub.corp.internal", Rtype::NS),
        set("x.sub.corp.internal", Rtype::A),
        alias("cut.corp.internal", "x.sub.corp.internal"),
        alias("at-cut.corp.internal", "sub.corp.internal"),
        alias("gone.corp.internal", "missing.corp.internal"),
        alias("out.corp.internal", "www.example.net"),
        alias("ent.corp.internal", "wild.corp.internal"),
    ]);
    let a = |owner: &str| followed(&zone, &format!("{owner}.corp.internal"), Rtype::A);
    assert_eq!(a("one"), ["cname", "cname", "answer"]);
    assert_eq!(followed(&zone, "one.corp.internal", Rtype::TXT), ["cname", "cname", "nodata"]);
    assert_eq!(followed(&zone, "one.corp.internal", Rtype::CNAME), ["answer"]);
    assert_eq!(a("x.star"), ["cname", "answer"]);
    assert_eq!(a("ent"), ["cname", "nodata"]);
    assert_eq!(a("at-cut"), ["cname", "delegated"]);
    for ends in ["cut", "gone", "out"] {
        assert_eq!(a(ends), ["cname"], "{ends}");
    }
}

#[test]
fn loops_and_overlong_chains_are_not_linked() {
    let mut sets = vec![
        alias("a.corp.internal", "b.corp.internal"),
        alias("b.corp.internal", "c.corp.internal"),
        alias("c.corp.internal", "b.corp.internal"),
        alias("self.corp.internal", "self.corp.internal"),
        alias("*.w.corp.internal", "again.w.corp.internal"),
        set("n17.corp.internal", Rtype::A),
    ];
    for n in 0..17 {
        sets.push(alias(&format!("n{n}.corp.internal"), &format!("n{}.corp.internal", n + 1)));
    }
    let zone = build(sets);
    for start in ["a", "b", "c", "self", "x.w", "n0"] {
        assert_eq!(followed(&zone, &format!("{start}.corp.internal"), Rtype::A), ["cname"], "{start}");
    }
    let longest = followed(&zone, "n1.corp.internal", Rtype::A);
    assert_eq!((longest.len(), longest.last()), (17, Some(&"answer")));
}

fn any_type() -> impl Strategy<Value = Rtype> {
    prop::sample::select(vec![Rtype::A, Rtype::TXT, Rtype::CNAME, Rtype::NS])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn compiled_lookup_equals_the_naive_model(
        sets in prop::collection::vec((any_owner(), any_type()), 0..12),
        queries in prop::collection::vec((any_owner(), any_type()), 1..24),
    ) {
        let data = data(sets.iter().map(|(owner, rtype)| set(owner, *rtype)).collect());
        let zone = Zone::build(&data, &ZoneOptions::default()).zone;
        for (qname, qtype) in queries.iter().chain(&sets) {
            for qtype in [*qtype, Rtype::DS, Rtype::ANY] {
                prop_assert_eq!(
                    said(&zone, qname, qtype),
                    Naive(&data).lookup(name(qname).as_ref(), qtype),
                    "{} {} in {:?}", qname, qtype, sets
                );
            }
        }
    }

    #[test]
    fn following_a_link_says_what_the_naive_model_says_of_the_target(
        sets in prop::collection::vec((any_owner(), any_type()), 0..8),
        aliases in prop::collection::vec((any_owner(), any_owner()), 1..12),
        qtype in any_type(),
    ) {
        let plain = sets.iter().map(|(owner, rtype)| set(owner, *rtype));
        let data = data(plain.chain(aliases.iter().map(|(owner, target)| alias(owner, target))).collect());
        let (zone, naive) = (Zone::build(&data, &ZoneOptions::default()).zone, Naive(&data));
        for (owner, _) in &aliases {
            let owner = name(owner);
            let mut lookup = zone.lookup(&Suffixes::of(owner.as_ref()), qtype);
            let mut hops = 0;
            while let Lookup::Cname(alias) = lookup {
                let target = Name::from_wire(alias.rdata().next().unwrap()).unwrap();
                let in_zone = target.as_ref().is_at_or_below(data.apex.as_ref());
                let expected = if in_zone { naive.lookup(target.as_ref(), qtype) } else { "outside" };
                match zone.follow(alias, qtype) {
                    Some(next) => {
                        prop_assert_eq!(word(next), expected, "{} {} in {:?}", target, qtype, data);
                        lookup = next;
                        hops += 1;
                        prop_assert!(hops <= 16, "links of {} end", owner);
                    }
                    None => {
                        let ends = ["outside", "nxdomain", "delegated"].contains(&expected);
                        prop_assert!(ends || is_endless(&zone, target), "{} in {:?}", owner, data);
                        break;
                    }
                }
            }
        }
    }
}

/// Whether walking name by name from `at` does not end.
fn is_endless(zone: &Zone, mut at: Name) -> bool {
    for _ in 0..100 {
        let Lookup::Cname(alias) = zone.lookup(&Suffixes::of(at.as_ref()), Rtype::A) else { return false };
        at = Name::from_wire(alias.rdata().next().unwrap()).unwrap();
        if !at.as_ref().is_at_or_below(zone.apex().as_ref()) {
            return false;
        }
    }
    true
}

#[test]
fn the_registry_of_external_dns_is_left_out_where_nobody_wants_it() {
    let text = |owner: &str, text: &[u8]| {
        let rdata = vec![[&[text.len() as u8][..], text].concat().into()];
        RecordSet { body: Body::Records { ttl: 300, rdata }, ..set(owner, Rtype::TXT) }
    };
    let data = ZoneData {
        apex: name("corp.internal"),
        sets: vec![
            set("app.corp.internal", Rtype::A),
            text("a-app.corp.internal", b"heritage=external-dns,external-dns/owner=x"),
            text("app.corp.internal", b"heritage of mankind"),
        ],
        skipped: Vec::new(),
    };
    for drops_registry in [false, true] {
        let built = Zone::build(&data, &ZoneOptions { drops_registry, ..ZoneOptions::default() });
        let expected = if drops_registry { ("nxdomain", 1) } else { ("answer", 0) };
        let said_of = said(&built.zone, "a-app.corp.internal", Rtype::TXT);
        assert_eq!((said_of, built.zone.counts().dropped), expected);
        assert_eq!(said(&built.zone, "app.corp.internal", Rtype::TXT), "answer");
        assert!(built.skipped.is_empty());
    }
}
