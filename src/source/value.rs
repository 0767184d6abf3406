//! Values as the Route 53 API writes them, to RDATA on the wire.
//!
//! They look like zone-file text and are not: `\052` is octal (`*`, where a zone file means `4`),
//! and every name is absolute with or without its final dot.

use crate::wire::Rtype;

use super::text::{self, Dialect, fields, fields::Field};

/// How much of a value an error repeats.
const SHOWN: usize = 80;

/// Why a value is not data of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rtype} value {value:?}: {problem}")]
pub struct ValueError {
    /// The type it should have been.
    pub rtype: Rtype,
    /// The value, cut if it is long.
    pub value: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Encodes one `Value` of a record set as wire RDATA, names uncompressed with their case kept.
///
/// SPF (type 99) has the form of TXT. A TXT without quotes, which the API does not produce but
/// other tools do, is taken as one string.
///
/// # Errors
/// [`ValueError`] names the value and what is wrong with it; no text panics.
pub fn rdata(rtype: Rtype, value: &str) -> Result<Box<[u8]>, ValueError> {
    encode(rtype, value).map_err(|problem| ValueError { rtype, value: shorten(value), problem })
}

fn encode(rtype: Rtype, value: &str) -> Result<Box<[u8]>, String> {
    let trimmed = value.trim_matches(|c: char| c.is_ascii_whitespace());
    let is_text = rtype == Rtype::TXT || rtype == Rtype::SPF;
    if is_text && !trimmed.is_empty() && !trimmed.starts_with('"') {
        return text::rdata(rtype, &[Field { text: trimmed, quoted: true }], Dialect::Api);
    }
    text::rdata(rtype, &fields::split(trimmed)?, Dialect::Api)
}

fn shorten(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", value.get(..at).unwrap_or_default()),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wire(rtype: Rtype, value: &str) -> Vec<u8> {
        rdata(rtype, value).unwrap_or_else(|e| panic!("{e}")).into_vec()
    }

    fn problem(rtype: Rtype, value: &str) -> String {
        rdata(rtype, value).unwrap_err().to_string()
    }

    #[test]
    fn addresses_are_their_bytes() {
        assert_eq!(wire(Rtype::A, "172.31.52.184"), [172, 31, 52, 184]);
        assert_eq!(wire(Rtype::AAAA, " fd00::1 ")[..2], [0xfd, 0]);
        assert_eq!(wire(Rtype::AAAA, "::ffff:10.0.0.1")[12..], [10, 0, 0, 1]);
        for bad in ["", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1 10.0.0.2", "fd00::1"] {
            assert!(rdata(Rtype::A, bad).is_err(), "{bad}");
        }
        assert!(problem(Rtype::A, "10.0.0").contains("A value \"10.0.0\""));
    }

    #[test]
    fn targets_are_absolute_with_and_without_the_final_dot() {
        let target = b"\x02Db\x07example\x03com\x00";
        for rtype in [Rtype::CNAME, Rtype::NS, Rtype::PTR] {
            assert_eq!(wire(rtype, "Db.example.com"), target);
            assert_eq!(wire(rtype, "Db.example.com."), target);
        }
        assert_eq!(wire(Rtype::MX, "10 Db.example.com"), [&b"\x00\x0a"[..], target].concat());
        let srv = [&b"\x00\x01\x00\x02\x1f\x90"[..], target].concat();
        assert_eq!(wire(Rtype::SRV, "1 2 8080 Db.example.com"), srv);
        let naptr = wire(Rtype::NAPTR, r#"100 10 "u" "sip+E2U" "!^.*$!sip:\\1@a!" Db.example.com"#);
        let head = b"\x00\x64\x00\x0a\x01u\x07sip+E2U\x0f!^.*$!sip:\\1@a!";
        assert_eq!(naptr, [&head[..], target].concat());
    }

    #[test]
    fn escapes_in_targets_are_octal() {
        assert_eq!(wire(Rtype::CNAME, r"\052.a\056b.test"), b"\x01*\x03a.b\x04test\x00");
        let naptr = wire(Rtype::NAPTR, r#"1 1 "" "" "\052" \052.test"#);
        assert_eq!(naptr, b"\x00\x01\x00\x01\x00\x00\x01*\x01*\x04test\x00");
    }

    #[test]
    fn text_is_octets_with_octal_escapes() {
        assert_eq!(
            wire(Rtype::TXT, r#""ex\344mple" "c\"d""#),
            [&b"\x07\x65\x78\xe4\x6d\x70\x6c\x65"[..], &b"\x03\x63\x22\x64"[..]].concat()
        );
        assert_eq!(wire(Rtype::TXT, r#""\052""#), b"\x01*");
        assert_eq!(wire(Rtype::TXT, r#""a\\b""""#), b"\x03a\\b\x00");
        assert_eq!(wire(Rtype::TXT, "plain words"), b"\x0bplain words");
        assert_eq!(wire(Rtype::SPF, r#""v=spf1 -all""#), b"\x0bv=spf1 -all");
    }

    #[test]
    fn strings_above_255_bytes_are_errors() {
        assert_eq!(wire(Rtype::TXT, &format!("\"{}\"", "a".repeat(255))).len(), 256);
        assert!(problem(Rtype::TXT, &format!("\"{}\"", "a".repeat(256))).contains("256 bytes"));
        for bad in ["", r#"""x"#, r#""a"#, r#""\400""#, r#""\08""#, r#""\"#] {
            let ok = bad == r#"""x"#;
            assert_eq!(rdata(Rtype::TXT, bad).is_ok(), ok, "{bad}");
        }
    }

    #[test]
    fn an_soa_is_two_names_and_five_numbers() {
        let soa = wire(Rtype::SOA, "ns-0.awsdns-00.com. h.amazon.com. 1 7200 900 1209600 86400");
        assert_eq!(soa.len(), 20 + 14 + 20);
        assert_eq!(soa[soa.len() - 4..], 86400u32.to_be_bytes());
        // What moto answers for a zone it made itself.
        assert!(rdata(Rtype::SOA, "{'Value': 'ns-2048.awsdns-64.com. h.a. 1 1 1 1 1'}").is_err());
    }

    #[test]
    fn the_types_with_numbers_strings_and_hex() {
        assert_eq!(wire(Rtype::CAA, r#"0 issue "ca.test;x=1""#), b"\x00\x05issueca.test;x=1");
        assert_eq!(wire(Rtype::DS, "12345 8 2 AABB ccdd"), b"\x30\x39\x08\x02\xaa\xbb\xcc\xdd");
        assert_eq!(wire(Rtype::TLSA, "3 1 1 0aff"), b"\x03\x01\x01\x0a\xff");
        assert_eq!(wire(Rtype::SSHFP, "4 2 0aff"), b"\x04\x02\x0a\xff");
        for (rtype, bad) in [
            (Rtype::CAA, "0 issue"),
            (Rtype::DS, "1 8 2 aab"),
            (Rtype::DS, "1 8 2 aa ; comment"),
            (Rtype::TLSA, "3 1 1"),
            (Rtype::SSHFP, "4 2 zz"),
            (Rtype::DS, "1 8 2 aabb)"),
        ] {
            assert!(rdata(rtype, bad).is_err(), "{rtype} {bad}");
        }
    }

    #[test]
    fn service_bindings_have_their_parameters_sorted() {
        assert_eq!(wire(Rtype::HTTPS, "0 svc.test"), b"\x00\x00\x03svc\x04test\x00");
        assert_eq!(
            wire(Rtype::SVCB, r#"1 . port=443 alpn="h2,h3" ipv4hint=10.0.0.1"#),
            [
                &b"\x00\x01\x00"[..],
                b"\x00\x01\x00\x06\x02h2\x02h3",
                b"\x00\x03\x00\x02\x01\xbb",
                b"\x00\x04\x00\x04\x0a\x00\x00\x01"
            ]
            .concat()
        );
        assert_eq!(wire(Rtype::HTTPS, "1 . alpn=h2 no-default-alpn")[3..], *b"\0\x01\0\x03\x02h2\0\x02\0\0");
        assert_eq!(wire(Rtype::SVCB, r"1 . key65400=a\052")[3..], *b"\xff\x78\x00\x02a*");
        assert!(rdata(Rtype::SVCB, "1 . alpn=h2 alpn=h3").is_err());
        assert!(rdata(Rtype::SVCB, "1 . port=70000").is_err());
    }

    #[test]
    fn data_without_the_form_of_its_type_is_an_error() {
        for (rtype, bad) in [
            (Rtype::A, r"\# 3 0a0000"),
            (Rtype::CNAME, r"\# 2 c00c"),
            (Rtype::HTTPS, r"\# 2 c00c"),
            (Rtype::NAPTR, r#"0 10 "" "" "" a..b."#),
            (Rtype::NAPTR, r#"0 10 "" "" "" a..."#),
        ] {
            assert!(rdata(rtype, bad).is_err(), "{rtype} {bad}");
        }
        assert_eq!(wire(Rtype::A, r"\# 4 0a000001"), [10, 0, 0, 1]);
    }

    #[test]
    fn errors_repeat_only_the_front_of_a_long_value() {
        let error = rdata(Rtype::A, &"é".repeat(1000)).unwrap_err();
        assert_eq!(error.value.chars().count(), SHOWN + 1);
    }

    const TYPES: [Rtype; 20] = [
        Rtype::SOA,
        Rtype::A,
        Rtype::TXT,
        Rtype::NS,
        Rtype::CNAME,
        Rtype::MX,
        Rtype::NAPTR,
        Rtype::PTR,
        Rtype::SRV,
        Rtype::SPF,
        Rtype::AAAA,
        Rtype::CAA,
        Rtype::DS,
        Rtype::TLSA,
        Rtype::SSHFP,
        Rtype::SVCB,
        Rtype::HTTPS,
        Rtype::CERT,
        Rtype::HINFO,
        Rtype(65280),
    ];

    proptest! {
        #[test]
        fn no_text_panics(value in ".{0,80}", at in 0..TYPES.len()) {
            let _ = rdata(TYPES[at], &value);
        }

        #[test]
        fn no_likely_text_panics(
            value in r#"([0-9]{1,6} |[a-z]{0,4}\.? |"[a-z;\\( ]{0,9}" |\\[0-7]{0,4}|\\# |[(;)@=,"]|key[0-9]{1,5}=|alpn=|mandatory=|ipv4hint=|ech=){0,9}"#,
            at in 0..TYPES.len(),
        ) {
            let _ = rdata(TYPES[at], &value);
        }

        #[test]
        fn any_octets_survive_in_a_string(bytes in proptest::collection::vec(any::<u8>(), 0..=255)) {
            let text: String = bytes.iter().map(|b| format!("\\{b:03o}")).collect();
            let encoded = rdata(Rtype::TXT, &format!("\"{text}\"")).unwrap();
            prop_assert_eq!(&encoded[1..], &bytes[..]);
        }
    }
}
