//! Zones from the Route 53 API.

mod discover;
pub mod error;
mod fetch;
mod health;
mod hints;
pub mod http;
pub mod partition;
pub mod reply;
pub mod select;
pub mod session;
pub mod vpc;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_route53::config::http::HttpResponse;
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};
use tokio::sync::{OnceCell, mpsc};
use tracing::warn;

use crate::metrics::source::{ApiCall, SourceMetrics};

use super::settings::{Route53Settings, VpcSelector};
use super::{
    BoxFuture, Fetched, FoundZone, HostResolver, Origin, Progress, Push, Sighting, SourceError, ZoneSource,
};

pub use hints::HINT_EVENTS;
use session::{Connection, Session};
use vpc::Vpc;

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
    state: Mutex<State>,
    health: health::Memory,
    hints: hints::Hints,
}

/// What was learned; bounded by the ids in the settings.
#[derive(Debug, Default)]
struct State {
    origin: Option<Origin>,
    /// The names of the zones that were asked for by id.
    apexes: HashMap<String, String>,
    /// The ids that were warned about.
    warned: HashSet<String>,
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
            label: label(&settings),
            budget: DefaultDirectRateLimiter::direct(quota(&settings)),
            clock: DefaultClock::default(),
            session: Arc::default(),
            vpc: OnceCell::new(),
            state: Mutex::default(),
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
        label(settings)
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_origin(&self, origin: Origin) {
        self.state().origin = Some(origin);
    }

    fn apex_of(&self, id: &str) -> Option<String> {
        self.state().apexes.get(id).cloned()
    }

    fn remember(&self, id: &str, apex: &str) {
        self.state().apexes.insert(id.to_owned(), apex.to_owned());
    }

    fn warn_once(&self, id: &str, reason: &str) {
        if self.state().warned.insert(id.to_owned()) {
            warn!(id, reason, "hosted zone left out");
        }
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
        self.state().origin.clone()
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
                self.state().apexes.remove(&*zone.id.0);
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

/// The selectors in one line, the same for the same settings.
fn label(settings: &Route53Settings) -> String {
    let vpc = settings.zones.vpc.as_ref().map(|vpc| match vpc {
        VpcSelector::Auto => "vpc=auto".to_owned(),
        VpcSelector::Id(id) => format!("vpc={id}"),
    });
    let list =
        |key: &str, values: &[String]| (!values.is_empty()).then(|| format!("{key}={}", values.join(",")));
    let parts = [vpc, list("ids", &settings.zones.ids), list("names", &settings.zones.names)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "account".into() } else { parts.join(" ") }
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
    use crate::source::settings::ZoneSelector;

    use super::*;

    #[test]
    fn a_label_is_the_selectors() {
        let mut settings = Route53Settings {
            zones: ZoneSelector::default(),
            public: false,
            region: None,
            partition: None,
            endpoint: None,
            calls_per_second: f64::NAN,
            burst: 0,
            ..Route53Settings::default()
        };
        assert_eq!(label(&settings), "account");
        settings.zones = ZoneSelector {
            vpc: Some(VpcSelector::Auto),
            ids: vec!["Z1".into(), "Z2".into()],
            names: vec!["*.internal".into()],
        };
        assert_eq!(label(&settings), "vpc=auto ids=Z1,Z2 names=*.internal");
        assert_eq!(quota(&settings).burst_size().get(), 1);
    }
}
