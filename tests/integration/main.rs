//! One test binary over the library and the real program: one harness, one file for each subject.

mod admin;
mod admission;
mod answers;
mod config;
mod deploy;
#[cfg(feature = "tls")]
mod encrypted;
mod explain;
mod export;
mod harness;
mod import;
mod loops;
mod model;
mod oracle;
mod regressions;
mod route53;
mod server;
mod upstream;
mod watch;
mod whole;
