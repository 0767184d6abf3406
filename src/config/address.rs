//! Addresses, networks and names as configuration writes them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::answer::settings::named_networks;
use crate::upstream::settings::{Protocol, UpstreamSpec};
use crate::wire::Name;

use super::read::Item;
use super::secure::secure;

const DNS_PORT: u16 = 53;

impl Item<'_> {
    /// An address and port to listen on, `"127.0.0.1:5300"` or `"[::1]:5300"`. Port 0 lets the
    /// system choose one.
    pub fn listen_address(&self) -> Option<SocketAddr> {
        let text = self.text()?.trim();
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_multicast() => {
                self.reject(format!("{text:?} is a multicast address"), None);
                None
            }
            Ok(address) => Some(address),
            Err(_) => {
                let (what, fix) = not_a_listen_address(text);
                self.reject(what, Some(fix));
                None
            }
        }
    }

    /// An upstream: `"system"`, `"10.0.0.2"`, `"10.0.0.2:5353"`, `"[fd00::2]:5353"`,
    /// `"tcp://10.0.0.2"`, `"tls://1.1.1.1#cloudflare-dns.com"`, `"https://dns.google/dns-query"`,
    /// `"quic://94.140.14.14#dns.adguard.com"`.
    pub fn upstream(&self) -> Option<UpstreamSpec> {
        let text = self.text()?.trim();
        if text == "system" {
            return Some(UpstreamSpec::System);
        }
        let encrypted = |scheme| Protocol::ALL.into_iter().find(|protocol| protocol.scheme() == scheme);
        let parsed = match text.split_once("://") {
            None => upstream_address(text, DNS_PORT).map(UpstreamSpec::Plain),
            Some(("udp", address)) => Err(("not a scheme here".to_owned(), format!("write {address:?}"))),
            Some(("tcp", address)) => upstream_address(address, DNS_PORT).map(UpstreamSpec::Tcp),
            Some((scheme, rest)) => match encrypted(scheme) {
                Some(protocol) => secure(protocol, rest),
                None => Err((
                    format!("unknown scheme {scheme:?}"),
                    "write \"10.0.0.2\", or an address behind tcp://, tls://, https:// or quic://".to_owned(),
                )),
            },
        };
        parsed.map_err(|(what, fix)| self.reject(what, Some(fix))).ok()
    }

    /// The networks of one word or prefix of an access list.
    pub fn networks(&self) -> Option<Vec<IpNet>> {
        let text = self.text()?.trim();
        if let Some(networks) = named_networks(text) {
            return Some(networks);
        }
        match text.parse::<IpNet>() {
            Ok(network) if network.addr() == network.network() => Some(vec![network]),
            Ok(network) => {
                let fix = format!("write \"{}\"", network.trunc());
                self.reject(format!("{text:?} has bits set behind its prefix"), Some(fix));
                None
            }
            Err(_) => {
                let fix = match text.parse::<IpAddr>() {
                    Ok(address) => format!("write \"{}\"", IpNet::from(address)),
                    Err(_) => {
                        "write \"loopback\", \"private\", \"any\" or a prefix such as \"10.1.0.0/16\"".into()
                    }
                };
                self.reject(format!("{text:?} is not a network"), Some(fix));
                None
            }
        }
    }

    /// A domain name.
    pub fn domain(&self) -> Option<Name> {
        let text = self.text()?.trim();
        self.domain_of(text)
    }

    /// `text`, which is part of the value, as a domain name.
    pub fn domain_of(&self, text: &str) -> Option<Name> {
        let parsed = text.parse::<Name>().map_err(|e| e.to_string()).and_then(|name| {
            // A name nobody can mean: it would silently never match.
            let odd = |c: char| c.is_whitespace() || c.is_control() || "/:,*".contains(c);
            if text.contains(odd) { Err("it has a character no domain has".to_owned()) } else { Ok(name) }
        });
        match parsed {
            Ok(name) => Some(name),
            Err(why) => {
                let fix = "write a name such as \"corp.internal\", or \".\" for everything".to_owned();
                self.reject(format!("{text:?} is not a domain name: {why}"), Some(fix));
                None
            }
        }
    }
}

fn not_a_listen_address(text: &str) -> (String, String) {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return (format!("{text:?} has no port"), format!("write \"[{address}]:5300\""));
    }
    if let Some(address) = bracketed(text).or_else(|| text.parse().ok()) {
        return (format!("{text:?} has no port"), format!("write \"{}\"", SocketAddr::new(address, 5300)));
    }
    if let Some(port) = text.trim_start_matches(':').parse::<u16>().ok().filter(|_| !text.is_empty()) {
        return (format!("{text:?} has no address"), format!("write \"127.0.0.1:{port}\""));
    }
    let what = match text.rsplit_once(':') {
        Some((host, _)) if is_host_name(host) => format!("{host:?} is a host name, an address is needed"),
        _ => format!("{text:?} is not an address and port"),
    };
    (what, "write an address and port such as \"127.0.0.1:5300\" or \"[::1]:5300\"".to_owned())
}

/// An address, with the `usual` port where none is written; else what is wrong and what to write.
pub(super) fn upstream_address(text: &str, usual: u16) -> Result<SocketAddr, (String, String)> {
    let example = "write \"10.0.0.2\", \"10.0.0.2:5353\" or \"[fd00::2]:5353\"";
    let address = if let Some(address) = bracketed(text) {
        SocketAddr::new(address, usual)
    } else if let Ok(IpAddr::V4(address)) = text.parse() {
        SocketAddr::new(address.into(), usual)
    } else if let Ok(address) = text.parse() {
        address
    } else if text.parse::<Ipv6Addr>().is_ok() {
        // Without brackets `fd00::2:53` could mean either of two addresses.
        let what = format!("{text:?} must stand in brackets");
        return Err((what, format!("write \"[{text}]\" or \"[{text}]:{usual}\"")));
    } else {
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        let what = match is_host_name(host) {
            true => format!("{host:?} is a host name, and zonelet is what would have to resolve it"),
            false => format!("{text:?} is not the address of an upstream"),
        };
        return Err((what, example.to_owned()));
    };
    let ip = address.ip();
    let fault = match () {
        _ if address.port() == 0 => "has port 0",
        _ if ip.is_unspecified() => "is no host's address",
        _ if ip.is_multicast() || ip == IpAddr::from([255; 4]) => "is not a single host's address",
        _ => return Ok(address),
    };
    Err((format!("{text:?} {fault}"), example.to_owned()))
}

fn bracketed(text: &str) -> Option<IpAddr> {
    text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

pub(super) fn is_host_name(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

/// Whether an address can only be reached from this host or from private networks.
pub(super) fn is_private(address: IpAddr) -> bool {
    let networks = ["loopback", "private"].into_iter().filter_map(named_networks).flatten();
    let address = address.to_canonical();
    networks.into_iter().any(|network| network.contains(&address))
}
