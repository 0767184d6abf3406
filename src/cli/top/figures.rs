//! Figures of an interval, from the counts at its two ends.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::admin::TopReport;
use crate::admin::top::UpstreamReport;

/// A report, and what has happened since the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// As it stands.
    pub now: TopReport,
    /// Queries per second, by protocol.
    pub queries: BTreeMap<String, f64>,
    /// Responses per second, by source and code.
    pub responses: BTreeMap<(String, String), f64>,
    /// Queries per second that got no response.
    pub drops: f64,
    /// Responses per second that were cut.
    pub truncated: f64,
    /// By upstream: answers per second, and how many fell into each bucket.
    pub answers: BTreeMap<String, (f64, Vec<u64>)>,
}

impl Figures {
    /// Since `before`; since the start where there is none, or where the program was started anew in between.
    pub fn new(now: TopReport, before: Option<&TopReport>) -> Self {
        let fresh = TopReport::default();
        let before = before.filter(|b| b.uptime_milliseconds < now.uptime_milliseconds).unwrap_or(&fresh);
        let span = Duration::from_millis(now.uptime_milliseconds - before.uptime_milliseconds);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / span.as_secs_f64().max(0.001);
        let counted = |report: &TopReport, source: &str, rcode: &str| {
            report.responses.iter().find(|r| r.source == source && r.rcode == rcode).map_or(0, |r| r.count)
        };
        let total = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
        let queries = now.queries.iter().map(|(proto, &count)| {
            (proto.clone(), rate(count, before.queries.get(proto).copied().unwrap_or(0)))
        });
        let responses = now.responses.iter().map(|r| {
            ((r.source.clone(), r.rcode.clone()), rate(r.count, counted(before, &r.source, &r.rcode)))
        });
        let answers = now.upstreams.iter().map(|report| {
            let known = before.upstreams.iter().find(|b| b.upstream.upstream == report.upstream.upstream);
            let buckets = since(&report.buckets, known);
            (report.upstream.upstream.clone(), (rate(buckets.iter().sum(), 0), buckets))
        });
        Self {
            queries: queries.collect(),
            responses: responses.collect(),
            drops: rate(total(&now.drops), total(&before.drops)),
            truncated: rate(now.truncated, before.truncated),
            answers: answers.collect(),
            now,
        }
    }

    /// All queries per second.
    pub fn query_rate(&self) -> f64 {
        self.queries.values().sum()
    }

    /// All responses per second.
    pub fn response_rate(&self) -> f64 {
        self.responses.values().sum()
    }

    /// Responses per second of one source.
    pub fn source_rate(&self, source: &str) -> f64 {
        self.responses.iter().filter(|((of, _), _)| of == source).map(|(_, rate)| rate).sum()
    }

    /// The share of responses that no upstream was waited for; `None` while there are none.
    pub fn hits(&self) -> Option<f64> {
        let all = self.response_rate();
        (all > 0.0).then(|| 1.0 - self.source_rate("upstream") / all)
    }
}

fn since(buckets: &[u64], before: Option<&UpstreamReport>) -> Vec<u64> {
    let old = |n: usize| before.and_then(|before| before.buckets.get(n)).copied().unwrap_or(0);
    buckets.iter().enumerate().map(|(n, &count)| count.saturating_sub(old(n))).collect()
}

/// The bound in seconds that a share of all answers came within; infinite beyond the last. `None` without answers.
pub(super) fn quantile(buckets: &[u64], bounds: &[f64], share: f64) -> Option<f64> {
    let total: u64 = buckets.iter().sum();
    let wanted = (total as f64 * share).ceil().max(1.0) as u64;
    let mut sum = 0;
    let place = buckets.iter().position(|count| {
        sum += count;
        sum >= wanted
    })?;
    Some(bounds.get(place).copied().unwrap_or(f64::INFINITY))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::admin::top::{CacheReport, ProcessReport, ResponseCount, ZoneBrief};
    use crate::upstream::UpstreamTold;
    use crate::watch::{ClientTold, NameTold, TopTold};

    /// A node a second after [`before`].
    pub(in crate::cli::top) fn now() -> TopReport {
        let made = |source: &str, rcode: &str, count| ResponseCount {
            source: source.into(),
            rcode: rcode.into(),
            count,
        };
        let client = |last: u8, rate, nxdomain, hint: Option<&str>| ClientTold {
            client: [10, 0, 0, last].into(),
            queries_per_second: rate,
            answers: 1.0 - nxdomain,
            nodata: 0.0,
            nxdomain,
            turned_away: 0.0,
            failures: 0.0,
            hint: hint.map(str::to_owned),
        };
        let name = |name: &str, rtype: &str, rate| NameTold {
            name: name.into(),
            rtype: rtype.into(),
            queries_per_second: rate,
            answers: 1.0,
            nodata: 0.0,
            nxdomain: 0.0,
            turned_away: 0.0,
            failures: 0.0,
        };
        let upstream = |address: &str, failures, trial_seconds, buckets: &[u64]| UpstreamReport {
            domain: ".".into(),
            upstream: UpstreamTold {
                upstream: address.into(),
                failures,
                is_open: trial_seconds > 0,
                trial_seconds,
                ..UpstreamTold::default()
            },
            buckets: buckets.to_vec(),
            bounds: vec![0.001, 0.01, 0.1],
        };
        let zone = |zone: &str, state: &str, age_seconds, error: Option<&str>| ZoneBrief {
            zone: zone.into(),
            kind: "route53".into(),
            state: state.into(),
            records: 12,
            serial: Some(7),
            age_seconds,
            error: error.map(str::to_owned),
        };
        let hint = "gets 8 NXDOMAIN for each answer, mostly below cluster.local.: ndots and search list";
        TopReport {
            version: "0.1.0".into(),
            uptime_milliseconds: 7_201_000,
            queries: [("udp".into(), 1500), ("tcp".into(), 10)].into(),
            responses: vec![
                made("zone", "NOERROR", 600),
                made("zone", "NXDOMAIN", 100),
                made("cache", "NOERROR", 500),
                made("upstream", "NOERROR", 180),
                made("upstream", "SERVFAIL", 120),
            ],
            drops: [("short_header".into(), 4)].into(),
            truncated: 1,
            waiting: 3,
            cache: CacheReport { entries: 12_345, bytes: 5 << 20 },
            process: ProcessReport { resident_bytes: Some(85 << 20), open_fds: Some(300) },
            upstreams: vec![
                upstream("10.0.0.3", 3, 7, &[0, 0, 0, 0]),
                upstream("10.0.0.2", 0, 0, &[90, 210, 5, 2]),
            ],
            upstreams_left_off: 0,
            zones: vec![
                zone("b.internal.", "stale", Some(86_400), Some("throttled\u{1b}[2J")),
                zone("corp.internal.", "loaded", Some(45), None),
            ],
            zones_left_off: 5,
            top: TopTold {
                sample: 32,
                period_seconds: 45.0,
                sampled: 2000,
                skipped: 0,
                rate_error: 5.7,
                clients: vec![client(7, 400.0, 0.889, Some(hint)), client(8, 300.0, 0.0, None)],
                names: vec![name("www.corp.internal.", "A", 200.0), name("db.corp.internal.", "AAAA", 90.5)],
            },
        }
    }

    /// What the counts were a second before.
    pub(in crate::cli::top) fn before() -> TopReport {
        let mut before = now();
        before.uptime_milliseconds -= 1000;
        before.queries = [("udp".into(), 500), ("tcp".into(), 0)].into();
        before.responses.retain(|made| made.source != "upstream");
        before.responses[0].count = 0;
        before.upstreams[1].buckets = vec![0, 200, 5, 2];
        before.drops.clear();
        before
    }

    #[test]
    fn rates_are_of_the_time_between_two_reports() {
        let figures = Figures::new(now(), Some(&before()));
        assert_eq!((figures.query_rate(), figures.queries["udp"]), (1010.0, 1000.0));
        assert_eq!((figures.response_rate(), figures.source_rate("zone")), (900.0, 600.0));
        assert_eq!((figures.hits(), figures.drops, figures.truncated), (Some(1.0 - 300.0 / 900.0), 4.0, 0.0));
        assert_eq!(figures.answers["10.0.0.2"], (100.0, vec![90, 10, 0, 0]));
        assert_eq!(figures.answers["10.0.0.3"], (0.0, vec![0; 4]));
    }

    #[test]
    fn without_a_report_before_or_after_a_restart_rates_are_since_the_start() {
        for before in [None, Some(TopReport { uptime_milliseconds: 9_000_000, ..before() })] {
            let figures = Figures::new(now(), before.as_ref());
            assert!((figures.query_rate() - 1510.0 / 7201.0).abs() < 1e-9);
        }
        assert_eq!(Figures::default().hits(), None);
    }

    #[test]
    fn quantiles_are_the_bounds_of_their_buckets() {
        let bounds = [0.001, 0.01, 0.1];
        let of = |share| quantile(&[90, 5, 4, 1], &bounds, share);
        assert_eq!(
            [of(0.5), of(0.95), of(0.99), of(1.0)].map(Option::unwrap),
            [0.001, 0.01, 0.1, f64::INFINITY]
        );
        assert_eq!(quantile(&[0, 0], &bounds, 0.5), None);
        assert_eq!(quantile(&[], &bounds, 0.5), None);
    }
}
