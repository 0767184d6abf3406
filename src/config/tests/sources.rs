//! `[[source]]`.

use super::*;
use crate::import::settings::OnUnloaded;
use crate::source::settings::{HintQueue, Role, VpcSelector, ZoneSelector};
use crate::zone::OnMissing;

#[test]
fn a_route53_source_is_read_whole() {
    let text = "\
[[source]]
kind = 'route53'
zones = { vpc = 'vpc-0a1b2c3d', ids = ['/hostedzone/Z0123', 'Z4'], names = ['Corp.Internal.', '*.internal'],
    tags = { team = 'core', env = '*' } }
roles = ['arn:aws:iam::222233334444:role/zonelet', { arn = 'arn:aws:iam::333344445555:role/dns/reader',
    external_id = 'between/us', session_name = 'dns' }]
profiles = true
resolver_rules = true
region = 'eu-central-1'
partition = 'aws'
endpoint = 'http://127.0.0.1:5000'
refresh = '5m'
budget = '30/m'
burst = 3
hints = 'https://sqs.eu-central-1.amazonaws.com/111122223333/zonelet'
negative_ttl_max = '5s'
on_missing = 'forward-nxdomain'
registry_txt = 'drop'
on_missing_zones = { 'CORP.internal' = 'forward-nodata' }
on_unloaded = 'fail'
";
    let config = read(text).unwrap();
    let settings = Route53Settings {
        zones: ZoneSelector {
            vpc: Some(VpcSelector::Id("vpc-0a1b2c3d".into())),
            ids: vec!["Z0123".into(), "Z4".into()],
            names: vec!["corp.internal".into(), "*.internal".into()],
            tags: [("team".into(), "core".into()), ("env".into(), "*".into())].into(),
        },
        public: false,
        region: Some("eu-central-1".into()),
        partition: Some("aws".into()),
        endpoint: Some("http://127.0.0.1:5000".into()),
        health: false,
        calls_per_second: 0.5,
        burst: 3,
        roles: vec![
            Role::new("arn:aws:iam::222233334444:role/zonelet"),
            Role {
                external_id: Some("between/us".into()),
                session_name: "dns".into(),
                ..Role::new("arn:aws:iam::333344445555:role/dns/reader")
            },
        ],
        profiles: true,
        resolver_rules: true,
        hints: Some(HintQueue {
            url: "https://sqs.eu-central-1.amazonaws.com/111122223333/zonelet".into(),
            region: Some("eu-central-1".into()),
        }),
    };
    let policy = SourcePolicy {
        refresh: Duration::from_secs(300),
        calls_per_second: Some(0.5),
        negative_ttl_max: 5,
        on_missing: OnMissing::ForwardNxDomain,
        on_missing_zones: [("corp.internal.".to_owned(), OnMissing::ForwardNoData)].into(),
        drops_registry: true,
        on_unloaded: OnUnloaded::Fail,
        health: None,
        probes: Vec::new(),
        expected: vec!["corp.internal".parse().unwrap()],
    };
    assert_eq!(config.sources, [Source { kind: SourceKind::Route53(settings), policy }]);
}

#[test]
fn two_sources_that_select_alike_are_warned_of() {
    let role = "roles = ['arn:aws:iam::222233334444:role/x']";
    let two = |zones: &str| {
        let text = format!("[[source]]\nkind = 'route53'\n[[source]]\nkind = 'route53'\n{zones}\n{role}\n");
        read(&text).unwrap().warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let warnings = two("");
    assert!(warnings.iter().any(|w| w.contains("source[1].zones: selects zones just as")), "{warnings:?}");
    assert!(!two("zones = { ids = ['Z1'] }").iter().any(|w| w.contains("just as")));
}

#[test]
fn sources_refuse_what_cannot_work() {
    let route53 = |rest: &str| problem(&format!("[[source]]\nkind = 'route53'\n{rest}"));
    for (rest, want) in [
        ("zones = {}", "source[0].zones: selects no zone"),
        ("zones = { tags = {} }", "source[0].zones.tags: names no tag"),
        ("zones = { tags = { team = 1 } }", "source[0].zones.tags.team: expected a string"),
        ("zones = { tags = { '' = 'x' } }", "a tag has a key of 1 to 128 characters"),
        ("zones = { vcp = 'auto', ids = ['Z1'] }", "source[0].zones.vcp: unknown key; did you mean `vpc`?"),
        ("zones = { ids = ['z1'] }", "\"z1\" is not a hosted zone id"),
        ("zones = { vpc = 'prod' }", "\"prod\" is not a VPC; write \"auto\" or"),
        ("zones = { names = ['*'] }", "\"*\" is not a domain name"),
        ("public = true", "public zones belong to no VPC"),
        ("region = 'Frankfurt'", "unknown value \"Frankfurt\"; write \"auto\" or a region"),
        ("region = 'cn-north-1'\npartition = 'aws'", "region cn-north-1 is in partition aws-cn"),
        ("endpoint = '127.0.0.1:5000'", "is not an http:// or https:// URL"),
        ("budget = '0/s'", "must be above zero"),
        ("budget = '1'", "\"1\" is not a rate"),
        ("budget = 'NaN/s'", "\"NaN/s\" is not a rate"),
        ("budget = 1", "found an integer; write \"1/s\""),
        ("burst = 0", "must be above zero"),
        ("hints = 'zonelet-changes'", "\"zonelet-changes\" is not the URL of a queue"),
        ("refresh = '0s'", "must be above zero"),
        ("on_missing = 'forward'", "write one of \"nxdomain\""),
        ("on_missing_zones = { 'a..b' = 'nxdomain' }", "\"a..b\" is not a domain name"),
        ("on_missing_zones = { a = 'nxdomain', 'A.' = 'nxdomain' }", "a. is listed twice"),
        ("path = 'x'", "source[0].path: has no meaning for kind = \"route53\""),
        (
            "roles = ['zonelet']",
            "source[0].roles[0]: \"zonelet\" is not the ARN of a role; write \"arn:aws:iam:",
        ),
        ("roles = ['arn:aws:iam::1:role/x']", "is not the ARN of a role"),
        ("roles = [{ external_id = 'ab' }]", "source[0].roles[0].arn: is missing"),
        ("roles = [{ arn = 'arn:aws:iam::222233334444:role/x', name = 'y' }]", "roles[0].name: unknown key"),
        (
            "roles = [{ arn = 'arn:aws:iam::222233334444:role/x', session_name = 'a b' }]",
            "is not a session name",
        ),
        (
            "roles = ['arn:aws:iam::222233334444:role/x', 'arn:aws:iam::222233334444:role/y']",
            "two roles belong to account 222233334444",
        ),
        ("partition = 'aws-cn'\nroles = ['arn:aws:iam::222233334444:role/x']", "is not in partition aws-cn"),
        ("profiles = true\nzones = { ids = ['Z1'] }", "source[0].profiles: belongs to a VPC"),
        ("resolver_rules = true\nzones = { names = ['a'] }", "source[0].resolver_rules: belongs to a VPC"),
    ] {
        let found = route53(rest);
        assert!(found.contains(want), "{found}\nlacks\n{want}");
    }
    let secret = route53("roles = [{ arn = 'arn:aws:iam::222233334444:role/x', external_id = 'spa ce' }]");
    assert!(secret.contains("external_id: is not an external id") && !secret.contains("spa ce"), "{secret}");
    assert!(problem("[[source]]\npath = 'x'").contains("source[0].kind: is missing"));
    assert!(problem("[[source]]\nkind = 'file'").contains("source[0].path: is missing"));
    assert!(problem("[[source]]\nkind = 'file'\npath = ''").contains("source[0].path: is empty"));
    let burst = problem("[[source]]\nkind = 'file'\npath = 'x'\nburst = 3");
    assert!(burst.contains("source[0].burst: has no meaning for kind = \"file\""), "{burst}");
    let queue = "hints = 'https://sqs.us-east-1.amazonaws.com/111122223333/q'\n";
    let hinted = |id: &str| format!("[[source]]\nkind = 'route53'\nzones = {{ ids = ['{id}'] }}\n{queue}");
    let shared = problem(&(hinted("Z1") + &hinted("Z2")));
    assert!(shared.contains("source[1].hints: another source reads the same queue"), "{shared}");
    let twice = "[[source]]\nkind = 'file'\npath = 'x'\n";
    assert!(problem(&twice.repeat(2)).contains("source[1]: the same source is listed twice"));
}
