//! Roles in other accounts: their credentials, as the SDK's clients ask for them.

use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_sts::Client;
use aws_sdk_sts::error::ProvideErrorMetadata;
use aws_sdk_sts::operation::assume_role::AssumeRoleOutput;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

use crate::source::settings::Role;
use crate::source::{BoxError, SourceError};

use super::error;

/// A role that may not be assumed: needs an operator.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "role {role} cannot be assumed: {said}; its caller needs sts:AssumeRole on it, and its trust policy must \
     name that caller and, where it asks for one, the external id"
)]
pub struct RoleRefused {
    role: String,
    /// What STS said.
    said: String,
}

/// A role that was not assumed: STS asks for less, is away, or was not understood.
#[derive(Debug, thiserror::Error)]
#[error("role {role} was not assumed")]
struct RoleFailed {
    role: String,
    #[source]
    source: BoxError,
}

/// The credentials of a role, fetched anew each time: whoever asks caches them.
pub struct RoleProvider {
    role: Role,
    sts: Client,
}

impl fmt::Debug for RoleProvider {
    /// Without the client, whose settings are long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RoleProvider").field(&self.role).finish()
    }
}

impl RoleProvider {
    /// Assumes `role` through `sts`.
    pub fn new(role: Role, sts: Client) -> Self {
        Self { role, sts }
    }

    async fn assume(&self) -> provider::Result {
        let request = self
            .sts
            .assume_role()
            .role_arn(&self.role.arn)
            .role_session_name(&self.role.session_name)
            .set_external_id(self.role.external_id.clone());
        // What the SDK's finest log levels show of a request is for others to decide: of this one, nothing.
        let reply = request.send().with_subscriber(Dispatch::none()).await;
        let reply = reply.map_err(|error| {
            let said = error
                .as_service_error()
                .and_then(|e| e.message())
                .unwrap_or("no reason was given")
                .to_owned();
            match error::classify("its assumption".to_owned(), error) {
                SourceError::Denied { .. } => {
                    CredentialsError::provider_error(RoleRefused { role: self.role.arn.clone(), said })
                }
                failed => self.failed(failed.into()),
            }
        })?;
        self.credentials(reply).ok_or_else(|| self.failed("the reply holds no credentials".into()))
    }

    fn failed(&self, source: BoxError) -> CredentialsError {
        CredentialsError::provider_error(RoleFailed { role: self.role.arn.clone(), source })
    }

    fn credentials(&self, reply: AssumeRoleOutput) -> Option<Credentials> {
        let given = reply.credentials?;
        let expiry = SystemTime::try_from(given.expiration).ok()?;
        let credentials = Credentials::builder()
            .access_key_id(given.access_key_id)
            .secret_access_key(given.secret_access_key)
            .session_token(given.session_token)
            .expiry(expiry)
            .account_id(self.role.account())
            .provider_name("AssumeRole");
        Some(credentials.build())
    }
}

impl ProvideCredentials for RoleProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}
