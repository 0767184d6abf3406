//! Lookup in zones: RFC 1034 §4.3.2, RFC 4592, negatives, and which zone is asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use hickory_proto::rr::RecordType;
use zonelet::import::{OnUnloaded, SourcePolicy};
use zonelet::zone::{Asked, Authority, OnMissing, WhenUnloaded, Zone, ZoneData, ZoneOptions};

use super::{CORP, DB};
use crate::harness::client::{ask, message};
use crate::harness::dns::{Plan, Via, unknown};
use crate::harness::house::{House, zone};
use crate::harness::message::{name, soa};
use crate::harness::source::{Fault, Scripted};

#[test]
fn names_types_wildcards_and_empty_non_terminals_are_answered_as_the_rfcs_ask() {
    let stack = Plan::new().zone(CORP).start(unknown);
    let no_data = "NOERROR aa | corp.internal. 30 SOA";
    let nx_domain = "NXDOMAIN aa | corp.internal. 30 SOA";
    stack.expect(&[
        (
            "db.corp.internal. A",
            "NOERROR aa; db.corp.internal. 60 A 10.0.0.1; db.corp.internal. 60 A 10.0.0.2; db.corp.internal. 60 A 10.0.0.3",
        ),
        ("corp.internal. MX", "NOERROR aa; corp.internal. 300 MX 10 mail.corp.internal."),
        ("corp.internal. SOA", "NOERROR aa; corp.internal. 900 SOA"),
        ("corp.internal. NS", "NOERROR aa; corp.internal. 300 NS ns-0.awsdns-00.com."),
        ("db.corp.internal. AAAA", no_data),
        ("missing.corp.internal. A", nx_domain),
        ("below.db.corp.internal. A", nx_domain),
        // Wildcards (RFC 4592): any depth below, never at the parent, never beside an existing name.
        ("x.apps.corp.internal. A", "NOERROR aa; x.apps.corp.internal. 300 A 10.0.1.1"),
        ("x.y.apps.corp.internal. A", "NOERROR aa; x.y.apps.corp.internal. 300 A 10.0.1.1"),
        ("x.apps.corp.internal. AAAA", no_data),
        ("*.apps.corp.internal. A", "NOERROR aa; *.apps.corp.internal. 300 A 10.0.1.1"),
        ("apps.corp.internal. A", no_data),
        ("host.apps.corp.internal. A", "NOERROR aa; host.apps.corp.internal. 300 A 10.0.1.2"),
        ("host.apps.corp.internal. AAAA", no_data),
        ("x.host.apps.corp.internal. A", nx_domain),
        // Empty non-terminals exist.
        ("ent.corp.internal. A", no_data),
        ("b.ent.corp.internal. A", no_data),
        ("c.ent.corp.internal. A", nx_domain),
        ("a.b.ent.corp.internal. A", "NOERROR aa; a.b.ent.corp.internal. 300 A 10.0.2.1"),
        ("corp.internal. ANY", "NOERROR aa; corp.internal. 3600 HINFO RFC8482 "),
        ("missing.corp.internal. ANY", nx_domain),
    ]);
    assert_eq!(stack.upstream.count(), 0, "nothing of a zone is asked upstream");
}

#[test]
fn the_ttl_of_a_negative_is_the_least_of_soa_ttl_minimum_and_the_cap() {
    let loose = SourcePolicy { negative_ttl_max: 86_400, ..SourcePolicy::default() };
    let stack = Plan::new().zone_with(CORP, loose.clone()).zone_with(DB, loose).start(unknown);
    stack.expect(&[
        ("x.corp.internal. A", "NXDOMAIN aa | corp.internal. 900 SOA"),
        ("x.db.internal. A", "NXDOMAIN aa | db.internal. 20 SOA"),
        ("api.db.internal. TXT", "NOERROR aa | db.internal. 20 SOA"),
    ]);
}

#[test]
fn names_with_octal_escapes_and_odd_labels_are_found() {
    let json = r#"{"ResourceRecordSets":[
        {"Name":"corp.internal.","Type":"SOA","TTL":900,"ResourceRecords":[{"Value":"a. b. 1 7200 900 1209600 86400"}]},
        {"Name":"corp.internal.","Type":"NS","TTL":900,"ResourceRecords":[{"Value":"a."}]},
        {"Name":"\\052.apps.corp.internal.","Type":"A","TTL":60,"ResourceRecords":[{"Value":"10.0.0.1"}]},
        {"Name":"a-\\052.apps.corp.internal.","Type":"TXT","TTL":60,"ResourceRecords":[{"Value":"\"heritage=x\""}]},
        {"Name":"www.corp.internal.","Type":"CNAME","TTL":60,"ResourceRecords":[{"Value":"db.example.com"}]}
    ]}"#;
    let stack = Plan::new().zone(json).start(|q| q.address(60, 9));
    stack.expect(&[
        ("foo.apps.corp.internal. A", "NOERROR aa; foo.apps.corp.internal. 60 A 10.0.0.1"),
        ("a-*.apps.corp.internal. TXT", r"NOERROR aa; a-\*.apps.corp.internal. 60 TXT heritage=x"),
        ("a-foo.apps.corp.internal. TXT", "NOERROR aa | corp.internal. 30 SOA"),
        (
            "www.corp.internal. A",
            "NOERROR aa; www.corp.internal. 60 CNAME db.example.com.; db.example.com. 60 A 192.0.2.9",
        ),
    ]);
}

#[test]
fn the_most_specific_zone_answers_and_none_falls_back() {
    let sub = "$ORIGIN eu.corp.internal.\n$TTL 60\n@ SOA a. b. 1 2 3 4 5\n@ NS a.\nweb A 10.9.0.1\n";
    let parent = format!("{CORP}only.eu A 10.8.0.1\nweb.eu A 10.8.0.2\n");
    let stack = Plan::new().zone(&parent).zone(sub).start(|q| q.address(60, 1));
    stack.expect(&[
        ("web.eu.corp.internal. A", "NOERROR aa; web.eu.corp.internal. 60 A 10.9.0.1"),
        ("only.eu.corp.internal. A", "NXDOMAIN aa | eu.corp.internal. 5 SOA"),
        ("web.eu.corp.internal. TXT", "NOERROR aa | eu.corp.internal. 5 SOA"),
        ("eux.corp.internal. A", "NXDOMAIN aa | corp.internal. 30 SOA"),
    ]);
    assert_eq!(stack.upstream.count(), 0);
}

#[test]
fn below_a_delegation_everything_is_forwarded() {
    let stack = Plan::new().zone(CORP).start(|q| q.address(60, 4));
    stack.expect(&[
        ("child.corp.internal. A", "NOERROR; child.corp.internal. 60 A 192.0.2.4"),
        ("x.child.corp.internal. A", "NOERROR; x.child.corp.internal. 60 A 192.0.2.4"),
        ("ns.child.corp.internal. A", "NOERROR; ns.child.corp.internal. 60 A 192.0.2.4"),
        ("glued.corp.internal. A", "NOERROR aa; glued.corp.internal. 300 A 10.0.3.2"),
    ]);
    assert_eq!(stack.upstream.count(), 3);
}

#[test]
fn below_a_zone_that_may_not_be_read_everything_is_forwarded() {
    let source = Scripted::new("vpc");
    source.zone("Z1", "corp.internal", &[("db", 1)]).carved("Z2", "efs.corp.internal");
    let stack = Plan::new().source(Arc::new(source), SourcePolicy::default()).start(|q| q.address(60, 4));
    stack.expect(&[
        ("x.efs.corp.internal. A", "NOERROR; x.efs.corp.internal. 60 A 192.0.2.4"),
        ("efs.corp.internal. A", "NOERROR; efs.corp.internal. 60 A 192.0.2.4"),
        ("db.corp.internal. A", "NOERROR aa; db.corp.internal. 60 A 10.0.0.1"),
        ("x.corp.internal. A", "NXDOMAIN aa | corp.internal. 30 SOA"),
    ]);
}

#[test]
fn names_of_a_zone_that_never_loaded_are_answered_as_on_unloaded_says() {
    let unloaded = |on_unloaded| {
        let source = Scripted::new("vpc");
        source.zone("Z1", "corp.internal", &[("db", 1)]).always("Z1", Some(Fault::Failed));
        let policy = SourcePolicy { on_unloaded, ..SourcePolicy::default() };
        Plan::new().source(Arc::new(source), policy).start(|q| q.address(60, 4))
    };
    let stack = unloaded(OnUnloaded::Fail);
    stack.expect(&[
        ("db.corp.internal. A", "SERVFAIL EDE 14 the zone has not been loaded yet"),
        ("example.test. A", "NOERROR; example.test. 60 A 192.0.2.4"),
    ]);
    assert_eq!(stack.forwarded("db.corp.internal"), 0);
    let stack = unloaded(OnUnloaded::Forward);
    stack.expect(&[("db.corp.internal. A", "NOERROR; db.corp.internal. 60 A 192.0.2.4")]);
    let stack = unloaded(OnUnloaded::Auto);
    stack.expect(&[("db.corp.internal. A", "SERVFAIL EDE 14 the zone has not been loaded yet")]);
}

#[tokio::test]
async fn only_questions_about_zones_that_are_not_loaded_are_counted_for_their_import() {
    let (waited_for, other) = (Asked::default(), Asked::default());
    let entries = vec![
        (name("corp.internal"), Authority::Unloaded(WhenUnloaded::Fail, waited_for.clone())),
        (name("loaded.test"), Authority::Loaded(Arc::new(built(&zone("loaded.test", Vec::new()))))),
        (name("other.test"), Authority::Unloaded(WhenUnloaded::Fail, other.clone())),
    ];
    let house = House::over(entries, ([127, 0, 0, 1], 9).into(), false);
    for qname in ["corp.internal", "db.corp.internal", "x.y.corp.internal", "loaded.test", "db.loaded.test"] {
        house.ask(qname, RecordType::A).await;
    }
    assert_eq!((waited_for.get(), other.get()), (3, 0));
}

fn built(data: &ZoneData) -> Zone {
    Zone::build(data, &ZoneOptions::default()).zone
}

/// The public zone of the same name: it alone has MX and `public`.
fn public(question: &crate::harness::message::Question) -> Vec<u8> {
    let mx = zonelet::wire::Rtype::MX;
    match (question.qname.to_string().as_str(), question.qtype) {
        ("corp.internal.", qtype) if qtype == mx => {
            let rdata = [&[0, 5][..], name("mx.example.test").as_bytes()].concat();
            question.reply(0, &[(question.qname.clone(), mx, 60, rdata)], &[])
        }
        ("public.corp.internal.", _) => question.address(60, 5),
        ("corp.internal.", _) => question.reply(0, &[], &[soa("corp.internal", 900, 10)]),
        _ => question.reply(3, &[], &[soa("corp.internal", 900, 10)]),
    }
}

/// The private zone: no MX at its apex.
fn private(on_missing: OnMissing) -> crate::harness::dns::Stack {
    let zone = CORP.replace("@ MX 10 mail\n", "");
    let policy = SourcePolicy { on_missing, ..SourcePolicy::default() };
    Plan::new().zone_with(&zone, policy).start(public)
}

#[test]
fn a_private_zone_hides_the_public_one_of_its_name_unless_told_otherwise() {
    let stack = private(OnMissing::NxDomain);
    stack.expect(&[
        ("corp.internal. MX", "NOERROR aa | corp.internal. 30 SOA"),
        ("public.corp.internal. A", "NXDOMAIN aa | corp.internal. 30 SOA"),
    ]);
    assert_eq!(stack.upstream.count(), 0);
}

#[test]
fn missing_names_fall_through_to_the_public_zone_where_so_configured() {
    let stack = private(OnMissing::ForwardNxDomain);
    stack.expect(&[
        ("corp.internal. MX", "NOERROR aa | corp.internal. 30 SOA"),
        ("public.corp.internal. A", "NOERROR; public.corp.internal. 60 A 192.0.2.5"),
        ("nowhere.corp.internal. A", "NXDOMAIN | corp.internal. 10 SOA"),
        ("ent.corp.internal. A", "NOERROR aa | corp.internal. 30 SOA"),
    ]);
}

#[test]
fn an_mx_that_only_the_public_zone_has_is_found_where_missing_types_fall_through() {
    let stack = private(OnMissing::ForwardNoData);
    stack.expect(&[
        ("corp.internal. MX", "NOERROR; corp.internal. 60 MX 5 mx.example.test."),
        ("public.corp.internal. A", "NOERROR; public.corp.internal. 60 A 192.0.2.5"),
        // The upstream denies a name that only the private zone has: the zone's own NODATA stands.
        ("db.corp.internal. AAAA", "NOERROR aa | corp.internal. 30 SOA"),
        ("nowhere.corp.internal. A", "NXDOMAIN | corp.internal. 10 SOA"),
    ]);
    let db = stack.line("db.corp.internal. A");
    assert!(db.starts_with("NOERROR aa; db.corp.internal. 60 A 10.0.0.1"), "{db}");
}

#[test]
fn records_of_one_set_take_turns_at_the_front() {
    let stack = Plan::new().zone(CORP).start(unknown);
    for via in [Via::Udp, Via::Tcp] {
        let first = |_| {
            let response = stack.raw(via, &ask("db.corp.internal.", RecordType::A).bytes());
            message(&response).answers[0].data.to_string()
        };
        // The order is spread, not a round: forty queries leave none out.
        let firsts: BTreeSet<String> = (0..40).map(first).collect();
        assert_eq!(firsts.len(), 3, "{via:?}: {firsts:?}");
    }
}
