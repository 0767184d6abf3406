//! Which VPC we are in, from instance metadata (IMDSv2).

use std::time::Duration;

use aws_config::Region;
use aws_config::imds;
use aws_config::provider_config::ProviderConfig;

use crate::source::SourceError;
use crate::source::settings::{Route53Settings, VpcSelector};

use super::session::{Connection, Session};

/// A VPC and the region it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpc {
    /// `vpc-…`.
    pub id: String,
    /// Its region.
    pub region: String,
}

/// The services that know what belongs to a VPC; both are its Region's.
#[derive(Debug)]
pub struct Regional {
    /// Route 53 Profiles.
    pub profiles: aws_sdk_route53profiles::Client,
    /// Route 53 Resolver.
    pub resolver: aws_sdk_route53resolver::Client,
}

impl Regional {
    /// Clients for the Region of `vpc`, with the credentials found.
    pub fn new(session: &Session, vpc: &Vpc) -> Self {
        let region = Region::new(vpc.region.clone());
        let sdk = session.sdk.to_builder().region(region).build();
        Self {
            profiles: aws_sdk_route53profiles::Client::new(&sdk),
            resolver: aws_sdk_route53resolver::Client::new(&sdk),
        }
    }
}

/// Finds the VPC that `selector` means.
///
/// # Errors
/// [`SourceError::Misconfigured`], naming the key, where it cannot be told. Guessing would be worse:
/// the zones of the whole account are not those of the VPC.
pub async fn find(
    selector: &VpcSelector,
    settings: &Route53Settings,
    connection: &Connection,
    session: &Session,
) -> Result<Vpc, SourceError> {
    match selector {
        VpcSelector::Auto => from_metadata(settings, connection, session).await,
        VpcSelector::Id(id) => {
            let region = settings.region.clone().or_else(|| session.region.clone());
            let region = region.ok_or_else(|| {
                SourceError::Misconfigured(format!(
                    "region: the region of {id} is needed, and neither this key nor AWS_REGION says it"
                ))
            })?;
            Ok(Vpc { id: id.clone(), region })
        }
    }
}

async fn from_metadata(
    settings: &Route53Settings,
    connection: &Connection,
    session: &Session,
) -> Result<Vpc, SourceError> {
    let disabled = std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|v| v.eq_ignore_ascii_case("true"));
    if disabled {
        return Err(unknown("AWS_EC2_METADATA_DISABLED is set"));
    }
    let provider = ProviderConfig::without_region().with_http_client(session.http.clone());
    let mut builder = imds::Client::builder()
        .configure(&provider)
        .max_attempts(2)
        .connect_timeout(Duration::from_secs(1))
        .read_timeout(Duration::from_secs(2));
    if let Some(endpoint) = &connection.metadata {
        builder = builder.endpoint(endpoint).map_err(|error| unknown(&error.to_string()))?;
    }
    let client = builder.build();
    let get = async |path: &str| match client.get(path).await {
        Ok(text) if !text.as_ref().trim().is_empty() => Ok(text.as_ref().trim().to_owned()),
        Ok(_) => Err(unknown(&format!("{path} is empty"))),
        Err(error) => Err(unknown(&error.to_string())),
    };
    let mac = get("/latest/meta-data/mac").await?;
    let id = get(&format!("/latest/meta-data/network/interfaces/macs/{mac}/vpc-id")).await?;
    let region = match &settings.region {
        Some(region) => region.clone(),
        None => get("/latest/meta-data/placement/region").await?,
    };
    Ok(Vpc { id, region })
}

fn unknown(problem: &str) -> SourceError {
    SourceError::Misconfigured(format!(
        "zones.vpc: \"auto\" asks instance metadata, which does not answer here ({problem}); \
         name the VPC, or select zones by ids or names"
    ))
}
