//! `zonelet export`: zone files that other servers load, and that say the same when they are read again.

use std::collections::BTreeSet;

use proptest::prelude::*;
use zonelet::source::file::zonefile;
use zonelet::wire::{Name, Rtype};
use zonelet::zone::{Body, RecordSet, Zone, ZoneData, ZoneOptions};

#[cfg(feature = "peer-tests")]
use crate::harness::packages;
use crate::harness::program::{Home, file};

/// Every type that has a text of its own, and some that have none.
const PLAIN: &str = r#"
$ORIGIN plain.test.
$TTL 300
@ SOA ns1 Host\.Master 2026112100 7200 900 1209600 60
@ NS ns1
@ MX 10 mail
@ CAA 128 issue "ca.example.net; account=7"
@ TXT "v=spf1 -all" "" "quote \" back\\slash ; no comment \000\255"
ns1 A 10.0.0.1
ns1 AAAA fd00::1
*.apps 60 A 10.0.0.2
a-* TXT "a star that is none"
odd\032\@\228\.label A 10.0.0.3
www CNAME ns1
_sip._udp SRV 1 2 5060 ns1
ptr PTR Host.Elsewhere.test.
old DNAME new.test.
naptr NAPTR 100 50 "s" "SIP+D2U" "!^.*$!sip:a@b.test!" .
host HINFO "PC \"x\"" "OS"
ssh SSHFP 1 2 abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789
_443._tcp TLSA 3 1 1 abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789
svc HTTPS 1 . alpn=h2,h3 port=8443 ipv4hint=10.0.0.9,10.0.0.10 ipv6hint=fd00::9
svc2 SVCB 1 svc mandatory=alpn alpn=h2 no-default-alpn
svc3 HTTPS 1 . ech=AEX+ key667="a b"
rp RP admin txt
afs AFSDB \# 5 0001016100
minfo MINFO a b
unknown TYPE65280 \# 3 0a0b0c
empty TYPE65281 \# 0
sub NS ns.sub
sub DS 12345 8 2 abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789
ns.sub A 10.0.0.5
"#;

/// What `zonelet export ARGS` prints, and what it says beside that.
fn exported(home: &Home, arguments: &[&str]) -> (String, String) {
    let output = home.run(&[&["export"], arguments].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}

/// Has NSD read a zone file.
#[cfg(feature = "peer-tests")]
fn check_with_nsd(home: &Home, zone: &str, text: &str) {
    home.put("exported.zone", text);
    let mut command = packages::command("nsd-checkzone", "nsd");
    let output = command.arg(zone).arg(home.path("exported.zone")).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("ok"), "{said}\n{text}");
}

/// Owner, type, TTL and data of all records.
fn records(zone: &Zone) -> BTreeSet<(String, Rtype, u32, Vec<u8>)> {
    let of = |view: zonelet::zone::RrsetView<'_>| {
        assert!(view.rrset.is_plain(), "{} {}", view.owner, view.rrset.rtype);
        let (owner, rtype, ttl) = (view.owner.to_string(), view.rrset.rtype, view.rrset.ttl());
        view.rrset.rdata().map(move |data| (owner.clone(), rtype, ttl, data.to_vec())).collect::<Vec<_>>()
    };
    zone.rrsets().flat_map(of).collect()
}

fn read(text: &str) -> Zone {
    let file = zonefile::parse(text.as_bytes(), None).unwrap();
    assert_eq!(file.skipped, [], "{text}");
    let sets = file.records.into_iter().map(|(_, set)| set).collect();
    let data = ZoneData { apex: file.soa.expect("a SOA"), sets, skipped: Vec::new() };
    Zone::build(&data, &ZoneOptions::default()).zone
}

#[test]
fn every_type_survives_the_way_through_a_zone_file_and_nsd_reads_it() {
    let zone = read(PLAIN);
    let text = zone.to_zone_file();
    assert_eq!(records(&read(&text)), records(&zone), "{text}");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("$ORIGIN plain.test."));
    assert!(
        lines
            .next()
            .is_some_and(|line| line.starts_with("plain.test. 300 IN SOA ns1.plain.test. Host\\.Master."))
    );
    #[cfg(feature = "peer-tests")]
    check_with_nsd(&Home::new(""), "plain.test", &text);
}

#[test]
fn what_plain_dns_cannot_say_is_written_as_what_it_comes_to_and_said_so() {
    let home = Home::new("");
    home.put("corp.json", crate::explain::CORP);
    home.configure(&format!("{}region = 'eu-west-1'\n", file("corp.json")));
    let (text, _) = exported(&home, &["corp.test", "--offline"]);
    #[cfg(feature = "peer-tests")]
    check_with_nsd(&home, "corp.test", &text);
    for lines in [
        "; one.corp.test. A: an alias of two.corp.test., written as its records\none.corp.test. 60 IN A 10.0.0.1\n",
        "; lb.corp.test. A: left out: an alias of a name that the zone has no records of: lb.elb.example.org.\n",
        "; bare.corp.test. A: left out: an alias of a name that has no records of this type: nothing.corp.test.\n",
        "; loop.corp.test. A: left out: an alias that leads back to itself: pool.corp.test.\n",
        "; w.corp.test. A: a weighted policy, written as its likeliest outcome of 2, 75.0 %\n\
         ; w.corp.test. A:   set \"big\", weight 3: 10.1.0.1\n\
         ; w.corp.test. A:   set \"small\", weight 1: 10.1.0.2\n\
         ; w.corp.test. A:   set \"none\", weight 0: 10.1.0.3\n\
         w.corp.test. 30 IN A 10.1.0.1\n",
        "to-w.corp.test. A:   set \"none\", weight 0: 10.1.0.3\nto-w.corp.test. 30 IN A 10.1.0.1\n",
        "; f.corp.test. A: a failover policy, written as its only outcome, what has an unknown state of health \
         counting as healthy\n",
        "f.corp.test. 30 IN A 10.2.0.1\n",
        "; m.corp.test. A: a multivalue policy, written as the records of all its healthy sets\n",
        "m.corp.test. 30 IN A 10.3.0.1\nm.corp.test. 30 IN A 10.3.0.2\n",
        "; l.corp.test. A: a latency policy, written as its only outcome\n",
        "; g.corp.test. A: left out: a geolocation policy whose likeliest outcome has no records in the zone\n",
        "; cidr.corp.test. A: left out: only the zone's origin can answer it (choice)\n",
        "; bad.corp.test. A: left out: only the zone's origin can answer it (unknown)\n",
        "odd\\032\\@\\228.corp.test. 60 IN SRV 1 2 3 db.corp.test.\n",
        "t.corp.test. 60 IN TXT \"a\\\"b;c\" \"\\228\\000\"\n",
    ] {
        assert!(text.contains(lines), "{lines}\nis not in\n{text}");
    }
    // Each record set of the source is a record or a comment.
    let listing: serde_json::Value = serde_json::from_str(crate::explain::CORP).unwrap();
    for set in listing["ResourceRecordSets"].as_array().unwrap() {
        let owner = Name::from_text(set["Name"].as_str().unwrap(), zonelet::wire::Escapes::Octal).unwrap();
        let rtype = set["Type"].as_str().unwrap();
        let is_there = |line: &str| {
            line.starts_with(&format!("; {owner} {rtype}:"))
                || (line.starts_with(&format!("{owner} ")) && line.contains(&format!(" IN {rtype} ")))
        };
        assert!(text.lines().any(is_there), "{owner} {rtype} is lost in\n{text}");
    }
}

#[test]
fn the_running_zonelet_is_asked_and_without_one_what_is_on_disk() {
    let home = Home::new("");
    home.put("plain.zone", PLAIN);
    home.configure(&file("plain.zone"));
    let program = home.start();
    let (live, said) = exported(&home, &["plain.test"]);
    assert_eq!((live.lines().next(), said.as_str()), (Some("; plain.test., as zonelet serves it"), ""));
    let other = home.run(&["export", "other.test"]);
    assert_eq!(other.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&other.stderr), "zonelet: no source has the zone other.test.\n");
    drop(program);
    let (offline, said) = exported(&home, &["plain.test"]);
    assert!(said.contains("the zone is taken from zone files and last-good zones"), "{said}");
    let without_head = |text: &str| text.split_once("$ORIGIN").unwrap().1.to_owned();
    assert_eq!(without_head(&live), without_head(&offline));
}

#[test]
fn an_owner_cannot_write_a_line_of_its_own() {
    let identifier = "x\n@ A 10.6.6.6\r\n";
    let json = serde_json::json!({ "ResourceRecordSets": [
        { "Name": "z.test.", "Type": "SOA", "TTL": 1, "ResourceRecords": [{ "Value": "a. b. 1 2 3 4 5" }] },
        { "Name": "w.z.test.", "Type": "A", "SetIdentifier": identifier, "Weight": 1, "TTL": 30,
          "ResourceRecords": [{ "Value": "10.1.0.1" }] },
    ] });
    let data = zonelet::source::file::json::parse(json.to_string().as_bytes(), None).unwrap().unwrap();
    let text = Zone::build(&data, &ZoneOptions::default()).zone.to_zone_file();
    assert!(text.lines().all(|line| line.starts_with(['$', ';', 'z', 'w'])), "{text}");
    assert!(text.ends_with("w.z.test. 30 IN A 10.1.0.1\n"));
}

fn label() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..12)
}

proptest! {
    #[test]
    fn any_owner_and_any_bytes_survive(
        labels in proptest::collection::vec(label(), 0..4),
        data in proptest::collection::vec(any::<u8>(), 0..300),
        number in 0u16..70,
    ) {
        let mut owner: Name = "z.test".parse().unwrap();
        for label in labels {
            owner = Name::child(&label, owner.as_ref()).unwrap();
        }
        let rtype = Rtype(if Rtype(number).is_meta() || number == 0 { 65_280 } else { number });
        let body = Body::Records { ttl: 60, rdata: vec![data.into()] };
        let sets = vec![RecordSet { owner, rtype, body }];
        let apex: Name = "z.test".parse().unwrap();
        let zone = Zone::build(&ZoneData { apex, sets, skipped: Vec::new() }, &ZoneOptions::default()).zone;
        // What does not have its type's form is deferred, and only named.
        let is_plain = zone.rrsets().all(|view| view.rrset.is_plain());
        let again = read(&zone.to_zone_file());
        if is_plain {
            prop_assert_eq!(records(&again), records(&zone));
        }
    }
}
