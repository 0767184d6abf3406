//! Forwarding through real sockets: what leaves, what is believed, what is kept.

mod caching;
mod exchange;
mod joining;
mod system;
#[cfg(feature = "tls")]
mod transports;
mod workers;
