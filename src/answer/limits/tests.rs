//! What clients may, and what they may not.

use std::time::Duration;

use super::*;

fn limits(change: impl FnOnce(&mut ClientLimits)) -> Arc<Limits> {
    let mut settings = ClientLimits::default();
    change(&mut settings);
    Limits::new(&settings, None).unwrap()
}

fn asker(client: &str, transport: Transport) -> Asker {
    Asker::new((client.parse::<IpAddr>().unwrap(), 5353).into(), transport)
}

/// How many of so many queries at once are within the rate.
fn admitted(limits: &Limits, client: &str, transport: Transport, now: Moment, queries: usize) -> usize {
    (0..queries).filter(|_| limits.excess(&asker(client, transport), now).is_none()).count()
}

#[test]
fn without_bounds_there_is_nothing_to_count() {
    assert!(Limits::new(&ClientLimits::default(), None).is_none());
}

#[test]
fn a_burst_is_let_through_and_then_the_rate() {
    let limits = limits(|l| (l.rate, l.burst) = (Some(100), 20));
    let mut now = Moment::from_millis(5_000);
    assert_eq!(admitted(&limits, "10.0.0.1", Transport::Udp, now, 50), 20);
    for _ in 0..10 {
        now = now.after(Duration::from_millis(100));
        assert_eq!(admitted(&limits, "10.0.0.1", Transport::Udp, now, 50), 10);
    }
    now = now.after(Duration::from_secs(3600));
    assert_eq!(admitted(&limits, "10.0.0.1", Transport::Udp, now, 50), 20, "no more after a pause");
}

#[test]
fn clients_transports_and_families_have_their_own_and_an_ipv6_network_has_one() {
    let limits = limits(|l| (l.rate, l.burst) = (Some(1), 5));
    let now = Moment::from_millis(1);
    for client in ["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8:0:1::1"] {
        for transport in [Transport::Udp, Transport::Tcp] {
            assert_eq!(admitted(&limits, client, transport, now, 9), 5, "{client} {transport:?}");
        }
    }
    assert_eq!(admitted(&limits, "2001:db8::ffff:2", Transport::Udp, now, 9), 0);
    assert_eq!(admitted(&limits, "::ffff:10.0.0.1", Transport::Udp, now, 9), 0, "a mapped address");
}

#[test]
fn a_client_does_not_suffer_from_ten_thousand_that_flood_or_are_made_up() {
    let limits = limits(|l| (l.rate, l.burst) = (Some(10), 5));
    let now = Moment::from_millis(1);
    for n in 0..500u32 {
        let flood = format!("10.1.{}.{}", n >> 8, n & 255);
        admitted(&limits, &flood, Transport::Udp, now, 20);
    }
    for n in 0..10_000u32 {
        let strange = format!("192.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255);
        admitted(&limits, &strange, Transport::Udp, now, 1);
    }
    let served = |n: u32| admitted(&limits, &format!("10.2.0.{n}"), Transport::Udp, now, 2) == 2;
    assert!((0..200).filter(|&n| served(n)).count() > 190);
}

#[test]
fn above_the_rate_one_in_so_many_slips_over_udp_and_tcp_is_refused() {
    let kinds = |slip: u32, transport| {
        let limits = limits(|l| (l.rate, l.burst, l.slip) = (Some(1), 1, slip));
        let now = Moment::from_millis(1);
        let all = (0..7).filter_map(|_| limits.excess(&asker("10.0.0.1", transport), now));
        all.collect::<Vec<_>>()
    };
    use Excess::{Drop, Refuse, Slip};
    assert_eq!(kinds(2, Transport::Udp), [Slip, Drop, Slip, Drop, Slip, Drop]);
    assert_eq!(kinds(1, Transport::Udp), [Slip; 6]);
    assert_eq!(kinds(0, Transport::Udp), [Drop; 6]);
    assert_eq!(kinds(2, Transport::Tcp), [Refuse; 6]);
}

#[test]
fn seats_are_bounded_for_each_client_and_come_back() {
    let limits = limits(|l| l.in_flight = Some(3));
    let client: IpAddr = "10.0.0.1".parse().unwrap();
    let seats: Vec<_> = (0..3).map(|_| limits.seat(client).unwrap().unwrap()).collect();
    assert_eq!(limits.seat(client).err(), Some(NoSeat));
    assert_eq!(limits.seat(client).err(), Some(NoSeat), "a refusal takes nothing");
    assert!(limits.seat("10.0.0.2".parse().unwrap()).unwrap().is_some());
    drop(seats);
    assert!((0..3).map(|_| limits.seat(client)).all(|seat| seat.is_ok()));
}

#[test]
fn who_is_exempt_has_no_bounds_and_unchanged_bounds_keep_their_count() {
    let limits = limits(|l| {
        (l.rate, l.burst, l.in_flight) = (Some(1), 2, Some(1));
        l.exempt = vec!["10.9.0.0/16".parse().unwrap()];
    });
    let now = Moment::from_millis(1);
    assert_eq!(admitted(&limits, "10.9.0.1", Transport::Udp, now, 100), 100);
    assert!(limits.seat("10.9.0.1".parse().unwrap()).unwrap().is_none());
    assert_eq!(admitted(&limits, "10.0.0.1", Transport::Udp, now, 100), 2);
    let again = Limits::new(&limits.settings, Some(&limits)).unwrap();
    assert_eq!(admitted(&again, "10.0.0.1", Transport::Udp, now, 100), 0);
    let other = ClientLimits { rate: Some(2), ..limits.settings.clone() };
    let other = Limits::new(&other, Some(&limits)).unwrap();
    assert_eq!(admitted(&other, "10.0.0.1", Transport::Udp, now, 100), 2);
}
