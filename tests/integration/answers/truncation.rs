//! Each asker gets what fits him, never a part of an RRset.

use hickory_proto::rr::RecordType;

use super::CORP;
use crate::harness::client::{ask, message};
use crate::harness::dns::{Plan, Stack, Via, asked, line, unknown};
use crate::harness::message::Question;

/// As many values as Route 53 lets a set have.
const LONG: usize = 400;

/// A set of some 6000 bytes, from the zone or the upstream.
fn long_set(question: &Question) -> Vec<u8> {
    let records: Vec<_> = (0..LONG)
        .map(|n| (question.qname.clone(), question.qtype, 60, vec![10, 0, (n >> 8) as u8, n as u8]))
        .collect();
    question.reply(0, &records, &[])
}

fn stack() -> Stack {
    let mut zone = CORP.to_owned();
    (0..LONG).for_each(|n| zone.push_str(&format!("big A 10.0.{}.{}\n", n >> 8, n & 255)));
    (0..40).for_each(|n| zone.push_str(&format!("middle A 10.0.2.{n}\n")));
    Plan::new().zone(&zone).start(|question| {
        if question.qname.to_string().starts_with("big") { long_set(question) } else { unknown(question) }
    })
}

/// Answer records and TC for one who takes `size` bytes, and the length of the response.
fn seen(stack: &Stack, via: Via, qname: &str, size: Option<u16>) -> (usize, bool, usize) {
    let query = ask(qname, RecordType::A);
    let query = size.map_or(query.clone(), |size| query.edns(size, false)).bytes();
    let response = stack.raw(via, &query);
    line(&query, &response);
    let message = message(&response);
    (message.answers.len(), message.metadata.truncation, response.len())
}

#[test]
fn a_long_answer_is_cut_to_the_askers_size_in_any_order_of_askers() {
    let stack = stack();
    for qname in ["big.corp.internal.", "big.example.test."] {
        for _ in 0..2 {
            let (records, cut, len) = seen(&stack, Via::Udp, qname, None);
            assert_eq!((records, cut), (0, true), "{qname} without EDNS");
            assert!(len <= 512, "{len}");
            let (records, cut, len) = seen(&stack, Via::Udp, qname, Some(4096));
            assert_eq!((records, cut), (0, true), "{qname}: never more than 1232 over UDP");
            assert!(len <= 1232, "{len}");
            let (records, cut, len) = seen(&stack, Via::Tcp, qname, None);
            assert_eq!((records, cut), (LONG, false), "{qname} over TCP");
            assert!(len > 6000, "{len}");
        }
    }
    assert_eq!(stack.forwarded("big.example.test"), 2, "over UDP and, cut, over TCP: the cache serves all");
}

#[test]
fn an_answer_between_512_and_1232_bytes_fits_whoever_says_so() {
    let stack = stack();
    let qname = "middle.corp.internal.";
    assert_eq!(seen(&stack, Via::Udp, qname, None).0, 0);
    assert!(seen(&stack, Via::Udp, qname, Some(512)).1);
    assert!(seen(&stack, Via::Udp, qname, Some(100)).1, "sizes below 512 count as 512");
    let (records, cut, len) = seen(&stack, Via::Udp, qname, Some(1232));
    assert_eq!((records, cut), (40, false));
    assert!(len > 512, "{len}");
}

#[test]
fn a_chain_whose_end_does_not_fit_is_cut_with_no_part_of_a_set() {
    let mut zone = CORP.to_owned();
    zone.push_str("short CNAME long\n");
    (0..LONG).for_each(|n| zone.push_str(&format!("long A 10.0.{}.{}\n", n >> 8, n & 255)));
    let stack = Plan::new().zone(&zone).start(unknown);
    let query = asked("short.corp.internal. A").bytes();
    let cut = message(&stack.raw(Via::Udp, &query));
    assert!(cut.metadata.truncation);
    assert!(cut.answers.iter().all(|record| record.record_type() == RecordType::CNAME), "{:?}", cut.answers);
    assert_eq!(message(&stack.raw(Via::Tcp, &query)).answers.len(), 1 + LONG);
}
