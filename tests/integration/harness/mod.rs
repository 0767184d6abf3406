//! What every integration test shares: temporary directories, scripted upstreams, a raw DNS client.

pub mod python;
pub mod r53sim;
pub mod source;
