//! How many packets a second an upstream may be sent, and whether there is room for spare work.
//!
//! A leaky bucket in one cell, as governor keeps it, but told the time by who sends: a lane has it
//! at hand, and tests drive it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::Moment;

/// Packets that a query over a new TCP connection takes, roughly: handshake, query, end.
pub(super) const TCP_PACKETS: u32 = 10;
/// The same over one that is open: the query, and what acknowledges the response.
pub(super) const REUSED_PACKETS: u32 = 2;
/// A query waits for so long at most before it is refused.
pub(super) const MAX_WAIT: Duration = Duration::from_millis(50);
/// Packets a second to the VPC's resolver: AWS drops what is above 1024 from one network interface,
/// which others on the host use as well.
const VPC_PACKETS: u32 = 900;
/// The use of a budget is measured over this time at least.
const MEASURED_OVER: u64 = 200;

/// `limits.upstream_packets`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packets {
    /// 900 a second to the VPC's resolver, and as many as there are to others.
    #[default]
    Auto,
    /// No limit.
    Unlimited,
    /// So many a second to each upstream.
    PerSecond(u32),
}

impl Packets {
    /// The limit for one upstream, 0 for none. `on_ec2`: as [`is_on_ec2`] says.
    pub(super) fn limit(self, upstream: SocketAddr, on_ec2: bool) -> u32 {
        match self {
            Self::Auto if is_vpc_resolver(upstream, on_ec2) => VPC_PACKETS,
            Self::Auto | Self::Unlimited => 0,
            Self::PerSecond(packets) => packets,
        }
    }
}

/// Whether an address is that of the VPC's resolver: its link-local ones anywhere, and on an EC2
/// instance a private one that ends in .2.
///
/// The resolver has the VPC's base address plus two, and AWS keeps the first addresses of every
/// subnet for itself, so hardly anything else of a VPC ends like that: kube-dns, an inbound
/// endpoint or a resolver on premises are private as well and have no such limit. The few VPCs
/// that begin inside of a /24 have to set the number.
fn is_vpc_resolver(upstream: SocketAddr, on_ec2: bool) -> bool {
    match upstream.ip().to_canonical() {
        IpAddr::V4(v4) if v4.octets() == [169, 254, 169, 253] => true,
        IpAddr::V4(v4) => on_ec2 && upstream.port() == 53 && v4.is_private() && v4.octets()[3] == 2,
        IpAddr::V6(v6) => v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253],
    }
}

/// Whether this host is an EC2 instance, as its firmware says in `vendor_file`.
pub(super) fn is_on_ec2(vendor_file: &Path) -> bool {
    std::fs::read(vendor_file).is_ok_and(|vendor| vendor.starts_with(b"Amazon EC2"))
}

/// When a query may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// At once.
    Now,
    /// Its packets are set aside for it from then on.
    In(Duration),
    /// Not at all: too many wait already.
    Never,
}

/// The packets to one upstream, of all lanes and exchanges together.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// A second; 0 for no limit.
    limit: AtomicU32,
    /// When all that was let through would have left at an even pace, in nanoseconds on the clock.
    even: AtomicU64,
    sent: AtomicU64,
    refused: AtomicU64,
    /// When the use was last measured, what had been sent by then, and what it was in percent.
    measured_at: AtomicU64,
    measured: AtomicU64,
    percent: AtomicU32,
}

impl Budget {
    /// Sets the packets a second, 0 for no limit.
    pub(super) fn set_limit(&self, packets: u32) {
        self.limit.store(packets, Relaxed);
    }

    /// Packets a second; `None` for no limit.
    pub(super) fn limit(&self) -> Option<u32> {
        Some(self.limit.load(Relaxed)).filter(|&limit| limit != 0)
    }

    /// Lets `packets` through if they may leave at once. Cost without a limit: an addition.
    pub(super) fn take(&self, packets: u32, now: Moment) -> bool {
        self.leave(packets, Duration::ZERO, now) == Leave::Now
    }

    /// When `packets` may leave, if within [`MAX_WAIT`]. Who comes too late for that is refused at
    /// once: how long it would wait is known, and those before it have their packets set aside.
    pub(super) fn reserve(&self, packets: u32, now: Moment) -> Leave {
        let leave = self.leave(packets, MAX_WAIT, now);
        if leave == Leave::Never {
            self.refused.fetch_add(1, Relaxed);
        }
        leave
    }

    fn leave(&self, packets: u32, patience: Duration, now: Moment) -> Leave {
        let limit = self.limit.load(Relaxed);
        let mut leave = Leave::Now;
        if limit != 0 {
            let each = 1_000_000_000 / u64::from(limit);
            let now = now.as_millis().saturating_mul(1_000_000);
            // A tenth of a second's packets, or one TCP query, may leave together.
            let burst = each.saturating_mul(u64::from((limit / 10).max(TCP_PACKETS)));
            let patience = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
            let admitted = self.even.fetch_update(Relaxed, Relaxed, |even| {
                let next = even.max(now).saturating_add(each.saturating_mul(packets.into()));
                let wait = next.saturating_sub(now.saturating_add(burst));
                leave = if wait == 0 { Leave::Now } else { Leave::In(Duration::from_nanos(wait)) };
                (wait <= patience).then_some(next)
            });
            if admitted.is_err() {
                return Leave::Never;
            }
        }
        self.sent.fetch_add(packets.into(), Relaxed);
        leave
    }

    /// Packets sent, and queries refused.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.sent.load(Relaxed), self.refused.load(Relaxed))
    }

    /// What part of the budget is used, in percent, over the time since it was last asked for.
    pub(super) fn used(&self, now: Moment) -> u32 {
        let Some(limit) = self.limit() else { return 0 };
        let (at, now) = (self.measured_at.load(Relaxed), now.as_millis());
        let span = now.saturating_sub(at);
        if span >= MEASURED_OVER && self.measured_at.compare_exchange(at, now, Relaxed, Relaxed).is_ok() {
            let sent = self.sent.load(Relaxed);
            let fresh = sent.saturating_sub(self.measured.swap(sent, Relaxed));
            let percent = fresh.saturating_mul(100_000) / span.saturating_mul(limit.into());
            self.percent.store(u32::try_from(percent).unwrap_or(u32::MAX), Relaxed);
        }
        self.percent.load(Relaxed)
    }

    /// How far the use is from the limit: 100 up to a half of it, 0 from nine tenths on.
    pub(super) fn ease(&self, now: Moment) -> u32 {
        (90_u32.saturating_sub(self.used(now)) * 100 / 40).min(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limit: u32) -> Budget {
        let budget = Budget::default();
        budget.set_limit(limit);
        budget
    }

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn no_second_sees_more_than_the_limit_and_its_burst() {
        let budget = budget(900);
        let mut left = Vec::new();
        for millis in 1000..6000 {
            left.extend((0..5).filter(|_| budget.take(1, at(millis))).map(|_| millis));
        }
        for start in (1000..5000).step_by(50) {
            let second = left.iter().filter(|&&millis| (start..start + 1000).contains(&millis)).count();
            assert!((890..=991).contains(&second), "{second} from {start}");
        }
    }

    #[test]
    fn who_is_early_enough_waits_for_his_turn_and_others_are_refused() {
        let budget = budget(1000);
        let mut told = Vec::new();
        for _ in 0..200 {
            told.push(budget.reserve(1, at(5000)));
        }
        let count = |leave: fn(&Leave) -> bool| told.iter().filter(|l| leave(l)).count();
        assert_eq!(count(|l| *l == Leave::Now), 100);
        assert_eq!(count(|l| matches!(l, Leave::In(_))), 50);
        assert_eq!((told[149], told[150]), (Leave::In(MAX_WAIT), Leave::Never));
        assert_eq!(budget.counts(), (150, 50));
        assert!(!budget.take(1, at(5049)) && budget.take(1, at(5051)), "after those who wait");
    }

    #[test]
    fn without_a_limit_everything_leaves_and_is_counted() {
        let budget = budget(0);
        assert!((0..10_000).all(|_| budget.take(1, at(0))));
        assert_eq!((budget.counts().0, budget.limit(), budget.ease(at(1000))), (10_000, None, 100));
    }

    #[test]
    fn a_tcp_query_costs_ten_packets_however_small_the_budget() {
        let budget = budget(20);
        assert!(budget.take(TCP_PACKETS, at(1000)));
        assert!(!budget.take(1, at(1000)));
        assert!(budget.take(1, at(1050)));
    }

    #[test]
    fn ease_ends_before_the_budget_does() {
        let budget = budget(1000);
        let mut eases = Vec::new();
        for (second, packets) in [400, 700, 900].into_iter().enumerate() {
            let start = 1000 * (second as u64 + 1);
            budget.used(at(start));
            (0..packets).for_each(|i| assert!(budget.take(1, at(start + i * 1000 / packets))));
            eases.push(budget.ease(at(start + 1000)));
        }
        assert_eq!(eases, [100, 50, 0]);
    }

    #[test]
    fn the_resolver_of_the_vpc_is_told_from_other_private_ones() {
        for (address, on_ec2, limit) in [
            ("169.254.169.253:53", false, 900),
            ("[fd00:ec2::253]:53", false, 900),
            ("10.0.0.2:53", true, 900),
            ("172.31.0.2:53", true, 900),
            ("10.0.0.2:53", false, 0),
            ("10.0.0.2:5353", true, 0),
            ("10.100.0.10:53", true, 0),
            ("172.20.0.10:53", true, 0),
            ("169.254.20.10:53", true, 0),
            ("8.8.8.2:53", true, 0),
        ] {
            assert_eq!(Packets::Auto.limit(address.parse().unwrap(), on_ec2), limit, "{address}");
        }
        let other = "192.0.2.1:53".parse().unwrap();
        assert_eq!(Packets::PerSecond(50).limit(other, false), 50);
        assert_eq!(Packets::Unlimited.limit("169.254.169.253:53".parse().unwrap(), true), 0);
    }

    #[test]
    fn an_instance_is_known_by_its_firmware() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sys_vendor");
        assert!(!is_on_ec2(&file));
        for (vendor, is) in [("Amazon EC2\n", true), ("QEMU\n", false)] {
            std::fs::write(&file, vendor).unwrap();
            assert_eq!(is_on_ec2(&file), is);
        }
    }
}
