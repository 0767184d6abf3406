//! zonelet: answers imported private zones from memory, forwards and caches the rest.
//!
//! The rooms and their floors are described in ARCHITECTURE.md; imports go down only.

pub mod admin;
pub mod answer;
pub mod app;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod import;
pub mod metrics;
pub mod server;
pub mod source;
pub mod sys;
pub mod upstream;
pub mod watch;
pub mod wire;
pub mod zone;
