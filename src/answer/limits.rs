//! Bounds for each client: queries a second, and questions that wait for upstreams.
//!
//! Clients are not listed but counted in a sketch: two rows of cells, in each of which a client has one by a
//! keyed hash, and a client is over its bound where both say so. So memory is fixed, nothing ages out or is
//! swept, nobody waits for a lock, and sources that are made up cannot push out those that are real. A client
//! suffers from others only where both its cells are shared with clients that flood.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use siphasher::sip::SipHasher13;

use super::access::AccessList;
use super::settings::ClientLimits;
use super::{Asker, Transport};
use crate::clock::Moment;

/// Cells of a row, a power of two.
const CELLS: usize = 1 << 14;

/// A client's cell in each row.
type Places = [usize; 2];

/// The bounds of clients, and how much of them is used up.
#[derive(Debug)]
pub(super) struct Limits {
    settings: ClientLimits,
    exempt: AccessList,
    hasher: SipHasher13,
    rate: Option<Rate>,
    waiting: Option<Arc<Waiting>>,
}

/// What becomes of a query above the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// It is dropped.
    Drop,
    /// It is answered with TC=1, so that a client that is real comes over TCP.
    Slip,
    /// It is answered REFUSED: a client over TCP is real, and would wait.
    Refuse,
}

impl Limits {
    /// `None` where clients have no bounds; what is used up stays where the bounds stay as they are.
    pub fn new(settings: &ClientLimits, before: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        if settings.rate.is_none() && settings.in_flight.is_none() {
            return None;
        }
        if let Some(before) = before.filter(|before| before.settings == *settings) {
            return Some(Arc::clone(before));
        }
        Some(Arc::new(Self {
            exempt: AccessList::new(&settings.exempt),
            hasher: SipHasher13::new_with_keys(rand::random(), rand::random()),
            rate: settings.rate.map(|rate| Rate::new(rate, settings.burst, settings.slip)),
            waiting: settings.in_flight.map(|most| Arc::new(Waiting::new(most))),
            settings: settings.clone(),
        }))
    }

    /// Counts a query that came `now`. `None`: it is within its client's rate.
    pub fn excess(&self, asker: &Asker, now: Moment) -> Option<Excess> {
        let rate = self.rate.as_ref()?;
        let places = self.places(asker.client.ip(), Some(asker.transport))?;
        let excess = || if asker.transport == Transport::Udp { rate.excess() } else { Excess::Refuse };
        (!rate.admits(places, now)).then(excess)
    }

    /// A seat for a question that is to wait for upstreams.
    ///
    /// # Errors
    /// The client has as many as it may.
    pub fn seat(&self, client: IpAddr) -> Result<Option<Seat>, NoSeat> {
        let Some(waiting) = &self.waiting else { return Ok(None) };
        let Some(places) = self.places(client, None) else { return Ok(None) };
        Waiting::take(waiting, places).map(Some).ok_or(NoSeat)
    }

    /// Where a client is counted, `None` for one without bounds. What a client may over UDP, where it may be
    /// a made-up one, is apart from what it may over TCP.
    fn places(&self, client: IpAddr, transport: Option<Transport>) -> Option<Places> {
        let client = client.to_canonical();
        if self.exempt.admits(client) {
            return None;
        }
        let (network, kind) = match client {
            IpAddr::V4(ip) => (u64::from(ip.to_bits()), 0),
            // A host has 64 bits of addresses to choose from.
            IpAddr::V6(ip) => ((ip.to_bits() >> 64) as u64, 4),
        };
        let kind = kind + transport.map_or(0u8, |transport| 1 + u8::from(transport != Transport::Udp));
        let mut key = [0; 9];
        key[..8].copy_from_slice(&network.to_be_bytes());
        key[8] = kind;
        let hash = self.hasher.hash(&key);
        Some([hash as usize % CELLS, CELLS + (hash >> 32) as usize % CELLS])
    }
}

/// The client has as many questions waiting as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoSeat;

/// Token buckets, each kept as the time at which it will be full again (GCRA): a cell that nobody uses needs
/// no care. Nanoseconds of the clock.
#[derive(Debug)]
struct Rate {
    cells: Box<[AtomicU64]>,
    /// What one query costs.
    interval: u64,
    /// What may be owed.
    most: u64,
    slip: u32,
    excesses: AtomicU32,
}

impl Rate {
    fn new(rate: u32, burst: u32, slip: u32) -> Self {
        let interval = 1_000_000_000 / u64::from(rate.max(1));
        Self {
            cells: (0..2 * CELLS).map(|_| AtomicU64::new(0)).collect(),
            interval,
            most: interval * u64::from(burst.max(1)),
            slip,
            excesses: AtomicU32::new(0),
        }
    }

    fn admits(&self, places: Places, now: Moment) -> bool {
        let now = now.as_millis().saturating_mul(1_000_000);
        let cells = places.map(|at| self.cells.get(at));
        let owed = |cell: &AtomicU64| cell.load(Relaxed).saturating_sub(now);
        if !cells.into_iter().flatten().any(|cell| owed(cell) + self.interval <= self.most) {
            return false;
        }
        for cell in cells.into_iter().flatten() {
            // One that belongs to a client that floods is full, and is not made fuller by others.
            let next = |full: u64| Some((full.max(now) + self.interval).min(now + self.most));
            let _ = cell.fetch_update(Relaxed, Relaxed, next);
        }
        true
    }

    fn excess(&self) -> Excess {
        let count = self.excesses.fetch_add(1, Relaxed);
        match count.checked_rem(self.slip) {
            Some(0) => Excess::Slip,
            _ => Excess::Drop,
        }
    }
}

/// How many questions of clients wait.
#[derive(Debug)]
struct Waiting {
    cells: Box<[AtomicU32]>,
    most: u32,
}

impl Waiting {
    fn new(most: usize) -> Self {
        let most = u32::try_from(most).unwrap_or(u32::MAX / 2);
        Self { cells: (0..2 * CELLS).map(|_| AtomicU32::new(0)).collect(), most }
    }

    fn take(waiting: &Arc<Self>, places: Places) -> Option<Seat> {
        let cells = || places.iter().filter_map(|&at| waiting.cells.get(at));
        // Counted first, so that no two take the last one.
        let before = cells().map(|cell| cell.fetch_add(1, Relaxed)).min();
        let seat = Seat { waiting: Arc::clone(waiting), places };
        before.filter(|&before| before < waiting.most).map(|_| seat)
    }
}

/// A question that waits among its client's; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    waiting: Arc<Waiting>,
    places: Places,
}

impl Drop for Seat {
    fn drop(&mut self) {
        for cell in self.places.iter().filter_map(|&at| self.waiting.cells.get(at)) {
            cell.fetch_sub(1, Relaxed);
        }
    }
}

/// The network that a client is counted by where clients are listed: an address, or 64 bits of IPv6.
pub fn client_network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
