//! What every integration test shares: temporary directories, scripted upstreams, a raw DNS client.

pub mod agent;
pub mod client;
pub mod dns;
#[cfg(feature = "tls")]
pub mod encrypted;
pub mod house;
#[cfg(feature = "route53")]
pub mod identity;
pub mod message;
#[cfg(feature = "route53")]
pub mod moto;
pub mod packages;
pub mod program;
#[cfg(feature = "route53")]
pub mod python;
#[cfg(feature = "route53")]
pub mod r53sim;
pub mod responder;
pub mod source;
#[cfg(feature = "tls")]
pub mod speaker;
pub mod time;
pub mod upstream;
#[cfg(feature = "route53")]
pub mod venv;
