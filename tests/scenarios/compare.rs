//! Messages compared by what an entry says counts, and shown for people.
//!
//! Both sides are read by hickory-proto, which knows nothing of how zonelet writes.

use std::fmt::Write;

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Record, RecordType};
use zonelet::wire::Rtype;

use crate::entry::{CODES, FLAGS, OPCODES};
use crate::model::{Entry, WantedEde};
use crate::play::Answered;

/// All header flags.
const FLAG_BITS: u16 = 0x87b0;

/// The question of a message as it is spelled, if it has one and the name is not compressed.
pub fn question(message: &[u8]) -> Option<(Vec<u8>, Rtype)> {
    let rest = message.get(12..)?;
    let len = zonelet::wire::name::wire_len(rest).ok()?;
    let qtype = rest.get(len..)?.first_chunk()?;
    Some((rest[..len].to_vec(), Rtype(u16::from_be_bytes(*qtype))))
}

fn flags(message: &[u8]) -> u16 {
    message.get(2..4).and_then(|bytes| bytes.first_chunk()).map_or(0, |word| u16::from_be_bytes(*word))
}

fn opcode(message: &[u8]) -> u16 {
    flags(message) >> 11 & 15
}

/// Whether the query that an upstream got is the one of `entry`.
pub fn is_query(entry: &Entry, query: &[u8], tcp: bool) -> bool {
    let (wanted, wants) = (&entry.packet, &entry.matches);
    let (Some((qname, qtype)), asked) = (question(query), &wanted.question) else { return false };
    let same_name = asked.as_ref().is_some_and(|(name, _)| name.eq_ignore_ascii_case(&qname));
    let same_type = asked.as_ref().is_some_and(|(_, rtype)| *rtype == qtype);
    (!wants.qname || same_name)
        && (!wants.qtype || same_type)
        && (!wants.opcode || opcode(query) == wanted.flags >> 11 & 15)
        && wants.tcp.is_none_or(|wanted| wanted == tcp)
}

/// Compares an answer with the expected one.
///
/// # Errors
/// Which parts differ, and both messages.
pub fn check(entry: &Entry, answered: &Answered) -> Result<(), String> {
    let expected_bytes = entry.packet.to_bytes(0);
    let expected = read(&expected_bytes)?;
    let got = read(&answered.response)?;
    let mut different = differences(entry, &expected, &got, &answered.response, &expected_bytes);
    if question(&answered.response) != question(&answered.query) {
        different.push("question (not echoed as it was asked)");
    }
    if answered.response.first_chunk::<2>() != answered.query.first_chunk::<2>() {
        different.push("id");
    }
    if different.is_empty() {
        return Ok(());
    }
    let (different, expected, got) = (different.join(", "), show(&expected_bytes), show(&answered.response));
    Err(format!("answer differs in {different}\n;; expected\n{expected};; got\n{got}"))
}

fn differences(
    entry: &Entry,
    expected: &Message,
    got: &Message,
    got_bytes: &[u8],
    expected_bytes: &[u8],
) -> Vec<&'static str> {
    let wants = &entry.matches;
    let records = |section: &[Record]| records(section, wants.ttl);
    let names = |message: &Message| message.queries.first().map(|query| query.name().clone());
    let types = |message: &Message| message.queries.first().map(|query| query.query_type());
    let ede = ede(got).map(|(code, _)| code);
    let ede_fits = match wants.ede {
        None => true,
        Some(WantedEde::Any) => ede.is_some(),
        Some(WantedEde::None) => ede.is_none(),
        Some(WantedEde::Code(code)) => ede == Some(code),
    };
    [
        (wants.opcode && opcode(got_bytes) != opcode(expected_bytes), "opcode"),
        (wants.qname && names(got) != names(expected), "qname"),
        (wants.qtype && types(got) != types(expected), "qtype"),
        (wants.flags && (flags(got_bytes) ^ flags(expected_bytes)) & FLAG_BITS != 0, "flags"),
        (wants.rcode && code(got) != code(expected), "rcode"),
        (wants.answer && records(&got.answers) != records(&expected.answers), "answer"),
        (wants.authority && records(&got.authorities) != records(&expected.authorities), "authority"),
        (!ede_fits, "ede"),
    ]
    .into_iter()
    .filter_map(|(differs, part)| differs.then_some(part))
    .collect()
}

fn read(message: &[u8]) -> Result<Message, String> {
    Message::from_vec(message).map_err(|error| format!("hickory-proto cannot read {message:02x?}: {error}"))
}

fn code(message: &Message) -> u16 {
    message.metadata.response_code.into()
}

/// The extended error (RFC 8914).
fn ede(message: &Message) -> Option<(u16, String)> {
    let EdnsOption::Unknown(_, data) = message.edns.as_ref()?.option(EdnsCode::Unknown(15))? else {
        return None;
    };
    let (code, text) = data.split_first_chunk()?;
    Some((u16::from_be_bytes(*code), String::from_utf8_lossy(text).into_owned()))
}

/// Each record as text. RRsets rotate, so the records of one stand in the order of their data.
fn records(section: &[Record], with_ttl: bool) -> Vec<String> {
    let same_set = |a: &Record, b: &Record| a.name == b.name && a.record_type() == b.record_type();
    let mut all = Vec::new();
    for set in section.chunk_by(same_set) {
        let mut texts: Vec<String> = set.iter().map(|record| text(record, with_ttl)).collect();
        texts.sort();
        all.extend(texts);
    }
    all
}

fn text(record: &Record, with_ttl: bool) -> String {
    let ttl = if with_ttl { format!("{} ", record.ttl) } else { String::new() };
    // Owners come as the question spells them, which is compared by itself.
    format!("{} {ttl}IN {} {}", record.name.to_lowercase(), record.record_type(), record.data)
}

/// A message much as `dig` prints it.
pub fn show(message: &[u8]) -> String {
    let parsed = match read(message) {
        Ok(parsed) => parsed,
        Err(unreadable) => return unreadable,
    };
    let name_of = |table: &[(&'static str, u16)], value: u16| {
        table.iter().find(|(_, v)| *v == value).map_or(value.to_string(), |(name, _)| (*name).to_owned())
    };
    let (opcode, status) = (name_of(&OPCODES, opcode(message)), name_of(&CODES, code(&parsed)));
    let set = FLAGS.iter().filter(|(_, bit)| flags(message) & bit != 0);
    let set: Vec<String> = set.map(|(name, _)| name.to_lowercase()).collect();
    let mut out = format!(";; opcode: {opcode}, status: {status}, flags: {}\n", set.join(" "));
    if let Some(edns) = &parsed.edns {
        let _ = write!(out, ";; EDNS: version {}, udp {}", edns.version(), edns.max_payload());
        if let Some((code, why)) = ede(&parsed) {
            let _ = write!(out, ", EDE {code} ({why})");
        }
        out.push('\n');
    }
    for query in &parsed.queries {
        let _ = writeln!(out, ";; QUESTION\n;{} IN {}", query.name(), query.query_type());
    }
    let sections = [
        ("ANSWER", &parsed.answers),
        ("AUTHORITY", &parsed.authorities),
        ("ADDITIONAL", &parsed.additionals),
    ];
    for (title, section) in sections {
        let shown: Vec<&Record> = section.iter().filter(|r| r.record_type() != RecordType::OPT).collect();
        if !shown.is_empty() {
            let _ = writeln!(out, ";; {title}");
        }
        for record in shown {
            let _ = writeln!(out, "{}", text(record, true));
        }
    }
    out
}
