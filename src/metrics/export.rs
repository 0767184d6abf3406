//! The exporter: one recorder for the process, rendered in the Prometheus text format.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use super::latency;
use super::process::Process;

/// Always 1. `version`: what is running.
pub const BUILD_INFO: &str = "zonelet_build_info";

/// Upper bounds of every histogram of seconds: from a hit in a cache nearby to a call of an API
/// that is retried for long.
pub(super) const SECONDS: [f64; 17] =
    [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// Samples of histograms pile up until they are sorted into buckets, this often.
const UPKEEP: Duration = Duration::from_secs(5);

static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// Why there is no exporter.
#[derive(Debug, thiserror::Error)]
#[error("metrics exporter cannot be installed")]
pub struct InstallError(#[from] BuildError);

/// The installed exporter. Cloning shares it.
#[derive(Clone)]
pub struct Exporter {
    handle: PrometheusHandle,
    process: Process,
}

impl Exporter {
    /// Installs the exporter for the whole process; a second call gives the same one again.
    ///
    /// Must come before any room registers its handles: a handle made earlier counts nowhere.
    ///
    /// # Errors
    /// When another recorder was installed before.
    pub fn install() -> Result<Self, InstallError> {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = match installed.as_ref() {
            Some(handle) => handle.clone(),
            None => {
                let handle = builder()?.install_recorder()?;
                describe_gauge!(BUILD_INFO, Unit::Count, "What is running.");
                gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
                installed.insert(handle).clone()
            }
        };
        Ok(Self { handle, process: Process::default() })
    }

    /// Everything counted, in the text format 0.0.4. What is only summed at scrape has to be
    /// published first.
    ///
    /// Cost: milliseconds, and a few reads of /proc.
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        latency::render_into(&mut text);
        self.process.render_into(&mut text);
        text
    }

    /// Keeps the memory of histograms in bounds, for as long as the process counts anything.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP);
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            self.handle.run_upkeep();
        }
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_twice_gives_the_same_exporter() {
        let first = Exporter::install().unwrap();
        let second = Exporter::install().unwrap();
        metrics::counter!("zonelet_test_once_total").increment(1);
        for exporter in [first, second] {
            let text = exporter.render();
            assert!(text.contains("zonelet_test_once_total 1\n"), "{text}");
            let version = env!("CARGO_PKG_VERSION");
            assert!(text.contains(&format!("zonelet_build_info{{version=\"{version}\"}} 1\n")), "{text}");
            assert!(text.contains("# TYPE process_open_fds gauge\n"), "{text}");
        }
    }

    #[test]
    fn histograms_of_seconds_have_buckets() {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("zonelet_test_wait_seconds").record(0.003);
        });
        let text = recorder.handle().render();
        assert!(text.contains("# TYPE zonelet_test_wait_seconds histogram"), "{text}");
        assert!(text.contains("zonelet_test_wait_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("zonelet_test_wait_seconds_bucket{le=\"0.002\"} 0"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn upkeep_ends_with_the_process() {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(Exporter::install().unwrap().run(shutdown.clone()));
        tokio::time::advance(UPKEEP * 3).await;
        shutdown.cancel();
        task.await.unwrap();
    }
}
