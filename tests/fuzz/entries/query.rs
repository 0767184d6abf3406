//! Queries as clients send them, and the responses written over them.

use zonelet::wire::query::{HEADER, Query, Unreadable, seeming_hash};
use zonelet::wire::response::{self, Full, MAX_MESSAGE, NameAt, Response, UDP_SIZE, Verdict};
use zonelet::wire::{EdeCode, Name, NameRef, Rcode, Rtype, Suffixes, name_hash};

use super::message::Message;

const QR: u16 = 0x8000;
const TC: u16 = 0x0200;
const TARGET: &[u8] = b"\x06target\x04test\x00";

/// Any packet: it is read, refused or passed over for the right reason, and every response to it is
/// whole, within the asker's size and about its question.
pub fn query(bytes: &[u8]) {
    let mut qname = Suffixes::default();
    let seeming = seeming_hash(bytes);
    match Query::parse(bytes, &mut qname) {
        Err(Unreadable::ShortHeader) => assert!(bytes.len() < HEADER),
        Err(Unreadable::IsResponse) => assert!(bytes[2] & 0x80 != 0),
        Err(Unreadable::Error { rcode, question_end }) => refused(bytes, rcode, question_end),
        Ok(query) => {
            read_rightly(&query, bytes);
            assert_eq!(seeming, Some(name_hash(query.qname())));
            let udp = query.udp_size().min(UDP_SIZE);
            assert!((512..=UDP_SIZE).contains(&udp));
            for max in [udp, MAX_MESSAGE] {
                failure(&query, max);
                denial(&query, max);
                chain(&query, max);
            }
        }
    }
}

fn refused(bytes: &[u8], rcode: Rcode, question_end: Option<usize>) {
    assert!(rcode == Rcode::FORMERR || rcode == Rcode::NOTIMP, "{rcode:?}");
    let mut out = [0xa5; UDP_SIZE];
    let len = response::error(bytes, question_end, rcode, &mut out);
    let out = &out[..len];
    assert_eq!(len, question_end.unwrap_or(HEADER));
    assert!(len <= bytes.len(), "an error is never larger than what caused it");
    assert_eq!(out[..2], bytes[..2]);
    assert_eq!((out[2] & 0xf8, u16::from(out[3] & 15)), (0x80 | bytes[2] & 0x78, rcode.0));
    assert_eq!(out[4..HEADER], [0, u8::from(question_end.is_some()), 0, 0, 0, 0, 0, 0]);
    if question_end.is_some() {
        assert_eq!(Message::read(out).question, bytes[HEADER..len]);
    }
}

fn read_rightly(query: &Query<'_>, bytes: &[u8]) {
    let end = query.question_end();
    let qname = Name::from_wire(&bytes[HEADER..end - 4]).expect("a whole name");
    assert_eq!(query.qname(), qname.as_ref());
    assert_eq!(query.qtype.0.to_be_bytes(), bytes[end - 4..end - 2]);
    assert_eq!(query.qclass.to_be_bytes(), bytes[end - 2..end]);
    let additional = u16::from_be_bytes([bytes[10], bytes[11]]);
    assert!(query.edns.is_none() || additional > 0);
    for code in [3, 8, 10, 15, 65313] {
        let data = query.edns.and_then(|edns| edns.option(code)).unwrap_or_default();
        assert!(bytes.windows(data.len().max(1)).any(|w| data.is_empty() || w == data));
    }
}

/// Finishes `response` and reads it back.
fn finish(query: &Query<'_>, out: &mut [u8], max: usize, verdict: Verdict<'_>, write: Write<'_>) -> Message {
    let mut response = Response::start(query, out, max);
    if write(&mut response).is_err() {
        response.truncate();
    }
    let truncated = response.is_truncated();
    let len = response.finish(verdict);
    assert!(len <= max, "{len} bytes for a client that takes {max}");
    let message = Message::read(&out[..len]);
    assert_eq!(message.id, query.bytes()[..2]);
    assert_eq!(message.question, query.bytes()[HEADER..query.question_end()]);
    assert_eq!(message.flags & QR, QR);
    assert_eq!(message.flags & TC != 0, truncated);
    assert_eq!(message.flags & 15, verdict.rcode.0 & 15);
    assert_eq!(message.options().is_some(), query.edns.is_some());
    if truncated {
        assert_eq!((message.answers.len(), message.authorities.len()), (0, 0), "no part of a section");
    }
    message
}

type Write<'f> = &'f mut dyn FnMut(&mut Response<'_, '_>) -> Result<(), Full>;

fn failure(query: &Query<'_>, max: usize) {
    let text = "an umlaut ä on every boundary ".repeat(10);
    let ede = Some((EdeCode::NETWORK_ERROR, &*text));
    let verdict = Verdict { ede, ..Verdict::code(Rcode::BADVERS) };
    let message = finish(query, &mut vec![0xa5; max], max, verdict, &mut |_| Ok(()));
    if let Some(options) = message.options() {
        assert_eq!((message.additionals[0].ttl >> 24) as u16, Rcode::BADVERS.0 >> 4);
        assert_eq!(options[..2], [0, 15]);
        assert!(std::str::from_utf8(&options[6..]).is_ok_and(|cut| text.starts_with(cut)));
    }
}

fn denial(query: &Query<'_>, max: usize) {
    let qname = query.qname();
    let apex = qname.suffixes().nth(usize::from(query.bytes()[0]) % 4).unwrap_or(qname);
    let apex_at = HEADER + qname.as_bytes().len() - apex.as_bytes().len();
    let verdict = Verdict { authoritative: true, ..Verdict::code(Rcode::NXDOMAIN) };
    let soa = [&b"\x01m\x00\x01r\x00"[..], &[0; 20]].concat();
    let message = finish(query, &mut vec![0xa5; max], max, verdict, &mut |response| {
        response.record(true, apex_at, Rtype::SOA, 30, &soa)
    });
    let [record] = &message.authorities[..] else { panic!("one SOA") };
    assert_eq!((&record.owner[..], record.ttl, &record.rdata), (apex.as_bytes(), 30, &soa));
}

/// A CNAME and as many addresses behind it as the query's id says.
fn chain(query: &Query<'_>, max: usize) {
    let (count, rotate) = (u16::from(query.bytes()[0]) * 8 + 1, query.bytes()[1]);
    let cname = block(Rtype::CNAME, [TARGET]);
    let all: Vec<[u8; 4]> = (0..count).map(|n| [10, 0, (n >> 8) as u8, n as u8]).collect();
    let addresses = block(Rtype::A, all.iter().map(|a| &a[..]));
    let question = NameAt { at: HEADER, name: query.qname() };
    let message = finish(query, &mut vec![0xa5; max], max, Verdict::code(Rcode::NOERROR), &mut |response| {
        let target = NameAt { at: response.position() + 12, name: NameRef::from_checked(TARGET) };
        response.answer(question, &cname, 1, 3)?;
        assert_eq!(response.name_at(target.at), Some(TARGET));
        response.answer(target, &addresses, count, rotate.into())
    });
    let Some((first, rest)) = message.answers.split_first() else {
        return assert!(16 * (usize::from(count) + 2) + 300 > max, "room enough, and still truncated");
    };
    assert_eq!((&first.owner[..], &first.rdata[..]), (query.qname().as_bytes(), TARGET));
    assert!(rest.iter().all(|record| record.owner == TARGET));
    let mut turned = all;
    turned.rotate_left(usize::from(rotate) % usize::from(count));
    assert!(rest.iter().map(|record| &record.rdata[..]).eq(turned.iter().map(|a| &a[..])));
}

/// Records as a compiled zone holds them.
fn block<'r>(rtype: Rtype, rdata: impl IntoIterator<Item = &'r [u8]>) -> Vec<u8> {
    let mut block = Vec::new();
    for value in rdata {
        block.extend([0xc0, 12]);
        block.extend(rtype.0.to_be_bytes());
        block.extend([0, 1, 0, 0, 1, 44]);
        block.extend((value.len() as u16).to_be_bytes());
        block.extend(value);
    }
    block
}
