//! What the answering threads counted in their cells, as metrics.

use metrics::{Counter, Unit, counter, describe_counter};

use super::tally::{AnswerSource, Board, Bound, DropReason, Proto, RCODES, Tally};

/// Queries received. `proto`: `udp`, `tcp`, `tls`, `https` or `quic`.
pub const QUERIES: &str = "zonelet_server_queries_total";
/// Responses sent. `source`: `zone`, `assumed` (of a zone, chosen without knowing all health that the
/// choice hangs on), `cache`, `stale` (expired, while its upstream fails), `upstream`, `special`, `override`,
/// `hosts`, `relief` or `local` (refusals and protocol errors); `rcode`: `NOERROR`, `NXDOMAIN`, ..., `OTHER`.
pub const RESPONSES: &str = "zonelet_answer_responses_total";
/// Queries that got no response. `reason`: `short_header`, `is_response`, `port_zero`, `send_failed`,
/// `access` (a rule of `[[access]]`) or `rate_limited` (`limits.client_rate`).
pub const DROPS: &str = "zonelet_answer_drops_total";
/// Responses that were cut to the asker's size (TC=1).
pub const TRUNCATED: &str = "zonelet_answer_truncated_total";
/// Names of search lists that were denied here, since they cannot exist (`[[relief]]`): questions that no
/// upstream was asked.
pub const RELIEVED: &str = "zonelet_answer_relieved_total";
/// Queries that the bounds of their client kept from their answers. `action`: `dropped`, `slipped` (sent to
/// TCP) or `refused` above `limits.client_rate`, `in_flight` above `limits.client_in_flight`.
pub const BOUNDED: &str = "zonelet_answer_bounded_total";

/// Handles of every sum over the threads' cells.
pub struct AnswerMetrics {
    queries: Vec<(Proto, Counter)>,
    responses: Vec<(AnswerSource, usize, Counter)>,
    drops: Vec<(DropReason, Counter)>,
    truncated: Counter,
    relieved: Counter,
    bounded: Vec<(Bound, Counter)>,
}

impl AnswerMetrics {
    /// Registers every series, so that each stands at zero from the start.
    pub fn register() -> Self {
        describe_counter!(QUERIES, Unit::Count, "Queries received.");
        describe_counter!(RESPONSES, Unit::Count, "Responses sent.");
        describe_counter!(DROPS, Unit::Count, "Queries that got no response.");
        describe_counter!(TRUNCATED, Unit::Count, "Responses that were cut to the asker's size.");
        describe_counter!(RELIEVED, Unit::Count, "Names that cannot exist, denied without an upstream.");
        describe_counter!(BOUNDED, Unit::Count, "Queries that the bounds of their client kept from answers.");
        let responses = AnswerSource::ALL.iter().flat_map(|&source| {
            RCODES.iter().enumerate().map(move |(column, rcode)| {
                let counter = counter!(RESPONSES, "source" => source.label(), "rcode" => rcode.label());
                (source, column, counter)
            })
        });
        Self {
            queries: Proto::ALL.iter().map(|&p| (p, counter!(QUERIES, "proto" => p.label()))).collect(),
            responses: responses.collect(),
            drops: DropReason::ALL.iter().map(|&r| (r, counter!(DROPS, "reason" => r.label()))).collect(),
            truncated: counter!(TRUNCATED),
            relieved: counter!(RELIEVED),
            bounded: Bound::ALL.iter().map(|&b| (b, counter!(BOUNDED, "action" => b.label()))).collect(),
        }
    }

    /// Brings the counters up to the sums of `board`; called at scrape.
    ///
    /// There is one board for a process: counters of two would show the larger alone.
    pub fn publish(&self, board: &Board) {
        let sum: Tally = board.totals();
        for (proto, counter) in &self.queries {
            counter.absolute(sum.queries(*proto));
        }
        for (source, column, counter) in &self.responses {
            counter.absolute(sum.responses(*source, *column));
        }
        for (reason, counter) in &self.drops {
            counter.absolute(sum.drops(*reason));
        }
        self.truncated.absolute(sum.truncations());
        self.relieved
            .absolute((0..RCODES.len()).map(|rcode| sum.responses(AnswerSource::Relief, rcode)).sum());
        for (bound, counter) in &self.bounded {
            counter.absolute(sum.bounds(*bound));
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::wire::Rcode;

    #[test]
    fn every_series_starts_at_zero_and_follows_the_board() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let metrics = metrics::with_local_recorder(&recorder, AnswerMetrics::register);
        let series = |text: &str| text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).count();
        assert_eq!(series(&handle.render()), 5 + 10 * 8 + 6 + 1 + 1 + 4);

        let board = Board::default();
        let (one, two) = (board.register(), board.register());
        one.query(Proto::Udp);
        two.query(Proto::Udp);
        two.response(AnswerSource::Cache, Rcode::NXDOMAIN);
        two.response(AnswerSource::Upstream, Rcode(23));
        one.drop_for(DropReason::PortZero);
        one.truncated();
        two.response(AnswerSource::Relief, Rcode::NXDOMAIN);
        two.bounded(Bound::Slipped);
        metrics.publish(&board);
        metrics.publish(&board);
        let text = handle.render();
        for line in [
            "zonelet_server_queries_total{proto=\"udp\"} 2",
            "zonelet_server_queries_total{proto=\"tcp\"} 0",
            "zonelet_answer_responses_total{source=\"cache\",rcode=\"NXDOMAIN\"} 1",
            "zonelet_answer_responses_total{source=\"upstream\",rcode=\"OTHER\"} 1",
            "zonelet_answer_drops_total{reason=\"port_zero\"} 1",
            "zonelet_answer_truncated_total 1",
            "zonelet_answer_relieved_total 1",
            "zonelet_answer_bounded_total{action=\"slipped\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
    }
}
