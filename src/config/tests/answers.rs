//! What decides on answers: access, clients, identity, overrides, relief, rebinding.

use super::*;
use crate::answer::settings::{AccessAction, OverrideAnswer, ReliefKind, ServerId};

fn answer(text: &str) -> answer::Settings {
    read(text).unwrap().answer
}

#[test]
fn access_rules_are_read_in_order_and_mean_something() {
    let text = "[[access]]\naction = 'allow'\nclients = ['loopback', '10.0.0.0/8']\n\
                [[access]]\naction = 'drop'\ndomains = ['Bad.test', 'worse.test']\n";
    let rules = answer(text).access_rules;
    assert_eq!(rules.iter().map(|r| r.action).collect::<Vec<_>>(), [AccessAction::Allow, AccessAction::Drop]);
    assert_eq!((rules[0].clients.len(), rules[0].domains.len()), (3, 0));
    assert_eq!((rules[1].clients.len(), rules[1].domains[0].to_string()), (2, "bad.test.".to_owned()));
    assert_eq!(
        problem("[[access]]\naction = 'refuse'\n"),
        "c:1:1: access[0]: means every query; write clients, domains or both"
    );
    assert_eq!(
        problem("[[access]]\nclients = ['any']\n"),
        "c:1:1: access[0].action: is missing; write action = \"refuse\""
    );
    let what = problem("[[access]]\naction = 'deny'\nclients = ['any']\n");
    assert!(what.starts_with("c:2:10: access[0].action: unknown value \"deny\""), "{what}");
    let what = problem("[[access]]\naction = 'drop'\ndomains = []\n");
    assert!(what.starts_with("c:3:11: access[0].domains: the list is empty; write "), "{what}");
}

#[test]
fn a_list_of_rules_is_enough_of_a_list_for_an_open_door() {
    let open = "[server]\nlisten = ['0.0.0.0:53']\n";
    assert_eq!(warnings(open).len(), 1);
    assert!(warnings(&format!("{open}[[access]]\naction = 'drop'\ndomains = ['x.test']\n")).is_empty());
}

#[test]
fn bounds_of_clients_are_off_or_numbers() {
    let clients = answer(
        "[limits]\nclient_rate = 50\nclient_burst = 7\nclient_slip = 'off'\nclient_in_flight = 9\n\
         client_exempt = ['10.0.0.0/8']\nstranger_udp = '512B'\ntcp_connections_per_client = 3\n",
    );
    assert_eq!(clients.stranger_udp, 512);
    let clients = clients.clients;
    assert_eq!((clients.rate, clients.burst, clients.slip, clients.in_flight), (Some(50), 7, 0, Some(9)));
    assert_eq!(clients.exempt.len(), 1);
    let off = answer("[limits]\nclient_rate = 'off'\nclient_in_flight = 'off'\n");
    assert_eq!(off, answer::Settings::default());
    assert_eq!(with("", &[("ZONELET_LIMITS__CLIENT_RATE", "20")]).unwrap().answer.clients.rate, Some(20));
    assert_eq!(problem("[limits]\nclient_rate = 0\n"), "c:2:15: limits.client_rate: must be above zero");
    let what = problem("[limits]\nstranger_udp = '4KiB'\n");
    assert!(what.starts_with("c:2:16: limits.stranger_udp: must be between 512B and 1232B"), "{what}");
}

#[test]
fn an_identity_is_a_short_text_or_follows_the_host() {
    let told = |text: &str| answer(&format!("[server]\n{text}\n")).identity;
    assert_eq!(told("identity = 'hostname'").server, Some(ServerId::Hostname));
    assert_eq!(told("identity = 'n 7'").server, Some(ServerId::Text("n 7".into())));
    assert_eq!(told("identity = ''\nversion = ''"), Default::default());
    assert!(told("version = 'auto'").version.unwrap().starts_with("zonelet "));
    for bad in ["\u{e4}".to_owned(), "x".repeat(65)] {
        let what = problem(&format!("[server]\nidentity = '{bad}'\n"));
        assert!(what.contains("cannot be told; write at most 64 printable"), "{what}");
    }
}

#[test]
fn overrides_answer_with_exactly_one_thing() {
    let over =
        |text: &str| answer(&format!("[[override]]\nnames = ['*.a.test', 'b.test']\n{text}\n")).overrides;
    assert_eq!(over("answer = 'nxdomain'")[0].answer, OverrideAnswer::NxDomain);
    assert_eq!(over("answer = 'pass'")[0].answer, OverrideAnswer::Pass);
    let both = over("address = ['10.0.0.1', 'fd00::1']\nttl = '5s'");
    assert_eq!((both[0].names.len(), both[0].ttl), (2, 5));
    assert!(matches!(&both[0].answer, OverrideAnswer::Addresses(ips) if ips.len() == 2));
    assert!(matches!(&over("cname = 'c.test'")[0].answer, OverrideAnswer::Cname(_)));
    let head = "[[override]]\nnames = ['*.a.test', 'b.test']\n";
    for (text, want) in [
        ("", "c:1:1: override[0]: needs exactly one thing to answer; write one of address, cname and answer"),
        (
            "cname = 'c.test'\nanswer = 'nodata'\n",
            "c:1:1: override[0]: needs exactly one thing to answer; write one of address, cname and answer",
        ),
        (
            "cname = 'x.a.test'\n",
            "c:3:9: override[0].cname: x.a.test. is overridden with itself; name another",
        ),
        ("address = ['ten']\n", "c:3:12: override[0].address[0]: \"ten\" is not an address; write"),
        ("answer = 'servfail'\n", "c:3:10: override[0].answer: unknown value \"servfail\"; write one of"),
        (
            "answer = 'nodata'\n[[override]]\nnames = ['b.test']\nanswer = 'pass'\n",
            "c:5:9: override[1].names: b.test. is overridden twice; put both into one [[override]]",
        ),
    ] {
        let what = problem(&format!("{head}{text}"));
        assert!(what.starts_with(want), "{what}");
    }
    assert_eq!(
        problem("[[override]]\nanswer = 'nodata'\n"),
        "c:1:1: override[0].names: is missing; write names = [\"db.corp.internal\", \"*.ads.example\"]"
    );
}

#[test]
fn relief_leaves_out_what_is_forwarded_by_itself() {
    let text = "[[relief]]\ndomain = 'cluster.local'\nkind = 'kubernetes'\nexcept = ['x.cluster.local']\n\
                [[forward]]\ndomain = 'cluster.local'\nupstreams = ['10.0.0.1']\n\
                [[forward]]\ndomain = 'mesh.cluster.local'\nupstreams = ['10.0.0.2']\n\
                [[forward]]\ndomain = '.'\nupstreams = ['10.0.0.3']\n";
    let relief = answer(text).relief;
    let except: Vec<String> = relief[0].except.iter().map(ToString::to_string).collect();
    assert_eq!((relief[0].kind, relief[0].ttl), (ReliefKind::Kubernetes, 30));
    assert_eq!(except, ["x.cluster.local.", "mesh.cluster.local."]);
    for (text, want) in [
        (
            "domain = '.'\nkind = 'ec2'\n",
            "c:2:10: relief[0].domain: is every name; write the domain of the cluster",
        ),
        ("domain = 'x.test'\n", "c:1:1: relief[0].kind: is missing; write kind = \"kubernetes\""),
        ("kind = 'ec2'\n", "c:1:1: relief[0].domain: is missing; write domain = \"cluster.local\""),
        (
            "domain = 'x.test'\nkind = 'ec2'\n[[relief]]\ndomain = 'x.test'\nkind = 'ec2'\n",
            "c:5:10: relief[1].domain: x.test. has relief twice; remove one",
        ),
    ] {
        assert_eq!(problem(&format!("[[relief]]\n{text}")), want);
    }
}

#[test]
fn rebinding_and_hosts_files_are_read_and_keys_of_zones_refused() {
    let rebinding = answer("[rebinding]\ndomains = ['.']\nexcept = ['corp.test']\n").rebinding;
    assert_eq!((rebinding.domains.len(), rebinding.except.len()), (1, 1));
    let config = read("[[source]]\nkind = 'hosts'\npath = '/etc/hosts'\nttl = '1m'\n").unwrap();
    let [Source { kind: SourceKind::Hosts(hosts), .. }] = config.sources.as_slice() else { panic!() };
    assert_eq!((hosts.path.to_str(), hosts.ttl), (Some("/etc/hosts"), 60));
    let what = problem("[[source]]\nkind = 'hosts'\npath = '/etc/hosts'\non_missing = 'nxdomain'\n");
    assert_eq!(what, "c:4:1: source[0].on_missing: has no meaning for kind = \"hosts\"; remove it");
    let what = problem("[[source]]\nkind = 'hosts'\n");
    assert!(what.starts_with("c:1:1: source[0].path: is missing; write the path of a hosts file"), "{what}");
}
