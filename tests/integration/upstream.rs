//! Forwarding through real sockets: what leaves, what is believed, what is kept.

mod breaker;
mod budget;
mod caching;
#[cfg(all(feature = "tls", feature = "peer-tests"))]
mod encrypted_peers;
#[cfg(feature = "tls")]
mod encrypted_program;
mod exchange;
#[cfg(feature = "tls")]
mod hickory_peer;
mod joining;
mod late;
mod outage;
mod remembered;
mod system;
#[cfg(feature = "tls")]
mod transports;
mod workers;
