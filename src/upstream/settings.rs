//! `[[forward]]` and the upstream part of `[limits]`, checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use super::secure::{Place, Protocol, Secure};
use super::{Packets, Policy};
use crate::wire::Name;

/// Where what is not answered here goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The longest domain that covers a name decides; without one the name gets SERVFAIL.
    pub domains: Vec<ForwardDomain>,
    /// UDP sends for one client question over all upstreams.
    pub max_sends: u32,
    /// A question is given up after this.
    pub timeout: Duration,
    /// And after this if nothing has come meanwhile from any upstream that it was put to.
    pub silence: Duration,
    /// Whether a late query is followed by a second one, within a twentieth of all.
    pub hedge: bool,
    /// Packets a second to each upstream.
    pub packets: Packets,
    /// Connected sockets for each upstream, each on a random port.
    pub sockets: usize,
    /// A socket is replaced after this.
    pub socket_lifetime: Duration,
    /// How long a looping (upstream, suffix) pair is left out before it is tried again.
    pub loop_hold: Duration,
    /// The system's resolver file, read for `system`.
    pub resolv_conf: PathBuf,
    /// systemd-resolved's own upstream file, read where `resolv_conf` names its stub.
    pub resolved_conf: PathBuf,
    /// Where the firmware tells who made this host; on EC2 the VPC's resolver is known by its address.
    pub vendor_file: PathBuf,
    /// Addresses zonelet listens on, never used as upstreams.
    pub own: Vec<SocketAddr>,
}

/// One forwarded domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardDomain {
    /// Names at or below it go to `upstreams`.
    pub domain: Name,
    /// In order of preference.
    pub upstreams: Vec<UpstreamSpec>,
    /// How one of them is chosen.
    pub policy: Policy,
}

impl ForwardDomain {
    /// A domain with these upstreams and everything else at its default.
    pub fn new(domain: Name, upstreams: Vec<UpstreamSpec>) -> Self {
        Self { domain, upstreams, policy: Policy::Auto }
    }
}

/// One entry of `upstreams`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamSpec {
    /// The name servers of the system's resolver file.
    System,
    /// UDP, with TCP for truncated answers.
    Plain(SocketAddr),
    /// TCP only (`tcp://`).
    Tcp(SocketAddr),
    /// Encrypted (`tls://`, `https://`, `quic://`).
    Secure(Arc<Secure>),
}

impl UpstreamSpec {
    /// Where it is, if the settings say so.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::System => None,
            Self::Plain(address) | Self::Tcp(address) => Some(*address),
            Self::Secure(secure) => match secure.place {
                Place::Address(address) => Some(address),
                Place::Host(..) => None,
            },
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domains: vec![ForwardDomain::new(Name::root(), vec![UpstreamSpec::System])],
            max_sends: 3,
            timeout: Duration::from_secs(4),
            // The time after which RFC 8767 has a client get stale data.
            silence: Duration::from_millis(1800),
            hedge: true,
            packets: Packets::Auto,
            sockets: 256,
            socket_lifetime: Duration::from_secs(60),
            loop_hold: Duration::from_secs(30),
            resolv_conf: "/etc/resolv.conf".into(),
            resolved_conf: "/run/systemd/resolve/resolv.conf".into(),
            vendor_file: "/sys/devices/virtual/dmi/id/sys_vendor".into(),
            own: Vec::new(),
        }
    }
}
