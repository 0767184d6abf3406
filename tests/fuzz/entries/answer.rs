//! Whole answers: any packet to an answerer with zones and a cache, any upstream's response relayed.

use zonelet::answer::{Asker, Transport};
use zonelet::cache::CacheKey;
use zonelet::wire::query::Query;
use zonelet::wire::{Name, Outcome, Rcode, Rtype, Suffixes, learn};

use super::message::Message;
use super::scene::{self, Learnt, Opt, Scene, TCP, UDP, a, cname, positive, soa, zone};
use super::{Feed, upstream};

const ZONE: &str = "$TTL 300
@ SOA ns h 1 7200 900 1209600 60
@ NS ns
www A 10.0.0.1
www A 10.0.0.2
www AAAA fd00::1
*.apps A 10.0.0.4
deep.er TXT \"x\"
one CNAME two
two CNAME www
loop CNAME loop
out CNAME far.example.net.
open CNAME open.example.net.
sub NS ns.sub
d DNAME example.net.
";

thread_local! {
    static SERVED: Scene = served();
    static RELAYED: Scene = Scene::new([
        zone("alias.test", "$TTL 60\n@ SOA ns h 1 1 1 1 1\nto CNAME a.corp.test.\n"),
        zone("b.corp.test", "$TTL 60\n@ SOA ns h 1 1 1 1 1\n@ A 10.0.0.9\n* CNAME a.corp.test.\n"),
    ]);
}

fn served() -> Scene {
    let large: String = (0..90).map(|n| format!("large A 10.0.1.{n}\n")).collect();
    let scene = Scene::new([zone("corp.test", &(ZONE.to_owned() + &large)), zone("x.corp.test", ZONE)]);
    scene.learn(&positive(Rtype::A, vec![a("far.example.net", 60, 1), a("far.example.net", 60, 2)]));
    scene.learn(&positive(Rtype::A, vec![cname("open.example.net", 60, "one.corp.test")]));
    scene.learn(&positive(Rtype::A, vec![cname("in.example.net", 60, "x.corp.test")]));
    scene.learn(&Learnt {
        qname: scene::name("no.example.net"),
        qtype: Rtype::A,
        rcode: Rcode::NXDOMAIN,
        answers: Vec::new(),
        authorities: vec![soa("example.net", 900, 60)],
    });
    scene
}

/// A byte for who asks, then a packet.
pub fn answer(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let shape = feed.byte();
    let mut asker = if shape & 1 == 0 { UDP } else { TCP };
    if shape & 6 == 6 {
        asker.client.set_ip([203, 0, 113, 1].into());
    }
    let packet = feed.rest();
    SERVED.with(|scene| {
        let Some(out) = scene.ask(packet, asker) else { return };
        assert!(packet.len() >= 12 && packet[2] & 0x80 == 0, "no answer to an answer");
        assert_eq!(scene.ask(packet, asker).as_ref(), Some(&out), "the same question, the same answer");
        assert_eq!((&out[..2], out[2] & 0x80), (&packet[..2], 0x80));
        let mut qname = Suffixes::default();
        match Query::parse(packet, &mut qname) {
            Ok(query) => {
                let message = about(&query, &out, asker);
                let refused = message.flags & 15 == Rcode::REFUSED.0;
                assert!(refused || !asker.client.ip().is_ipv4() || asker.client.ip().is_loopback());
            }
            Err(_) => assert!(out.len() <= packet.len()),
        }
    });
}

/// An answer that is whole, fits the asker, and says of a denial how long it holds.
fn about(query: &Query<'_>, out: &[u8], asker: Asker) -> Message {
    let limit = if asker.transport == Transport::Tcp { 65_535 } else { query.udp_size().min(1232) };
    assert!(out.len() <= limit, "{} bytes for an asker that takes {limit}", out.len());
    let message = Message::read(out);
    assert_eq!(message.question, query.bytes()[12..query.question_end()]);
    assert_eq!(message.options().is_some(), query.edns.is_some());
    if message.flags & 0x0200 != 0 {
        assert_eq!((message.answers.len(), message.authorities.len()), (0, 0), "cut, and not empty");
    }
    let mut owner = query.qname().as_bytes().to_vec();
    for record in message.answers.iter().filter(|_| query.qtype != Rtype::ANY) {
        if record.rtype == Rtype::DNAME.0 {
            let below = Name::from_wire(&owner).expect("a name");
            assert!(below.as_ref().suffixes().any(|n| n.as_bytes() == record.owner), "a DNAME above");
        } else if record.rtype != Rtype::RRSIG.0 {
            assert_eq!(record.owner, owner, "each record follows from the ones before");
        }
        if record.rtype == Rtype::CNAME.0 && query.qtype != Rtype::CNAME {
            owner = record.rdata.to_ascii_lowercase();
        }
    }
    message
}

/// The input of `upstream`: the response is learned, kept, and relayed to those who ask its question
/// and to those who come to it through a CNAME of a zone.
pub fn relay(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let dnssec_ok = feed.byte() & 1 != 0;
    // The rest of the circumstances that `upstream` reads.
    for _ in 0..7 {
        feed.byte();
    }
    let message = feed.rest();
    let Some((qname, qtype)) = upstream::question(message) else { return };
    let Ok(mut learned) = learn(message, qname.as_ref(), qtype, dnssec_ok) else { return };
    if learned.outcome == Outcome::Error {
        return;
    }
    // What may not be kept is relayed all the same, from where it is handed over.
    learned.lifetime = learned.lifetime.max(1);
    RELAYED.with(|scene| {
        scene.cache.flush();
        let key = CacheKey { qname: qname.as_ref(), qtype, dnssec_ok, checking_disabled: false };
        scene.cache.insert(&key, learned, scene.clock.now());
        for asked in [&qname, &scene::name("to.alias.test"), &scene::name("x.b.corp.test")] {
            for (size, asker) in [(None, UDP), (Some(1232), UDP), (Some(512), TCP)] {
                let opt = if dnssec_ok { Some(size.unwrap_or(512)) } else { size };
                let packet = scene::query(asked, qtype, opt.map(|size| Opt { size, dnssec_ok }));
                let Some(out) = scene.ask(&packet, asker) else { continue };
                let mut read = Suffixes::default();
                let query = Query::parse(&packet, &mut read).expect("a sound query");
                about(&query, &out, asker);
            }
        }
    });
}
