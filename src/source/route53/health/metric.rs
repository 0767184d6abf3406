//! The metric `HealthCheckStatus` of CloudWatch.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
pub use aws_sdk_cloudwatch::Client as CloudWatch;
use aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataOutput;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode,
};
use tracing::debug;

use crate::metrics::source::{ApiCall, SourceMetrics};
use crate::source::SourceError;
use crate::source::route53::error::counted;
use crate::source::route53::partition::Partition;
use crate::source::route53::reply::CappedReplies;
use crate::zone::State;

use super::rules::Reading;

/// The most metrics that one call can ask for.
const MAX_QUERIES: usize = 500;
/// The most pages of one call: five values of 500 metrics fit on one.
const MAX_PAGES: usize = 50;
/// How far back values are looked at.
const WINDOW: Duration = Duration::from_secs(300);
/// Route 53 gives one value a minute.
const PERIOD: i32 = 60;
/// What the operator must allow is part of the name.
const WHAT: &str = "reading of health checks (cloudwatch:GetMetricData)";

/// A client of the CloudWatch that has Route 53's metrics: that of the partition's one region for
/// Route 53, us-east-1 in `aws`, wherever we are. AWS says so of `aws` only; for `aws-cn`,
/// `aws-us-gov` and `aws-eusc` the same is taken for granted. `AWS_ENDPOINT_URL_CLOUDWATCH` is
/// heeded.
pub fn client(sdk: &SdkConfig, partition: Partition) -> CloudWatch {
    let config = aws_sdk_cloudwatch::config::Builder::from(sdk)
        .region(Region::new(partition.signing_region()))
        .interceptor(CappedReplies);
    CloudWatch::from_conf(config.build())
}

/// The newest value of each of these checks, for those that have one in the last five minutes.
///
/// Cost: one call for each 500 checks, outside the budget of Route 53, which CloudWatch does not
/// share. AWS charges for each check asked for.
///
/// # Errors
/// [`SourceError`] when a call failed, or CloudWatch had an internal error for every check.
pub async fn newest(
    client: &CloudWatch,
    metrics: &SourceMetrics,
    ids: &[Box<str>],
    now: SystemTime,
) -> Result<HashMap<Box<str>, Reading>, SourceError> {
    let mut gathered = Gathered::default();
    for ids in ids.chunks(MAX_QUERIES) {
        gather(client, metrics, ids, now, &mut gathered).await?;
    }
    gathered.readings(now)
}

/// Values as they come in, page by page.
#[derive(Default)]
struct Gathered {
    newest: HashMap<Box<str>, (SystemTime, f64)>,
    /// Checks that CloudWatch could not look up.
    failed: HashSet<Box<str>>,
}

impl Gathered {
    fn take(&mut self, ids: &[Box<str>], page: GetMetricDataOutput) {
        for result in page.metric_data_results.unwrap_or_default() {
            let Some(id) = result.id().and_then(number).and_then(|at| ids.get(at)) else { continue };
            match result.status_code() {
                Some(StatusCode::Complete | StatusCode::PartialData) => {}
                status => {
                    debug!(check = %id, ?status, "health check's metric is incomplete");
                    self.failed.insert(id.clone());
                }
            }
            for (at, value) in values(&result) {
                let newest = self.newest.entry(id.clone()).or_insert((at, value));
                if at > newest.0 {
                    *newest = (at, value);
                }
            }
        }
    }

    /// Values of a check that also failed are real ones: their age says what they are worth.
    fn readings(self, now: SystemTime) -> Result<HashMap<Box<str>, Reading>, SourceError> {
        if self.newest.is_empty() && !self.failed.is_empty() {
            let source = format!("CloudWatch had an internal error for {} checks", self.failed.len()).into();
            return Err(SourceError::Failed { what: WHAT.into(), source });
        }
        let reading = |(at, value): (SystemTime, f64)| Reading {
            state: if value >= 1.0 { State::Healthy } else { State::Unhealthy },
            age: now.duration_since(at).unwrap_or_default(),
        };
        Ok(self.newest.into_iter().map(|(id, newest)| (id, reading(newest))).collect())
    }
}

async fn gather(
    client: &CloudWatch,
    metrics: &SourceMetrics,
    ids: &[Box<str>],
    now: SystemTime,
    gathered: &mut Gathered,
) -> Result<(), SourceError> {
    let damaged = |problem: &str| SourceError::Damaged { what: WHAT.into(), problem: problem.into() };
    let mut cursors = HashSet::new();
    let mut token: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let request = client
            .get_metric_data()
            .set_metric_data_queries(Some(ids.iter().enumerate().map(|(at, id)| query(at, id)).collect()))
            .start_time(DateTime::from(now.checked_sub(WINDOW).unwrap_or(now)))
            .end_time(DateTime::from(now))
            .scan_by(ScanBy::TimestampDescending)
            .set_next_token(token.take());
        let page = counted(metrics, ApiCall::GetMetricData, WHAT, request.send()).await?;
        token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        gathered.take(ids, page);
        match &token {
            None => return Ok(()),
            Some(next) if !cursors.insert(next.clone()) => return Err(damaged("its cursor stands still")),
            Some(_) => {}
        }
    }
    Err(damaged("it does not end"))
}

fn query(at: usize, id: &str) -> MetricDataQuery {
    let check = Dimension::builder().name("HealthCheckId").value(id).build();
    let metric =
        Metric::builder().namespace("AWS/Route53").metric_name("HealthCheckStatus").dimensions(check);
    let stat = MetricStat::builder().metric(metric.build()).period(PERIOD).stat("Minimum").build();
    MetricDataQuery::builder().id(format!("m{at}")).metric_stat(stat).return_data(true).build()
}

/// The number in a query's id.
fn number(id: &str) -> Option<usize> {
    id.strip_prefix('m')?.parse().ok()
}

fn values(result: &MetricDataResult) -> impl Iterator<Item = (SystemTime, f64)> + '_ {
    let pairs = result.timestamps().iter().zip(result.values());
    let read = |(at, value): (&DateTime, &f64)| Some((SystemTime::try_from(*at).ok()?, *value));
    pairs.filter_map(read).filter(|(_, value)| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn result(id: &str, status: StatusCode, values: &[(u64, f64)]) -> MetricDataResult {
        MetricDataResult::builder()
            .id(id)
            .status_code(status)
            .set_timestamps(Some(values.iter().map(|(at, _)| DateTime::from_secs(*at as i64)).collect()))
            .set_values(Some(values.iter().map(|(_, value)| *value).collect()))
            .build()
    }

    fn readings(results: Vec<MetricDataResult>) -> Result<Vec<(String, State, u64)>, SourceError> {
        let ids = ["a", "b", "c"].map(Box::from);
        let mut gathered = Gathered::default();
        for result in results {
            gathered.take(&ids, GetMetricDataOutput::builder().metric_data_results(result).build());
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let mut found: Vec<_> = gathered
            .readings(now)?
            .into_iter()
            .map(|(id, reading)| (id.into_string(), reading.state, reading.age.as_secs()))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    #[test]
    fn the_newest_value_decides_whatever_the_order_and_the_page() {
        let found = readings(vec![
            result("m0", StatusCode::PartialData, &[(NOW - 180, 1.0)]),
            result("m1", StatusCode::Complete, &[(NOW - 240, 0.0), (NOW - 120, 1.0)]),
            result("m0", StatusCode::Complete, &[(NOW - 60, 0.5), (NOW - 120, 1.0)]),
            result("m2", StatusCode::Complete, &[]),
        ]);
        let expected = [("a", State::Unhealthy, 60), ("b", State::Healthy, 120)];
        assert_eq!(found.unwrap(), expected.map(|(id, state, age)| (id.to_owned(), state, age)));
    }

    #[test]
    fn values_that_are_none_and_results_that_nobody_asked_for_are_ignored() {
        let found = readings(vec![
            result("m0", StatusCode::Complete, &[(NOW - 60, f64::NAN), (NOW - 120, 1.0)]),
            result("m9", StatusCode::Complete, &[(NOW, 1.0)]),
            result("x", StatusCode::Complete, &[(NOW, 1.0)]),
            result("m1", StatusCode::Complete, &[(NOW + 30, 1.0)]),
        ]);
        let expected = [("a", State::Healthy, 120), ("b", State::Healthy, 0)];
        assert_eq!(found.unwrap(), expected.map(|(id, state, age)| (id.to_owned(), state, age)));
    }

    #[test]
    fn an_internal_error_leaves_its_check_out_and_is_an_error_when_nothing_else_came() {
        let broken = || result("m0", StatusCode::InternalError, &[]);
        let found = readings(vec![broken(), result("m1", StatusCode::Complete, &[(NOW, 1.0)])]);
        assert_eq!(found.unwrap(), [("b".to_owned(), State::Healthy, 0)]);
        let nothing = readings(vec![broken()]);
        assert!(matches!(nothing, Err(SourceError::Failed { .. })), "{nothing:?}");
    }
}
