use super::*;

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

fn body(data: &ZoneData) -> Vec<(String, &Body)> {
    data.sets.iter().map(|s| (s.owner.to_string(), &s.body)).collect()
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

#[test]
fn policies_are_deferred_once_for_each_owner_and_type() {
    let policy = |id: &str, extra: &str| {
        set(&format!(
            r#"{{"Name":"p.corp.internal.","Type":"A","SetIdentifier":"{id}","TTL":60,
            "ResourceRecords":[{{"Value":"10.0.0.1"}}]{extra}}}"#
        ))
    };
    let data = collect(vec![
        set(r#"{"Name":"a.corp.internal.","Type":"A","AliasTarget":{"HostedZoneId":"Z1",
            "DNSName":"x.","EvaluateTargetHealth":false}}"#),
        policy("one", r#","Weight":1"#),
        policy("two", r#","Weight":0"#),
        set(r#"{"Name":"u.corp.internal.","Type":"A"}"#),
        set(r#"{"Name":"m.corp.internal.","Type":"A","TTL":60,"MultiValueAnswer":true,
            "ResourceRecords":[{"Value":"10.0.0.1"}]}"#),
    ]);
    let expected = [
        (
            "a.corp.internal.".to_owned(),
            &Body::Alias(Alias { target: "x".parse().unwrap(), is_inside: false }),
        ),
        ("p.corp.internal.".to_owned(), &Body::Deferred(DeferredReason::Choice)),
        ("u.corp.internal.".to_owned(), &Body::Deferred(DeferredReason::Unknown)),
        ("m.corp.internal.".to_owned(), &Body::Deferred(DeferredReason::Choice)),
    ];
    assert_eq!(body(&data), expected);
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
