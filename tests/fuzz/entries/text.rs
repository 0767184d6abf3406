//! Texts: names and values as the Route 53 API writes them, configuration.

use std::str::FromStr;

use zonelet::config::{Config, Environment};
use zonelet::source::value;
use zonelet::wire::{Escapes, Name, Rtype};
use zonelet::zone::rdata;

/// A name with octal escapes: what it displays as, with decimal ones, reads as the same name, and
/// so does the name with every byte escaped.
pub fn octal_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(name) = Name::from_text(text, Escapes::Octal) else { return };
    assert!(name.as_bytes().len() <= 255 && !name.as_bytes().iter().any(u8::is_ascii_uppercase));
    assert_eq!(Name::from_wire(name.as_bytes()).as_ref(), Ok(&name));
    assert_eq!(Name::from_str(&name.to_string()).as_ref(), Ok(&name), "decimal");
    let escaped = |label: &[u8]| label.iter().map(|b| format!("\\{b:03o}")).collect::<String>() + ".";
    let octal: String = name.as_ref().labels().map(escaped).collect();
    let octal = if octal.is_empty() { ".".into() } else { octal };
    assert_eq!(Name::from_text(&octal, Escapes::Octal).as_ref(), Ok(&name), "octal");
    let mut parents = name.as_ref().suffixes().skip(1);
    assert!(parents.all(|parent| name.as_ref().is_at_or_below(parent)));
}

/// The types whose values the API has, and some that it has not.
const TYPES: [Rtype; 22] = [
    Rtype::A,
    Rtype::AAAA,
    Rtype::CAA,
    Rtype::CNAME,
    Rtype::DS,
    Rtype::HTTPS,
    Rtype::MX,
    Rtype::NAPTR,
    Rtype::NS,
    Rtype::PTR,
    Rtype::SOA,
    Rtype::SPF,
    Rtype::SRV,
    Rtype::SSHFP,
    Rtype::SVCB,
    Rtype::TLSA,
    Rtype::TXT,
    Rtype::DNAME,
    Rtype::HINFO,
    Rtype(65280),
    Rtype::RP,
    Rtype::AFSDB,
];

/// A byte for the type, then the value: it is RDATA that can be served, or an error of bounded size.
pub fn record_value(bytes: &[u8]) {
    let Some((&first, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let rtype = TYPES[usize::from(first) % TYPES.len()];
    match value::rdata(rtype, text) {
        Ok(wire) => assert_eq!(rdata::check(rtype, &wire), Ok(()), "{rtype} {text:?} {wire:x?}"),
        Err(error) => {
            assert!(error.value.chars().count() <= 81 && !error.problem.is_empty());
            assert!(text.starts_with(error.value.trim_end_matches('…')));
        }
    }
}

/// A configuration, then behind a zero byte lines of `NAME=value` for the environment: it is read
/// whole, or every problem says where it is.
pub fn config_text(bytes: &[u8]) {
    let Ok(input) = std::str::from_utf8(bytes) else { return };
    let (text, variables) = input.split_once('\0').unwrap_or((input, ""));
    let environment: Environment = variables.lines().filter_map(|line| line.split_once('=')).collect();
    match Config::from_text(text, "fuzz.toml", &environment) {
        Ok(config) => {
            assert_eq!(config.needs_restart(&config.clone()), [""; 0]);
            let again = Config::from_text(text, "fuzz.toml", &environment);
            assert!(again.is_ok_and(|again| again == config), "the same text reads the same");
        }
        Err(problems) => {
            assert!(problems.len() > 0);
            for problem in problems.iter() {
                assert!(!problem.what.is_empty());
                let lines = text.lines().count() + 1;
                assert!(problem.place.line().is_none_or(|line| (1..=lines).contains(&line)), "{problem}");
            }
        }
    }
}
