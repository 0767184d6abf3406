//! Metrics of the sources' API calls.

use metrics::{Counter, Unit, counter, describe_counter};

use super::tally::labels;

/// Calls of a source's API. `operation`: the call; `result`: what came of it.
pub const SOURCE_CALLS: &str = "zonelet_source_calls_total";

/// Calls that had to wait for a source's own budget.
pub const SOURCE_BUDGET_WAITS: &str = "zonelet_source_budget_waits_total";

labels! {
    /// A call of Route 53 or one of the services around it.
    ApiCall {
        /// Zones of a VPC.
        ListHostedZonesByVpc = "list_hosted_zones_by_vpc",
        /// Zones of the account.
        ListHostedZones = "list_hosted_zones",
        /// One zone.
        GetHostedZone = "get_hosted_zone",
        /// One page of a zone's record sets.
        ListResourceRecordSets = "list_resource_record_sets",
        /// Tags of up to ten zones.
        ListTagsForResources = "list_tags_for_resources",
        /// Route 53 Profiles of a VPC.
        ListProfileAssociations = "list_profile_associations",
        /// What a profile holds.
        ListProfileResourceAssociations = "list_profile_resource_associations",
        /// Resolver rules of a VPC.
        ListResolverRuleAssociations = "list_resolver_rule_associations",
        /// One resolver rule.
        GetResolverRule = "get_resolver_rule",
        /// The settings of one health check.
        GetHealthCheck = "get_health_check",
        /// One page of the settings of the account's health checks.
        ListHealthChecks = "list_health_checks",
        /// The states of up to 500 health checks.
        GetMetricData = "get_metric_data",
        /// Hints that something has changed.
        ReceiveMessage = "receive_message",
        /// Hints that were heeded.
        DeleteMessageBatch = "delete_message_batch",
    }
}

/// Messages of a source's queue of hints. `hint`: what it came to.
pub const SOURCE_HINTS: &str = "zonelet_source_hints_total";

labels! {
    /// What a message of the queue came to.
    HintKind {
        /// A zone is imported sooner.
        Changed = "changed",
        /// Zones are looked for sooner.
        Rediscover = "rediscover",
        /// An event of no meaning here, or of a zone that is not imported.
        Other = "other",
        /// It was no event.
        Garbage = "garbage",
    }
}

labels! {
    /// What came of a call.
    CallResult {
        /// A whole reply.
        Ok = "ok",
        /// The API asked for less.
        Throttled = "throttled",
        /// A permission is missing.
        Denied = "denied",
        /// The zone does not exist.
        Gone = "gone",
        /// A reply that may not be believed.
        Damaged = "damaged",
        /// Anything else.
        Failed = "failed",
    }
}

/// The handles a source counts with.
#[derive(Clone)]
pub struct SourceMetrics {
    calls: Vec<Vec<Counter>>,
    hints: Vec<Counter>,
    /// See [`SOURCE_BUDGET_WAITS`].
    pub budget_waits: Counter,
}

impl std::fmt::Debug for SourceMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SourceMetrics")
    }
}

impl SourceMetrics {
    /// Registers every series of the source named `source`, at zero.
    pub fn register(source: &str) -> Self {
        describe_counter!(SOURCE_CALLS, Unit::Count, "Calls of a source's API.");
        describe_counter!(SOURCE_BUDGET_WAITS, Unit::Count, "Calls that waited for their source's budget.");
        describe_counter!(SOURCE_HINTS, Unit::Count, "Messages of a source's queue of hints.");
        let hint =
            |kind: &HintKind| counter!(SOURCE_HINTS, "source" => source.to_owned(), "hint" => kind.label());
        let counter = |call: &ApiCall, result: &CallResult| {
            counter!(SOURCE_CALLS, "source" => source.to_owned(), "operation" => call.label(),
                "result" => result.label())
        };
        let row = |call| CallResult::ALL.iter().map(|result| counter(call, result)).collect();
        Self {
            calls: ApiCall::ALL.iter().map(row).collect(),
            hints: HintKind::ALL.iter().map(hint).collect(),
            budget_waits: counter!(SOURCE_BUDGET_WAITS, "source" => source.to_owned()),
        }
    }

    /// Counts one message of the queue of hints.
    pub fn hint(&self, kind: HintKind) {
        if let Some(counter) = self.hints.get(kind as usize) {
            counter.increment(1);
        }
    }

    /// Counts one call.
    pub fn call(&self, call: ApiCall, result: CallResult) {
        if let Some(counter) = self.calls.get(call as usize).and_then(|row| row.get(result as usize)) {
            counter.increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_and_result_has_a_series_of_its_own() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let metrics = SourceMetrics::register("r53");
            for &call in ApiCall::ALL {
                for &result in CallResult::ALL {
                    metrics.call(call, result);
                }
            }
        });
        let text = handle.render();
        let ones = text.lines().filter(|l| l.starts_with(SOURCE_CALLS) && l.ends_with(" 1")).count();
        assert_eq!(ones, ApiCall::ALL.len() * CallResult::ALL.len(), "{text}");
        assert!(text.contains("operation=\"get_hosted_zone\",result=\"throttled\""), "{text}");
    }
}
