//! `[cache]`, checked.

use std::time::Duration;

/// Bounds of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Memory for cached responses, keys and bookkeeping included.
    pub max_bytes: u64,
    /// Upper bound on an upstream's TTL (RFC 8767 §4).
    pub max_ttl: Duration,
    /// Upper bound on the TTL of a negative answer (RFC 2308 §5).
    pub max_negative_ttl: Duration,
    /// How long a first failure is remembered; doubles with each further one (RFC 9520 §3.2).
    pub failure_ttl: Duration,
    /// Where the doubling ends.
    pub max_failure_ttl: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_ttl: Duration::from_secs(86_400),
            max_negative_ttl: Duration::from_secs(30),
            failure_ttl: Duration::from_secs(1),
            max_failure_ttl: Duration::from_secs(30),
        }
    }
}
