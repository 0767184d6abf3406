//! Access lists and rules, before zones, cache and upstream.

use zonelet::answer::Transport::{Tcp, Udp};
use zonelet::answer::settings::{AccessAction, AccessRule, named_networks};
use zonelet::metrics::DropReason;

use super::{asker, house, names, query};
use crate::harness::client::{ask, message};
use crate::harness::dns::{ede, line};
use crate::harness::house::{records, zone};
use crate::harness::message::{a, cname};
use crate::harness::upstream::Scripted;

use hickory_proto::rr::RecordType;

fn rule(action: AccessAction, clients: &str, domains: &[&str]) -> AccessRule {
    let clients = named_networks(clients).unwrap_or_else(|| vec![clients.parse().unwrap()]);
    AccessRule { action, clients, domains: names(domains) }
}

#[tokio::test]
async fn the_first_rule_that_means_client_and_name_decides_before_zone_cache_and_upstream() {
    let upstream = Scripted::answering(60).await;
    let corp = zone("corp.test", vec![records(&[a("db.corp.test", 60, 1)])]);
    let house = house(upstream.addr, Some(corp), |settings| {
        settings.access_rules = vec![
            rule(AccessAction::Allow, "10.0.0.5/32", &["corp.test"]),
            rule(AccessAction::Refuse, "any", &["corp.test", "bad.test"]),
            rule(AccessAction::Refuse, "10.7.0.0/16", &[]),
            rule(AccessAction::Drop, "10.8.0.0/16", &[]),
            rule(AccessAction::Allow, "192.0.2.0/24", &["open.test"]),
        ];
    });
    let by_name = "REFUSED EDE 15 an access rule refuses this name";
    let by_client = "REFUSED EDE 18 an access rule refuses this client";
    let stranger = "REFUSED EDE 18 this client's network is not on the access list";
    for (client, qname, want) in [
        ("10.0.0.5", "db.corp.test", "NOERROR aa; db.corp.test. 60 A 192.0.2.1"),
        ("10.0.0.6", "db.corp.test", by_name),
        ("10.0.0.6", "x.BAD.test", by_name),
        ("10.7.0.1", "fine.test", by_client),
        ("192.0.2.7", "www.open.test", "NOERROR; www.open.test. 60 A 192.0.2.1"),
        ("192.0.2.7", "other.test", stranger),
        ("10.0.0.6", "www.open.test", "NOERROR; www.open.test. 60 A 192.0.2.1"),
    ] {
        for transport in [Udp, Tcp] {
            let query = query(qname);
            let response = house.raw_from(&query, asker(client, transport)).await.unwrap();
            assert_eq!(line(&query, &response), want, "{client} {qname}");
        }
    }
    assert_eq!(upstream.count(), 1, "what is refused is asked of nobody");
    assert_eq!(house.raw_from(&query("db.corp.test"), asker("10.8.0.1", Udp)).await.map(|_| ()), Some(()));
    assert_eq!(house.raw_from(&query("fine.test"), asker("10.8.0.1", Udp)).await, None);
    assert_eq!(house.tally().drops(DropReason::Access), 1);
}

#[tokio::test]
async fn a_rule_sees_the_name_that_was_asked_for_and_not_where_it_leads() {
    let upstream = Scripted::answering(60).await;
    let sets =
        vec![records(&[cname("www.corp.test", 60, "db.corp.test")]), records(&[a("db.corp.test", 60, 1)])];
    let house = house(upstream.addr, Some(zone("corp.test", sets)), |settings| {
        settings.access_rules = vec![rule(AccessAction::Refuse, "any", &["db.corp.test"])];
    });
    let query = query("www.corp.test");
    let response = house.raw_from(&query, asker("10.0.0.1", Udp)).await.unwrap();
    assert_eq!(message(&response).answers.len(), 2);
}

#[tokio::test]
async fn what_is_no_query_is_a_format_error_only_for_who_is_on_the_list() {
    let upstream = Scripted::answering(60).await;
    let house = house(upstream.addr, None, |settings| {
        settings.access_rules = vec![
            rule(AccessAction::Drop, "192.0.2.9/32", &[]),
            // Nothing can be said of a name that cannot be read.
            rule(AccessAction::Drop, "any", &["x.test"]),
        ];
    });
    let good = query("x.test");
    let garbage = [&good[..12], &[63][..]].concat();
    let mut notify = good.clone();
    notify[2] = 4 << 3;
    for (client, rcodes) in [("10.0.0.1", Some([1, 4])), ("192.0.2.1", Some([5, 5])), ("192.0.2.9", None)] {
        for (at, bytes) in [&garbage, &notify].into_iter().enumerate() {
            let response = house.raw_from(bytes, asker(client, Udp)).await;
            let rcode = response.map(|response| response[3] & 15);
            assert_eq!(rcode, rcodes.map(|rcodes| rcodes[at]), "{client} {at}");
        }
        assert_eq!(house.raw_from(&good[..11], asker(client, Udp)).await, None);
    }
}

#[tokio::test]
async fn strangers_get_short_datagrams_and_whole_streams() {
    let upstream = Scripted::answering(60).await;
    let all: Vec<_> = (0..40).map(|n| a("many.corp.test", 60, n)).collect();
    let corp = zone("corp.test", vec![records(&all), records(&[a("one.corp.test", 60, 1)])]);
    let house = house(upstream.addr, Some(corp), |settings| {
        settings.access = named_networks("any").unwrap();
        settings.stranger_udp = 512;
    });
    let (many, one) = (query("many.corp.test"), query("one.corp.test"));
    for (client, transport, is_cut) in [
        ("192.0.2.1", Udp, true),
        ("2001:db8::1", Udp, true),
        ("192.0.2.1", Tcp, false),
        ("10.0.0.1", Udp, false),
        ("127.0.0.1", Udp, false),
        ("fd00::1", Udp, false),
    ] {
        let response = house.raw_from(&many, asker(client, transport)).await.unwrap();
        assert_eq!(message(&response).metadata.truncation, is_cut, "{client} {transport:?}");
        assert!(!is_cut || response.len() <= 512);
        let response = house.raw_from(&one, asker(client, transport)).await.unwrap();
        assert_eq!(message(&response).answers.len(), 1);
    }
    // A reason has to fit, too.
    let query = ask("x.test", RecordType::AXFR).edns(1232, false).bytes();
    let response = house.raw_from(&query, asker("192.0.2.1", Udp)).await.unwrap();
    assert_eq!(ede(&message(&response)).map(|(code, _)| code), Some(21));
}
