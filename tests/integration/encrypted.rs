//! DNS over TLS, HTTPS and QUIC: the same answers as over TCP, bounds, drain, certificates, real clients.

mod battery;
mod certificate;
mod dropped;
mod https;
mod keepalive;
#[cfg(feature = "doq")]
mod quic;
mod real;
mod tls;
mod together;

use zonelet::server::Settings;

use crate::harness::encrypted::Authority;
use crate::harness::responder::{Served, serve, settings};

/// A server for everything, with other settings.
fn served(authority: &Authority, change: impl FnOnce(&mut Settings)) -> Served {
    let mut settings = settings();
    authority.add_to(&mut settings);
    change(&mut settings);
    serve(settings)
}
