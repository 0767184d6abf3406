//! The arithmetic of the instruction gate, and the baseline that it holds counts against.

#[path = "../benches/instructions/baseline.rs"]
mod baseline;

use baseline::{Baseline, Counts, TOLERANCE, Verdict};

fn counts(of: &[(&str, f64)]) -> Counts {
    of.iter().map(|&(path, count)| (path.into(), count)).collect()
}

fn verdict(before: &[(&str, f64)], now: &[(&str, f64)]) -> Vec<Verdict> {
    Baseline { compiler: String::new(), counts: counts(before) }.compare(&counts(now)).0
}

#[test]
fn a_path_past_the_tolerance_shuts_the_gate_and_a_cheaper_one_does_not() {
    let past = 1000.0 + 10.0 * TOLERANCE;
    for (now, expected, fails) in [
        (past + 1.0, Verdict::Dearer, true),
        (past - 1.0, Verdict::Level, false),
        (1000.0, Verdict::Level, false),
        (900.0, Verdict::Cheaper, false),
    ] {
        assert_eq!(verdict(&[("hit", 1000.0)], &[("hit", now)]), [expected]);
        assert_eq!(expected.fails(), fails);
    }
}

#[test]
fn paths_that_come_or_go_shut_the_gate() {
    let verdicts = verdict(&[("gone", 1.0)], &[("new", 1.0)]);
    assert_eq!(verdicts, [Verdict::Gone, Verdict::New]);
    assert!(verdicts.iter().all(|verdict| verdict.fails()));
}

#[test]
fn a_baseline_reads_back_as_it_was_written() {
    let counts = counts(&[("chain", 5647.8), ("a_name_longer_than_its_column", 20.0)]);
    let baseline = Baseline { compiler: "rustc 1.95.0".into(), counts };
    assert_eq!(Baseline::parse(&baseline.render()), Some(baseline));
    assert_eq!(Baseline::parse("hit many"), None);
}

#[test]
fn the_checked_in_baseline_has_the_twelve_most_important_paths() {
    let baseline = Baseline::parse(include_str!("../benches/instructions/baseline.x86_64.txt")).unwrap();
    for path in [
        "parse_plain",
        "parse_edns",
        "zone_hit",
        "wildcard",
        "nxdomain",
        "empty_non_terminal",
        "chain",
        "cache_hit",
        "cache_chain",
        "cached_nxdomain",
        "miss",
        "learn",
    ] {
        assert!(baseline.counts.contains_key(path), "{path}");
    }
}
