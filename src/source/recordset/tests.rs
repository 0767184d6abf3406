use super::*;
use crate::zone::{Location, Place, Policy};

fn set(json: &str) -> ApiRecordSet {
    serde_json::from_str(json).unwrap()
}

fn simple(name: &str, rtype: &str, values: &[&str]) -> ApiRecordSet {
    ApiRecordSet {
        name: name.into(),
        rtype: rtype.into(),
        ttl: Some(300),
        resource_records: values.iter().map(|v| ApiValue { value: (*v).into() }).collect(),
        ..ApiRecordSet::default()
    }
}

fn collect(sets: Vec<ApiRecordSet>) -> ZoneData {
    let mut collector = Collector::new("corp.internal".parse().unwrap());
    sets.into_iter().for_each(|set| collector.add(set));
    collector.finish()
}

#[test]
fn a_star_is_a_wildcard_only_as_the_whole_leftmost_label() {
    let data = collect(vec![
        simple(r"\052.apps.corp.internal.", "A", &["10.0.0.1"]),
        simple(r"a-\052.apps.corp.internal.", "TXT", &[r#""heritage=x""#]),
        simple(r"prod.\052.corp.internal", "A", &["10.0.0.2"]),
    ]);
    let wild: Vec<bool> = data.sets.iter().map(|s| s.owner.as_ref().is_wildcard()).collect();
    assert_eq!(wild, [true, false, false]);
    assert_eq!(data.sets[1].owner.to_string(), "a-*.apps.corp.internal.");
    assert!(data.skipped.is_empty());
}

fn policy(id: &str, extra: &str) -> ApiRecordSet {
    set(&format!(
        r#"{{"Name":"p.corp.internal.","Type":"A","SetIdentifier":"{id}","TTL":60,
        "ResourceRecords":[{{"Value":"10.0.0.1"}}]{extra}}}"#
    ))
}

#[test]
fn aliases_and_members_are_kept_with_all_that_decides_about_them() {
    let data = collect(vec![
        set(r#"{"Name":"a.corp.internal.","Type":"A","AliasTarget":{"HostedZoneId":"Z1",
            "DNSName":"x.","EvaluateTargetHealth":true}}"#),
        policy("w", r#","Weight":1,"HealthCheckId":"hc-1""#),
        policy("f", r#","Failover":"SECONDARY""#),
        policy("m", r#","MultiValueAnswer":true"#),
        policy("l", r#","Region":"eu-west-1""#),
        policy("g", r#","GeoLocation":{"CountryCode":"US","SubdivisionCode":"VA"}"#),
        policy("p", r#","GeoProximityLocation":{"AWSRegion":"eu-west-1","Bias":-20}"#),
        policy("z", r#","GeoProximityLocation":{"LocalZoneGroup":"us-east-1-bos-1"}"#),
        policy("c", r#","GeoProximityLocation":{"Coordinates":{"Latitude":"-1.5","Longitude":"103.85"}}"#),
        set(r#"{"Name":"s.corp.internal.","Type":"A","TTL":60,"HealthCheckId":"hc-2",
            "ResourceRecords":[{"Value":"10.0.0.1"}]}"#),
        set(r#"{"Name":"u.corp.internal.","Type":"A"}"#),
    ]);
    let target = "x".parse().unwrap();
    let alias = Alias { target, is_inside: false, evaluates_health: true };
    assert_eq!(data.sets[0].body, Body::Alias(alias));
    let members = data.sets.iter().filter_map(|set| match &set.body {
        Body::Member(member) => {
            Some((&*member.identifier, member.policy.clone(), member.health_check.as_deref()))
        }
        _ => None,
    });
    let near = |place, bias| Policy::Geoproximity { place, bias };
    let expected = [
        ("w", Policy::Weighted(1), Some("hc-1")),
        ("f", Policy::Failover { is_primary: false }, None),
        ("m", Policy::Multivalue, None),
        ("l", Policy::Latency("eu-west-1".into()), None),
        ("g", Policy::Geolocation(Location::Subdivision("US".into(), "VA".into())), None),
        ("p", near(Place::Region("eu-west-1".into()), -20), None),
        ("z", near(Place::Region("us-east-1-bos-1".into()), 0), None),
        ("c", near(Place::Point { latitude: -150, longitude: 10_385 }, 0), None),
        ("", Policy::Simple, Some("hc-2")),
    ];
    assert_eq!(members.collect::<Vec<_>>(), expected);
    assert_eq!(data.sets[10].body, Body::Deferred(DeferredReason::Unknown));
}

#[test]
fn a_set_of_a_policy_that_is_not_followed_or_not_readable_leaves_the_choice_to_the_origin() {
    for extra in [
        r#","GeoProximityLocation":{}"#,
        r#","GeoProximityLocation":{"AWSRegion":"eu-west-1","LocalZoneGroup":"us-east-1-bos-1"}"#,
        r#","GeoProximityLocation":{"AWSRegion":"eu-west-1","Bias":100}"#,
        r#","GeoProximityLocation":{"Coordinates":{"Latitude":"90.01","Longitude":"0"}}"#,
        r#","GeoProximityLocation":{"Coordinates":{"Latitude":"north","Longitude":"0"}}"#,
        r#","CidrRoutingConfig":{"CollectionId":"x","LocationName":"y"}"#,
        r#","Weight":1,"Failover":"PRIMARY""#,
        r#","Weight":-1"#,
        r#","Failover":"TERTIARY""#,
        r#","GeoLocation":{}"#,
        "",
    ] {
        let bodies: Vec<Body> = collect(vec![policy("a", extra), policy("b", extra)])
            .sets
            .into_iter()
            .map(|set| set.body)
            .collect();
        assert_eq!(bodies, [Body::Deferred(DeferredReason::Choice)], "{extra}");
    }
    for order in [[0, 1], [1, 0]] {
        let good = policy("s", r#","Failover":"SECONDARY""#);
        let unreadable =
            set(r#"{"Name":"p.corp.internal.","Type":"A","SetIdentifier":"p","Failover":"PRIMARY",
            "AliasTarget":{"HostedZoneId":"Z1","DNSName":"a..b","EvaluateTargetHealth":true}}"#);
        let sets = order.map(|at| [&good, &unreadable][at].clone());
        let zone = crate::zone::Zone::build(&collect(sets.into()), &Default::default()).zone;
        assert_eq!((zone.counts().choices, zone.counts().deferred), (0, 1), "{order:?}");
    }
    let mut bad = policy("a", r#","Weight":1"#);
    bad.resource_records[0].value = "10.0.0".into();
    let data = collect(vec![bad]);
    assert_eq!(data.sets[0].body, Body::Deferred(DeferredReason::Choice));
    assert_eq!(data.skipped[0].reason, SkipReason::BadValue);
}

#[test]
fn a_set_that_is_listed_twice_counts_once() {
    let again = simple("db.corp.internal.", "A", &["10.0.0.1"]);
    assert_eq!(collect(vec![again.clone(), again]).sets.len(), 1);
}

#[test]
fn what_cannot_be_expressed_is_skipped_by_itself() {
    let mut late = simple("late.corp.internal.", "A", &["10.0.0.1"]);
    late.ttl = Some(i64::from(MAX_TTL) + 1);
    let mut bare = simple("bare.corp.internal.", "A", &["10.0.0.1"]);
    bare.ttl = None;
    let data = collect(vec![
        simple("half.corp.internal.", "A", &["10.0.0.1", "10.0.0"]),
        simple(r"\999.corp.internal.", "A", &["10.0.0.1"]),
        simple("db.example.com.", "A", &["10.0.0.1"]),
        simple("x.corp.internal.", "ANY", &["1"]),
        simple("x.corp.internal.", "NEWTYPE", &["1"]),
        late,
        bare,
    ]);
    let reasons: Vec<SkipReason> = data.skipped.iter().map(|s| s.reason).collect();
    assert_eq!(
        reasons,
        [
            SkipReason::BadValue,
            SkipReason::BadOwner,
            SkipReason::OutOfZone,
            SkipReason::UnsupportedType,
            SkipReason::UnsupportedType,
            SkipReason::BadTtl,
            SkipReason::BadTtl
        ]
    );
    let deferred: Vec<(String, Rtype)> =
        data.sets[1..].iter().map(|set| (set.owner.to_string(), set.rtype)).collect();
    assert_eq!(
        deferred,
        [
            ("x.corp.internal.".to_owned(), Rtype::ANY),
            ("late.corp.internal.".to_owned(), Rtype::A),
            ("bare.corp.internal.".to_owned(), Rtype::A)
        ],
        "names of skipped sets still exist"
    );
    assert_eq!(
        data.sets[0].body,
        Body::Records { ttl: 300, rdata: vec![[10, 0, 0, 1].into()] },
        "the good value of the half-bad set stays"
    );
    assert!(data.skipped[0].detail.contains("10.0.0"));
}

#[test]
fn the_apex_is_whole_with_soa_and_ns_of_its_own_name() {
    let mut collector = Collector::new("corp.internal".parse().unwrap());
    collector.add(simple("corp.internal.", "SOA", &["not an soa"]));
    collector.add(simple("sub.corp.internal.", "NS", &["ns.test"]));
    assert!(!collector.has_apex());
    collector.add(simple("Corp.Internal", "NS", &["ns.test"]));
    assert!(collector.has_apex());
}
