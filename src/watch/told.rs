//! The most frequent clients and names, for people, and what is odd about them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::stats::Stats;
use crate::wire::Rtype;

/// Fewer sampled queries than this say nothing of a client's ways.
const TELLING: u64 = 16;

/// The most frequent clients and names, of a sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TopTold {
    /// One query in so many was looked at; 0 where none is.
    pub sample: u32,
    /// The time that this is of.
    pub period_seconds: f64,
    /// Queries looked at in that time.
    pub sampled: u64,
    /// Samples that were left out since the start, because the tables were being read.
    pub skipped: u64,
    /// By how many queries per second a rate here may be too high; the chance of the sample comes on top.
    pub rate_error: f64,
    /// The most frequent first.
    pub clients: Vec<ClientTold>,
    /// The most frequent first.
    pub names: Vec<NameTold>,
}

/// One client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientTold {
    /// Its address.
    pub client: IpAddr,
    /// Its queries.
    pub queries_per_second: f64,
    /// The share of them that got records, from 0 to 1.
    pub answers: f64,
    /// The share that got NODATA.
    pub nodata: f64,
    /// The share that got NXDOMAIN.
    pub nxdomain: f64,
    /// The share that was turned away: refused by access rules, or above a bound of its client.
    #[serde(default)]
    pub turned_away: f64,
    /// The share that got another error.
    pub failures: f64,
    /// What is odd about it, and the usual reason.
    pub hint: Option<String>,
}

/// One name and type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NameTold {
    /// The name; of a long one the last labels, behind three dots.
    pub name: String,
    /// The type.
    pub rtype: String,
    /// Queries for it.
    pub queries_per_second: f64,
    /// The share of them that got records, from 0 to 1.
    pub answers: f64,
    /// The share that got NODATA.
    pub nodata: f64,
    /// The share that got NXDOMAIN.
    pub nxdomain: f64,
    /// The share that was turned away: refused by access rules, or above a bound of its client.
    #[serde(default)]
    pub turned_away: f64,
    /// The share that got another error.
    pub failures: f64,
}

/// The shares of answers, NODATA, NXDOMAIN, what was turned away, and failures.
fn shares(stats: &Stats) -> [f64; 5] {
    let share = |count: u32| f64::from(count) / stats.total().max(1) as f64;
    [stats.answers, stats.nodata, stats.nxdomain, stats.turned_away, stats.failures].map(share)
}

impl ClientTold {
    pub(super) fn new(client: IpAddr, queries_per_second: f64, stats: &Stats) -> Self {
        let [answers, nodata, nxdomain, turned_away, failures] = shares(stats);
        let hint = hint(stats);
        Self { client, queries_per_second, answers, nodata, nxdomain, turned_away, failures, hint }
    }

    /// The shares, in order.
    pub fn shares(&self) -> [f64; 5] {
        [self.answers, self.nodata, self.nxdomain, self.turned_away, self.failures]
    }
}

impl NameTold {
    pub(super) fn new(name: String, rtype: Rtype, queries_per_second: f64, stats: &Stats) -> Self {
        let [answers, nodata, nxdomain, turned_away, failures] = shares(stats);
        let rtype = rtype.to_string();
        Self { name, rtype, queries_per_second, answers, nodata, nxdomain, turned_away, failures }
    }

    /// The shares, in order.
    pub fn shares(&self) -> [f64; 5] {
        [self.answers, self.nodata, self.nxdomain, self.turned_away, self.failures]
    }
}

/// What is odd, the worst first.
fn hint(stats: &Stats) -> Option<String> {
    let [answers, nodata_aaaa, nxdomain, turned_away, failures] =
        [stats.answers, stats.nodata_aaaa, stats.nxdomain, stats.turned_away, stats.failures].map(u64::from);
    let total = stats.total();
    if total < TELLING {
        return None;
    }
    if turned_away * 10 >= total {
        let share = turned_away * 100 / total;
        return Some(format!("{share}% of its queries are turned away: limits.client_*, or access"));
    }
    if failures * 4 >= total {
        return Some(format!("{}% of its queries fail: does it retry?", failures * 100 / total));
    }
    // A name with five search suffixes gets five denials before its answer.
    if nxdomain >= answers.max(1) * 2 {
        let below =
            stats.missing_below().map_or_else(String::new, |suffix| format!(", mostly below {suffix}"));
        return Some(match answers {
            0 => format!("gets NXDOMAIN and no answers{below}"),
            _ => format!(
                "gets {} NXDOMAIN for each answer{below}: ndots and search list",
                (nxdomain + answers / 2) / answers
            ),
        });
    }
    (nodata_aaaa * 3 >= total).then(|| "asks for AAAA of names that have none".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::stats::Outcome;
    use crate::wire::Name;

    fn stats(outcomes: &[(Outcome, Rtype, u32)]) -> Stats {
        let mut stats = Stats::default();
        for &(outcome, qtype, times) in outcomes {
            let qname: Name = "api.example.com.cluster.local".parse().unwrap();
            (0..times).for_each(|_| stats.note(qname.as_ref(), qtype, outcome));
        }
        stats
    }

    #[test]
    fn a_client_with_a_search_list_is_told_from_one_that_guesses_and_from_a_sound_one() {
        use Outcome::{Answer, Failure, NoData, NxDomain, TurnedAway};
        for (outcomes, says) in [
            (
                &[(NxDomain, Rtype::A, 81), (Answer, Rtype::A, 10)][..],
                Some("gets 8 NXDOMAIN for each answer, mostly below cluster.local.: ndots and search list"),
            ),
            (&[(NxDomain, Rtype::A, 20)], Some("gets NXDOMAIN and no answers, mostly below cluster.local.")),
            (
                &[(Answer, Rtype::A, 50), (NoData, Rtype::AAAA, 50)],
                Some("asks for AAAA of names that have none"),
            ),
            (
                &[(Answer, Rtype::A, 60), (Failure, Rtype::A, 40)],
                Some("40% of its queries fail: does it retry?"),
            ),
            (&[(Answer, Rtype::A, 90), (NxDomain, Rtype::A, 30)], None),
            (
                &[(Answer, Rtype::A, 80), (TurnedAway, Rtype::A, 20), (NxDomain, Rtype::A, 900)],
                Some("gets 11 NXDOMAIN for each answer, mostly below cluster.local.: ndots and search list"),
            ),
            (
                &[(NxDomain, Rtype::A, 80), (TurnedAway, Rtype::A, 20)],
                Some("20% of its queries are turned away: limits.client_*, or access"),
            ),
            (&[(NxDomain, Rtype::A, TELLING as u32 - 1)], None),
        ] {
            assert_eq!(hint(&stats(outcomes)).as_deref(), says);
        }
    }

    #[test]
    fn shares_add_up_to_one() {
        let all =
            [Outcome::Answer, Outcome::NoData, Outcome::NxDomain, Outcome::TurnedAway, Outcome::Failure];
        let stats = stats(&all.map(|outcome| (outcome, Rtype::A, 5)));
        assert_eq!(shares(&stats), [0.2; 5]);
        assert_eq!(shares(&Stats::default()), [0.0; 5]);
    }
}
