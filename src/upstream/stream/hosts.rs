//! The addresses of an upstream that goes by a host name.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::upstream::bootstrap::UpstreamNames;

/// Addresses are used for at least this long, whatever their TTL says ...
const AT_LEAST: Duration = Duration::from_secs(30);
/// ... and looked up again after this at the latest.
const AT_MOST: Duration = Duration::from_secs(3600);
/// How long a look-up may take while there are addresses already.
const RENEWAL: Duration = Duration::from_millis(500);
/// Addresses tried at most.
const MAX_ADDRESSES: usize = 8;

/// A host, and where it was found.
#[derive(Debug)]
pub(super) struct Host {
    name: Box<str>,
    port: u16,
    names: Arc<UpstreamNames>,
    found: Mutex<Option<Found>>,
}

#[derive(Clone, Debug)]
struct Found {
    addresses: Vec<IpAddr>,
    until: Instant,
}

impl Host {
    pub(super) fn new(name: Box<str>, port: u16, names: Arc<UpstreamNames>) -> Self {
        Self { name, port, names, found: Mutex::default() }
    }

    /// Its addresses: those known, looked up again when they have served their time. The old ones
    /// do for as long as that fails.
    ///
    /// # Errors
    /// When none was ever found.
    pub(super) async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let addresses = match known {
            Some(found) if Instant::now() < found.until => found.addresses,
            Some(found) => match timeout(RENEWAL, self.look_up()).await {
                Ok(Ok(addresses)) => addresses,
                Ok(Err(_)) | Err(_) => found.addresses,
            },
            None => self.look_up().await?,
        };
        Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect())
    }

    async fn look_up(&self) -> io::Result<Vec<IpAddr>> {
        let lookup = self.names.lookup(&self.name).await;
        let (mut addresses, ttl) = lookup.map_err(|error| {
            io::Error::other(format!("no address of {} could be found: {error}", self.name))
        })?;
        addresses.truncate(MAX_ADDRESSES);
        if addresses.is_empty() {
            return Err(io::Error::other(format!("{} has no address", self.name)));
        }
        let until = Instant::now() + ttl.clamp(AT_LEAST, AT_MOST);
        let found = Found { addresses: addresses.clone(), until };
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Ok(addresses)
    }
}
