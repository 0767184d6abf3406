//! How much spare work the upstreams of a name can bear.

use super::Forwarder;
use super::choice::Order;
use crate::clock::Moment;
use crate::wire::NameRef;

/// How much work that nobody waits for, such as a prefetch, the upstreams of a name can bear now.
///
/// It is the least of three: the breaker (none while the upstream that would be asked is open), the
/// packet budget (all up to a half of it, none from nine tenths on), and its latency (all up to one
/// and a half times the usual, none from three times on). Who has spare work does it with that
/// probability, or scales his own rate by it; at [`Ease::NONE`] he does none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ease(u32);

impl Ease {
    /// Nothing but what clients ask for.
    pub const NONE: Self = Self(0);
    /// Everything is as usual.
    pub const FULL: Self = Self(100);

    /// In percent, 0 to 100.
    pub fn percent(self) -> u32 {
        self.0
    }

    /// Whether nothing should be done that a client does not wait for.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl Forwarder {
    /// How much spare work the upstreams of `qname` can bear: what the one bears that is asked first,
    /// the best of them where they are equals. [`Ease::NONE`] where none is in order.
    ///
    /// Cost: one look at the routes, a few loads for each upstream; no lock, no allocation.
    pub fn ease(&self, qname: NameRef<'_>, now: Moment) -> Ease {
        let Some(route) = self.route(qname) else { return Ease::NONE };
        let mut closed = route.upstreams.iter().filter(|u| u.breaker.is_closed());
        let first = match route.order {
            Order::Sequential => closed.next(),
            Order::Fastest | Order::Random => closed.min_by_key(|u| u.pace.score(now)),
        };
        first.map_or(Ease::NONE, |upstream| Ease(upstream.ease(now)))
    }
}
