//! The cache's metrics.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

/// Responses in the cache, expired ones that wait for eviction included.
pub const CACHE_ENTRIES: &str = "zonelet_cache_entries";
/// Memory of the responses in the cache, keys and bookkeeping included.
pub const CACHE_BYTES: &str = "zonelet_cache_bytes";
/// Responses put into the cache.
pub const CACHE_INSERTS: &str = "zonelet_cache_inserts_total";
/// Responses dropped to make room.
pub const CACHE_EVICTIONS: &str = "zonelet_cache_evictions_total";
/// Failures remembered (RFC 9520).
pub const CACHE_FAILURES: &str = "zonelet_cache_failures_total";

/// What the cache counts with.
#[derive(Clone, Debug)]
pub struct CacheMetrics {
    /// [`CACHE_ENTRIES`].
    pub entries: Gauge,
    /// [`CACHE_BYTES`].
    pub bytes: Gauge,
    /// [`CACHE_INSERTS`].
    pub inserts: Counter,
    /// [`CACHE_EVICTIONS`].
    pub evictions: Counter,
    /// [`CACHE_FAILURES`].
    pub failures: Counter,
}

impl CacheMetrics {
    /// Registers with the installed recorder; without one nothing is counted.
    pub fn register() -> Self {
        describe_gauge!(CACHE_ENTRIES, Unit::Count, "Responses in the cache, expired ones included.");
        describe_gauge!(CACHE_BYTES, Unit::Bytes, "Memory of the responses in the cache, keys included.");
        describe_counter!(CACHE_INSERTS, Unit::Count, "Responses put into the cache.");
        describe_counter!(CACHE_EVICTIONS, Unit::Count, "Responses dropped to make room.");
        describe_counter!(CACHE_FAILURES, Unit::Count, "Failures remembered for a while.");
        Self {
            entries: gauge!(CACHE_ENTRIES),
            bytes: gauge!(CACHE_BYTES),
            inserts: counter!(CACHE_INSERTS),
            evictions: counter!(CACHE_EVICTIONS),
            failures: counter!(CACHE_FAILURES),
        }
    }
}
