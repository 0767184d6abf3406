//! `system`: the name servers of the system's resolver file, without ourselves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::path::Path;

use super::Settings;

/// The stub listener of systemd-resolved; its own file names the servers behind it.
const RESOLVED_STUB: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));
/// Name servers used at most; the resolver file is small, a damaged one may not be.
const MAX_SERVERS: usize = 16;
/// Bytes read of a resolver file.
const MAX_FILE: u64 = 64 << 10;

/// The name servers the system uses now, ourselves included.
///
/// An unreadable or empty file gives none. Where the file names systemd-resolved's stub, the
/// servers of its own file stand in for it; without that file the stub is used as it is.
pub(super) fn servers(settings: &Settings) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for server in read(&settings.resolv_conf) {
        if server.ip() == RESOLVED_STUB {
            let behind = read(&settings.resolved_conf);
            let stub = behind.is_empty().then_some(server);
            found.extend(behind.into_iter().filter(|b| b.ip() != RESOLVED_STUB).chain(stub));
        } else {
            found.push(server);
        }
    }
    let mut unique: Vec<SocketAddr> = Vec::new();
    for server in found {
        if !unique.contains(&server) && unique.len() < MAX_SERVERS {
            unique.push(server);
        }
    }
    unique
}

fn read(path: &Path) -> Vec<SocketAddr> {
    use std::io::Read;
    let mut text = Vec::new();
    let opened = std::fs::File::open(path).and_then(|f| f.take(MAX_FILE).read_to_end(&mut text));
    match opened {
        Ok(_) => parse(&String::from_utf8_lossy(&text)),
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "resolver file cannot be read");
            Vec::new()
        }
    }
}

/// The addresses of the `nameserver` lines of resolv.conf(5), port 53. Everything else in the file,
/// `search` and `options` among it, is for stub resolvers and has no meaning here.
pub(super) fn parse(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        words.next().filter(|&word| word == "nameserver")?;
        address(words.next()?)
    };
    text.lines().filter_map(server).collect()
}

fn address(text: &str) -> Option<SocketAddr> {
    let Some((ip, scope)) = text.split_once('%') else {
        return text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53));
    };
    let scope = scope.parse().ok().or_else(|| interface_index(scope))?;
    Some(SocketAddrV6::new(ip.parse().ok()?, 53, 0, scope).into())
}

fn interface_index(name: &str) -> Option<u32> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.starts_with('.') || !name.bytes().all(plain) {
        return None;
    }
    std::fs::read_to_string(Path::new("/sys/class/net").join(name).join("ifindex")).ok()?.trim().parse().ok()
}

/// Whether asking `upstream` would be asking ourselves: we listen on that address and port, or on
/// every address with that port, and the address belongs to this network namespace.
pub(super) fn is_own(own: &[SocketAddr], upstream: SocketAddr) -> bool {
    let canonical = |a: &SocketAddr| (a.ip().to_canonical(), a.port());
    own.iter().any(|listen| {
        canonical(listen) == canonical(&upstream)
            || listen.ip().is_unspecified()
                && listen.port() == upstream.port()
                && (listen.is_ipv6() || upstream.ip().to_canonical().is_ipv4())
                && is_local(upstream.ip().to_canonical())
    })
}

/// Whether the address is this host's: only then can a socket be bound to it.
///
/// Where the kernel lets any address be bound (`ip_nonlocal_bind`, as some failover set-ups want
/// it), only loopback is known to be ours; a loop through another address is found at run time.
fn is_local(ip: IpAddr) -> bool {
    // Nobody's: set aside for documentation (RFC 5737, RFC 3849).
    let nobodys: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    let binds = |ip| UdpSocket::bind((ip, 0)).is_ok();
    ip.is_loopback() || ip.is_unspecified() || binds(ip) && !binds(nobodys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|a| a.parse().unwrap()).collect()
    }

    #[test]
    fn only_nameserver_lines_are_read() {
        let text = "# nameserver 10.9.9.9\nsearch ns.svc corp.test\noptions ndots:5\n\
                    nameserver 10.0.0.2\n  nameserver\tfd00:ec2::253 # VPC\nnameserver\n\
                    nameserver not-an-address\nnameservers 10.1.1.1\nnameserver fe80::1%3\n";
        assert_eq!(parse(text), addresses(&["10.0.0.2:53", "[fd00:ec2::253]:53", "[fe80::1%3]:53"]));
        assert_eq!(parse("nameserver fe80::1%no/../such"), []);
    }

    #[test]
    fn the_stub_of_systemd_resolved_is_replaced_by_the_servers_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            resolv_conf: dir.path().join("resolv.conf"),
            resolved_conf: dir.path().join("resolved.conf"),
            ..Settings::default()
        };
        std::fs::write(&settings.resolv_conf, "nameserver 127.0.0.53\nnameserver 10.0.0.3\n").unwrap();
        assert_eq!(servers(&settings), addresses(&["127.0.0.53:53", "10.0.0.3:53"]));
        std::fs::write(&settings.resolved_conf, "nameserver 10.0.0.2\nnameserver 10.0.0.3\n").unwrap();
        assert_eq!(servers(&settings), addresses(&["10.0.0.2:53", "10.0.0.3:53"]));
        std::fs::remove_file(&settings.resolv_conf).unwrap();
        assert_eq!(servers(&settings), []);
    }

    #[test]
    fn we_are_ourselves_only_where_address_and_port_are_ours() {
        let own = addresses(&["169.254.20.10:53", "127.0.0.1:5300", "[::1]:5300"]);
        let is = |a: &str| is_own(&own, a.parse().unwrap());
        assert!(is("169.254.20.10:53") && is("127.0.0.1:5300") && is("[::ffff:127.0.0.1]:5300"));
        assert!(!is("127.0.0.1:53") && !is("127.0.0.53:53") && !is("10.0.0.2:53"));
    }

    #[test]
    fn listening_everywhere_makes_every_address_of_the_host_ourselves() {
        let own = addresses(&["0.0.0.0:53"]);
        assert!(is_own(&own, "127.0.0.11:53".parse().unwrap()));
        assert!(!is_own(&own, "127.0.0.11:5353".parse().unwrap()));
        assert!(!is_own(&own, "192.0.2.1:53".parse().unwrap()), "not an address of this host");
        assert!(!is_own(&own, "[::1]:53".parse().unwrap()), "another family");
        assert!(is_own(&addresses(&["[::]:53"]), "127.0.0.1:53".parse().unwrap()));
    }
}
