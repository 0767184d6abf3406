//! What a person reads first: where zonelet listens, what it serves, and a line to try.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::imports::SharedBoard;
use crate::import::{ZoneState, ZoneStatus};
use crate::metrics::Proto;
use crate::wire::Rtype;
use crate::zone::{Authority, SharedTable};

/// The first import of a file takes milliseconds; nothing but the listing waits for it.
const FIRST_IMPORT: Duration = Duration::from_secs(3);
/// Zones listed by name; more are counted.
const MAX_ZONES: usize = 20;

/// Prints to standard output once the first imports are done, or have taken too long to wait for.
pub async fn print(
    own: Vec<SocketAddr>,
    encrypted: Vec<(Proto, SocketAddr)>,
    board: SharedBoard,
    table: SharedTable,
    shutdown: CancellationToken,
) {
    let mut ready = board.load().watch_ready();
    let first_import = timeout(FIRST_IMPORT, ready.wait_for(|ready| *ready));
    let _ = shutdown.run_until_cancelled(first_import).await;
    let text = text(&own, &encrypted, &board.load().snapshot(), &table);
    // Nobody may be reading: that is no reason to stop serving.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn text(
    own: &[SocketAddr],
    encrypted: &[(Proto, SocketAddr)],
    zones: &[ZoneStatus],
    table: &SharedTable,
) -> String {
    let mut text = format!("zonelet {} is ready\n", env!("CARGO_PKG_VERSION"));
    for address in own {
        let _ = writeln!(text, "  listens on {address} (UDP and TCP)");
    }
    for (proto, address) in encrypted {
        let _ = writeln!(text, "  listens on {address} ({})", proto.label().to_uppercase());
    }
    for zone in zones.iter().take(MAX_ZONES) {
        let what = match zone.state {
            ZoneState::Loaded | ZoneState::Stale | ZoneState::Held => {
                format!("serves {} ({} records", zone.zone, zone.counts.records)
            }
            state => format!("knows {} ({}", zone.zone, state.label()),
        };
        let _ = writeln!(text, "  {what}, from {} {})", zone.kind, zone.source);
    }
    if zones.len() > MAX_ZONES {
        let _ = writeln!(text, "  and {} more zones: zonelet zones", zones.len() - MAX_ZONES);
    }
    let _ = writeln!(text, "  forwards everything else");
    if let Some(address) = own.first() {
        let name = example(table).unwrap_or_else(|| "example.com.".to_owned());
        let _ = writeln!(text, "try: dig @{} -p {} {name}", reachable(address.ip()), address.port());
    }
    text
}

/// An address that a client on this host can ask.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// A name with an address in some zone.
fn example(table: &SharedTable) -> Option<String> {
    let table = table.load();
    table.entries().iter().find_map(|(_, authority)| {
        let Authority::Loaded(zone) = authority else { return None };
        let with_address = |view: &crate::zone::RrsetView<'_>| {
            view.rrset.rtype == Rtype::A && view.rrset.is_plain() && !view.owner.is_wildcard()
        };
        zone.rrsets().find(with_address).map(|view| view.owner.to_string())
    })
}
