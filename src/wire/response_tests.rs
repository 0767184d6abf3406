//! Responses as an independent parser reads them.

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::RData;

use super::query::Query;
use super::query::tests::{opt, packet};
use super::response::*;
use super::{EdeCode, Name, NameRef, Rcode, Rtype, Suffixes};

fn a_block(addresses: &[[u8; 4]], ttl: u32) -> Vec<u8> {
    let mut block = Vec::new();
    for address in addresses {
        block.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
        block.extend_from_slice(&ttl.to_be_bytes());
        block.extend_from_slice(&[0, 4]);
        block.extend_from_slice(address);
    }
    block
}

fn question(query: &Query<'_>) -> Name {
    query.qname().to_owned()
}

fn at_question(name: &Name) -> NameAt<'_> {
    NameAt { at: 12, name: name.as_ref() }
}

fn addresses(message: &Message) -> Vec<[u8; 4]> {
    message
        .answers
        .iter()
        .map(|r| match &r.data {
            RData::A(a) => a.0.octets(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn the_question_is_echoed_byte_for_byte_and_flags_are_ours() {
    let mut bytes = packet("FoO.TeSt", 1, None);
    bytes[3] = 0x10 | 0x40; // CD, and the reserved Z bit
    let mut qname = Suffixes::default();
    let query = Query::parse(&bytes, &mut qname).unwrap();
    let mut out = [0u8; 1232];
    let mut response = Response::start(&query, &mut out, 512);
    let name = question(&query);
    response.answer(at_question(&name), &a_block(&[[10, 0, 0, 1]], 60), 1, 0).unwrap();
    let len = response.finish(Verdict { authoritative: true, ..Verdict::code(Rcode::NOERROR) });
    assert_eq!(out[12..bytes.len()], bytes[12..]);
    assert_eq!((out[2], out[3]), (0x85, 0x90), "QR AA RD, RA CD, Z clear");
    let message = Message::from_vec(&out[..len]).unwrap();
    assert_eq!(message.metadata.message_type, MessageType::Response);
    assert_eq!((message.metadata.id, message.metadata.recursion_available), (0x1234, true));
    assert_eq!(addresses(&message), [[10, 0, 0, 1]]);
    assert!(message.edns.is_none());
}

#[test]
fn rrsets_turn_without_losing_a_record() {
    let bytes = packet("a.test", 1, None);
    let mut qname = Suffixes::default();
    let query = Query::parse(&bytes, &mut qname).unwrap();
    let name = question(&query);
    let block = a_block(&[[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]], 60);
    for (rotate, first) in [(0, 1), (1, 2), (2, 3), (3, 1), (u64::MAX, 1)] {
        let mut out = [0u8; 512];
        let mut response = Response::start(&query, &mut out, 512);
        response.answer(at_question(&name), &block, 3, rotate).unwrap();
        let len = response.finish(Verdict::code(Rcode::NOERROR));
        let mut got = addresses(&Message::from_vec(&out[..len]).unwrap());
        assert_eq!(got[0][3], first, "rotate {rotate}");
        got.sort();
        assert_eq!(got, [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]]);
    }
}

#[test]
fn an_rrset_that_does_not_fit_is_left_out_whole() {
    let bytes = packet("big.test", 1, Some(&opt(0, false, &[])));
    let mut qname = Suffixes::default();
    let query = Query::parse(&bytes, &mut qname).unwrap();
    let name = question(&query);
    let many: Vec<[u8; 4]> = (0..200).map(|i| [10, 0, 0, i]).collect();
    let mut out = [0u8; 1232];
    let mut response = Response::start(&query, &mut out, 1232);
    assert_eq!(response.answer(at_question(&name), &a_block(&many, 60), 200, 0), Err(Full));
    response.truncate();
    let len = response.finish(Verdict::code(Rcode::NOERROR));
    let message = Message::from_vec(&out[..len]).unwrap();
    assert!(message.metadata.truncation);
    assert_eq!((message.answers.len(), message.edns.as_ref().map(|e| e.max_payload())), (0, Some(1232)));
    // The last byte of room counts: the OPT record has its place taken off before.
    let fits: Vec<[u8; 4]> = many[..(1232 - 12 - 14 - 11) / 16].to_vec();
    let mut response = Response::start(&query, &mut out, 1232);
    response.answer(at_question(&name), &a_block(&fits, 60), fits.len() as u16, 0).unwrap();
    assert!(response.finish(Verdict::code(Rcode::NOERROR)) <= 1232);
}

#[test]
fn our_own_opt_carries_extended_codes_and_errors_and_nothing_of_the_client() {
    let bytes = packet("a.test", 1, Some(&opt(1, true, &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8])));
    let mut qname = Suffixes::default();
    let query = Query::parse(&bytes, &mut qname).unwrap();
    let mut out = [0u8; 1232];
    let ede = Some((EdeCode::PROHIBITED, "not on the list"));
    let len =
        Response::start(&query, &mut out, 1232).finish(Verdict { ede, ..Verdict::code(Rcode::BADVERS) });
    let message = Message::from_vec(&out[..len]).unwrap();
    let edns = message.edns.as_ref().unwrap();
    assert_eq!((edns.version(), edns.flags().dnssec_ok, edns.max_payload()), (0, true, 1232));
    assert_eq!(u16::from(message.metadata.response_code), 16, "BADVERS");
    let options: Vec<u16> = edns.options().as_ref().iter().map(|(code, _)| u16::from(*code)).collect();
    assert_eq!(options, [15]);
    let text = &out[len - 15..len];
    assert_eq!(text, b"not on the list");
}

#[test]
fn extra_text_is_cut_to_the_room_and_at_character_boundaries() {
    let bytes = packet("a.test", 1, Some(&opt(0, false, &[])));
    let mut qname = Suffixes::default();
    let query = Query::parse(&bytes, &mut qname).unwrap();
    let long = "ü".repeat(400);
    for room in [512usize, 60, 48, 47, 42, 40] {
        let mut out = [0u8; 1232];
        let ede = Some((EdeCode::OTHER, long.as_str()));
        let len =
            Response::start(&query, &mut out, room).finish(Verdict { ede, ..Verdict::code(Rcode::SERVFAIL) });
        assert!(len <= room.max(35), "{len} of {room}");
        let message = Message::from_vec(&out[..len]).unwrap();
        assert_eq!(message.metadata.response_code, ResponseCode::ServFail);
    }
}

#[test]
fn packets_that_are_no_query_are_answered_from_their_header() {
    let mut out = [0u8; 512];
    let bytes = packet("a.test", 1, None);
    let len = error(&bytes, Some(bytes.len()), Rcode::FORMERR, &mut out);
    assert_eq!((len, &out[12..len]), (bytes.len(), &bytes[12..]));
    assert_eq!((out[2], out[3], out[5]), (0x81, 0x81, 1));
    let mut update = vec![0xab, 0xcd, 5 << 3, 0, 0, 9, 0, 9, 0, 9, 0, 9];
    update.extend_from_slice(&[0xff; 40]);
    let len = error(&update, None, Rcode::NOTIMP, &mut out);
    assert_eq!(out[..len], [0xab, 0xcd, 0xa8, 0x84, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn owners_of_later_rrsets_point_at_the_target_before_them() {
    let bytes = packet("www.a.test", 1, None);
    let mut qname = Suffixes::default();
    let query = Query::parse(&bytes, &mut qname).unwrap();
    let name = question(&query);
    let mut out = [0u8; 512];
    let mut response = Response::start(&query, &mut out, 512);
    let mut cname = vec![0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 11];
    cname.extend_from_slice(b"\x02db\x01a\x04test\x00");
    cname[11] = 11;
    let at = response.position();
    response.answer(at_question(&name), &cname, 1, 0).unwrap();
    let target: Name = "db.a.test".parse().unwrap();
    assert_eq!(response.name_at(at + 12), Some(target.as_bytes()));
    let owner = NameAt { at: at + 12, name: NameRef::from_checked(target.as_bytes()) };
    response.answer(owner, &a_block(&[[10, 0, 0, 1], [10, 0, 0, 2]], 60), 2, 1).unwrap();
    response.record(true, at + 12 + 3, Rtype::SOA, 30, crate::answer::special::SOA).unwrap();
    let len = response.finish(Verdict::code(Rcode::NOERROR));
    let message = Message::from_vec(&out[..len]).unwrap();
    let owners: Vec<String> =
        message.answers.iter().chain(&message.authorities).map(|r| r.name.to_string()).collect();
    assert_eq!(owners, ["www.a.test.", "db.a.test.", "db.a.test.", "a.test."]);
}
