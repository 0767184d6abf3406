//! The connection to AWS, made when it is first needed.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_route53::Client;
use aws_sdk_route53::config::StalledStreamProtectionConfig;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use tracing::info;

use crate::source::settings::Route53Settings;
use crate::source::{HostResolver, SourceError};

use super::accounts::{self, Account};
use super::http;
use super::partition::Partition;
use super::reply::WholeReplies;

/// What a source uses in place of what it would find in its environment.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Credentials, region and endpoint; `None` for the SDK's default chain (environment, profile,
    /// web identity, container, instance metadata).
    pub sdk: Option<SdkConfig>,
    /// Where instance metadata is asked; `None` for where it always is.
    pub metadata: Option<String>,
    /// The longest a connection may take to open.
    pub connect_timeout: Duration,
    /// The longest a call may take, connection included.
    pub call_timeout: Duration,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            sdk: None,
            metadata: None,
            connect_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(20),
        }
    }
}

impl Connection {
    /// The time-outs of a client.
    pub(super) fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect_timeout)
            .operation_attempt_timeout(self.call_timeout)
            .operation_timeout(self.call_timeout)
            .build()
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Session {
    /// Calls of the API: one attempt each, the schedule above decides about the next.
    pub client: Client,
    /// Credentials and time-outs, for clients of other services.
    pub sdk: SdkConfig,
    /// For the other HTTP services: instance metadata.
    pub http: SharedHttpClient,
    /// Where in AWS we are.
    pub partition: Partition,
    /// The region found in the environment.
    pub region: Option<String>,
    /// Who zones are asked of: the account of the credentials found, then that of each role.
    pub accounts: Vec<Account>,
    /// Roles and identities. STS has an endpoint in each region.
    pub sts: aws_sdk_sts::Client,
}

impl Session {
    /// The number of the account that zones of `owner` are read through: that of the credentials
    /// found, where no role belongs to `owner`.
    pub fn account_of(&self, owner: &str) -> usize {
        self.accounts.iter().position(|account| account.id() == Some(owner)).unwrap_or_default()
    }

    /// Calls of the API through account `at`.
    pub fn client_of(&self, at: usize) -> &Client {
        self.accounts.get(at).map_or(&self.client, |account| &account.client)
    }

    /// Finds credentials and region and sets the client up. No call of the API is made, but finding
    /// the region may ask instance metadata, which takes some seconds where there is none.
    ///
    /// # Errors
    /// [`SourceError::Misconfigured`] for a partition that is not known or a bad CA bundle.
    pub async fn open(
        settings: &Route53Settings,
        connection: &Connection,
        resolver: Arc<dyn HostResolver>,
    ) -> Result<Self, SourceError> {
        let named = settings.partition.as_deref().map(|name| {
            let unknown = || SourceError::Misconfigured(format!("partition: {name:?} is not known"));
            Partition::from_name(name).ok_or_else(unknown)
        });
        let named = named.transpose()?;
        let http = http::client(resolver, ca_bundle().await?)?;
        let loader = || {
            aws_config::defaults(BehaviorVersion::latest())
                .http_client(http.clone())
                .timeout_config(connection.timeouts())
        };
        let found = match connection.sdk.clone() {
            Some(sdk) => sdk,
            None => loader().load().await,
        };
        let region = found.region().map(|region| region.as_ref().to_owned());
        let partition = named.unwrap_or_else(|| {
            let region = settings.region.as_ref().or(region.as_ref());
            region.map_or(Partition::Commercial, |region| Partition::of_region(region))
        });
        let sdk = with_region(found, connection, partition, loader).await;
        info!(signing_region = partition.signing_region(), "route 53 connection set up");
        // What makes a client of any service behave as ours do.
        let sdk = sdk
            .into_builder()
            .http_client(http.clone())
            .retry_config(RetryConfig::disabled())
            .timeout_config(connection.timeouts())
            .behavior_version(BehaviorVersion::latest())
            // The time-out of the call covers a stalled reply, and says so.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        let client = client(&sdk, settings, partition);
        let region_of_sts = region.as_ref().or(settings.region.as_ref());
        let region_of_sts = region_of_sts.map_or(partition.signing_region(), String::as_str).to_owned();
        let sts = aws_sdk_sts::config::Builder::from(&sdk).region(Region::new(region_of_sts)).build();
        let sts = aws_sdk_sts::Client::from_conf(sts);
        let mut accounts = vec![Account { role: None, client: client.clone(), sdk: sdk.clone() }];
        for role in &settings.roles {
            let sdk = accounts::with_role(&sdk, &sts, role);
            let client = self::client(&sdk, settings, partition);
            accounts.push(Account { role: Some(role.clone()), client, sdk });
        }
        Ok(Self { client, sdk, http, partition, region, accounts, sts })
    }
}

/// Makes sure that there is a region for STS: without one, web identity has no endpoint.
async fn with_region(
    found: SdkConfig,
    connection: &Connection,
    partition: Partition,
    loader: impl Fn() -> ConfigLoader,
) -> SdkConfig {
    if found.region().is_some() || connection.sdk.is_some() {
        return found;
    }
    loader().region(Region::new(partition.signing_region())).load().await
}

/// The signing region is set on this client alone, so that an endpoint of one's own keeps it.
fn client(sdk: &SdkConfig, settings: &Route53Settings, partition: Partition) -> Client {
    let mut config = aws_sdk_route53::config::Builder::from(sdk)
        .region(Region::new(partition.signing_region()))
        .interceptor(WholeReplies);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// The certificates of `AWS_CA_BUNDLE`, which the SDK does not read by itself.
async fn ca_bundle() -> Result<Option<Vec<u8>>, SourceError> {
    let Some(path) = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let bundle = tokio::fs::read(&path).await;
    bundle.map(Some).map_err(|error| {
        SourceError::Misconfigured(format!("AWS_CA_BUNDLE: {} cannot be read: {error}", path.display()))
    })
}
