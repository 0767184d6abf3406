//! Host names of AWS endpoints and of upstreams, resolved through our own upstreams.
//!
//! The system's resolver file may name us, and a zone import that waits for itself never ends:
//! only configured upstreams are asked, and no hosts file is read.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::server::{Transport, Upstream};
use super::{Ask, Forwarder, Route, Signs, Stamps};
use crate::wire::{Learned, Name, Outcome, Rtype};

/// Resolvers kept, one for each set of upstreams; more than a handful are never in use.
const MAX_RESOLVERS: usize = 8;
/// Questions for one host name, for upstreams that give CNAMEs without what they lead to.
const MAX_CHAIN: usize = 8;

/// An upstream that is asked in the clear: its address, and whether over TCP only.
type Server = (SocketAddr, bool);

/// Resolves host names through the upstreams of the longest forwarded domain that covers them.
#[derive(Debug)]
pub struct BootstrapResolver {
    forwarder: Arc<Forwarder>,
    resolvers: Resolvers,
}

impl BootstrapResolver {
    /// A resolver that follows the forwarder's settings.
    pub fn new(forwarder: Arc<Forwarder>) -> Self {
        Self { forwarder, resolvers: Resolvers::default() }
    }

    /// The addresses of `host`, which may be an address itself.
    ///
    /// A domain with an encrypted upstream is never asked for in the clear: then the question goes
    /// the way of a client's.
    ///
    /// # Errors
    /// When no upstream is configured for it, or none gives an address.
    pub async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let name = name_of(host)?;
        let route = self.forwarder.route(name.as_ref()).filter(|route| !route.upstreams.is_empty());
        let Some(route) = route else {
            let text = format!("no upstream is configured for {name}");
            return Err(io::Error::new(io::ErrorKind::NotConnected, text));
        };
        match route.upstreams.iter().map(server_of).collect() {
            Some(servers) => Ok(self.resolvers.lookup(&name, servers).await?.0),
            None => self.lookup_as_clients_do(&name).await,
        }
    }

    async fn lookup_as_clients_do(&self, name: &Name) -> io::Result<Vec<IpAddr>> {
        let both = (self.addresses(name, Rtype::A), self.addresses(name, Rtype::AAAA));
        match tokio::join!(both.0, both.1) {
            (Ok(v4), Ok(v6)) => Ok(v4.into_iter().chain(v6).collect()),
            (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.is_empty() => Ok(some),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    async fn addresses(&self, name: &Name, qtype: Rtype) -> io::Result<Vec<IpAddr>> {
        let mut qname = name.clone();
        for _ in 0..MAX_CHAIN {
            let ask = Ask {
                qname: qname.clone(),
                qtype,
                dnssec_ok: false,
                checking_disabled: false,
                stamps: Stamps::default(),
                signs: Arc::new(Signs::default()),
            };
            let learned = self.forwarder.exchange(&ask).await.map_err(io::Error::other)?;
            match learned.chain_target() {
                Some(target) if learned.outcome == Outcome::OpenChain => qname = target.to_owned(),
                _ => return Ok(addresses_in(&learned, qtype)),
            }
        }
        Err(io::Error::other(format!("the CNAME chain of {name} is too long")))
    }
}

fn addresses_in(learned: &Learned, qtype: Rtype) -> Vec<IpAddr> {
    let records = learned.records().filter(|record| record.is_answer && record.rtype == qtype);
    let address = |rdata: &[u8]| match rdata.len() {
        4 => rdata.first_chunk::<4>().map(|&octets| Ipv4Addr::from(octets).into()),
        _ => rdata.first_chunk::<16>().map(|&octets| Ipv6Addr::from(octets).into()),
    };
    records.filter_map(|record| address(learned.block.get(record.rdata)?)).collect()
}

/// Finds the addresses of upstreams that go by a host name, through those that do not.
#[derive(Debug, Default)]
pub(super) struct UpstreamNames {
    /// All that are asked in the clear, by the domain they are for.
    servers: ArcSwap<Vec<(Name, Vec<Server>)>>,
    resolvers: Resolvers,
}

impl UpstreamNames {
    /// From now on the upstreams of these routes are asked.
    pub(super) fn ask<'a>(&self, routes: impl Iterator<Item = &'a Arc<Route>>) {
        let of = |route: &Arc<Route>| {
            let servers: Vec<Server> = route.upstreams.iter().filter_map(server_of).collect();
            (route.domain.clone(), servers)
        };
        self.servers.store(Arc::new(routes.map(of).filter(|(_, servers)| !servers.is_empty()).collect()));
    }

    /// The addresses of `host`, and for how long they may be used: as the upstreams of the longest
    /// forwarded domain that covers it say, or, where none of them is asked in the clear, those of
    /// the shortest other one.
    ///
    /// # Errors
    /// When nobody can be asked, or nobody knows.
    pub(super) async fn lookup(&self, host: &str) -> io::Result<(Vec<IpAddr>, Duration)> {
        let name = name_of(host)?;
        let servers = {
            let all = self.servers.load();
            let len = |(domain, _): &&(Name, Vec<Server>)| domain.as_bytes().len();
            let covering = all.iter().filter(|(domain, _)| name.as_ref().is_at_or_below(domain.as_ref()));
            covering.max_by_key(len).or_else(|| all.iter().min_by_key(len)).map(|(_, s)| s.clone())
        };
        let servers = servers.ok_or_else(|| {
            let text = "no upstream is configured that is not itself encrypted";
            io::Error::new(io::ErrorKind::NotConnected, text)
        })?;
        self.resolvers.lookup(&name, servers).await
    }
}

fn server_of(upstream: &Arc<Upstream>) -> Option<Server> {
    match upstream.identity.transport {
        Transport::Udp => Some((upstream.address(), false)),
        Transport::Tcp => Some((upstream.address(), true)),
        Transport::Secure(_) => None,
    }
}

fn name_of(host: &str) -> io::Result<Name> {
    host.parse().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))
}

/// Resolvers, and the upstreams that each was built for.
#[derive(Debug, Default)]
struct Resolvers(Mutex<Vec<(Vec<Server>, TokioResolver)>>);

impl Resolvers {
    async fn lookup(&self, name: &Name, servers: Vec<Server>) -> io::Result<(Vec<IpAddr>, Duration)> {
        let resolver = self.resolver(servers)?;
        // With the trailing dot: never completed by a search list.
        let found = resolver.lookup_ip(name.to_string()).await.map_err(io::Error::other)?;
        let lasts = found.valid_until().saturating_duration_since(Instant::now());
        Ok((found.iter().collect(), lasts))
    }

    fn resolver(&self, servers: Vec<Server>) -> io::Result<TokioResolver> {
        let mut resolvers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, resolver)) = resolvers.iter().find(|(s, _)| *s == servers) {
            return Ok(resolver.clone());
        }
        let endpoints = servers.iter().map(|&(address, tcp_only)| name_server(address, tcp_only)).collect();
        let mut options = ResolverOpts::default();
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 64;
        let config = ResolverConfig::from_name_servers(endpoints);
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(io::Error::other)?;
        if resolvers.len() >= MAX_RESOLVERS {
            resolvers.remove(0);
        }
        resolvers.push((servers, resolver.clone()));
        Ok(resolver)
    }
}

fn name_server(address: SocketAddr, tcp_only: bool) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::tcp()];
    if !tcp_only {
        connections.insert(0, ConnectionConfig::udp());
    }
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}
