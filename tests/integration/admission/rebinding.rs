//! Answers that lead protected names to private addresses.

use std::net::Ipv6Addr;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use zonelet::answer::settings::Rebinding;
use zonelet::answer::{Settings, Transport};
use zonelet::wire::Rtype;

use super::{house, names};
use crate::harness::client::ask;
use crate::harness::dns::line;
use crate::harness::house::{House, records, zone};
use crate::harness::message::{Question, a, cname, name};
use crate::harness::upstream::{Out, Scripted};

const WITHHELD: &str =
    "NOERROR EDE 17 a private address for a name that is protected from rebinding (section [rebinding])";

fn answer(q: &Question) -> Vec<u8> {
    let private = |owner: &str| (name(owner), Rtype::A, 60, vec![10, 0, 0, 1]);
    let qname = q.qname.to_string();
    match qname.trim_end_matches('.') {
        "mixed.test" => q.reply(0, &[a("mixed.test", 60, 1), private("mixed.test")], &[]),
        "chain.test" => q.reply(0, &[cname("chain.test", 60, "x.corp.test"), private("x.corp.test")], &[]),
        "fine.test" => q.address(60, 1),
        "embedded.test" if q.qtype == Rtype::AAAA => {
            let compatible: Ipv6Addr = "::10.0.0.1".parse().unwrap();
            q.reply(0, &[(q.qname.clone(), Rtype::AAAA, 60, compatible.octets().to_vec())], &[])
        }
        "hinted.test" if q.qtype == Rtype::HTTPS => {
            // Priority 1, target ".", ipv4hint, ipv6hint with an address of 6to4.
            let public = b"\0\x01\0\0\x04\0\x04\xc0\0\x02\x01".to_vec();
            let sixtofour: Ipv6Addr = "2002:a00:1::1".parse().unwrap();
            let hints = [&public[..], b"\0\x06\0\x10", &sixtofour.octets()].concat();
            q.reply(0, &[(q.qname.clone(), Rtype::HTTPS, 60, hints)], &[])
        }
        other => q.reply(0, &[private(other)], &[]),
    }
}

async fn protected() -> (House, Scripted) {
    let upstream = Scripted::start(|asked| vec![Out::Reply(answer(&asked.question))]).await;
    let zone = zone("own.test", vec![records(&[(name("db.own.test"), Rtype::A, 60, vec![10, 0, 0, 2])])]);
    let house = house(upstream.addr, Some(zone), |settings| {
        settings.rebinding = Rebinding { domains: names(&["."]), except: names(&["corp.test"]) };
    });
    (house, upstream)
}

async fn told(house: &House, qname: &str) -> String {
    let query = ask(qname, RecordType::A).edns(1232, false).bytes();
    line(&query, &house.raw(&query, Transport::Udp).await)
}

#[tokio::test]
async fn private_addresses_are_withheld_from_protected_names_alone() {
    let (house, _) = protected().await;
    for qname in ["evil.test", "mixed.test", "chain.test"] {
        assert_eq!(told(&house, qname).await, WITHHELD, "{qname}");
    }
    assert_eq!(told(&house, "fine.test").await, "NOERROR; fine.test. 60 A 192.0.2.1");
    assert_eq!(told(&house, "db.corp.test").await, "NOERROR; db.corp.test. 60 A 10.0.0.1");
    assert_eq!(told(&house, "db.own.test").await, "NOERROR aa; db.own.test. 60 A 10.0.0.2");
}

#[tokio::test]
async fn private_addresses_are_found_inside_of_ipv6_and_in_hints() {
    let (house, _) = protected().await;
    for (qname, qtype) in [("embedded.test", RecordType::AAAA), ("hinted.test", RecordType::HTTPS)] {
        let query = ask(qname, qtype).edns(1232, false).bytes();
        assert_eq!(line(&query, &house.raw(&query, Transport::Udp).await), WITHHELD, "{qname}");
    }
}

#[tokio::test]
async fn what_was_withheld_is_remembered_as_such_for_as_long_as_a_negative_answer() {
    let (house, upstream) = protected().await;
    for _ in 0..3 {
        assert_eq!(told(&house, "evil.test").await, WITHHELD);
    }
    assert_eq!(upstream.count(), 1);
    house.clock.advance(Duration::from_secs(31));
    assert_eq!(told(&house, "evil.test").await, WITHHELD);
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn it_is_off_by_default_and_what_was_learned_so_is_forgotten_when_it_is_switched_on() {
    let upstream = Scripted::start(|asked| vec![Out::Reply(answer(&asked.question))]).await;
    let house = house(upstream.addr, None, |_| ());
    assert_eq!(told(&house, "evil.test").await, "NOERROR; evil.test. 60 A 10.0.0.1");
    let rebinding = Rebinding { domains: names(&["."]), except: Vec::new() };
    house.reload(Settings { rebinding, ..Settings::default() });
    assert_eq!(told(&house, "evil.test").await, WITHHELD);
}
