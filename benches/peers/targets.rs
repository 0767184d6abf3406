//! What zonelet is to reach, and what it must never fall behind: a target and a floor for each figure.
//!
//! Two floors name servers that Debian does not have. They stand on recorded ratios to the limit, measured
//! on another day with CoreDNS 1.13.1 and NodeLocal DNSCache on CoreDNS 1.13.2, and say so.

use serde::Serialize;

use super::cli::Scenario;
use super::memory::{CacheFigures, IdleFigures, ZoneFigures};
use super::rounds::{Measured, Round, Workout};
use super::servers::{LIMIT, LIMIT_FORWARD, OURS};
use super::statistics::{median, ratio};

/// Recorded CPU time a query over the limit's: the route53 plugin on zones, NodeLocal DNSCache elsewhere,
/// and CoreDNS at 10 000 queries a second.
const RECORDED: [(&str, Scenario, f64); 4] = [
    ("CoreDNS route53", Scenario::Zone, 7.09),
    ("NodeLocal DNSCache", Scenario::Hit, 3.32),
    ("NodeLocal DNSCache", Scenario::Miss, 12.6),
    ("NodeLocal DNSCache", Scenario::Mix, 3.41),
];
const RECORDED_AT_RATE: f64 = 1.74;

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As good as wished.
    Target,
    /// Not quite, but no worse than allowed.
    Floor,
    /// Worse than allowed.
    Failed,
    /// Something that it takes was not measured.
    Unknown,
}

impl Verdict {
    /// As in the tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Target => "pass",
            Self::Floor => "floor held, target missed",
            Self::Failed => "**FAIL**",
            Self::Unknown => "not measured",
        }
    }
}

/// A figure of zonelet's beside what it is to be: at most that.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// What was measured, with its unit.
    pub what: String,
    /// The figure.
    pub value: Option<f64>,
    /// The figure wished for; without one the floor is all there is.
    pub target: Option<f64>,
    /// The figure allowed.
    pub floor: f64,
    /// What came of it.
    pub verdict: Verdict,
}

impl Claim {
    fn new(what: impl Into<String>, value: Option<f64>, target: impl Into<Option<f64>>, floor: f64) -> Self {
        let target = target.into();
        let verdict = match value {
            None => Verdict::Unknown,
            Some(value) if value <= target.unwrap_or(floor) => Verdict::Target,
            Some(value) if value <= floor => Verdict::Floor,
            Some(_) => Verdict::Failed,
        };
        Self { what: what.into(), value, target, floor, verdict }
    }
}

/// What a workload says about zonelet.
pub fn of_workout(workout: &Workout, rate: Option<f64>) -> Vec<Claim> {
    let Some(ours) = workout.servers.iter().find(|server| server.name == OURS) else { return Vec::new() };
    let mut claims = if rate.is_some() { at_rate(workout) } else { closed(workout) };
    let most = |of: fn(&Round) -> u64| Some(ours.rounds.iter().map(of).max().unwrap_or(0) as f64);
    claims.push(Claim::new("wrong answers", most(|round| round.load.wrong), None, 0.0));
    claims.push(Claim::new("lost queries", most(|round| round.load.lost), None, 0.0));
    claims
}

/// How many times what `other` costs a query costs us: the middle of the rounds' ratios.
fn over(workout: &Workout, other: &str) -> Option<f64> {
    ratio(&cpu(workout, OURS)?, &cpu(workout, other)?)
}

fn counting<'a>(workout: &'a Workout, name: &str) -> Option<&'a Measured> {
    workout.servers.iter().find(|server| server.name == name && server.void.is_none())
}

fn cpu(workout: &Workout, name: &str) -> Option<Vec<f64>> {
    Some(counting(workout, name)?.rounds.iter().map(|round| round.cpu).collect())
}

fn closed(workout: &Workout) -> Vec<Claim> {
    let limit = over(workout, LIMIT);
    let against = |peer: &str| Claim::new(format!("CPU over {peer}"), over(workout, peer), None, 1.0);
    let user = || {
        let rounds = counting(workout, OURS).map(|ours| ours.rounds.iter().map(|round| round.user));
        Claim::new("user µs a query", rounds.and_then(median), 0.5, f64::INFINITY)
    };
    let mut claims = match workout.scenario {
        Scenario::Zone => vec![Claim::new("CPU over the limit", limit, 1.10, 1.25), user(), against("nsd")],
        Scenario::Hit => {
            let better = ["unbound", "dnsdist"].map(|peer| over(workout, peer));
            let worst = better.iter().flatten().copied().max_by(f64::total_cmp);
            let both = worst.filter(|_| better.iter().all(Option::is_some));
            let what = "CPU over the better of unbound and dnsdist";
            vec![
                Claim::new("CPU over the limit", limit, 1.10, 1.25),
                user(),
                Claim::new(what, both, None, 1.0),
            ]
        }
        Scenario::Miss => {
            let forward = over(workout, LIMIT_FORWARD);
            vec![Claim::new("CPU over limit-forward-256", forward, 1.20, 1.45), against("dnsdist")]
        }
        _ => vec![Claim::new("CPU over the limit", limit, 1.15, 1.35), against("unbound")],
    };
    claims.extend(recorded(workout.scenario, limit));
    claims
}

fn recorded(scenario: Scenario, limit: Option<f64>) -> Option<Claim> {
    let share = match scenario {
        Scenario::Zone => 0.20,
        Scenario::Miss => 0.33,
        _ => 0.40,
    };
    let (name, _, times) = RECORDED.iter().find(|(_, recorded, _)| *recorded == scenario)?;
    let what = format!("CPU over {name}, recorded at {times} × the limit (not measured here)");
    Some(Claim::new(what, limit.map(|limit| limit / times), None, share))
}

fn at_rate(workout: &Workout) -> Vec<Claim> {
    let limit = over(workout, LIMIT);
    let latencies =
        |name| Some(counting(workout, name)?.rounds.iter().map(|round| round.load.p50).collect::<Vec<_>>());
    let added = latencies(OURS).zip(latencies(LIMIT));
    let added =
        added.and_then(|(ours, limit)| median(ours.iter().zip(&limit).map(|(ours, limit)| ours - limit)));
    let what = format!("CPU over CoreDNS, recorded at {RECORDED_AT_RATE} × the limit (not measured here)");
    vec![
        Claim::new("CPU over the limit", limit, 1.10, 1.25),
        Claim::new("p50 over the limit's, µs", added, 3.0, 5.0),
        Claim::new(what, limit.map(|limit| limit / RECORDED_AT_RATE), None, 0.65),
    ]
}

/// What the largest zone says.
pub fn of_zones(figures: &[ZoneFigures]) -> Vec<Claim> {
    let ours = figures.iter().filter(|figure| figure.name == OURS).max_by_key(|figure| figure.records);
    let pss = ours.map(|figure| mib(figure.memory.pss));
    let first = ours.map(|figure| figure.first_answer);
    vec![
        Claim::new("PSS with the largest zone, MiB", pss, 30.0, 50.0),
        Claim::new("first answer with the largest zone, s", first, 0.15, 0.30),
    ]
}

/// What the full cache says.
pub fn of_caches(figures: &[CacheFigures]) -> Vec<Claim> {
    let ours = figures.iter().find(|figure| figure.name == OURS);
    vec![
        Claim::new("bytes an entry", ours.map(CacheFigures::bytes_per_entry), 200.0, 350.0),
        Claim::new("share of entries that are not held", ours.map(|figure| 1.0 - figure.held), 0.0, 0.0),
        Claim::new("lost queries", ours.map(|figure| figure.fill.lost as f64), None, 0.0),
        Claim::new("wrong answers", ours.map(|figure| figure.fill.wrong as f64), None, 0.0),
    ]
}

/// What rest says.
pub fn of_idle(figures: IdleFigures) -> Vec<Claim> {
    vec![
        Claim::new("RSS at rest, MiB", Some(mib(figures.memory.rss)), 10.0, 20.0),
        Claim::new("wake-ups a second at rest", Some(figures.wakeups), 5.0, f64::INFINITY),
    ]
}

/// Bytes as MiB.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "a bench without harness has cfg(test) and no tests")]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_met_held_or_failed() {
        let verdict = |value, target| Claim::new("", value, target, 1.25).verdict;
        assert_eq!(verdict(Some(1.1), Some(1.1)), Verdict::Target);
        assert_eq!(verdict(Some(1.2), Some(1.1)), Verdict::Floor);
        assert_eq!(verdict(Some(1.3), Some(1.1)), Verdict::Failed);
        assert_eq!(verdict(Some(1.2), None), Verdict::Target);
        assert_eq!(verdict(None, Some(1.1)), Verdict::Unknown);
    }

    #[test]
    fn a_server_that_answered_wrong_is_no_measure() {
        let round = Round { cpu: 2.0, user: 0.4, foreign: 0.0, forwarded: 0.0, load: Default::default() };
        let server = |name: &str, cpu, void: Option<&str>| Measured {
            name: name.into(),
            is_checked: true,
            rounds: vec![Round { cpu, ..round.clone() }],
            memory: Default::default(),
            void: void.map(Into::into),
        };
        let servers =
            vec![server(LIMIT, 2.0, None), server(OURS, 2.1, None), server("nsd", 0.1, Some("wrong"))];
        let claims = of_workout(&Workout { scenario: Scenario::Zone, servers, left_out: Vec::new() }, None);
        let verdict =
            |what| claims.iter().find(|claim| claim.what.starts_with(what)).map(|claim| claim.verdict);
        assert_eq!(verdict("CPU over the limit"), Some(Verdict::Target));
        assert_eq!(verdict("CPU over nsd"), Some(Verdict::Unknown));
        assert_eq!(verdict("CPU over CoreDNS route53"), Some(Verdict::Target));
    }
}
