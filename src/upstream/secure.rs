//! What is known of an upstream that is asked over an encrypted transport.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::metrics::Proto;

/// An upstream whose certificate is verified; nothing is ever sent to it in the clear.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secure {
    /// How it is asked.
    pub protocol: Protocol,
    /// Where it is.
    pub place: Place,
    /// What its certificate must be for: a host name or an IP address (RFC 8310 §8.1).
    pub server_name: Box<str>,
    /// The path of its URL, for HTTPS. It may hold a token: nobody is shown it.
    pub path: Box<str>,
    /// Certificates (PEM) of who may vouch for it; `None`: those whom the system trusts.
    pub ca: Option<Arc<[u8]>>,
}

/// An encrypted transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484).
    Https,
    /// DNS over QUIC (RFC 9250).
    Quic,
}

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// At an address.
    Address(SocketAddr),
    /// At the addresses of a host, on this port; they are looked up when they are needed.
    Host(Box<str>, u16),
}

impl Protocol {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Tls, Self::Https, Self::Quic];

    /// What messages that go by it are told as.
    pub fn proto(self) -> Proto {
        match self {
            Self::Tls => Proto::Tls,
            Self::Https => Proto::Https,
            Self::Quic => Proto::Quic,
        }
    }

    /// The scheme in configuration, and the metric label.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Https => "https",
            Self::Quic => "quic",
        }
    }

    /// The port where none is written.
    pub fn port(self) -> u16 {
        match self {
            Self::Tls | Self::Quic => 853,
            Self::Https => 443,
        }
    }

    /// The cargo feature without which this is not built.
    pub fn feature(self) -> &'static str {
        match self {
            Self::Tls | Self::Https => "tls",
            Self::Quic => "doq",
        }
    }

    /// Whether this build has it.
    pub fn is_built(self) -> bool {
        match self {
            Self::Tls | Self::Https => cfg!(feature = "tls"),
            Self::Quic => cfg!(feature = "doq"),
        }
    }
}

impl Secure {
    /// Where it is; the unspecified address where that is a host's, which is nobody's.
    pub fn address(&self) -> SocketAddr {
        match self.place {
            Place::Address(address) => address,
            Place::Host(_, port) => (Ipv4Addr::UNSPECIFIED, port).into(),
        }
    }
}

/// Scheme and place, with the port where it is unusual: the name in logs, metrics and answers.
impl fmt::Display for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.protocol.scheme())?;
        match &self.place {
            Place::Address(at) if at.port() == self.protocol.port() => write!(f, "{}", at.ip()),
            Place::Address(at) => write!(f, "{at}"),
            Place::Host(host, port) if *port == self.protocol.port() => f.write_str(host),
            Place::Host(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// Without the path.
impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secure({self}#{})", self.server_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_scheme_and_host_and_never_the_path() {
        let secure = |protocol, place| Secure {
            protocol,
            place,
            server_name: "dns.test".into(),
            path: "/token".into(),
            ca: None,
        };
        let address = |text: &str| Place::Address(text.parse().unwrap());
        for (protocol, place, label) in [
            (Protocol::Tls, address("1.1.1.1:853"), "tls://1.1.1.1"),
            (Protocol::Quic, address("[fd00::2]:8853"), "quic://[fd00::2]:8853"),
            (Protocol::Https, Place::Host("dns.test".into(), 443), "https://dns.test"),
            (Protocol::Https, Place::Host("dns.test".into(), 8443), "https://dns.test:8443"),
        ] {
            let secure = secure(protocol, place);
            assert_eq!(secure.to_string(), label);
            assert!(!format!("{secure:?}").contains("token"));
        }
    }
}
