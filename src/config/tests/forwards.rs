//! `[[forward]]`, and what is remembered of failures.

use super::*;
use crate::upstream::settings::UpstreamSpec;

#[test]
fn upstreams_are_addresses_with_brackets_around_ipv6() {
    let forward = |upstream: &str| format!("[[forward]]\ndomain = '.'\nupstreams = ['{upstream}']");
    let plain = |text: &str| UpstreamSpec::Plain(text.parse().unwrap());
    let tcp = |text: &str| UpstreamSpec::Tcp(text.parse().unwrap());
    for (text, spec) in [
        ("system", UpstreamSpec::System),
        ("10.0.0.2", plain("10.0.0.2:53")),
        ("10.0.0.2:5353", plain("10.0.0.2:5353")),
        ("[fd00::2]", plain("[fd00::2]:53")),
        ("[fe80::2%3]:53", plain("[fe80::2%3]:53")),
        ("tcp://10.0.0.2", tcp("10.0.0.2:53")),
        ("tcp://[fd00::2]:54", tcp("[fd00::2]:54")),
    ] {
        let config = read(&forward(text)).unwrap();
        assert_eq!(config.upstream.domains[0].upstreams, [spec], "{text}");
    }
    for (text, fix) in [
        ("fd00::2", "must stand in brackets; write \"[fd00::2]\""),
        ("10.0.0.2:0", "has port 0"),
        ("0.0.0.0", "is no host's address"),
        ("255.255.255.255", "is not a single host's address"),
        ("gopher://10.0.0.2", "unknown scheme \"gopher\""),
        ("udp://10.0.0.2", "not a scheme here; write \"10.0.0.2\""),
        ("", "is not the address of an upstream"),
        ("127.0.0.1:5300", "is where zonelet itself listens"),
    ] {
        let found = problem(&forward(text));
        assert!(found.contains(fix), "{found}");
        assert!(found.starts_with("c:3:14: forward[0].upstreams[0]: "), "{found}");
    }
    let own = "[server]\nlisten = ['0.0.0.0:53']\naccess = ['any']\n[[forward]]\ndomain = '.'\nupstreams = ['127.0.0.1']";
    assert!(problem(own).contains("127.0.0.1:53 is where zonelet itself listens"));
}

#[test]
fn forwards_name_each_domain_once_and_miss_no_key() {
    let found = lines(read("[[forward]]\n[[forward]]\ndomain = 'a..b'\nupstreams = []"));
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].contains("forward[0].domain: is missing; write domain = \".\""), "{found:#?}");
    assert!(found[2].contains("\"a..b\" is not a domain name: empty label"), "{found:#?}");
    let each = |domain: &str| format!("[[forward]]\ndomain = '{domain}'\nupstreams = ['system']\n");
    let twice = problem(&(each("Corp.test.") + &each("corp.test")));
    assert!(twice.contains("forward[1].domain: corp.test. is forwarded twice"), "{twice}");
    assert!(problem(&each("*.corp.test")).contains("a character no domain has"));
    assert!(problem("forward = 5").contains("expected [[forward]] tables, found an integer"));
    let warned = warnings(&each("corp.test"));
    assert!(warned[0].contains("no [[forward]] has domain = \".\""), "{warned:?}");
}

#[test]
fn failures_are_remembered_within_rfc_9520() {
    assert!(problem("[cache]\nfailure_ttl = '500ms'").contains("must be between 1s and 5m"));
    assert!(problem("[cache]\nmax_failure_ttl = '6m'").contains("must be between 1s and 5m"));
    assert!(problem("[cache]\nfailure_ttl = '1m'").contains("failure_ttl is above max_failure_ttl"));
}
