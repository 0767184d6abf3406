//! The same zones in zonelet and in NSD, the same questions to both: every difference is one of
//! those that are wanted. Needs the Debian package nsd.

mod client;
mod differences;
mod servers;
mod zones;

use std::collections::BTreeSet;

use client::{Client, Question};
use differences::{DIFFERENCES, Peer, same};
use zones::{Dice, OUTSIDE, Zone};

/// Questions about each zone beyond those for all it has.
const GUESSES: usize = 1000;
const TYPES: [u16; 20] = [1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 43, 44, 52, 64, 65, 99, 255, 257, 65280, 65281];
const SIZES: [u16; 6] = [0, 512, 900, 1232, 1400, 4096];

fn all_zones() -> Vec<Zone> {
    // One below another: the longer apex decides.
    let apexes = ["z1.test.", "z2.test.", "below.z1.test.", "z3.example.", "a.b.c.test.", "z4.test."];
    let others = apexes.map(str::to_owned);
    let random = (1..).zip(&apexes).map(|(seed, apex)| zones::random(apex, seed, &others));
    [zones::example()].into_iter().chain(random).collect()
}

#[test]
fn zonelet_and_nsd_differ_only_where_it_is_wanted() {
    let (dir, zones) = (tempfile::tempdir().expect("a directory"), all_zones());
    servers::write_zones(dir.path(), &zones);
    let nsd = servers::nsd(dir.path(), &zones);
    let zonelet = servers::zonelet(dir.path(), &zones, client::upstream());
    let apexes = zones.iter().map(|zone| wire(&zone.apex)).collect();
    let (mut ours, mut peer) = (Client::new(zonelet.address), Peer::new(Client::new(nsd.address), apexes));
    let (mut asked, mut unexplained) = (0, Vec::new());
    for (zone, seed) in zones.iter().zip(100..) {
        for question in questions(zone, &mut Dice(seed)) {
            asked += 1;
            let over_tcp = ours.ask(&question.over_tcp());
            let said = if question.tcp { over_tcp.clone() } else { ours.ask(&question) };
            let expected = peer.expected(&question, over_tcp.len);
            let mut wrong = !same(&said, &expected);
            if said.tc {
                wrong |= !same(&over_tcp, &peer.expected(&question.over_tcp(), over_tcp.len));
            }
            if wrong {
                unexplained.push(format!(
                    "{question:?} ({})\n ours {said:#?}\n expected {expected:#?}",
                    text(&question)
                ));
            }
        }
    }
    println!("{asked} questions, {} unexplained differences", unexplained.len());
    for (name, why) in DIFFERENCES {
        println!("{:6} {name}: {why}", peer.shown.get(name).unwrap_or(&0));
    }
    assert!(
        unexplained.is_empty(),
        "{} of {asked}:\n{}",
        unexplained.len(),
        unexplained[..unexplained.len().min(10)].join("\n")
    );
    assert!(asked > 7000);
    for (name, _) in DIFFERENCES {
        assert!(peer.shown.contains_key(name), "{name} never shows: take it out of the table");
    }
}

/// Everything the zone has, over both transports, then guesses around it.
fn questions(zone: &Zone, dice: &mut Dice) -> Vec<Question> {
    let mut questions = Vec::new();
    // Of a zone below another the parent would be asked for DS (RFC 4035 §3.1.4.1).
    for (owner, rtype) in zone.owners.iter().chain([&(zone.apex.clone(), "DS")]) {
        let (qname, qtype) = (wire(owner), number(rtype));
        for (edns, tcp) in [(None, false), (Some((1232, false)), false), (Some((4096, true)), true)] {
            questions.push(Question { qname: qname.clone(), qtype, edns, tcp });
        }
    }
    let names = around(zone);
    for _ in 0..GUESSES {
        let mut qname = names[dice.below(names.len())].clone();
        let mask = dice.roll() & dice.roll();
        flip_case(&mut qname, mask);
        let edns = (dice.below(3) > 0).then(|| (SIZES[dice.below(SIZES.len())], dice.below(2) == 0));
        let qtype = if dice.below(3) == 0 { 1 } else { TYPES[dice.below(TYPES.len())] };
        questions.push(Question { qname, qtype, edns, tcp: dice.below(5) == 0 });
    }
    questions
}

/// Owners, the names between them and the apex, names below and beside them, and strangers.
fn around(zone: &Zone) -> Vec<Vec<u8>> {
    let strangers = [format!("no.{}", zone.apex), format!("x{}", zone.apex), OUTSIDE.to_owned()];
    let mut names: BTreeSet<Vec<u8>> = strangers.iter().map(|name| wire(name)).collect();
    let apex = wire(&zone.apex);
    for (owner, _) in &zone.owners {
        let owner = wire(owner);
        for front in ["\x04nope", "\x01*", "\x01a\x01b"] {
            names.insert([front.as_bytes(), &owner].concat());
        }
        let mut name = &owner[..];
        while name != apex {
            names.insert(name.to_vec());
            name = &name[1 + usize::from(name[0])..];
            names.insert([b"\x06beside", name].concat());
        }
    }
    names.insert(apex);
    names.into_iter().collect()
}

fn wire(name: &str) -> Vec<u8> {
    let name: zonelet::wire::Name = name.parse().unwrap_or_else(|e| panic!("{name}: {e}"));
    name.as_bytes().to_vec()
}

fn number(rtype: &str) -> u16 {
    zonelet::wire::Rtype::from_text(rtype).expect("a type").0
}

fn text(question: &Question) -> String {
    let lower = question.qname.to_ascii_lowercase();
    let name = zonelet::wire::Name::from_wire(&lower).map_or_else(|e| e.to_string(), |n| n.to_string());
    format!("{name} {}", zonelet::wire::Rtype(question.qtype))
}

fn flip_case(qname: &mut [u8], mask: u64) {
    let mut at = 0;
    while qname[at] != 0 {
        let len = usize::from(qname[at]);
        for (n, byte) in qname[at + 1..=at + len].iter_mut().enumerate() {
            if mask >> ((at + n) % 64) & 1 == 1 {
                *byte = byte.to_ascii_uppercase();
            }
        }
        at += 1 + len;
    }
}
