//! Zones from the Route 53 API.

pub mod accounts;
mod discover;
pub mod error;
mod fetch;
mod health;
mod hints;
pub mod http;
mod listing;
mod memory;
pub mod partition;
pub mod policy;
mod profiles;
pub mod reply;
pub mod role;
mod rules;
pub mod select;
pub mod session;
mod tags;
pub mod trial;
pub mod vpc;

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::metrics::source::{ApiCall, SourceMetrics};
use aws_sdk_route53::config::http::HttpResponse;
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};
use tokio::sync::{OnceCell, mpsc};

use super::settings::Route53Settings;
use super::{BoxFuture, Fetched, FoundZone, HostResolver, Origin, Progress, Push, Sighting, SourceError};
use super::{ZoneId, ZoneSource};

pub use hints::HINT_EVENTS;
use memory::Memory;
use session::{Connection, Session};
use vpc::{Regional, Vpc};

/// The hosted zones that some settings select.
///
/// Making one asks nobody: credentials, region and VPC are found when they are first needed, and
/// what could not be found is looked for again at the next need. Each call is one attempt; when to
/// try again is the importer's to decide.
#[derive(Debug)]
pub struct Route53Source {
    settings: Route53Settings,
    connection: Connection,
    resolver: Arc<dyn HostResolver>,
    metrics: SourceMetrics,
    label: String,
    /// All calls, of whatever zone, draw on this one budget.
    budget: DefaultDirectRateLimiter,
    clock: DefaultClock,
    session: Arc<OnceCell<Session>>,
    vpc: OnceCell<Vpc>,
    regional: OnceCell<Regional>,
    memory: Mutex<Memory>,
    health: health::Memory,
    hints: hints::Hints,
}

impl Route53Source {
    /// A source over the SDK's default chain of credentials and region.
    pub fn new(settings: Route53Settings, resolver: Arc<dyn HostResolver>, metrics: SourceMetrics) -> Self {
        Self::with_connection(settings, resolver, metrics, Connection::default())
    }

    /// A source over a connection of one's own.
    pub fn with_connection(
        settings: Route53Settings,
        resolver: Arc<dyn HostResolver>,
        metrics: SourceMetrics,
        connection: Connection,
    ) -> Self {
        Self {
            label: select::label(&settings.zones),
            budget: DefaultDirectRateLimiter::direct(quota(&settings)),
            clock: DefaultClock::default(),
            session: Arc::default(),
            vpc: OnceCell::new(),
            regional: OnceCell::new(),
            memory: Mutex::default(),
            health: health::Memory::default(),
            hints: hints::Hints::default(),
            settings,
            connection,
            resolver,
            metrics,
        }
    }

    /// The name that the source with these settings has in logs and metrics: its selectors.
    pub fn label_of(settings: &Route53Settings) -> String {
        select::label(&settings.zones)
    }

    async fn session(&self) -> Result<&Session, SourceError> {
        let open = || Session::open(&self.settings, &self.connection, Arc::clone(&self.resolver));
        self.session.get_or_try_init(open).await
    }

    /// The VPC whose zones are wanted, if that is how they are selected.
    async fn vpc(&self) -> Result<Option<Vpc>, SourceError> {
        let Some(selector) = &self.settings.zones.vpc else {
            return Ok(None);
        };
        let session = self.session().await?;
        let find = || vpc::find(selector, &self.settings, &self.connection, session);
        self.vpc.get_or_try_init(find).await.cloned().map(Some)
    }

    /// The services that know what belongs to `vpc`.
    async fn regional(&self, vpc: &Vpc) -> Result<&Regional, SourceError> {
        let session = self.session().await?;
        Ok(self.regional.get_or_init(async || Regional::new(session, vpc)).await)
    }

    /// Makes one call within the budget, counts it, and sorts its error.
    async fn call<T, E>(
        &self,
        call: ApiCall,
        what: &str,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, SourceError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.wait_for_budget().await;
        error::counted(&self.metrics, call, what, request).await
    }

    async fn wait_for_budget(&self) {
        let mut has_waited = false;
        while let Err(not_until) = self.budget.check() {
            if !has_waited {
                self.metrics.budget_waits.increment(1);
                has_waited = true;
            }
            tokio::time::sleep(not_until.wait_time_from(self.clock.now())).await;
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ZoneSource for Route53Source {
    fn kind(&self) -> &'static str {
        "route53"
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn origin(&self) -> Option<Origin> {
        self.memory().origin.clone()
    }

    fn origin_of(&self, zone: &ZoneId) -> Option<Origin> {
        self.memory().origin_of(&zone.0)
    }

    fn unseen(&self) -> Vec<String> {
        self.memory().unseen()
    }

    fn region(&self) -> Option<String> {
        let of_vpc = self.vpc.get().map(|vpc| vpc.region.clone());
        of_vpc.or_else(|| self.settings.region.clone())
    }

    fn discover(&self) -> BoxFuture<'_, Result<Vec<FoundZone>, SourceError>> {
        Box::pin(async {
            let found = self.list_zones().await?;
            self.hints.know(&found);
            Ok(found)
        })
    }

    fn fetch<'a>(
        &'a self,
        zone: &'a FoundZone,
        progress: &'a mut Progress,
    ) -> BoxFuture<'a, Result<Fetched, SourceError>> {
        Box::pin(async move {
            let fetched = self.list_records(zone, progress).await;
            if matches!(fetched, Err(SourceError::Gone { .. })) {
                self.memory().forget(&zone.id.0);
            }
            fetched
        })
    }

    fn health<'a>(
        &'a self,
        checks: &'a [Box<str>],
    ) -> Option<BoxFuture<'a, Result<Vec<Sighting>, SourceError>>> {
        if !self.settings.health {
            return None;
        }
        Some(Box::pin(self.look_at_health(checks)))
    }

    /// What the queue of `hints` says. Must be called within a runtime; the reading ends when the
    /// receiver is dropped.
    fn pushes(&self) -> Option<mpsc::Receiver<Push>> {
        let queue = self.settings.hints.as_ref()?;
        let door = hints::Door {
            settings: self.settings.clone(),
            connection: self.connection.clone(),
            resolver: Arc::clone(&self.resolver),
            session: Arc::clone(&self.session),
        };
        self.hints.watch(queue, door, &self.metrics)
    }
}

/// The budget as settings say it, within what can be counted with.
fn quota(settings: &Route53Settings) -> Quota {
    let rate = if settings.calls_per_second > 0.0 { settings.calls_per_second } else { 1.0 };
    let period = Duration::from_secs_f64(1.0 / rate.clamp(0.001, 1000.0));
    let burst = NonZeroU32::new(settings.burst).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_of_nonsense_is_still_a_budget() {
        let settings = Route53Settings { calls_per_second: f64::NAN, burst: 0, ..Route53Settings::default() };
        assert_eq!(quota(&settings).burst_size().get(), 1);
    }
}
