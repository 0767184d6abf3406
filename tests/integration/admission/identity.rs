//! Who the server is: class CH and NSID.

use hickory_proto::op::{Edns, Message};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, RecordType};
use zonelet::answer::settings::{Identity, ServerId};

use crate::harness::client::{Ask, ask, message};
use crate::harness::dns::{Plan, Stack, Via};

fn stack(server: Option<&str>, version: Option<&str>) -> Stack {
    let identity = Identity {
        server: server.map(|text| ServerId::Text(text.to_owned())),
        version: version.map(str::to_owned),
    };
    Plan::new().answers(|a| a.identity = identity).start(|q| q.address(60, 1))
}

fn chaos(qname: &str) -> Ask {
    ask(qname, RecordType::TXT).class(DNSClass::CH).edns(1232, false)
}

#[test]
fn names_of_class_ch_tell_what_is_configured_and_nothing_else() {
    let stack = stack(Some("node-7"), Some("zonelet 1"));
    for (qname, text) in [
        ("id.server.", "node-7"),
        ("hostname.bind.", "node-7"),
        ("VERSION.bind.", "zonelet 1"),
        ("version.server.", "zonelet 1"),
    ] {
        for via in [Via::Udp, Via::Tcp] {
            let response = message(&stack.raw(via, &chaos(qname).bytes()));
            let [record] = response.answers.as_slice() else { panic!("{response:?}") };
            assert_eq!((record.dns_class, record.ttl), (DNSClass::CH, 0));
            assert_eq!(record.data.to_string(), text);
        }
    }
    assert_eq!(stack.ask(chaos("authors.bind.")), "REFUSED EDE 21 only class IN is served");
    let other = self::stack(None, Some("1"));
    assert_eq!(other.ask(chaos("id.server.")), "REFUSED EDE 21 only class IN is served");
    assert_eq!(stack.upstream.count() + other.upstream.count(), 0);
}

/// The NSID of a response.
fn nsid(message: &Message) -> Option<Vec<u8>> {
    let option = message.edns.as_ref()?.option(EdnsCode::NSID)?;
    match option {
        EdnsOption::NSID(payload) => Some(payload.as_ref().to_vec()),
        EdnsOption::Unknown(_, data) => Some(data.clone()),
        _ => None,
    }
}

fn with_nsid(qname: &str, rtype: RecordType) -> Ask {
    ask(qname, rtype).with(|m| {
        let mut edns = Edns::new();
        edns.set_max_payload(1232).set_version(0);
        edns.options_mut().insert(EdnsOption::Unknown(3, Vec::new()));
        m.set_edns(edns);
    })
}

#[test]
fn nsid_is_told_to_who_asks_for_it_beside_answers_and_reasons() {
    let named = stack(Some("node-7"), None);
    for (qname, rtype) in
        [("x.test.", RecordType::A), ("localhost.", RecordType::A), ("x.test.", RecordType::AXFR)]
    {
        for via in [Via::Udp, Via::Tcp] {
            let response = message(&named.raw(via, &with_nsid(qname, rtype).bytes()));
            assert_eq!(nsid(&response).as_deref(), Some(&b"node-7"[..]), "{qname} {rtype}");
            assert_eq!(crate::harness::dns::ede(&response).is_some(), rtype == RecordType::AXFR);
        }
    }
    let plain = message(&named.raw(Via::Udp, &ask("x.test.", RecordType::A).edns(1232, false).bytes()));
    assert_eq!(nsid(&plain), None, "nobody asked");
    let bare = message(&named.raw(Via::Udp, &ask("x.test.", RecordType::A).bytes()));
    assert!(bare.edns.is_none());
    let nameless = stack(None, None);
    let response = message(&nameless.raw(Via::Udp, &with_nsid("x.test.", RecordType::A).bytes()));
    assert_eq!(nsid(&response), None);
}
