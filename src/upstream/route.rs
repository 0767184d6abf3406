//! One forwarded domain: whom its names are put to, and for how long.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::choice::Order;
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
    pub(super) order: Order,
    pub(super) max_sends: u32,
    pub(super) timeout: Duration,
    /// How long a question may meet nothing but silence.
    pub(super) silence: Duration,
    /// Whether late queries are followed by second ones.
    pub(super) hedge: bool,
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

    /// The upstream that a question may be put to with nothing else to think of: in order, not
    /// under suspicion of a loop, and asked over UDP. `None` also where an upstream is due for the
    /// trial that this question may be.
    pub(super) fn first_usual(&self, now: Moment) -> Option<usize> {
        let is_due = |u: &Arc<Upstream>| u.breaker.is_due(false, now);
        if self.max_sends == 0 || self.upstreams.iter().any(is_due) {
            return None;
        }
        let index = self.order.first(&self.upstreams, now, &mut |n| rand::random_range(0..n))?;
        let upstream = self.upstreams.get(index)?;
        (upstream.is_over_udp() && upstream.isolation.is_quiet(now)).then_some(index)
    }

    /// When a query sent to `upstream` is late enough for a second one; `None`: never before the
    /// first patience is over.
    pub(super) fn hedges_after(&self, upstream: &Upstream) -> Option<Duration> {
        let worth = self.hedge && self.max_sends > 1 && upstream.hedges.is_affordable();
        worth.then(|| upstream.hedges_after()).filter(|after| *after < self.first_patience())
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
