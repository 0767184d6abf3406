//! Overrides and hosts files: before special names, zones and upstreams, and no further than they reach.

use std::sync::Arc;

use hickory_proto::rr::RecordType;
use zonelet::answer::explain::{Reach, Step};
use zonelet::answer::settings::OverrideAnswer;
use zonelet::answer::{Settings, Transport};
use zonelet::source::hosts::Hosts;
use zonelet::wire::Rtype;
use zonelet::zone::ZoneData;

use super::{house, over};
use crate::harness::client::ask;
use crate::harness::dns::line;
use crate::harness::house::{House, records, zone};
use crate::harness::message::{a, cname};
use crate::harness::upstream::{Out, Scripted};

fn addresses(ips: &[&str]) -> OverrideAnswer {
    OverrideAnswer::Addresses(ips.iter().map(|ip| ip.parse().unwrap()).collect())
}

fn corp() -> ZoneData {
    zone(
        "corp.test",
        vec![
            records(&[a("db.corp.test", 60, 1)]),
            records(&[a("other.corp.test", 60, 2)]),
            records(&[cname("www.corp.test", 60, "db.corp.test")]),
            records(&[cname("out.corp.test", 60, "away.test")]),
        ],
    )
}

async fn over_corp(change: impl FnOnce(&mut Settings)) -> (House, Scripted) {
    let upstream = Scripted::start(|asked| {
        let q = &asked.question;
        vec![Out::Reply(match q.qname.to_string().as_str() {
            "chain.test." => {
                q.reply(0, &[cname("chain.test", 60, "db.corp.test"), a("db.corp.test", 60, 9)], &[])
            }
            "links.test." => q.reply(0, &[cname("links.test", 60, "ads.test"), a("ads.test", 60, 9)], &[]),
            _ => q.address(60, 7),
        })]
    })
    .await;
    (house(upstream.addr, Some(corp()), change), upstream)
}

async fn expect(house: &House, table: &[(&str, RecordType, &str)]) {
    for (qname, rtype, want) in table {
        let query = ask(qname, *rtype).edns(1232, false).bytes();
        for transport in [Transport::Udp, Transport::Tcp] {
            let response = house.raw(&query, transport).await;
            assert_eq!(line(&query, &response), *want, "{qname} {rtype}");
        }
    }
}

#[tokio::test]
async fn overrides_go_before_zones_special_names_and_upstreams() {
    let (house, upstream) = over_corp(|settings| {
        settings.overrides = vec![
            over(&["db.corp.test", "localhost", "new.test"], addresses(&["10.0.0.9", "10.0.0.8", "fd00::9"])),
            over(&["*.ads.test", "ads.test"], OverrideAnswer::NxDomain),
            over(&["v4only.test"], addresses(&["10.0.0.7"])),
            over(&["empty.corp.test"], OverrideAnswer::NoData),
            over(&["alias.test"], OverrideAnswer::Cname("other.corp.test".parse().unwrap())),
        ];
    })
    .await;
    use RecordType::{A, AAAA, CNAME, MX};
    let denied = "EDE 15 an override of the configuration denies this name";
    expect(
        &house,
        &[
            ("db.corp.test", A, "NOERROR aa; db.corp.test. 30 A 10.0.0.8; db.corp.test. 30 A 10.0.0.9"),
            ("db.corp.test", AAAA, "NOERROR aa; db.corp.test. 30 AAAA fd00::9"),
            ("db.corp.test", MX, "NOERROR aa | db.corp.test. 30 SOA"),
            ("localhost", AAAA, "NOERROR aa; localhost. 30 AAAA fd00::9"),
            ("new.test", AAAA, "NOERROR aa; new.test. 30 AAAA fd00::9"),
            ("v4only.test", AAAA, "NOERROR aa | v4only.test. 30 SOA"),
            ("x.v4only.test", A, "NOERROR; x.v4only.test. 60 A 192.0.2.7"),
            ("a.b.ads.test", A, &format!("NXDOMAIN aa | ads.test. 30 SOA {denied}")),
            ("ads.test", MX, &format!("NXDOMAIN aa | ads.test. 30 SOA {denied}")),
            ("empty.corp.test", A, &format!("NOERROR aa | empty.corp.test. 30 SOA {denied}")),
            ("x.db.corp.test", A, "NXDOMAIN aa | corp.test. 30 SOA"),
            ("alias.test", CNAME, "NOERROR aa; alias.test. 30 CNAME other.corp.test."),
            (
                "alias.test",
                A,
                "NOERROR aa; alias.test. 30 CNAME other.corp.test.; other.corp.test. 60 A 192.0.2.2",
            ),
        ],
    )
    .await;
    assert_eq!(upstream.count(), 1, "only what is below an exact name");
}

#[tokio::test]
async fn chains_of_zones_and_upstreams_that_lead_to_an_override_follow_it() {
    let (house, _) = over_corp(|settings| {
        settings.overrides = vec![
            over(&["db.corp.test", "away.test"], addresses(&["10.0.0.9"])),
            over(&["ads.test"], OverrideAnswer::NxDomain),
        ];
    })
    .await;
    use RecordType::A;
    expect(
        &house,
        &[
            ("www.corp.test", A, "NOERROR aa; www.corp.test. 60 CNAME db.corp.test.; db.corp.test. 30 A 10.0.0.9"),
            ("out.corp.test", A, "NOERROR aa; out.corp.test. 60 CNAME away.test.; away.test. 30 A 10.0.0.9"),
            ("chain.test", A, "NOERROR; chain.test. 60 CNAME db.corp.test.; db.corp.test. 30 A 10.0.0.9"),
            (
                "links.test",
                A,
                "NXDOMAIN; links.test. 60 CNAME ads.test. | ads.test. 30 SOA EDE 15 an override of the configuration \
                 denies this name",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_override_with_itself_at_its_end_fails_and_does_not_spin() {
    let (house, upstream) = over_corp(|settings| {
        settings.overrides = vec![
            over(&["a.test"], OverrideAnswer::Cname("b.test".parse().unwrap())),
            over(&["b.test"], OverrideAnswer::Cname("a.test".parse().unwrap())),
        ];
    })
    .await;
    expect(&house, &[("a.test", RecordType::A, "SERVFAIL EDE 0 CNAME chain too long")]).await;
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn a_hosts_file_answers_its_names_both_ways_and_no_others() {
    let (house, upstream) = over_corp(|_| ()).await;
    let text = "10.1.0.1 box.corp.test box\nfd00::1 six.test\n127.0.0.1 localhost\n10.1.0.2 db.corp.test\n";
    house.answerer().set_hosts(vec![Arc::new(Hosts::parse(text.as_bytes(), 20))]);
    use RecordType::{A, AAAA, PTR, TXT};
    expect(
        &house,
        &[
            ("box.corp.test", A, "NOERROR aa; box.corp.test. 20 A 10.1.0.1"),
            ("box", A, "NOERROR aa; box. 20 A 10.1.0.1"),
            ("box", AAAA, "NOERROR aa | box. 20 SOA"),
            ("six.test", TXT, "NOERROR aa | six.test. 20 SOA"),
            ("six.test", AAAA, "NOERROR aa; six.test. 20 AAAA fd00::1"),
            ("1.0.1.10.in-addr.arpa", PTR, "NOERROR aa; 1.0.1.10.in-addr.arpa. 20 PTR box.corp.test."),
            ("localhost", AAAA, "NOERROR aa; localhost. 10800 AAAA ::1"),
            ("db.corp.test", A, "NOERROR aa; db.corp.test. 20 A 10.1.0.2"),
            ("other.corp.test", A, "NOERROR aa; other.corp.test. 60 A 192.0.2.2"),
            ("x.box.corp.test", A, "NXDOMAIN aa | corp.test. 30 SOA"),
            ("3.0.1.10.in-addr.arpa", A, "NOERROR; 3.0.1.10.in-addr.arpa. 60 A 192.0.2.7"),
        ],
    )
    .await;
    assert_eq!(upstream.count(), 1);
    house.answerer().set_hosts(Vec::new());
    expect(&house, &[("db.corp.test", A, "NOERROR aa; db.corp.test. 60 A 192.0.2.1")]).await;
}

#[tokio::test]
async fn a_reload_keeps_hosts_files_and_other_hosts_keep_the_settings() {
    let (house, _) = over_corp(|settings| {
        settings.overrides = vec![over(&["o.test"], addresses(&["10.0.0.9"]))];
    })
    .await;
    house.answerer().set_hosts(vec![Arc::new(Hosts::parse(b"10.1.0.1 h.test\n", 20))]);
    use RecordType::A;
    let o = ("o.test", A, "NOERROR aa; o.test. 30 A 10.0.0.9");
    let h = ("h.test", A, "NOERROR aa; h.test. 20 A 10.1.0.1");
    expect(&house, &[o, h]).await;
    house.answerer().reload(Settings::default());
    expect(&house, &[("o.test", A, "NOERROR; o.test. 60 A 192.0.2.7"), h]).await;
}

#[tokio::test]
async fn an_explanation_says_whose_word_it_is() {
    let (house, _) = over_corp(|settings| {
        settings.overrides = vec![over(&["*.ads.test"], OverrideAnswer::NxDomain)];
    })
    .await;
    house.answerer().set_hosts(vec![Arc::new(Hosts::parse(b"10.1.0.1 h.test\n", 20))]);
    for (qname, by, domain) in [("x.ads.test", "override", "ads.test."), ("h.test", "hosts", "h.test.")] {
        let told = house.explain(qname, Rtype::A, Reach::Here).await;
        assert_eq!(told.from, by);
        assert!(told.steps.contains(&Step::Local { by: by.into(), domain: domain.into() }), "{told:#?}");
        assert!(!told.steps.contains(&Step::NoZone));
    }
}
