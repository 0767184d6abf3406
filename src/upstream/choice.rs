//! Which of a domain's upstreams a question is put to first, and which after it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::UpstreamSpec;
use super::server::{Upstream, is_private};
use crate::clock::Moment;

/// One question in so many goes to an upstream that was not chosen for its speed, to notice that
/// it has become faster.
const EXPLORES: usize = 32;

/// `policy` of a forwarded domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// `Fastest` where all upstreams are equals, else `Sequential`: for those of the system's file, for
    /// private ones beside public ones, and for encrypted ones beside others.
    #[default]
    Auto,
    /// The faster of two drawn at random.
    Fastest,
    /// In the order of the configuration.
    Sequential,
    /// Any.
    Random,
}

/// How the upstreams of a domain are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Fastest,
    Sequential,
    Random,
}

impl Order {
    /// What a policy comes to for these upstreams.
    ///
    /// `Auto` takes the order of the configuration as a wish where the upstreams may know different
    /// names: those of the system's file, which stub resolvers ask in order, and private ones beside
    /// public ones. There a choice by speed would now and then ask a public resolver for a private
    /// name, and NXDOMAIN is an answer. Beside an encrypted one, one that is not is for bad times. Others
    /// are equals.
    pub(super) fn of(policy: Policy, specs: &[UpstreamSpec], addresses: &[SocketAddr]) -> Self {
        match policy {
            Policy::Fastest => Self::Fastest,
            Policy::Sequential => Self::Sequential,
            Policy::Random => Self::Random,
            Policy::Auto if specs.contains(&UpstreamSpec::System) => Self::Sequential,
            Policy::Auto => {
                let inside = |address: &&SocketAddr| {
                    let ip = address.ip().to_canonical();
                    ip.is_loopback() || is_private(ip)
                };
                let private = addresses.iter().filter(inside).count();
                let secure = specs.iter().filter(|spec| matches!(spec, UpstreamSpec::Secure(_))).count();
                let are_equal = [0, addresses.len()].contains(&private) && [0, specs.len()].contains(&secure);
                if are_equal { Self::Fastest } else { Self::Sequential }
            }
        }
    }

    /// As the configuration says it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Fastest => "fastest",
            Self::Sequential => "sequential",
            Self::Random => "random",
        }
    }

    /// The upstream to ask first, out of those whose breaker is closed; `None`: all are open.
    /// `draw(n)` gives a number below `n`. Cost: no allocation, a draw or two.
    pub(super) fn first(
        self,
        upstreams: &[Arc<Upstream>],
        now: Moment,
        draw: &mut impl FnMut(usize) -> usize,
    ) -> Option<usize> {
        let closed = || upstreams.iter().enumerate().filter(|(_, u)| u.breaker.is_closed());
        let nth = |n: usize| closed().nth(n).map(|(index, _)| index);
        let count = match self {
            Self::Sequential => 1,
            Self::Fastest | Self::Random => closed().count(),
        };
        if count < 2 {
            return nth(0);
        }
        if self == Self::Random || draw(EXPLORES) == 0 {
            return nth(draw(count));
        }
        let (one, other) = two_of(count, draw);
        let ((one, a), (other, b)) = (closed().nth(one)?, closed().nth(other)?);
        Some(if b.pace.score(now) < a.pace.score(now) { other } else { one })
    }

    /// All of `upstreams`, in the order they are asked.
    pub(super) fn sort<'a>(
        self,
        upstreams: &'a [Arc<Upstream>],
        now: Moment,
        draw: &mut impl FnMut(usize) -> usize,
    ) -> Vec<&'a Arc<Upstream>> {
        let mut sorted: Vec<_> = upstreams.iter().collect();
        match self {
            Self::Sequential => {}
            Self::Random => (1..sorted.len()).for_each(|i| sorted.swap(i, draw(i + 1))),
            Self::Fastest => {
                let first = self.first(upstreams, now, draw).and_then(|index| upstreams.get(index));
                let is_first = |u: &Arc<Upstream>| first.is_some_and(|first| Arc::ptr_eq(u, first));
                sorted.sort_by_key(|u| (!is_first(u), u.pace.score(now)));
            }
        }
        sorted
    }
}

/// Two different numbers below `count`, the lesser first, so that between equals the order of the
/// configuration decides.
fn two_of(count: usize, draw: &mut impl FnMut(usize) -> usize) -> (usize, usize) {
    if count == 2 {
        return (0, 1);
    }
    let one = draw(count);
    let other = (one + 1 + draw(count - 1)) % count;
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::super::breaker::Weight;
    use super::super::server::tests::upstream;
    use super::*;
    use crate::upstream::settings::{Place, Protocol, Secure};

    /// Upstreams that answer within so many milliseconds.
    fn upstreams(millis: &[u64]) -> Vec<Arc<Upstream>> {
        let pace = |(index, &millis): (usize, &u64)| {
            let upstream = upstream(&format!("10.0.0.{index}:53"), false);
            upstream.pace.sample(Duration::from_millis(millis), Moment::default());
            upstream
        };
        millis.iter().enumerate().map(pace).collect()
    }

    fn kill(upstream: &Upstream) {
        for _ in 0..3 {
            upstream.breaker.note_failure(Weight::Silence(upstream.breaker.mark()), Moment::default());
        }
    }

    /// How often each is first in 10 000 questions.
    fn shares(order: Order, upstreams: &[Arc<Upstream>]) -> Vec<u32> {
        let mut random = SmallRng::seed_from_u64(7);
        let mut counts = vec![0; upstreams.len()];
        for _ in 0..10_000 {
            let first = order.first(upstreams, Moment::default(), &mut |n| random.random_range(0..n));
            counts[first.unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn the_faster_of_two_gets_all_but_what_explores() {
        let shares = shares(Order::Fastest, &upstreams(&[20, 5]));
        assert!((9_750..9_950).contains(&shares[1]), "{shares:?}");
    }

    #[test]
    fn two_choices_favour_the_fast_and_never_need_the_slowest() {
        let shares = shares(Order::Fastest, &upstreams(&[40, 10, 20, 30]));
        // Of all pairs of four the fastest is in one half, the next wins a third, then a sixth.
        for (share, expected) in shares.iter().zip([80, 4_920, 3_310, 1_690]) {
            assert!(share.abs_diff(expected) < 200, "{shares:?}");
        }
    }

    #[test]
    fn random_is_even_and_sequential_is_not() {
        let four = upstreams(&[40, 10, 20, 30]);
        assert!(shares(Order::Random, &four).iter().all(|s| s.abs_diff(2_500) < 200));
        assert_eq!(shares(Order::Sequential, &four), [10_000, 0, 0, 0]);
    }

    #[test]
    fn who_is_open_is_never_chosen() {
        let four = upstreams(&[40, 10, 20, 30]);
        kill(&four[0]);
        kill(&four[1]);
        for order in [Order::Fastest, Order::Random, Order::Sequential] {
            assert_eq!(shares(order, &four)[..2], [0, 0], "{order:?}");
        }
        four.iter().skip(2).for_each(|u| kill(u));
        assert_eq!(Order::Fastest.first(&four, Moment::default(), &mut |_| 0), None);
    }

    #[test]
    fn the_others_follow_in_the_order_of_their_speed() {
        let four = upstreams(&[40, 10, 20, 30]);
        let mut draws = [1, 0, 0].into_iter();
        let sorted = Order::Fastest.sort(&four, Moment::default(), &mut |_| draws.next().unwrap());
        let names: Vec<_> = sorted.iter().map(|u| u.to_string()).collect();
        assert_eq!(names, ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.0"]);
        let mut random = SmallRng::seed_from_u64(7);
        let mut firsts = [0; 4];
        for _ in 0..4000 {
            let sorted = Order::Random.sort(&four, Moment::default(), &mut |n| random.random_range(0..n));
            firsts[four.iter().position(|u| Arc::ptr_eq(u, sorted[0])).unwrap()] += 1;
        }
        assert!(firsts.iter().all(|n: &i32| (800..1200).contains(n)), "{firsts:?}");
    }

    #[test]
    fn auto_keeps_the_order_where_upstreams_may_know_different_names() {
        let order = |addresses: &[&str], system: bool| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
            let mut specs: Vec<_> = addresses.iter().map(|&a| UpstreamSpec::Plain(a)).collect();
            specs.extend(system.then_some(UpstreamSpec::System));
            Order::of(Policy::Auto, &specs, &addresses)
        };
        assert_eq!(order(&["10.0.0.2:53", "10.0.0.3:53"], false), Order::Fastest);
        assert_eq!(order(&["1.1.1.1:53", "8.8.8.8:53"], false), Order::Fastest);
        assert_eq!(order(&["10.0.0.2:53", "8.8.8.8:53"], false), Order::Sequential);
        assert_eq!(order(&["10.0.0.2:53", "10.0.0.3:53"], true), Order::Sequential);
        let secure = UpstreamSpec::Secure(Arc::new(Secure {
            protocol: Protocol::Tls,
            place: Place::Address("8.8.4.4:853".parse().unwrap()),
            server_name: "8.8.4.4".into(),
            path: "/".into(),
            ca: None,
        }));
        let mixed = [secure.clone(), UpstreamSpec::Plain("8.8.8.8:53".parse().unwrap())];
        let addresses: Vec<SocketAddr> = ["8.8.4.4:853", "8.8.8.8:53"].map(|a| a.parse().unwrap()).into();
        assert_eq!(Order::of(Policy::Auto, &mixed, &addresses), Order::Sequential);
        assert_eq!(Order::of(Policy::Auto, &[secure.clone(), secure], &addresses), Order::Fastest);
        assert_eq!(Order::of(Policy::Random, &[UpstreamSpec::System], &[]), Order::Random);
    }
}
