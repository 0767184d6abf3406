//! Sockets that are bound, taken over and refused.

use std::os::fd::OwnedFd;

use super::*;
use crate::sys::SocketName;

fn settings(listen: &[&str]) -> Settings {
    let listen = listen.iter().map(|addr| addr.parse().unwrap()).collect();
    Settings { listen, workers: 2, receive_buffer: 64 << 10, ..Settings::default() }
}

fn bind(settings: &Settings) -> Result<Vec<Place>, BindError> {
    bind_all(settings, &mut Estate::default())
}

/// The sockets of places as another process would hand them over.
fn estate(places: Vec<Place>) -> Estate {
    let mut sockets: Vec<(SocketName, OwnedFd)> = Vec::new();
    for place in places {
        let name = |kind, index| SocketName::new(kind, place.asked, place.addr, index);
        sockets.extend(place.udp.into_iter().enumerate().map(|(i, s)| (name(UDP, i), s.into())));
        sockets.push((name(TCP, 0), place.tcp.into()));
    }
    Estate::new(sockets)
}

#[test]
fn what_was_handed_over_is_taken_by_what_was_asked_for_and_the_rest_is_bound() {
    let old = bind(&settings(&["127.0.0.1:0", "127.0.0.1:0", "[::1]:0"])).unwrap();
    let addrs: Vec<_> = old.iter().map(|place| place.addr).collect();
    let mut given = estate(old);
    let new = bind_all(&settings(&["127.0.0.1:0", "127.0.0.2:0"]), &mut given).unwrap();
    assert_eq!(new[0].addr, addrs[0]);
    assert_ne!(new[1].addr.port(), addrs[1].port());
    assert!(new.iter().all(|place| place.udp.len() == 2 && place.receive_buffer > 0));
    assert_eq!((given.left(), given.close().len()), (6, 3));
}

#[test]
fn more_or_fewer_workers_than_before_have_a_socket_each_and_none_is_left_without() {
    for (workers, taken) in [(1, 2), (2, 3), (5, 3)] {
        let mut given = estate(bind(&settings(&["127.0.0.1:0"])).unwrap());
        let new = Settings { workers, ..settings(&["127.0.0.1:0"]) };
        let mut places = bind_all(&new, &mut given).unwrap();
        // Nothing joins the group before it is read.
        assert_eq!(places[0].udp.len(), workers.min(2));
        places[0].complete(&new).unwrap();
        assert_eq!(places[0].udp.len(), workers);
        assert!(places[0].udp.iter().all(|socket| socket.local_addr().unwrap() == places[0].addr));
        assert_eq!(given.close().len(), taken);
    }
}

#[test]
fn udp_and_tcp_share_the_port_that_the_kernel_picked() {
    let places = bind(&settings(&["127.0.0.1:0", "[::1]:0", "127.0.0.1:0"])).unwrap();
    assert_eq!(places.len(), 3);
    assert_ne!(places[0].addr, places[2].addr);
    for place in &places {
        assert_ne!(place.addr.port(), 0);
        assert_eq!(place.tcp.local_addr().unwrap(), place.addr);
        assert_eq!(place.udp.len(), 2);
        assert!(place.udp.iter().all(|socket| socket.local_addr().unwrap() == place.addr));
        assert!(place.receive_buffer > 0);
    }
}

#[test]
fn repeated_and_v4_mapped_addresses_are_bound_once() {
    let first = bind(&settings(&["127.0.0.1:0"])).unwrap();
    let addr = first[0].addr;
    drop(first);
    let places = bind(&settings(&[&addr.to_string(), &format!("[::ffff:127.0.0.1]:{}", addr.port())]));
    assert_eq!(places.unwrap().iter().map(|place| place.addr).collect::<Vec<_>>(), [addr]);
}

#[test]
fn a_second_server_of_the_same_user_joins_the_port() {
    let first = bind(&settings(&["127.0.0.1:0", "[::]:0"])).unwrap();
    let again: Vec<String> = first.iter().map(|place| place.addr.to_string()).collect();
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    assert_eq!(bind(&settings(&again)).unwrap().len(), 2);
}

#[test]
fn errors_name_the_address_the_protocol_and_a_way_out() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = udp.local_addr().unwrap();
    let error = bind(&settings(&[&taken.to_string()])).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("cannot listen on {taken} over udp: another program listens there; find it with `ss -lntup`")
    );
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = tcp.local_addr().unwrap();
    let error = bind(&settings(&[&taken.to_string()])).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {taken} over tcp: another program")), "{error}");
    let error = bind(&settings(&["192.0.2.77:0"])).unwrap_err().to_string();
    assert!(error.contains("192.0.2.77:0 over udp: no interface of this host has"), "{error}");
}

#[test]
fn low_ports_hint_at_the_capability() {
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    assert!(hint("127.0.0.1:53".parse().unwrap(), &denied).contains("CAP_NET_BIND_SERVICE"));
    assert!(!hint("127.0.0.1:5300".parse().unwrap(), &denied).contains("CAP"));
}

#[test]
fn only_a_missing_family_is_passed_over() {
    let unsupported = io::Error::from_raw_os_error(libc::EAFNOSUPPORT);
    let unavailable = io::Error::from_raw_os_error(libc::EADDRNOTAVAIL);
    let in_use = io::Error::from_raw_os_error(libc::EADDRINUSE);
    let missing = |addr: &str, e| is_missing_family(addr.parse().unwrap(), e);
    assert!(missing("[::1]:53", &unsupported) && missing("[fd00::1]:53", &unsupported));
    assert!(missing("[::1]:53", &unavailable) && !missing("[fd00::1]:53", &unavailable));
    assert!(!missing("127.0.0.1:53", &unavailable) && !missing("[::1]:53", &in_use));
}

#[test]
fn no_address_is_an_error() {
    assert!(matches!(bind(&settings(&[])), Err(BindError::NoAddress)));
    let none = BindError::NoFamily(distinct(&["[::1]:53".parse().unwrap(), "[::]:53".parse().unwrap()]));
    assert_eq!(none.to_string(), "this host has none of the address families of [::1]:53, [::]:53");
}
