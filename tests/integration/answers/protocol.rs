//! What is refused, what is malformed, what is special: RFC 8906, RFC 6891, RFC 6761.

use hickory_proto::op::{Edns, OpCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{DNSClass, RecordType};
use zonelet::answer::settings::SpecialNames;

use super::CORP;
use crate::harness::client::{TcpClient, UdpClient, ask, message};
use crate::harness::dns::{Plan, Stack, Via, asked, unknown};
use crate::harness::upstream::is_probe;

const BOTH: [Via; 2] = [Via::Udp, Via::Tcp];

fn stack() -> Stack {
    Plan::new().zone(CORP).start(|q| q.address(60, 1))
}

#[test]
fn clients_outside_the_access_list_are_refused_before_zone_cache_and_upstream() {
    let list = ["10.0.0.0/8".parse().unwrap()];
    let stack = Plan::new().zone(CORP).answers(|a| a.access = list.to_vec()).start(|q| q.address(60, 1));
    let refused = "REFUSED EDE 18 this client's network is not on the access list";
    stack.expect(&[
        ("db.corp.internal. A", refused),
        ("example.test. A", refused),
        ("localhost. A", refused),
        ("version.bind. TXT", refused),
    ]);
    assert_eq!(stack.upstream.count(), 0);
    // Without EDNS there is no room for the reason.
    assert_eq!(stack.ask(asked("example.test. A")), "REFUSED");
}

#[test]
fn another_edns_version_gets_badvers_and_goes_no_further() {
    let stack = stack();
    for question in ["db.corp.internal. A", "example.test. A"] {
        let query = asked(question).with(|m| {
            let mut edns = Edns::new();
            edns.set_version(1).set_max_payload(1232);
            m.set_edns(edns);
        });
        assert_eq!(stack.ask(query.clone()), "BADVERS");
        let response = message(&stack.raw(Via::Udp, &query.bytes()));
        assert_eq!(response.edns.expect("an OPT").version(), 0);
    }
    assert_eq!(stack.upstream.count(), 0);
}

#[test]
fn a_second_opt_is_a_format_error() {
    let stack = stack();
    for question in ["db.corp.internal. A", "example.test. A"] {
        let mut query = asked(question).edns(1232, false).bytes();
        let opt = query[query.len() - 11..].to_vec();
        query.extend(opt);
        query[11] = 2;
        for via in BOTH {
            let response = stack.raw(via, &query);
            assert_eq!(response[3] & 15, 1, "FORMERR");
            message(&response);
        }
    }
    assert_eq!(stack.upstream.count(), 0);
}

#[test]
fn edns_is_a_matter_of_each_hop() {
    let stack = stack();
    let options = [(10, vec![1, 2, 3, 4, 5, 6, 7, 8]), (8, vec![0, 1, 24, 0, 192, 0, 2]), (65001, vec![7])];
    let query = asked("example.test. A").with(|m| {
        let mut edns = Edns::new();
        edns.set_max_payload(4096).set_version(0);
        for (code, data) in options.clone() {
            edns.options_mut().insert(EdnsOption::Unknown(code, data));
        }
        m.set_edns(edns);
    });
    for via in BOTH {
        let response = message(&stack.raw(via, &query.bytes()));
        let edns = response.edns.expect("an OPT for an OPT");
        assert!(edns.options().as_ref().is_empty(), "{:?}", edns.options());
        assert_eq!(edns.max_payload(), 1232);
    }
    let sent = stack.upstream.log();
    let ours: Vec<_> = sent.iter().filter(|a| !is_probe(&a.question)).collect();
    assert_eq!(ours.len(), 1);
    let (_, options) = ours[0].question.opt().expect("an OPT of our own");
    assert!(options.iter().all(|(code, _)| *code == zonelet::upstream::MARKER_OPTION), "{options:?}");
    for question in ["example.test. A", "db.corp.internal. A", "nope.corp.internal. A"] {
        let plain = message(&stack.raw(Via::Udp, &asked(question).bytes()));
        assert!(plain.edns.is_none(), "no OPT without an OPT: {question}");
    }
}

#[test]
fn the_do_bit_comes_back_and_only_where_it_was_set() {
    let stack = stack();
    for question in ["glued.corp.internal. A", "nope.corp.internal. A", "example.test. A", "localhost. A"] {
        for dnssec_ok in [true, false] {
            let query = asked(question).edns(1232, dnssec_ok).bytes();
            let response = message(&stack.raw(Via::Udp, &query));
            assert_eq!(response.edns.expect("an OPT").flags().dnssec_ok, dnssec_ok, "{question}");
        }
    }
}

#[test]
fn the_root_is_asked_upstream_like_any_name() {
    // CoreDNS checks its upstreams' health so.
    let stack = Plan::new().zone(CORP).start(|question| {
        let ns = crate::harness::message::name("ns.test").as_bytes().to_vec();
        question.reply(0, &[(question.qname.clone(), question.qtype, 60, ns)], &[])
    });
    stack.expect(&[(". NS", "NOERROR; . 60 NS ns.test.")]);
}

#[test]
fn packets_with_any_byte_changed_get_a_whole_answer_or_silence_and_do_no_harm() {
    let stack = stack();
    let client = UdpClient::near(stack.addr);
    let good = asked("glued.corp.internal. A").id(1).edns(1232, true).bytes();
    let mut id = 2u16;
    for question in ["www.corp.internal. A", "a.b.ent.corp.internal. TXT", "x.apps.corp.internal. A"] {
        let query = asked(question).edns(1232, false).bytes();
        for at in 2..query.len() {
            for change in [0x01, 0x40, 0x80, 0xc0, 0xff] {
                let mut bytes = query.clone();
                bytes[at] ^= change;
                bytes[..2].copy_from_slice(&id.to_be_bytes());
                id += 1;
                client.send(&bytes, stack.addr);
            }
            let mut cut = query[..at].to_vec();
            cut[..2].copy_from_slice(&id.to_be_bytes());
            id += 1;
            client.send(&cut, stack.addr);
            // Nothing outruns the answers to what was sent before.
            client.send(&good, stack.addr);
            loop {
                let (response, _) = client.recv();
                let read = message(&response);
                assert!(response[2] & 0x80 != 0 && response.len() <= 1232);
                if read.metadata.id == 1 {
                    assert_eq!(read.answers.len(), 1);
                    break;
                }
                assert!(read.metadata.id < id);
            }
        }
    }
}

#[test]
fn unknown_flag_bits_of_edns_are_ignored() {
    let stack = stack();
    let mut query = asked("glued.corp.internal. A").edns(1232, false).bytes();
    let at = query.len() - 4;
    query[at..at + 2].copy_from_slice(&[0x7f, 0xff]);
    for via in BOTH {
        let response = message(&stack.raw(via, &query));
        assert_eq!(response.answers.len(), 1);
        assert_eq!(response.edns.unwrap().flags().z, 0);
    }
}

#[test]
fn special_names_are_answered_here_unless_given_back() {
    let stack = stack();
    stack.expect(&[
        ("localhost. A", "NOERROR aa; localhost. 10800 A 127.0.0.1"),
        ("db.localhost. AAAA", "NOERROR aa; db.localhost. 10800 AAAA ::1"),
        ("localhost. MX", "NOERROR aa | localhost. 10800 SOA"),
        ("x.invalid. A", "NXDOMAIN aa | invalid. 10800 SOA"),
        ("abc.onion. A", "NXDOMAIN aa | onion. 10800 SOA"),
        ("_dns.resolver.arpa. SVCB", "NOERROR aa | resolver.arpa. 10800 SOA"),
    ]);
    assert_eq!(stack.upstream.count(), 0);
    stack.expect(&[("1.0.0.10.in-addr.arpa. A", "NOERROR; 1.0.0.10.in-addr.arpa. 60 A 192.0.2.1")]);
    assert_eq!(stack.upstream.count(), 1, "private reverse zones are the upstream's");

    let none = SpecialNames { localhost: false, invalid: false, onion: false, resolver_arpa: false };
    let stack = Plan::new().answers(|a| a.special = none).start(unknown);
    stack.expect(&[("localhost. A", "NXDOMAIN | . 30 SOA"), ("x.invalid. A", "NXDOMAIN | . 30 SOA")]);
    assert_eq!(stack.upstream.count(), 2);
}

#[test]
fn other_classes_and_transfers_are_refused_and_meta_types_not_implemented() {
    let stack = stack();
    let class = |class| asked("db.corp.internal. A").edns(1232, false).class(class);
    for other in [DNSClass::CH, DNSClass::HS] {
        assert_eq!(stack.ask(class(other)), "REFUSED EDE 21 only class IN is served");
    }
    let meta = |number: u16| ask("corp.internal.", number.into()).edns(1232, false);
    for transfer in [251, 252] {
        assert_eq!(stack.ask(meta(transfer)), "REFUSED EDE 21 no zone transfers here");
    }
    assert_eq!(stack.ask(meta(253)), "NOTIMP EDE 21 not a type of data");
    assert_eq!(stack.ask(meta(249)), "NOTIMP EDE 21 not a type of data");
    assert_eq!(stack.upstream.count(), 0);
}

#[test]
fn types_that_nobody_knows_are_data_like_any_other() {
    let stack = Plan::new().zone(CORP).start(|question| {
        question.reply(0, &[(question.qname.clone(), question.qtype, 60, vec![1, 2, 3])], &[])
    });
    let odd = |qname: &str| ask(qname, RecordType::Unknown(65280)).edns(1232, false);
    assert_eq!(stack.ask(odd("db.corp.internal.")), "NOERROR aa | corp.internal. 30 SOA");
    let line = stack.ask(odd("example.test."));
    assert!(line.starts_with("NOERROR; example.test. 60 "), "{line}");
    assert_eq!(stack.forwarded("example.test"), 1);
}

#[test]
fn other_opcodes_are_not_implemented() {
    let stack = stack();
    for opcode in [OpCode::Update, OpCode::Notify, OpCode::Status] {
        let query = asked("corp.internal. SOA").with(|m| m.metadata.op_code = opcode).bytes();
        for via in BOTH {
            let response = stack.raw(via, &query);
            assert_eq!((response[3] & 15, response[2] & 0x78), (4, query[2] & 0x78), "NOTIMP, same opcode");
            message(&response);
        }
    }
}

#[test]
fn a_message_without_exactly_one_question_is_a_format_error() {
    let stack = stack();
    let one = asked("db.corp.internal. A").id(77).bytes();
    let mut none = one[..12].to_vec();
    none[5] = 0;
    let mut two = [&one[..], &one[12..]].concat();
    two[5] = 2;
    let garbage = [&one[..12], &[63][..]].concat();
    for query in [none, two, garbage, [&one[..], &[0][..]].concat()] {
        for via in BOTH {
            let response = stack.raw(via, &query);
            assert_eq!((response[2] & 0x80, response[3] & 15), (0x80, 1), "{query:02x?}");
            message(&response);
        }
    }
}

#[test]
fn responses_and_fragments_of_a_header_are_met_with_silence() {
    let stack = stack();
    let query = asked("db.corp.internal. A").id(5).bytes();
    let mut response = query.clone();
    response[2] |= 0x80;
    let client = UdpClient::near(stack.addr);
    client.send(&response, stack.addr);
    client.send(&query[..11], stack.addr);
    client.send(&[], stack.addr);
    // One thread answers in order: whatever those had brought would stand in front.
    let (first, _) = {
        client.send(&query, stack.addr);
        client.recv()
    };
    assert_eq!(message(&first).answers.len(), 3);
    assert!(client.is_silent());
    let mut stream = TcpClient::connect(stack.addr);
    stream.send(&response);
    stream.send(&query);
    assert_eq!(message(&stream.recv().expect("an answer")).answers.len(), 3);
}

#[test]
fn aa_is_for_zones_ra_for_all_and_ad_only_for_those_who_ask() {
    let stack = Plan::new().zone(CORP).start(|q| {
        let mut reply = q.address(60, 1);
        reply[3] |= 0x20;
        reply
    });
    // `line` wants RA in each.
    stack.expect(&[
        ("example.test. A", "NOERROR; example.test. 60 A 192.0.2.1"),
        ("glued.corp.internal. A", "NOERROR aa; glued.corp.internal. 300 A 10.0.3.2"),
        ("nope.corp.internal. A", "NXDOMAIN aa | corp.internal. 30 SOA"),
    ]);
    let with_ad = |question| asked(question).edns(1232, false).with(|m| m.metadata.authentic_data = true);
    assert_eq!(stack.ask(with_ad("example.test. A")), "NOERROR ad; example.test. 60 A 192.0.2.1");
    let local = "NOERROR aa; glued.corp.internal. 300 A 10.0.3.2";
    assert_eq!(stack.ask(with_ad("glued.corp.internal. A")), local, "zones here are not signed");
    let secure = stack.ask(asked("example.test. A").edns(1232, true));
    assert_eq!(secure, "NOERROR ad; example.test. 60 A 192.0.2.1");
    assert_eq!(stack.forwarded("example.test"), 2, "DO is another question");
    stack.ask(asked("example.test. A").edns(1232, false).with(|m| m.metadata.checking_disabled = true));
    assert_eq!(stack.forwarded("example.test"), 3, "and so is CD");
}
