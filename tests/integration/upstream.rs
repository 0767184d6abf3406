//! Forwarding through real sockets: what leaves, what is believed, what is kept.

mod breaker;
mod budget;
mod caching;
mod exchange;
mod joining;
mod late;
mod remembered;
mod system;
mod workers;
