//! The same questions over every transport: what TCP answers, each other answers, byte for byte.

use hickory_proto::op::{Edns, OpCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{DNSClass, RecordType};
use zonelet::metrics::Proto;

use crate::answers::CORP;
use crate::harness::client::{TcpClient, UdpClient, ask, message};
use crate::harness::dns::{Plan, Stack, asked};
#[cfg(feature = "doq")]
use crate::harness::encrypted::QuicClient;
use crate::harness::encrypted::{Authority, HttpsClient, TlsClient, addr_of};
use crate::harness::message::{a, name};

/// How a query goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Udp,
    Tcp,
    Tls,
    Post,
    Get,
    Http1,
    #[cfg(feature = "doq")]
    Quic,
}

const STREAMS: &[Way] = &[
    Way::Tls,
    Way::Post,
    Way::Get,
    Way::Http1,
    #[cfg(feature = "doq")]
    Way::Quic,
];

struct Scene {
    stack: Stack,
    authority: Authority,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new();
        let stack = Plan::new().zone(CORP).served(|settings| authority.add_to(settings)).start(|q| {
            match q.qname.to_string().split('.').next().unwrap_or_default() {
                "broken" => q.reply(2, &[], &[]),
                "none" => q.reply(3, &[], &[crate::harness::message::soa("test.", 900, 60)]),
                "huge" => {
                    let all: Vec<_> = (0..1900u16)
                        .map(|n| {
                            let mut record = a("huge.test.", 60, 0);
                            record.3 = vec![10, 1, (n >> 8) as u8, n as u8];
                            record.0 = name(&q.qname.to_string());
                            record
                        })
                        .collect();
                    q.reply(0, &all, &[])
                }
                _ => q.address(60, 1),
            }
        });
        Self { stack, authority }
    }

    fn ask(&self, way: Way, query: &[u8]) -> Vec<u8> {
        let (authority, addr) = (&self.authority, |proto| addr_of(&self.stack.encrypted, proto));
        let https = |protocol| HttpsClient::connect(authority, addr(Proto::Https), protocol);
        match way {
            Way::Udp => UdpClient::near(self.stack.addr).ask(query, self.stack.addr),
            Way::Tcp => TcpClient::connect(self.stack.addr).ask(query),
            Way::Tls => TlsClient::connect(authority, addr(Proto::Tls)).ask(query),
            Way::Post => https(b"h2").ask(query),
            Way::Get => {
                let client = https(b"h2");
                client.send(client.get(query)).body
            }
            Way::Http1 => https(b"http/1.1").ask(query),
            #[cfg(feature = "doq")]
            Way::Quic => QuicClient::connect(authority, addr(Proto::Quic)).ask(query),
        }
    }
}

fn edns(question: &str, change: impl FnOnce(&mut Edns)) -> Vec<u8> {
    let mut edns = Edns::new();
    edns.set_max_payload(1232).set_version(0);
    change(&mut edns);
    asked(question)
        .with(|m| {
            m.set_edns(edns);
        })
        .bytes()
}

/// What RFC 8906 has servers tested with, and what else decides on a response's form.
fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let plain = |question: &str| asked(question).bytes();
    let mut cases = vec![
        ("an address", plain("glued.corp.internal. A")),
        ("its question in mixed case", plain("GlUeD.cOrP.iNtErNaL. A")),
        ("nothing of the type", plain("glued.corp.internal. AAAA")),
        ("no such name", plain("nope.corp.internal. A")),
        ("a wildcard", plain("x.apps.corp.internal. A")),
        ("a chain", plain("over.corp.internal. A")),
        ("a chain to elsewhere", plain("out.corp.internal. A")),
        ("a loop", plain("loop1.corp.internal. A")),
        ("the SOA", plain("corp.internal. SOA")),
        ("forwarded", plain("www.example.test. A")),
        ("forwarded in mixed case", plain("WwW.eXaMpLe.test. A")),
        ("forwarded and denied", plain("none.example.test. A")),
        ("forwarded and failed", edns("broken.example.test. A", |_| {})),
        ("a special name", plain("localhost. A")),
        ("an unknown type", ask("glued.corp.internal.", RecordType::Unknown(65280)).bytes()),
        ("any type", plain("glued.corp.internal. ANY")),
        ("a transfer", edns("corp.internal. AXFR", |_| {})),
        ("a meta type", ask("corp.internal.", RecordType::Unknown(253)).edns(1232, false).bytes()),
        ("class CHAOS", ask("version.bind.", RecordType::TXT).class(DNSClass::CH).bytes()),
        ("EDNS", edns("glued.corp.internal. A", |_| {})),
        (
            "EDNS version 1",
            edns("glued.corp.internal. A", |edns| {
                edns.set_version(1);
            }),
        ),
        (
            "DO",
            edns("glued.corp.internal. A", |edns| {
                edns.set_dnssec_ok(true);
            }),
        ),
        (
            "an unknown option",
            edns("glued.corp.internal. A", |edns| {
                edns.options_mut().insert(EdnsOption::Unknown(65_001, vec![1, 2, 3]));
            }),
        ),
        (
            "a cookie",
            edns("glued.corp.internal. A", |edns| {
                edns.options_mut().insert(EdnsOption::Unknown(10, vec![7; 8]));
            }),
        ),
        ("AD", asked("www.example.test. A").with(|m| m.metadata.authentic_data = true).bytes()),
        ("CD", asked("www.example.test. A").with(|m| m.metadata.checking_disabled = true).bytes()),
        ("no recursion", asked("www.example.test. A").with(|m| m.metadata.recursion_desired = false).bytes()),
        ("AA and TC in the query", {
            let mut query = plain("glued.corp.internal. A");
            query[2] |= 0x06;
            query
        }),
    ];
    for opcode in [OpCode::Status, OpCode::Notify, OpCode::Update] {
        cases.push((
            "another opcode",
            asked("corp.internal. SOA").with(|m| m.metadata.op_code = opcode).bytes(),
        ));
    }
    let good = plain("glued.corp.internal. A");
    cases.push(("a cut question", good[..good.len() - 1].to_vec()));
    cases.push(("a header alone", good[..12].to_vec()));
    cases.push(("bytes behind the end", [&good[..], &[0]].concat()));
    for count in [0, 2] {
        let mut query = good.clone();
        query[5] = count;
        cases.push(("not one question", query));
    }
    let mut opts = edns("glued.corp.internal. A", |_| {});
    opts.extend(opts[opts.len() - 11..].to_vec());
    opts[11] = 2;
    cases.push(("two OPT records", opts));
    cases
}

#[test]
fn every_stream_answers_what_tcp_answers_byte_for_byte() {
    let scene = Scene::new();
    let mut compared = 0;
    for (what, query) in cases() {
        // Once beforehand: the answer then is the cache's for all.
        scene.ask(Way::Tcp, &query);
        let want = scene.ask(Way::Tcp, &query);
        for &way in STREAMS {
            assert_eq!(scene.ask(way, &query), want, "{what} over {way:?}");
            compared += 1;
        }
    }
    assert!(compared >= 30 * STREAMS.len());
}

#[test]
fn every_stream_has_udps_answers_where_they_fit() {
    let scene = Scene::new();
    for (what, query) in cases() {
        scene.ask(Way::Udp, &query);
        let want = scene.ask(Way::Udp, &query);
        for &way in STREAMS {
            assert_eq!(scene.ask(way, &query), want, "{what} over {way:?}");
        }
    }
}

#[test]
fn a_long_answer_is_whole_on_every_stream_and_cut_over_udp_alone() {
    let scene = Scene::new();
    let query = edns("huge.example.test. A", |_| {});
    let cut = message(&scene.ask(Way::Udp, &query));
    assert!(cut.metadata.truncation);
    let whole = scene.ask(Way::Tcp, &query);
    assert!(whole.len() > 30_000, "{}", whole.len());
    for &way in STREAMS {
        let response = scene.ask(way, &query);
        assert_eq!(response.len(), whole.len(), "{way:?}");
        let read = message(&response);
        assert!(!read.metadata.truncation && read.answers.len() == 1900, "{way:?}");
    }
}

#[test]
fn whoever_pads_is_padded_for_where_nobody_else_reads() {
    let scene = Scene::new();
    for question in ["glued.corp.internal. A", "www.example.test. A", "later.example.test. A"] {
        let query = edns(question, |edns| {
            edns.options_mut().insert(EdnsOption::Unknown(12, vec![0; 20]));
        });
        for &way in STREAMS {
            let response = scene.ask(way, &query);
            assert_eq!(response.len() % 468, 0, "{question} over {way:?}");
            assert_eq!(message(&response).answers.len(), 1, "{question} over {way:?}");
        }
        for way in [Way::Udp, Way::Tcp] {
            assert!(scene.ask(way, &query).len() < 100, "{way:?}");
        }
    }
    // The first time over each stream it comes late.
    for (n, &way) in STREAMS.iter().enumerate() {
        let query = edns(&format!("late{n}.example.test. A"), |edns| {
            edns.options_mut().insert(EdnsOption::Unknown(12, Vec::new()));
        });
        assert_eq!(scene.ask(way, &query).len(), 468, "{way:?}");
    }
}

#[test]
fn strangers_are_refused_on_every_stream() {
    let authority = Authority::new();
    let list: Vec<ipnet::IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
    let stack = Plan::new()
        .zone(CORP)
        .answers(|settings| settings.access = list)
        .served(|settings| authority.add_to(settings))
        .start(|q| q.address(60, 1));
    let scene = Scene { stack, authority };
    for &way in STREAMS {
        let response = message(&scene.ask(way, &edns("glued.corp.internal. A", |_| {})));
        assert_eq!(u16::from(response.metadata.response_code), 5, "{way:?}");
    }
    assert_eq!(scene.stack.upstream.count(), 0);
}

#[test]
fn records_take_turns_on_every_stream() {
    let scene = Scene::new();
    let query = asked("db.corp.internal. A").bytes();
    for &way in STREAMS {
        let firsts: std::collections::BTreeSet<String> =
            (0..40).map(|_| message(&scene.ask(way, &query)).answers[0].data.to_string()).collect();
        assert_eq!(firsts.len(), 3, "{way:?}");
    }
}
