//! Entries: a message in text, and what of it counts.

use zonelet::source::file::zonefile;
use zonelet::wire::{Name, Rtype};
use zonelet::zone::Body;

use crate::model::{Entry, Failure, Matches, Rec, WantedEde};
use crate::parse::{Lines, Problem, words};

/// Header flags by name.
pub const FLAGS: [(&str, u16); 7] =
    [("QR", 0x8000), ("AA", 0x400), ("TC", 0x200), ("RD", 0x100), ("RA", 0x80), ("AD", 0x20), ("CD", 0x10)];

/// Response codes by name.
pub const CODES: [(&str, u16); 7] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("BADVERS", 16),
];

/// Opcodes by name.
pub const OPCODES: [(&str, u16); 4] = [("QUERY", 0), ("STATUS", 2), ("NOTIFY", 4), ("UPDATE", 5)];

/// What our messages state as their size.
const SIZE: u16 = 1232;

/// Reads an entry behind its `ENTRY_BEGIN`.
pub fn entry(lines: &mut Lines<'_>) -> Result<Entry, Failure> {
    let mut entry = Entry::new(lines.number);
    let mut section = None;
    loop {
        let line = lines.next()?;
        let result = match words(line).as_slice() {
            ["ENTRY_END"] => return Ok(entry),
            ["MATCH", matches @ ..] => {
                matches.iter().try_for_each(|word| add_match(&mut entry.matches, word))
            }
            ["ADJUST", adjusts @ ..] => adjusts.iter().try_for_each(|word| adjust(&mut entry, word)),
            ["REPLY", replies @ ..] => {
                entry.line = lines.number;
                replies.iter().try_for_each(|word| reply(&mut entry, word))
            }
            ["SECTION", name] => section_of(name).map(|found| section = Some(found)),
            _ => in_section(&mut entry, section, line),
        };
        lines.place(result)?;
    }
}

fn add_match(matches: &mut Matches, word: &str) -> Result<(), Problem> {
    match word {
        "all" => {
            let Matches { ttl, ede, tcp, .. } = *matches;
            *matches = Matches {
                opcode: true,
                qname: true,
                qtype: true,
                flags: true,
                rcode: true,
                answer: true,
                authority: true,
                ttl,
                ede,
                tcp,
            };
        }
        "opcode" => matches.opcode = true,
        "qname" => matches.qname = true,
        "qtype" => matches.qtype = true,
        "flags" => matches.flags = true,
        "rcode" => matches.rcode = true,
        "answer" => matches.answer = true,
        "authority" => matches.authority = true,
        "ttl" => matches.ttl = true,
        "UDP" => matches.tcp = Some(false),
        "TCP" => matches.tcp = Some(true),
        "ede=any" => matches.ede = Some(WantedEde::Any),
        "ede=none" => matches.ede = Some(WantedEde::None),
        _ => {
            let code = word.strip_prefix("ede=").and_then(|code| code.parse().ok());
            let code = code.ok_or_else(|| format!("MATCH {word} is not known"))?;
            matches.ede = Some(WantedEde::Code(code));
        }
    }
    Ok(())
}

fn adjust(entry: &mut Entry, word: &str) -> Result<(), Problem> {
    match word {
        "copy_id" => entry.copy_id = true,
        "copy_query" => entry.copy_query = true,
        _ => return Err(format!("ADJUST {word} is not known")),
    }
    Ok(())
}

fn reply(entry: &mut Entry, word: &str) -> Result<(), Problem> {
    let packet = &mut entry.packet;
    let value = |key: &str| word.strip_prefix(key).and_then(|text| text.parse::<u16>().ok());
    if let Some(bit) = find(&FLAGS, word) {
        packet.flags |= bit;
    } else if let Some(code) = find(&CODES, word) {
        packet.rcode = code;
    } else if let Some(opcode) = find(&OPCODES, word) {
        packet.flags |= opcode << 11;
    } else if word == "DO" {
        packet.dnssec_ok = true;
        packet.edns.get_or_insert(SIZE);
    } else if word == "EDNS" {
        packet.edns = Some(SIZE);
    } else if let Some(size) = value("EDNS=") {
        packet.edns = Some(size);
    } else if let Some(code) = value("EDE=") {
        packet.ede = Some(code);
        packet.edns.get_or_insert(SIZE);
    } else {
        return Err(format!("REPLY {word} is not known"));
    }
    Ok(())
}

fn find(table: &[(&str, u16)], word: &str) -> Option<u16> {
    table.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
}

/// Where records go.
#[derive(Clone, Copy)]
enum Section {
    Question,
    Records(usize),
}

fn section_of(name: &str) -> Result<Section, Problem> {
    match name {
        "QUESTION" => Ok(Section::Question),
        "ANSWER" => Ok(Section::Records(0)),
        "AUTHORITY" => Ok(Section::Records(1)),
        "ADDITIONAL" => Ok(Section::Records(2)),
        _ => Err(format!("SECTION {name} is not known")),
    }
}

fn in_section(entry: &mut Entry, section: Option<Section>, line: &str) -> Result<(), Problem> {
    match section {
        None => return Err(format!("{line} is not known in an entry")),
        Some(Section::Question) => {
            if entry.packet.question.replace(question(line)?).is_some() {
                return Err("there is a question before this one".into());
            }
        }
        Some(Section::Records(at)) => entry.packet.sections[at].push(record(line)?),
    }
    Ok(())
}

/// A question; its name keeps the case.
fn question(line: &str) -> Result<(Vec<u8>, Rtype), Problem> {
    let [qname, "IN", qtype] = words(line)[..] else { return Err(format!("not a question: {line}")) };
    if qname.contains('\\') || qname.parse::<Name>().is_err() {
        return Err(format!("not a plain name: {qname}"));
    }
    let mut wire = Vec::new();
    for label in qname.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.bytes());
    }
    wire.push(0);
    let qtype = Rtype::from_text(qtype).ok_or_else(|| format!("not a type: {qtype}"))?;
    Ok((wire, qtype))
}

/// A record as it stands in a zone file; its TTL must be stated.
fn record(line: &str) -> Result<Rec, Problem> {
    let file = zonefile::parse(line.as_bytes(), Some(Name::root())).map_err(|error| error.to_string())?;
    if let Some(skipped) = file.skipped.first() {
        return Err(format!("not a record: {}", skipped.detail));
    }
    let set = file.records.into_iter().next().map(|(_, set)| set);
    match set.map(|set| (set.owner, set.rtype, set.body)) {
        Some((owner, rtype, Body::Records { ttl, rdata })) => Ok((owner, rtype, ttl, rdata.concat())),
        _ => Err(format!("not a record: {line}")),
    }
}
