//! What boto3 writes to moto, read back by the source.

use serde_json::{Value, json};
use zonelet::source::settings::{Route53Settings, VpcSelector, ZoneSelector};
use zonelet::source::{SourceError, ZoneSource};
use zonelet::wire::Rtype;
use zonelet::zone::{Body, Location, Policy, SkipReason, ZoneData};

use super::fixture::*;
use crate::harness::moto;

const SOA: &str = "ns-0.awsdns-00.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400";

fn of_vpc(vpc: &str) -> Route53Settings {
    let zones = ZoneSelector { vpc: Some(VpcSelector::Id(vpc.into())), ..ZoneSelector::default() };
    Route53Settings { zones, ..settings(moto::endpoint()) }
}

fn set(name: &str, rtype: &str, values: &[&str]) -> Value {
    let values: Vec<Value> = values.iter().map(|value| json!({ "Value": value })).collect();
    json!({ "Name": name, "Type": rtype, "TTL": 60, "ResourceRecords": values })
}

async fn fetched(vpc: &str, apex: &str) -> Result<ZoneData, SourceError> {
    let source = source_at(moto::endpoint(), of_vpc(vpc));
    let found = source.discover().await?;
    assert_eq!(found.len(), 1, "{found:?}");
    Ok(fetch(&source, named(&found, apex)).await?.data)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn each_of_the_17_types_written_by_boto3_arrives_on_the_wire() {
    let target = "026462047465737400".to_owned();
    let cases = [
        ("A", "10.0.0.1", "0a000001".to_owned()),
        ("AAAA", "fd00::1", "fd000000000000000000000000000001".into()),
        ("CNAME", "db.test", target.clone()),
        ("PTR", "db.test.", target.clone()),
        ("NS", "db.test", target.clone()),
        ("MX", "10 db.test", format!("000a{target}")),
        ("SRV", "1 2 80 db.test", format!("000100020050{target}")),
        ("TXT", r#""a" "b\"c""#, "016103622263".into()),
        ("SPF", r#""v=spf1 -all""#, "0b763d73706631202d616c6c".into()),
        ("CAA", r#"0 issue "ca.test""#, "0005697373756563612e74657374".into()),
        ("NAPTR", r#"1 2 "u" "s" "" db.test"#, format!("000100020175017300{target}")),
        ("DS", "1 8 2 AABB", "00010802aabb".into()),
        ("TLSA", "3 1 1 aabb", "030101aabb".into()),
        ("SSHFP", "4 2 aabb", "0402aabb".into()),
        ("SVCB", "1 db.test alpn=h2", format!("0001{target}00010003026832")),
        ("HTTPS", "0 db.test", format!("0000{target}")),
    ];
    let owner = |rtype: &str| format!("{}.types.internal.", rtype.to_lowercase());
    let sets: Vec<Value> =
        cases.iter().map(|(rtype, value, _)| set(&owner(rtype), rtype, &[value])).collect();
    moto::zone(moto::endpoint(), "types.internal.", "vpc-0types", Some(SOA), &sets);

    let data = fetched("vpc-0types", "types.internal").await.unwrap();
    assert_eq!(data.skipped, []);
    for (rtype, _, expected) in &cases {
        let owner = owner(rtype).parse().unwrap();
        let found = data.sets.iter().find(|s| s.owner == owner).unwrap_or_else(|| panic!("no {rtype}"));
        assert_eq!(Some(found.rtype), Rtype::from_text(rtype));
        let Body::Records { ttl: 60, rdata } = &found.body else { panic!("{rtype}: {found:?}") };
        assert_eq!(hex(&rdata[0]), *expected, "{rtype}");
    }
    let apex = "types.internal".parse().unwrap();
    let soa = data.sets.iter().find(|s| s.owner == apex && s.rtype == Rtype::SOA).unwrap();
    assert!(matches!(&soa.body, Body::Records { ttl: 900, rdata } if rdata[0].len() == 20 + 30 + 20));
}

#[tokio::test]
async fn aliases_and_policies_written_by_boto3_are_read_set_by_set() {
    let alias = json!({ "Name": "alias.policy.internal.", "Type": "A", "AliasTarget": {
        "HostedZoneId": "Z35SXDOTRQ7X7K", "DNSName": "lb.elb.amazonaws.com.", "EvaluateTargetHealth": false } });
    let policy = |name: &str, id: &str, key: &str, value: Value| {
        let mut set = set(&format!("{name}.policy.internal."), "A", &["10.0.0.1"]);
        set["SetIdentifier"] = json!(id);
        set[key] = value;
        set
    };
    let sets = [
        alias,
        policy("weighted", "a", "Weight", json!(1)),
        policy("weighted", "b", "Weight", json!(9)),
        policy("failover", "a", "Failover", json!("PRIMARY")),
        policy("failover", "b", "Failover", json!("SECONDARY")),
        policy("latency", "a", "Region", json!("eu-west-1")),
        policy("geo", "a", "GeoLocation", json!({ "CountryCode": "US" })),
        policy("multi", "a", "MultiValueAnswer", json!(true)),
        set("plain.policy.internal.", "A", &["10.0.0.1", "10.0.0.2"]),
    ];
    moto::zone(moto::endpoint(), "policy.internal.", "vpc-0policy", Some(SOA), &sets);
    let data = fetched("vpc-0policy", "policy.internal").await.unwrap();
    let body = |name: &str| {
        let owner = format!("{name}.policy.internal").parse().unwrap();
        data.sets.iter().filter(|s| s.owner == owner).map(|s| s.body.clone()).collect::<Vec<Body>>()
    };
    let policies = |name: &str| -> Vec<Policy> {
        let policy = |body| if let Body::Member(member) = body { member.policy } else { panic!("{body:?}") };
        body(name).into_iter().map(policy).collect()
    };
    assert!(matches!(&body("alias")[..], [Body::Alias(alias)] if !alias.is_inside));
    assert_eq!(policies("weighted"), [Policy::Weighted(1), Policy::Weighted(9)]);
    assert_eq!(policies("failover"), [true, false].map(|is_primary| Policy::Failover { is_primary }));
    assert_eq!(policies("latency"), [Policy::Latency("eu-west-1".into())]);
    assert_eq!(policies("geo"), [Policy::Geolocation(Location::Country("US".into()))]);
    assert_eq!(policies("multi"), [Policy::Multivalue]);
    assert!(matches!(&body("plain")[..], [Body::Records { rdata, .. }] if rdata.len() == 2));
}

#[tokio::test]
async fn a_zone_of_many_pages_written_by_boto3_is_fetched_whole() {
    let sets: Vec<Value> = (0..700)
        .map(|n| set(&format!("h{n}.many.internal."), "A", &[&format!("10.0.{}.{}", n / 256, n % 256)]))
        .collect();
    moto::zone(moto::endpoint(), "many.internal.", "vpc-0many", Some(SOA), &sets);
    let data = fetched("vpc-0many", "many.internal").await.unwrap();
    assert_eq!(data.sets.len(), 702);
}

#[tokio::test]
async fn an_soa_that_moto_made_up_is_skipped_and_the_zone_stands() {
    moto::zone(
        moto::endpoint(),
        "made.internal.",
        "vpc-0made",
        None,
        &[set("a.made.internal.", "A", &["10.0.0.1"])],
    );
    let data = fetched("vpc-0made", "made.internal").await.unwrap();
    let skipped: Vec<(&str, SkipReason)> =
        data.skipped.iter().map(|s| (s.rtype.as_str(), s.reason)).collect();
    assert_eq!(skipped, [("SOA", SkipReason::BadValue)]);
    assert_eq!(sets_of(&data, "a.made.internal"), 1);
}

#[tokio::test]
async fn a_server_that_goes_round_in_a_group_is_noticed() {
    // moto's cursor knows no identifier: a group larger than a page is returned again for ever.
    let sets: Vec<Value> = (0..301)
        .map(|n| {
            let mut set = set("wt.round.internal.", "A", &["10.0.0.1"]);
            set["SetIdentifier"] = json!(format!("s{n:03}"));
            set["Weight"] = json!(1);
            set
        })
        .collect();
    moto::zone(moto::endpoint(), "round.internal.", "vpc-0round", Some(SOA), &sets);
    let error = fetched("vpc-0round", "round.internal").await.unwrap_err();
    assert!(
        matches!(&error, SourceError::Damaged { problem, .. } if problem.contains("stands still")),
        "{error}"
    );
}
