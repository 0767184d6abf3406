//! What the SDK's errors mean to whoever asked.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use aws_sdk_route53::config::http::HttpResponse;
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};

use crate::metrics::source::{ApiCall, CallResult, SourceMetrics};
use crate::source::SourceError;

use super::reply::ReplyFault;
use super::role::RoleRefused;

/// The longest wait a reply can ask for.
const MAX_RETRY_AFTER: u64 = 3600;

/// What the API said, in its own words.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code} (HTTP {status}): {message}")]
pub struct ApiFault {
    code: String,
    status: u16,
    message: String,
}

/// Makes one call, counts it, and sorts its error. Minding a budget is the caller's part.
///
/// # Errors
/// As [`classify`] sorts them.
pub async fn counted<T, E>(
    metrics: &SourceMetrics,
    call: ApiCall,
    what: &str,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<T, SourceError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let outcome = request.await.map_err(|error| classify(what.to_owned(), error));
    metrics.call(call, result(&outcome));
    outcome
}

/// Sorts an SDK error by what is to be done about it. `what` names the call, zone included.
pub fn classify<E>(what: String, error: SdkError<E, HttpResponse>) -> SourceError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    if let Some(fault) = find::<ReplyFault>(&error) {
        return SourceError::Damaged { what, problem: fault.to_string() };
    }
    // The credentials are the matter, not the call.
    if let Some(refused) = find::<RoleRefused>(&error) {
        return SourceError::Denied { what, source: refused.clone().into() };
    }
    let response = error.raw_response();
    let status = response.map_or(0, |r| r.status().as_u16());
    let retry_after = response.and_then(retry_after);
    let Some(service) = error.as_service_error() else {
        return SourceError::Failed { what, source: error.into() };
    };
    let code = service.code().unwrap_or_default();
    match kind(code, status, retry_after.is_some()) {
        CallResult::Throttled => {
            SourceError::Throttled { what, retry_after: retry_after.unwrap_or_default() }
        }
        CallResult::Gone => SourceError::Gone { what },
        kind => {
            let message = service.message().unwrap_or_default().to_owned();
            let source = ApiFault { code: code.to_owned(), status, message }.into();
            match kind {
                CallResult::Denied => SourceError::Denied { what, source },
                _ => SourceError::Failed { what, source },
            }
        }
    }
}

/// Route 53 throttles with HTTP 400, so the code decides before the status does.
fn kind(code: &str, status: u16, says_when: bool) -> CallResult {
    match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "PriorRequestNotComplete" => CallResult::Throttled,
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => CallResult::Denied,
        "KmsAccessDenied" | "KMS.AccessDeniedException" => CallResult::Denied,
        "NoSuchHostedZone" | "NoSuchHealthCheck" => CallResult::Gone,
        "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue" => CallResult::Gone,
        _ if status == 429 || (status == 503 && says_when) => CallResult::Throttled,
        _ => CallResult::Failed,
    }
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3); its other form, a date, is not used here.
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let seconds: u64 = response.headers().get("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(MAX_RETRY_AFTER)))
}

/// Whether a refused role is what stands behind `error`.
pub fn is_role_refused(error: &SourceError) -> bool {
    find::<RoleRefused>(error).is_some()
}

/// The first error of type `T` in the chain of causes.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |&e| e.source()).find_map(|e| e.downcast_ref())
}

/// The metric label of what came of a call.
pub fn result<T>(outcome: &Result<T, SourceError>) -> CallResult {
    outcome.as_ref().map_or_else(kind_of, |_| CallResult::Ok)
}

/// The metric label of an error.
pub fn kind_of(error: &SourceError) -> CallResult {
    match error {
        SourceError::Throttled { .. } => CallResult::Throttled,
        SourceError::Denied { .. } => CallResult::Denied,
        SourceError::Gone { .. } => CallResult::Gone,
        SourceError::Damaged { .. } => CallResult::Damaged,
        SourceError::Failed { .. } | SourceError::Misconfigured(_) => CallResult::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_told_by_its_code_whatever_the_status() {
        assert_eq!(kind("Throttling", 400, false), CallResult::Throttled);
        assert_eq!(kind("PriorRequestNotComplete", 400, false), CallResult::Throttled);
        assert_eq!(kind("", 429, false), CallResult::Throttled);
        assert_eq!(kind("ServiceUnavailable", 503, true), CallResult::Throttled);
        assert_eq!(kind("ServiceUnavailable", 503, false), CallResult::Failed);
        assert_eq!(kind("InvalidInput", 400, false), CallResult::Failed);
    }

    #[test]
    fn a_missing_permission_is_not_a_missing_signature() {
        assert_eq!(kind("AccessDenied", 403, false), CallResult::Denied);
        assert_eq!(kind("ExpiredToken", 403, false), CallResult::Failed);
        assert_eq!(kind("NoSuchHostedZone", 404, false), CallResult::Gone);
    }
}
