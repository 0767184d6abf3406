//! One forwarded domain: whom its names are put to, and for how long.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::head::Head;
use super::server::{Identity, Transport, Upstream};
use super::{Settings, UpstreamSpec, system};
use crate::clock::Moment;
use crate::wire::Name;

/// One forwarded domain, with what every question needs of the settings.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) domain: Name,
    pub(super) upstreams: Vec<Arc<Upstream>>,
    pub(super) max_sends: u32,
    pub(super) timeout: Duration,
    pub(super) loop_hold: Duration,
}

impl Route {
    /// How long the first query is waited for alone: 15 % of the whole time.
    pub(super) fn first_patience(&self) -> Duration {
        self.timeout.mul_f64(0.15)
    }

    /// What one exchange can be told at most: three events a query.
    pub(super) fn max_events(&self) -> usize {
        3 * self.max_sends.max(1) as usize
    }

    /// The upstream that a question may be put to with nothing else to think of: not set back, not
    /// under suspicion of a loop, and asked over UDP. None of those before it is under suspicion.
    pub(super) fn first_usual(&self, now: Moment) -> Option<usize> {
        let (index, upstream) = self.upstreams.iter().enumerate().find(|(_, u)| !u.is_set_back(now))?;
        let quiet = self.upstreams.iter().take(index + 1).all(|u| u.isolation.is_quiet(now));
        (quiet && upstream.identity.transport.is_udp() && self.max_sends > 0).then_some(index)
    }
}

/// What is known of a question before it is asked.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The client has the address of an upstream for the name.
    pub from_upstream: bool,
    /// How a lane may ask it; `None` where that takes an exchange.
    pub head: Option<Head>,
}

/// Whether any domain goes to the system's name servers.
pub(super) fn uses_system(settings: &Settings) -> bool {
    settings.domains.iter().any(|d| d.upstreams.contains(&UpstreamSpec::System))
}

/// The upstreams of one domain, `system` replaced by what it stands for and ourselves left out.
pub(super) fn identities(
    settings: &Settings,
    specs: &[UpstreamSpec],
    system: &[SocketAddr],
) -> Vec<Identity> {
    let mut found = Vec::new();
    for spec in specs {
        match spec {
            UpstreamSpec::System => found.extend(system.iter().map(|&address| (address, Transport::Udp))),
            UpstreamSpec::Plain(address) => found.push((*address, Transport::Udp)),
            UpstreamSpec::Tcp(address) => found.push((*address, Transport::Tcp)),
            UpstreamSpec::Secure(secure) => {
                found.push((secure.address(), Transport::Secure(Arc::clone(secure))));
            }
        }
    }
    found.retain(|&(address, _)| {
        // One that goes by a host name has no address yet.
        let own = !address.ip().is_unspecified() && system::is_own(&settings.own, address);
        if own {
            tracing::warn!(upstream = %address, "left out: zonelet itself listens there");
        }
        !own
    });
    let (sockets, lifetime) = (settings.sockets, settings.socket_lifetime);
    let identity = |(address, transport)| Identity { address, transport, sockets, lifetime };
    found.into_iter().map(identity).collect()
}
