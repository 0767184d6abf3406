//! Tests of zone files.

use proptest::prelude::*;

use super::*;

const EXAMPLE: &str = r#"
$ORIGIN nick.test.   ; a comment
$TTL 1h
@   IN  SOA ns1 Host\.Master (
        2026112100 ; serial
        2h 15m 1w  ; (refresh, retry, expire)
        60 )
    IN  NS  ns1
    300 NS  ns2.example.com.
ns1 A   10.0.0.1
    AAAA fd00::1
*.apps 5m IN A 10.0.0.2
IN  60  A   10.0.0.3
txt TXT "a\"b" plain "\228\000"
gen TYPE65280 \# 3 0a0b0c
gena A \# 4 0a000004
svc HTTPS 1 . alpn=h2
$ORIGIN sub
x   CNAME y
"#;

fn lines(file: &ZoneFile) -> Vec<String> {
    file.records
        .iter()
        .map(|(line, set)| {
            let Body::Records { ttl, rdata } = &set.body else { panic!("deferred") };
            let hex: String = rdata[0].iter().map(|b| format!("{b:02x}")).collect();
            format!("{line} {} {ttl} {} {hex}", set.owner, set.rtype)
        })
        .collect()
}

fn parse_text(text: &str) -> ZoneFile {
    parse(text.as_bytes(), None).unwrap()
}

#[test]
fn a_zone_file_is_read_with_all_its_shorthand() {
    let file = parse_text(EXAMPLE);
    assert_eq!(file.skipped, []);
    assert_eq!(file.soa, Some("nick.test".parse().unwrap()));
    let lines = lines(&file);
    assert!(lines[0].starts_with("4 nick.test. 3600 SOA 036e7331046e69636b"), "{}", lines[0]);
    assert!(lines[0].contains("0b486f73742e4d6173746572046e69636b"), "the escaped dot stays in its label");
    assert!(lines[0].ends_with("00001c200000038400093a800000003c"), "{}", lines[0]);
    assert_eq!(
        lines[1..],
        [
            "8 nick.test. 3600 NS 036e7331046e69636b047465737400",
            "9 nick.test. 300 NS 036e7332076578616d706c6503636f6d00",
            "10 ns1.nick.test. 3600 A 0a000001",
            "11 ns1.nick.test. 3600 AAAA fd000000000000000000000000000001",
            "12 *.apps.nick.test. 300 A 0a000002",
            "13 in.nick.test. 60 A 0a000003",
            "14 txt.nick.test. 3600 TXT 0361226205706c61696e02e400",
            "15 gen.nick.test. 3600 TYPE65280 0a0b0c",
            "16 gena.nick.test. 3600 A 0a000004",
            "17 svc.nick.test. 3600 HTTPS 00010000010003026832",
            "19 x.sub.nick.test. 3600 CNAME 017903737562046e69636b047465737400",
        ]
    );
}

#[test]
fn one_bad_record_is_skipped_by_itself_with_its_line() {
    let file = parse_text(
        "$ORIGIN t.\n$TTL 60\n@ SOA a b 1 2 3 4 5\na A 10.0.0\nb A 10.0.0.1\nc TXT \"open\nd A 10.0.0.2\n\
         e FOO x\nf CH A 10.0.0.3\ng 99999999999 A 10.0.0.4\n..bad A 10.0.0.5\n  A 10.0.0.6\nh A 10.0.0.7\n\
         i 2147483648 A 10.0.0.8\nj A 10.0.0.9 10.0.0.10\nk\nl MX 10\n",
    );
    let owners = |deferred: bool| -> Vec<String> {
        let sets = file.records.iter().map(|(_, set)| set);
        sets.filter(|s| matches!(s.body, Body::Deferred(_)) == deferred)
            .map(|s| s.owner.to_string())
            .collect()
    };
    assert_eq!(owners(false), ["t.", "b.t.", "d.t.", "h.t."]);
    let kept = ["a.t.", "e.t.", "f.t.", "g.t.", "i.t.", "j.t.", "k.t.", "l.t."];
    assert_eq!(owners(true), kept, "names of skipped records still exist");
    let skipped: Vec<(&str, SkipReason)> =
        file.skipped.iter().map(|s| (s.detail.split(':').next().unwrap(), s.reason)).collect();
    assert_eq!(
        skipped,
        [
            ("line 4", SkipReason::BadValue),
            ("line 6", SkipReason::BadValue),
            ("line 8", SkipReason::UnsupportedType),
            ("line 9", SkipReason::UnsupportedType),
            ("line 10", SkipReason::BadTtl),
            ("line 11", SkipReason::BadOwner),
            ("line 12", SkipReason::BadOwner),
            ("line 14", SkipReason::BadTtl),
            ("line 15", SkipReason::BadValue),
            ("line 16", SkipReason::BadValue),
            ("line 17", SkipReason::BadValue),
        ]
    );
    assert_eq!((file.skipped[0].owner.as_str(), file.skipped[0].rtype.as_str()), ("a.t.", "A"));
}

#[test]
fn ttls_come_from_the_record_then_the_directive_then_the_record_before() {
    let ttls = |text: &str| -> Vec<u32> {
        let file = parse_text(text);
        let ttl = |s: &RecordSet| if let Body::Records { ttl, .. } = s.body { Some(ttl) } else { None };
        file.records.iter().filter_map(|(_, s)| ttl(s)).collect()
    };
    assert_eq!(ttls("a.t. 5 A 10.0.0.1\nb.t. A 10.0.0.1\nc.t. 7 A 10.0.0.1\nd.t. A 10.0.0.1"), [5, 5, 7, 7]);
    assert_eq!(ttls("$TTL 9\na.t. 5 A 10.0.0.1\nb.t. A 10.0.0.1"), [5, 9]);
    assert_eq!(ttls("t. SOA a. b. 1 2 3 4 77\nb.t. A 10.0.0.1"), [77, 77]);
    assert_eq!(ttls("b.t. A 10.0.0.1"), [0u32; 0]);
}

#[test]
fn directives_that_would_lose_records_refuse_the_file_with_their_line() {
    for (text, line, word) in [
        ("$TTL 1\n$INCLUDE other.zone", 2, "$INCLUDE"),
        ("\n\n$GENERATE 1-9 a$ A 10.0.0.$", 3, "$GENERATE"),
        ("$TTL forever", 1, "TTL"),
        ("$ORIGIN", 1, "$ORIGIN"),
        ("$ORIGIN relative", 1, "origin"),
    ] {
        let error = parse(text.as_bytes(), None).unwrap_err();
        assert_eq!(error.line, line, "{text}");
        assert!(error.problem.contains(word), "{}", error.problem);
    }
}

#[test]
fn relative_names_without_an_origin_are_skipped() {
    let file = parse_text("$TTL 1\na A 10.0.0.1\nb.t. CNAME c\nd.t. A 10.0.0.1");
    assert_eq!(file.records.iter().filter(|(_, s)| matches!(s.body, Body::Records { .. })).count(), 1);
    assert!(file.skipped.iter().all(|s| s.detail.contains("no origin is set")), "{:?}", file.skipped);
}

proptest! {
    #[test]
    fn no_content_panics(
        content in r#"((\$ORIGIN|\$TTL|@|[a-z*.]{1,5}|IN|[0-9]{1,10}|TXT|A|NS|MX|SVCB|DS|CAA|NAPTR|\\#|"[a-z]{0,4}"|[();"\\\n\t ]) ?){0,30}"#,
    ) {
        let _ = parse(content.as_bytes(), Some("t".parse().unwrap()));
    }

    #[test]
    fn no_bytes_panic(content in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&content, None);
    }
}
