//! Host names of AWS endpoints, resolved through our own upstreams.
//!
//! The system's resolver file may name us, and a zone import that waits for itself never ends:
//! only configured upstreams are asked, and no hosts file is read.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::Forwarder;
use crate::wire::Name;

/// Resolvers kept, one for each set of upstreams; more than a handful are never in use.
const MAX_RESOLVERS: usize = 8;

/// Resolves host names through the upstreams of the longest forwarded domain that covers them.
#[derive(Debug)]
pub struct BootstrapResolver {
    forwarder: Arc<Forwarder>,
    resolvers: Mutex<Vec<Kept>>,
}

/// A resolver, and the upstreams (address, TCP only) it was built for.
type Kept = (Vec<(SocketAddr, bool)>, TokioResolver);

impl BootstrapResolver {
    /// A resolver that follows the forwarder's settings.
    pub fn new(forwarder: Arc<Forwarder>) -> Self {
        Self { forwarder, resolvers: Mutex::default() }
    }

    /// The addresses of `host`, which may be an address itself.
    ///
    /// # Errors
    /// When no upstream is configured for it, or none gives an address.
    pub async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let name: Name = host.parse().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let endpoints = self.forwarder.endpoints(name.as_ref());
        if endpoints.is_empty() {
            let text = format!("no upstream is configured for {name}");
            return Err(io::Error::new(io::ErrorKind::NotConnected, text));
        }
        let resolver = self.resolver(endpoints)?;
        // With the trailing dot: never completed by a search list.
        let found = resolver.lookup_ip(name.to_string()).await.map_err(io::Error::other)?;
        Ok(found.iter().collect())
    }

    fn resolver(&self, endpoints: Vec<(SocketAddr, bool)>) -> io::Result<TokioResolver> {
        let mut resolvers = self.resolvers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, resolver)) = resolvers.iter().find(|(e, _)| *e == endpoints) {
            return Ok(resolver.clone());
        }
        let servers = endpoints.iter().map(|&(address, tcp_only)| name_server(address, tcp_only)).collect();
        let mut options = ResolverOpts::default();
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 64;
        let config = ResolverConfig::from_name_servers(servers);
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(io::Error::other)?;
        if resolvers.len() >= MAX_RESOLVERS {
            resolvers.remove(0);
        }
        resolvers.push((endpoints, resolver.clone()));
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
