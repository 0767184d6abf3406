//! The accounts whose zones are imported: that of the credentials found, and that of each role.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_route53::Client;

use crate::source::settings::Role;

use super::role::RoleProvider;

/// Credentials of a role are fetched anew this long before they expire.
const AHEAD: Duration = Duration::from_secs(120);

/// One account and the connection to it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The role through which it is reached; `None` for the credentials that were found.
    pub role: Option<Role>,
    /// Calls of the API.
    pub client: Client,
    /// Its credentials, for clients of other services.
    pub sdk: SdkConfig,
}

impl Account {
    /// The account's id, where it is known without asking.
    pub fn id(&self) -> Option<&str> {
        self.role.as_ref().map(Role::account)
    }

    /// How the account is called in logs.
    pub fn name(&self) -> String {
        match &self.role {
            Some(role) => format!("account {} through role {}", role.account(), role.arn),
            None => "the account of the credentials found".to_owned(),
        }
    }
}

/// `sdk` with the credentials of `role`, which are fetched when they are first needed.
pub fn with_role(sdk: &SdkConfig, sts: &aws_sdk_sts::Client, role: &Role) -> SdkConfig {
    let provider = SharedCredentialsProvider::new(RoleProvider::new(role.clone(), sts.clone()));
    // Its own cache: that of the base credentials holds them for the calls of STS.
    let cache = IdentityCache::lazy().buffer_time(AHEAD).build();
    sdk.to_builder().credentials_provider(provider).identity_cache(cache).build()
}
