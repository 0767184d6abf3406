//! Random zones and caches, and questions about them.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use zonelet::answer::{Asker, Transport};
use zonelet::wire::{Name, Rcode, Rtype};

use super::scene::{Learnt, Opt, Rec, Scene, TCP, UDP, a, build, cname, name, positive, query, soa};

/// Names in two zones, one within the other, and names that are in the cache at most.
const NAMES: [&str; 22] = [
    "corp.test",
    "www.corp.test",
    "a.corp.test",
    "*.a.corp.test",
    "b.a.corp.test",
    "x.y.b.a.corp.test",
    "*.corp.test",
    "c.*.corp.test",
    "deep.er.corp.test",
    "er.corp.test",
    "sub.corp.test",
    "www.sub.corp.test",
    "*.sub.corp.test",
    "n.o.sub.corp.test",
    "example.net",
    "x.example.net",
    "y.example.net",
    "z.example.net",
    "gone.example.net",
    "localhost",
    "v.invalid",
    ".",
];
const OUTSIDE: [&str; 5] =
    ["example.net", "x.example.net", "y.example.net", "z.example.net", "gone.example.net"];
const TYPES: [Rtype; 13] = [
    Rtype::A,
    Rtype::AAAA,
    Rtype::TXT,
    Rtype::MX,
    Rtype::SRV,
    Rtype::NS,
    Rtype::CNAME,
    Rtype::SOA,
    Rtype::HTTPS,
    Rtype::NAPTR,
    Rtype::DS,
    Rtype::ANY,
    Rtype(65280),
];

/// A line of a zone file, seldom many.
fn line() -> impl Strategy<Value = String> {
    let owner = select(&NAMES[..14]);
    let target = select(&NAMES[..]);
    let data = prop_oneof![
        3 => (0..40u8).prop_map(|n| format!("A 10.0.0.{n}")),
        1 => (0..9u8).prop_map(|n| format!("AAAA fd00::{n}")),
        2 => (0..9u8, 1..=255usize).prop_map(|(n, len)| format!("TXT \"{}\"", n.to_string().repeat(len))),
        4 => target.prop_map(|target| format!("CNAME {}.", target.trim_end_matches('.'))),
        1 => select(vec![
            "MX 10 www.corp.test.",
            "SRV 1 2 80 www.corp.test.",
            "NS ns.example.net.",
            "SOA ns h 1 2 3 4 5",
            "HTTPS 1 . alpn=h2",
            "NAPTR 1 1 \"u\" \"sip\" \"\" .",
            "TYPE65280 \\# 2 c00c",
            "NAPTR \\# 3 010203",
            "HTTPS \\# 2 c00c",
            "CAA \\# 2 00ff",
            "DS \\# 1 00",
            "MX \\# 4 0001c00c",
        ]).prop_map(str::to_owned),
    ];
    let line =
        (owner.clone(), 0..400u32, data).prop_map(|(owner, ttl, data)| format!("{owner}. {ttl} {data}\n"));
    // More than a datagram holds.
    let large = (owner, 40..90usize)
        .prop_map(|(owner, count)| (0..count).map(|n| format!("{owner}. 60 A 10.0.1.{n}\n")).collect());
    prop_oneof![20 => line, 1 => large]
}

/// A response in the cache: addresses, a chain that is whole or open, or a denial.
fn learnt() -> impl Strategy<Value = Learnt> {
    let ttl = 1..500u32;
    (select(&OUTSIDE[..]), select(&NAMES[..]), ttl, 1..50u8, 0..5u8).prop_map(
        |(owner, target, ttl, count, kind)| {
            let addresses = |owner: &str| -> Vec<Rec> {
                (0..count).map(|n| a(owner, ttl + u32::from(n) % 7, n)).collect()
            };
            let denial = |rcode, answers| Learnt {
                qname: name(owner),
                qtype: Rtype::A,
                rcode,
                answers,
                authorities: vec![soa("net", ttl, 300)],
            };
            let open = vec![cname(owner, ttl, if owner == target { "else.net" } else { target })];
            match kind {
                0 => positive(Rtype::A, addresses(owner)),
                1 => positive(Rtype::A, open),
                2 => positive(Rtype::A, [vec![cname(owner, ttl, "far.net")], addresses("far.net")].concat()),
                3 => denial(Rcode::NXDOMAIN, Vec::new()),
                _ => denial(Rcode::NOERROR, vec![cname(owner, ttl, "far.net")]),
            }
        },
    )
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub qname: Name,
    pub qtype: Rtype,
    pub edns: Option<Opt>,
    pub asker: Asker,
}

pub fn asked() -> impl Strategy<Value = Asked> {
    let edns = proptest::option::of((select(vec![0, 512, 700, 1232, 4096, 65_535]), any::<bool>()));
    let qtype = prop_oneof![3 => Just(Rtype::A), 1 => Just(Rtype::TXT), 2 => select(&TYPES[..])];
    (select(&NAMES[..]), proptest::option::of("[a-z]{1,9}"), qtype, edns, any::<bool>()).prop_map(
        |(qname, below, qtype, edns, tcp)| Asked {
            qname: name(&below.map_or(qname.into(), |label| format!("{label}.{qname}").replace("..", "."))),
            qtype,
            edns: edns.map(|(size, dnssec_ok)| Opt { size, dnssec_ok }),
            asker: if tcp { TCP } else { UDP },
        },
    )
}

impl Asked {
    pub fn query(&self) -> Vec<u8> {
        query(&self.qname, self.qtype, self.edns)
    }

    /// The most bytes the answer may have.
    pub fn limit(&self) -> usize {
        match (self.asker.transport, self.edns) {
            (Transport::Tcp | Transport::Tls | Transport::Https | Transport::Quic, _) => 65_535,
            (Transport::Udp, None) => 512,
            (Transport::Udp, Some(opt)) => usize::from(opt.size).clamp(512, 1232),
        }
    }
}

/// What is in the zones and the cache.
#[derive(Clone, Debug)]
pub struct World {
    apexes: &'static [&'static str],
    lines: Vec<String>,
    learnt: Vec<Learnt>,
}

pub fn world() -> impl Strategy<Value = World> {
    let apexes =
        select(vec![&["corp.test", "sub.corp.test"][..], &["corp.test"], &["test", "a.corp.test"], &["."]]);
    (apexes, vec(line(), 0..60), vec(learnt(), 0..5)).prop_map(|(apexes, lines, learnt)| World {
        apexes,
        lines,
        learnt,
    })
}

impl World {
    pub fn scene(&self) -> Scene {
        self.beside(&[])
    }

    /// The same with names that are zones elsewhere.
    pub fn beside(&self, carved_out: &[&str]) -> Scene {
        let text = self.lines.concat();
        let scene = Scene::beside(self.apexes.iter().map(|apex| build(apex, &text).zone), carved_out);
        self.learnt.iter().for_each(|response| scene.learn(response));
        scene
    }
}
