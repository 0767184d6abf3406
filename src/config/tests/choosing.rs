//! How one of several upstreams is chosen, and what each may be sent.

use std::time::Duration;

use super::{problem, read};
use crate::upstream::{Packets, Policy};

#[test]
fn each_domain_has_a_policy_of_its_own() {
    let forward = |policy: &str| format!("[[forward]]\ndomain = '.'\nupstreams = ['10.0.0.2']\n{policy}");
    for (text, policy) in [
        ("", Policy::Auto),
        ("policy = 'auto'", Policy::Auto),
        ("policy = 'fastest'", Policy::Fastest),
        ("policy = 'sequential'", Policy::Sequential),
        ("policy = 'random'", Policy::Random),
    ] {
        assert_eq!(read(&forward(text)).unwrap().upstream.domains[0].policy, policy, "{text}");
    }
    let found = problem(&forward("policy = 'sequentail'"));
    assert!(
        found.contains("forward[0].policy: unknown value \"sequentail\"; did you mean \"sequential\"?"),
        "{found}"
    );
    assert!(problem(&forward("policy = 1")).contains("expected a string, found an integer"));
}

#[test]
fn the_packet_budget_is_a_number_or_a_word() {
    let limits = |value: &str| format!("[limits]\nupstream_packets = {value}");
    for (text, packets) in [
        ("'auto'", Packets::Auto),
        ("'unlimited'", Packets::Unlimited),
        ("10", Packets::PerSecond(10)),
        ("900", Packets::PerSecond(900)),
    ] {
        assert_eq!(read(&limits(text)).unwrap().upstream.packets, packets, "{text}");
    }
    assert!(
        problem(&limits("'none'"))
            .contains("\"none\" is not a number of packets; write \"auto\", \"unlimited\" or 900")
    );
    assert!(problem(&limits("5")).contains("must be between 10 and 1000000"));
    assert!(problem(&limits("true")).contains("expected an integer"));
}

#[test]
fn silence_and_second_queries_are_set_with_the_limits() {
    let config = read("[limits]\nupstream_silence = '5s'\nhedge = false").unwrap();
    assert_eq!((config.upstream.silence, config.upstream.hedge), (Duration::from_secs(5), false));
    assert!(problem("[limits]\nupstream_silence = '50ms'").contains("must be between 100ms and 1m"));
    assert!(problem("[limits]\nhedge = 'no'").contains("expected true or false"));
}
