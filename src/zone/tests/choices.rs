//! Sets among which a routing policy chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;

fn member(owner: &str, policy: Policy, check: Option<&str>, last: u8) -> RecordSet {
    let content = Content::Records { ttl: 60, rdata: vec![[10, 0, 0, last].into()] };
    with(owner, policy, check, content)
}

fn with(owner: &str, policy: Policy, check: Option<&str>, content: Content) -> RecordSet {
    let identifier = format!("{policy:?}").into();
    let member = Member { identifier, policy, health_check: check.map(Into::into), content };
    RecordSet { owner: name(owner), rtype: Rtype::A, body: Body::Member(Box::new(member)) }
}

fn to(owner: &str, policy: Policy, target: &str, evaluates_health: bool) -> RecordSet {
    let alias = Alias { target: name(target), is_inside: true, evaluates_health };
    with(owner, policy, None, Content::Alias(alias))
}

fn zone_in(region: &str, sets: Vec<RecordSet>) -> Zone {
    let data = ZoneData { apex: name("corp.internal"), sets, skipped: Vec::new() };
    let built = Zone::build(&data, &ZoneOptions { region: Region::find(region), ..ZoneOptions::default() });
    assert_eq!(built.skipped, []);
    built.zone
}

/// How often each last byte is given in 10 000 draws that are spread evenly; 0 for no answer.
fn drawn(zone: &Zone, owner: &str) -> BTreeMap<u8, usize> {
    let Lookup::Choice(choice) = zone.lookup(&Suffixes::of(name(owner).as_ref()), Rtype::A) else {
        panic!("{owner} is no choice")
    };
    let mut counts = BTreeMap::new();
    for draw in 0..10_000u32 {
        let last = match choice.pick((2 * draw + 1) * (u32::MAX / 20_000)) {
            Chosen::Records(rrset) => rrset.rdata().next().unwrap()[3],
            Chosen::Nothing => 0,
            other => panic!("{other:?}"),
        };
        *counts.entry(last).or_default() += 1;
    }
    counts
}

fn is_uncertain(zone: &Zone, owner: &str) -> bool {
    match zone.lookup(&Suffixes::of(name(owner).as_ref()), Rtype::A) {
        Lookup::Choice(choice) => choice.is_uncertain(),
        other => panic!("{other:?}"),
    }
}

fn health(states: &[(&str, State)]) -> Arc<Health> {
    let states: Health = states.iter().map(|&(id, state)| (Subject::Check(id.into()), state)).collect();
    states.into()
}

const OWNER: &str = "w.corp.internal";

#[test]
fn sets_are_given_by_their_share_of_the_weights() {
    let weights = |weights: &[u16]| {
        let sets = weights.iter().zip(1..).map(|(&w, last)| member(OWNER, Policy::Weighted(w), None, last));
        drawn(&zone_in("", sets.collect()), OWNER)
    };
    assert_eq!(weights(&[1, 255])[&1], 39, "0.39 %");
    assert_eq!(weights(&[10, 30, 60]), [(1, 1000), (2, 3000), (3, 6000)].into());
    assert_eq!(weights(&[0, 10]), [(2, 10_000)].into(), "without weight it is never given");
    assert_eq!(weights(&[0, 0]), [(1, 5000), (2, 5000)].into(), "unless nothing has any");
}

#[test]
fn what_has_no_weight_is_given_where_all_else_is_ill() {
    let mut zone = zone_in(
        "",
        vec![member(OWNER, Policy::Weighted(0), None, 1), member(OWNER, Policy::Weighted(9), Some("b"), 2)],
    );
    assert_eq!(drawn(&zone, OWNER), [(2, 10_000)].into());
    assert!(is_uncertain(&zone, OWNER));
    zone.plan(&health(&[("b", State::Unhealthy)]));
    assert_eq!(drawn(&zone, OWNER), [(1, 10_000)].into());
    assert!(!is_uncertain(&zone, OWNER));
}

#[test]
fn the_primary_is_given_while_it_is_healthy_and_when_nothing_is() {
    let mut zone = zone_in(
        "",
        vec![
            member(OWNER, Policy::Failover { is_primary: false }, Some("s"), 2),
            member(OWNER, Policy::Failover { is_primary: true }, Some("p"), 1),
        ],
    );
    for (primary, secondary, given) in [
        (State::Healthy, State::Unknown, 1),
        (State::Unhealthy, State::Healthy, 2),
        (State::Unhealthy, State::Unhealthy, 1),
        (State::Unknown, State::Unhealthy, 1),
    ] {
        zone.plan(&health(&[("p", primary), ("s", secondary)]));
        assert_eq!(drawn(&zone, OWNER), [(given, 10_000)].into(), "{primary:?} {secondary:?}");
        assert!(!is_uncertain(&zone, OWNER), "what is unknown does not matter");
    }
    zone.plan(&health(&[("s", State::Healthy)]));
    assert!(is_uncertain(&zone, OWNER));
}

#[test]
fn up_to_eight_healthy_sets_are_given_together_and_all_in_turn() {
    let sets = (1..=12).map(|last| {
        let check = format!("c{last}");
        member(OWNER, Policy::Multivalue, Some(&check), last)
    });
    let mut zone = zone_in("", sets.collect());
    for (ill, expected) in [(0, 8), (5, 7), (12, 8)] {
        let states =
            (1..=12).map(|n| (format!("c{n}"), if n <= ill { State::Unhealthy } else { State::Healthy }));
        let states: Vec<_> = states.collect();
        let states = states.iter().map(|(id, state)| (Subject::Check(id.as_str().into()), *state));
        zone.plan(&Arc::new(states.collect()));
        let Lookup::Choice(choice) = zone.lookup(&Suffixes::of(name(OWNER).as_ref()), Rtype::A) else {
            panic!()
        };
        let mut seen = BTreeMap::new();
        for draw in 0..120u32 {
            let Chosen::Several(several) = choice.pick(draw) else { panic!("one alone") };
            let given: Vec<u8> = several.rrsets().map(|rrset| rrset.rdata().next().unwrap()[3]).collect();
            assert_eq!(given.len(), expected, "{ill} ill");
            given.into_iter().for_each(|last| *seen.entry(last).or_insert(0) += 1);
        }
        let eligible = if ill == 12 { 12 } else { 12 - ill };
        assert_eq!(seen.len(), eligible);
        assert!(seen.values().all(|&n| n == 120 * expected / eligible), "{seen:?}");
    }
}

#[test]
fn the_region_of_the_vpc_decides_and_without_one_the_origin_does() {
    let latency = |region: &str, last| member(OWNER, Policy::Latency(region.into()), None, last);
    let sets = || vec![latency("us-east-1", 1), latency("eu-central-1", 2), latency("mars-1", 3)];
    assert_eq!(drawn(&zone_in("eu-west-1", sets()), OWNER), [(2, 10_000)].into());
    assert_eq!(drawn(&zone_in("us-east-1", sets()), OWNER), [(1, 10_000)].into());
    assert_eq!(said(&zone_in("", sets()), OWNER, Rtype::A), "deferred");
    let geo = |location, last| member(OWNER, Policy::Geolocation(location), None, last);
    let only_there = || vec![geo(Location::Country("US".into()), 1)];
    assert_eq!(drawn(&zone_in("eu-west-1", only_there()), OWNER), [(0, 10_000)].into(), "NODATA");
    let all = || {
        vec![
            geo(Location::Default, 4),
            geo(Location::Continent("NA".into()), 3),
            geo(Location::Country("US".into()), 2),
            geo(Location::Subdivision("US".into(), "VA".into()), 1),
        ]
    };
    for (region, given) in [("us-east-1", 1), ("us-west-2", 2), ("ca-central-1", 3), ("eu-west-1", 4)] {
        assert_eq!(drawn(&zone_in(region, all()), OWNER), [(given, 10_000)].into(), "{region}");
    }
}

#[test]
fn a_choice_may_lead_to_a_choice_and_backs_out_of_a_branch_where_nothing_is_healthy() {
    let mut zone = zone_in(
        "",
        vec![
            to(OWNER, Policy::Weighted(1), "one.corp.internal", true),
            to(OWNER, Policy::Weighted(3), "two.corp.internal", true),
            member("one.corp.internal", Policy::Weighted(1), Some("a"), 1),
            member("one.corp.internal", Policy::Weighted(1), Some("b"), 2),
            member("two.corp.internal", Policy::Failover { is_primary: true }, Some("c"), 3),
            member("two.corp.internal", Policy::Failover { is_primary: false }, Some("d"), 4),
        ],
    );
    let states = |ill: &[&str]| -> Health {
        ["a", "b", "c", "d"]
            .into_iter()
            .map(|id| {
                (Subject::Check(id.into()), if ill.contains(&id) { State::Unhealthy } else { State::Healthy })
            })
            .collect()
    };
    for (ill, expected) in [
        (&[][..], vec![(1, 1250), (2, 1250), (3, 7500)]),
        (&["c"], vec![(1, 1250), (2, 1250), (4, 7500)]),
        (&["c", "d"], vec![(1, 5000), (2, 5000)]),
        (&["a", "b"], vec![(3, 10_000)]),
        (&["a", "b", "c", "d"], vec![(1, 1250), (2, 1250), (3, 7500)]),
    ] {
        zone.plan(&Arc::new(states(ill)));
        assert_eq!(drawn(&zone, OWNER), expected.into_iter().collect(), "{ill:?} ill");
    }
}

#[test]
fn sets_that_contradict_each_other_leave_the_choice_to_the_origin() {
    let simple = || member(OWNER, Policy::Simple, Some("a"), 1);
    for sets in [
        vec![member(OWNER, Policy::Weighted(1), None, 1), member(OWNER, Policy::Multivalue, None, 2)],
        vec![simple(), simple()],
        vec![with(OWNER, Policy::Weighted(1), None, Content::Records { ttl: 1, rdata: vec![[1].into()] })],
        vec![
            member(OWNER, Policy::Weighted(1), None, 1),
            RecordSet { body: Body::Deferred(DeferredReason::Choice), ..set(OWNER, Rtype::A) },
        ],
    ] {
        let data = ZoneData { apex: name("corp.internal"), sets, skipped: Vec::new() };
        let zone = Zone::build(&data, &ZoneOptions::default()).zone;
        assert_eq!(said(&zone, OWNER, Rtype::A), "deferred");
    }
    assert_eq!(said(&build(vec![simple()]), OWNER, Rtype::A), "choice");
}

#[test]
fn names_that_lead_on_and_on_are_left_to_the_origin_and_need_no_deep_stack() {
    let step = |n: u32| {
        to(&format!("n{n}.corp.internal"), Policy::Weighted(1), &format!("n{}.corp.internal", n + 1), true)
    };
    let mut sets: Vec<_> = (0..1000).map(step).collect();
    sets.push(member("n1000.corp.internal", Policy::Weighted(1), None, 1));
    let zone = zone_in("", sets);
    assert_eq!(said(&zone, "n0.corp.internal", Rtype::A), "deferred");
    assert_eq!(said(&zone, "n990.corp.internal", Rtype::A), "choice");
}

#[test]
fn a_value_that_several_sets_have_is_given_once() {
    let sets = vec![
        member(OWNER, Policy::Multivalue, None, 1),
        member(OWNER, Policy::Multivalue, None, 1),
        member(OWNER, Policy::Multivalue, None, 2),
    ];
    let zone = zone_in("", sets);
    let Lookup::Choice(choice) = zone.lookup(&Suffixes::of(name(OWNER).as_ref()), Rtype::A) else { panic!() };
    let Chosen::Several(several) = choice.pick(7) else { panic!() };
    let mut given: Vec<u8> = several.rrsets().map(|rrset| rrset.rdata().next().unwrap()[3]).collect();
    given.sort_unstable();
    assert_eq!(given, [1, 2]);
}

fn near(place: Place, bias: i8) -> Policy {
    Policy::Geoproximity { place, bias }
}

#[test]
fn the_nearest_place_is_given_with_distances_stretched_by_their_bias() {
    let region = |code: &str| Place::Region(code.into());
    let (lisbon, berlin) = ((3870, -910), (5250, 1340));
    let point = |(latitude, longitude)| Place::Point { latitude, longitude };
    for (here, places, given) in [
        ("eu-west-1", vec![(region("us-east-1"), 0), (region("eu-central-1"), 0)], 2),
        ("us-east-2", vec![(region("us-east-1-bos-1"), 0), (region("eu-central-1"), 0)], 1),
        // Frankfurt lies 1000 km from Dublin, Virginia 5400.
        ("eu-west-1", vec![(region("us-east-1"), 90), (region("eu-central-1"), 0)], 1),
        ("eu-west-1", vec![(region("us-east-1"), 0), (region("eu-central-1"), -90)], 1),
        ("eu-west-1", vec![(region("nowhere-1"), 99), (region("ap-southeast-2"), -99)], 2),
        ("eu-south-2", vec![(point(lisbon), 0), (point(berlin), 0)], 1),
        ("eu-central-1", vec![(point(lisbon), 0), (point(berlin), 0)], 2),
    ] {
        let is_biased = places.iter().any(|(_, bias)| *bias != 0);
        let sets = places
            .into_iter()
            .zip(1..)
            .map(|((place, bias), last)| member(OWNER, near(place, bias), None, last));
        let zone = zone_in(here, sets.collect());
        assert_eq!(drawn(&zone, OWNER), [(given, 10_000)].into(), "{here}");
        assert_eq!(is_uncertain(&zone, OWNER), is_biased, "how bias counts is not known for certain");
    }
}

#[test]
fn only_choices_that_hang_on_what_changed_are_worked_out_anew() {
    let pair = |owner: &str, check: &str| {
        [
            member(owner, Policy::Failover { is_primary: true }, Some(check), 1),
            member(owner, Policy::Failover { is_primary: false }, None, 2),
        ]
    };
    let behind = to("alias.corp.internal", Policy::Weighted(1), "a.corp.internal", true);
    let mut sets = [pair("a.corp.internal", "a"), pair("b.corp.internal", "b")].concat();
    sets.push(behind);
    let zone = zone_in("", sets);
    let check = |id: &str| Subject::Check(id.into());
    assert_eq!(zone.subjects().iter().cloned().collect::<BTreeSet<_>>(), [check("a"), check("b")].into());

    let ill = health(&[("a", State::Unhealthy), ("c", State::Unhealthy)]);
    assert!(!zone.is_planned_for(&ill) && zone.is_planned_for(&health(&[("c", State::Unhealthy)])));
    let (next, choices) = zone.replanned(&ill);
    assert_eq!(choices, 2, "the group itself, and the alias that leads to it");
    assert!(next.is_planned_for(&ill));
    assert_eq!(drawn(&next, "a.corp.internal"), [(2, 10_000)].into());
    assert_eq!(drawn(&next, "alias.corp.internal"), [(2, 10_000)].into());
    assert_eq!(drawn(&next, "b.corp.internal"), [(1, 10_000)].into());
    assert_eq!(drawn(&zone, "a.corp.internal"), [(1, 10_000)].into(), "who has the old zone keeps it");

    let (back, _) = next.replanned(&health(&[("a", State::Healthy)]));
    assert_eq!(drawn(&back, "a.corp.internal"), [(1, 10_000)].into());
    assert!(!is_uncertain(&back, "a.corp.internal") && is_uncertain(&back, "b.corp.internal"));
}

#[test]
fn probes_of_its_addresses_stand_for_a_set_in_place_of_its_check() {
    let probe = Probe { port: 5432, path: None };
    let rule = ProbeRule { names: vec!["*.corp.internal".parse().unwrap()], probe: probe.clone() };
    let records = |last: &[u8]| Content::Records {
        ttl: 60,
        rdata: last.iter().map(|&n| [10, 0, 0, n].into()).collect(),
    };
    let metadata = Content::Records { ttl: 60, rdata: vec![[169, 254, 169, 254].into()] };
    let sets = vec![
        with(OWNER, Policy::Failover { is_primary: true }, Some("c"), records(&[1, 2])),
        with(OWNER, Policy::Failover { is_primary: false }, Some("c"), records(&[3])),
        with("m.corp.internal", Policy::Weighted(1), None, metadata),
    ];
    let data = ZoneData { apex: name("corp.internal"), sets, skipped: Vec::new() };
    let options = ZoneOptions { probes: [rule].into(), ..ZoneOptions::default() };
    let mut zone = Zone::build(&data, &options).zone;
    let of = |last| Subject::Probe(ProbeTarget { address: [10, 0, 0, last].into(), probe: probe.clone() });
    let subjects: BTreeSet<Subject> = zone.subjects().iter().cloned().collect();
    assert_eq!(subjects, [of(1), of(2), of(3)].into(), "no checks, and never the metadata service");

    let (well, ill) = (State::Healthy, State::Unhealthy);
    for (states, given, uncertain) in [
        (vec![(1, ill), (2, well)], 1, false),
        (vec![(1, ill), (2, ill), (3, well)], 3, false),
        (vec![(1, ill), (2, ill), (3, ill)], 1, false),
        (vec![(1, ill), (3, well)], 1, true),
    ] {
        let known = states.iter().map(|&(last, state)| (of(last), state));
        zone.plan(&Arc::new(known.collect()));
        let found: Vec<u8> = drawn(&zone, OWNER).into_keys().collect();
        assert_eq!((found, is_uncertain(&zone, OWNER)), (vec![given], uncertain), "{states:?}");
    }
}
