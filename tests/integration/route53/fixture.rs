//! What the tests of the Route 53 source share.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_route53::config::{Credentials, SharedCredentialsProvider};
use zonelet::metrics::source::SourceMetrics;
use zonelet::source::route53::Route53Source;
use zonelet::source::route53::session::Connection;
use zonelet::source::settings::{Route53Settings, VpcSelector, ZoneSelector};
use zonelet::source::{BoxFuture, Fetched, FoundZone, HostResolver, Progress, SourceError, ZoneSource};
use zonelet::zone::ZoneData;

use crate::harness::r53sim::{Sim, VPC, VPC_REGION};

/// Resolves every name to this host, and remembers which it was asked for.
#[derive(Debug, Default)]
pub struct Asked(pub Mutex<Vec<String>>);

impl HostResolver for Asked {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.0.lock().unwrap().push(host.to_owned());
        Box::pin(async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) })
    }
}

/// Settings that select the zones of the test VPC at `endpoint`.
pub fn settings(endpoint: &str) -> Route53Settings {
    Route53Settings {
        zones: ZoneSelector { vpc: Some(VpcSelector::Id(VPC.into())), ..ZoneSelector::default() },
        region: Some(VPC_REGION.into()),
        endpoint: Some(endpoint.into()),
        calls_per_second: 1000.0,
        health: false,
        burst: 1000,
        ..Route53Settings::default()
    }
}

/// A connection to `sim` with made-up credentials in `region`, which gives a call `call_timeout`.
pub fn connection(sim: &Sim, region: Option<&str>, call_timeout: Duration) -> Connection {
    let connection = credentials(region, call_timeout, Some(sim.url()));
    Connection { metadata: Some(sim.url().to_owned()), ..connection }
}

/// `endpoint` is that of every service but Route 53, whose settings have their own.
fn credentials(region: Option<&str>, call_timeout: Duration, endpoint: Option<&str>) -> Connection {
    let credentials = Credentials::new("AKIDTEST", "not a secret", None, None, "test");
    let mut sdk = SdkConfig::builder()
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(region.map(|region| Region::new(region.to_owned())));
    sdk.set_endpoint_url(endpoint.map(str::to_owned));
    Connection { sdk: Some(sdk.build()), call_timeout, ..Connection::default() }
}

/// Long enough for any call that is answered at all.
pub const PATIENT: Duration = Duration::from_secs(60);

/// A source with `settings` at `sim`.
pub fn source_with(sim: &Sim, settings: Route53Settings) -> Route53Source {
    let connection = connection(sim, Some("eu-west-1"), PATIENT);
    Route53Source::with_connection(
        settings,
        Arc::new(Asked::default()),
        SourceMetrics::register("test"),
        connection,
    )
}

/// A source with `settings` at a server that is no simulator.
pub fn source_at(endpoint: &str, settings: Route53Settings) -> Route53Source {
    let settings = Route53Settings { endpoint: Some(endpoint.into()), ..settings };
    let connection = credentials(Some("eu-west-1"), PATIENT, None);
    Route53Source::with_connection(
        settings,
        Arc::new(Asked::default()),
        SourceMetrics::register("moto"),
        connection,
    )
}

/// A source with `settings` at `sim` whose calls are counted by `metrics`.
pub fn counted_source(sim: &Sim, settings: Route53Settings, metrics: SourceMetrics) -> Route53Source {
    let connection = connection(sim, Some("eu-west-1"), PATIENT);
    Route53Source::with_connection(settings, Arc::new(Asked::default()), metrics, connection)
}

/// A source of the zones of the test VPC.
pub fn source(sim: &Sim) -> Route53Source {
    source_with(sim, settings(sim.url()))
}

/// The found zone of that name.
pub fn named<'a>(found: &'a [FoundZone], apex: &str) -> &'a FoundZone {
    let apex = apex.parse().unwrap();
    found.iter().find(|zone| zone.apex == apex).unwrap_or_else(|| panic!("{apex} is not in {found:?}"))
}

/// Finds `apex` and forgets the calls that took.
pub async fn find(sim: &Sim, source: &Route53Source, apex: &str) -> FoundZone {
    let zone = named(&source.discover().await.unwrap(), apex).clone();
    sim.forget_calls().await;
    zone
}

/// Fetches from the start.
pub async fn fetch(source: &Route53Source, zone: &FoundZone) -> Result<Fetched, SourceError> {
    source.fetch(zone, &mut Progress::default()).await
}

/// How many sets have this owner.
pub fn sets_of(data: &ZoneData, owner: &str) -> usize {
    let owner = owner.parse().unwrap();
    data.sets.iter().filter(|set| set.owner == owner).count()
}

/// The field `key` of each call, absent ones empty.
pub fn column(calls: &[serde_json::Value], key: &str) -> Vec<String> {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    };
    calls.iter().map(|call| text(&call[key])).collect()
}
