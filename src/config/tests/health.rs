//! Keys about health.

use super::*;
use crate::import::settings::{HealthPolicy, ProbePolicy};
use crate::zone::{Probe, ProbeRule};

const ROUTE53: &str = "[[source]]\nkind = 'route53'\nzones = { ids = ['Z1'] }\n";

fn policy(text: &str) -> SourcePolicy {
    read(&format!("{ROUTE53}{text}")).unwrap().sources.remove(0).policy
}

#[test]
fn health_is_off_unless_it_is_asked_for() {
    assert_eq!(policy("").health, None);
    assert_eq!(policy("health = 'off'\nhealth_refresh = '30s'").health, None);
    let seconds = Duration::from_secs;
    let expected = HealthPolicy { every: seconds(30), max_age: seconds(600) };
    assert_eq!(policy("health = 'cloudwatch'\nhealth_refresh = '30s'").health, Some(expected));
    let source = read(&format!("{ROUTE53}health = 'cloudwatch'")).unwrap().sources.remove(0);
    assert!(matches!(source.kind, SourceKind::Route53(settings) if settings.health));
}

#[test]
fn what_cannot_work_is_refused_with_its_key() {
    for (text, want) in [
        ("health = 'on'", "source[0].health: unknown value \"on\""),
        ("health_refresh = '1s'", "source[0].health_refresh: must be between"),
        ("health_refresh = '20m'", "source[0].health_max_age: is too short for health_refresh"),
        ("health_max_age = '299s'", "300s is the least"),
        ("[[source.probe]]\ncheck = 'tcp:1'", "source[0].probe[0].names: is missing; write names"),
        ("[[source.probe]]\nnames = ['a.test']", "source[0].probe[0].check: is missing; write check"),
        ("[[source.probe]]\nnames = []\ncheck = 'tcp:1'", "source[0].probe[0].names"),
        ("[[source.probe]]\nnames = ['a.*.x']\ncheck = 'tcp:1'", "\"a.*.x\" has a star inside; write a name"),
        ("[[source.probe]]\nnames = ['a..b']\ncheck = 'tcp:1'", "\"a..b\" is not a name"),
        ("[[source.probe]]\nnames = ['a']\ncheck = 'tcp:1'\nrise = 0", "source[0].probe[0].rise"),
        ("[[source.probe]]\nnames = ['a']\ncheck = 'tcp:1'\nevery = '1s'", "unknown key"),
    ] {
        let found = problem(&format!("{ROUTE53}{text}"));
        assert!(found.contains(want), "{found}");
    }
    for check in
        ["tcp", "tcp:", "tcp:0", "tcp:65536", "udp:53", "http:/x", "http:80/a b", "http:80/#x", "https:443/"]
    {
        let found = problem(&format!("{ROUTE53}[[source.probe]]\nnames = ['a']\ncheck = '{check}'"));
        assert!(found.contains("is not a check; write \"tcp:5432\" or \"http:8080/healthz\""), "{found}");
    }
    let twice =
        "[[source.probe]]\nnames = ['a']\ncheck = 'tcp:1'\n[[source.probe]]\nnames = ['b']\ncheck = 'tcp:1'";
    assert!(problem(&format!("{ROUTE53}{twice}")).contains("source[0].probe[1].check: another probe"));
}

#[test]
fn probes_are_read_whole_for_every_kind_of_source() {
    let text = "[[source]]\nkind = 'file'\npath = '/dev/null'\n\
                [[source.probe]]\nnames = ['db.test', '*.db.test']\ncheck = 'http:8080/live'\n\
                interval = '5s'\ntimeout = '500ms'\nrise = 1\nfall = 2\n\
                [[source.probe]]\nnames = ['x.test']\ncheck = 'http:80'\n";
    let probes = read(text).unwrap().sources.remove(0).policy.probes;
    let rule = |names: &[&str], port, path: &str| ProbeRule {
        names: names.iter().map(|name| name.parse().unwrap()).collect(),
        probe: Probe { port, path: Some(path.into()) },
    };
    let first = ProbePolicy {
        rule: rule(&["db.test", "*.db.test"], 8080, "/live"),
        every: Duration::from_secs(5),
        timeout: Duration::from_millis(500),
        rise: 1,
        fall: 2,
    };
    let second = ProbePolicy {
        rule: rule(&["x.test"], 80, "/"),
        every: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 3,
    };
    assert_eq!(probes, [first, second]);
}
