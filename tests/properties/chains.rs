//! Chains of CNAMEs within a zone are linked when it is compiled; nobody may see a difference.

use hickory_proto::op::{Message, ResponseCode};
use proptest::collection::vec;
use proptest::prelude::*;
use zonelet::wire::Rtype;

use super::scene::{Scene, TCP, UDP, build, name, query};
use super::worlds::{asked, world};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_chain_is_answered_the_same_with_and_without_links(world in world(), questions in vec(asked(), 20)) {
        // Zones that nobody asks about divide the others, so that every name is looked for.
        let (linked, walked) = (world.scene(), world.beside(&["zzzz.corp.test", "zzzz.sub.corp.test"]));
        for asked in questions {
            let query = asked.query();
            prop_assert_eq!(linked.ask(&query, asked.asker), walked.ask(&query, asked.asker), "{:?}", asked);
        }
    }
}

fn answers(scene: &Scene, qname: &str) -> Vec<String> {
    let answer = scene.ask(&query(&name(qname), Rtype::A, None), TCP).expect("an answer");
    let read = Message::from_vec(&answer).expect("a message");
    if read.metadata.response_code != ResponseCode::NoError {
        return vec![read.metadata.response_code.to_string()];
    }
    read.answers.iter().map(|r| format!("{} {} {}", r.name, r.ttl, r.data)).collect()
}

#[test]
fn a_chain_into_a_more_specific_zone_is_answered_by_that_zone() {
    let outer = "$TTL 60\nwww CNAME db.eu\ndb.eu A 10.0.0.1\n";
    let zones = || [build("corp.test", outer).zone];
    let alone = answers(&Scene::new(zones()), "www.corp.test");
    assert_eq!(alone, ["www.corp.test. 60 db.eu.corp.test.", "db.eu.corp.test. 60 10.0.0.1"]);
    let inner = build("eu.corp.test", "$TTL 30\ndb A 10.0.0.2\n").zone;
    let nested = answers(&Scene::new(zones().into_iter().chain([inner])), "www.corp.test");
    assert_eq!(nested, ["www.corp.test. 60 db.eu.corp.test.", "db.eu.corp.test. 30 10.0.0.2"]);
    let carved = Scene::beside(zones(), &["eu.corp.test"]);
    assert_eq!(carved.ask(&query(&name("www.corp.test"), Rtype::A, None), UDP), None, "forwarded");
}

#[test]
fn a_chain_to_a_special_name_is_answered_as_one() {
    let arpa = build("arpa", "$TTL 60\nwww CNAME x.resolver\nx.resolver A 10.0.0.1\n").zone;
    assert_eq!(answers(&Scene::new([arpa]), "www.arpa"), ["www.arpa. 60 x.resolver.arpa."]);
    let root = build(".", "$TTL 60\nwww CNAME localhost\nlocalhost A 10.0.0.1\n").zone;
    let local = answers(&Scene::new([root]), "www");
    assert_eq!(local, ["www. 60 localhost.", "localhost. 10800 127.0.0.1"]);
}

#[test]
fn sixteen_cnames_are_followed_and_seventeen_are_a_failure() {
    for (first, second) in [(16, 0), (17, 0), (8, 8), (9, 8)] {
        // The second half of the chain is in another zone.
        let mut lines = [String::from("$TTL 60\n"), String::from("$TTL 60\n")];
        for n in 0..first + second {
            let zone = usize::from(n >= first);
            let next = if n + 1 >= first && second > 0 { "b" } else { "a" };
            lines[zone] += &format!("n{n} CNAME n{}.{next}.test.\n", n + 1);
        }
        lines[usize::from(second > 0)] += &format!("n{} A 10.0.0.1\n", first + second);
        let scene = Scene::new([build("a.test", &lines[0]).zone, build("b.test", &lines[1]).zone]);
        let got = answers(&scene, "n0.a.test");
        if first + second == 16 {
            assert_eq!(got.len(), 17, "{got:?}");
        } else {
            assert_eq!(got, [ResponseCode::ServFail.to_string()]);
        }
    }
}

#[test]
fn ttls_differ_along_a_chain_and_its_end_is_rotated() {
    let text =
        "one 5 CNAME two\ntwo 7 CNAME three\nthree 9 A 10.0.0.1\nthree 9 A 10.0.0.2\nthree 9 A 10.0.0.3\n";
    let scene = Scene::new([build("corp.test", text).zone]);
    let (query, tally) = (query(&name("one.corp.test"), Rtype::A, None), zonelet::metrics::Tally::default());
    let mut firsts = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let mut out = vec![0; 1232];
        let len = scene.answer(&query, UDP, &mut out, &tally).expect("an answer");
        let read = Message::from_vec(&out[..len]).expect("a message");
        assert_eq!(read.answers.iter().map(|r| r.ttl).collect::<Vec<_>>(), [5, 7, 9, 9, 9]);
        firsts.insert(read.answers[2].data.to_string());
    }
    assert_eq!(firsts.len(), 3);
}
