//! A zone of the table as a zone file, with a head that says where it comes from.

use crate::import::{StatusBoard, ZoneState, ZoneStatus};
use crate::wire::Name;
use crate::zone::{Authority, ZoneTable};

/// The file of `zone`.
///
/// # Errors
/// Why there is none.
pub fn zone_file(table: &ZoneTable, board: &StatusBoard, zone: &Name) -> Result<String, String> {
    let entry = table.entries().iter().find(|(apex, _)| apex == zone);
    let status = board
        .snapshot()
        .into_iter()
        .find(|status| status.zone == zone.to_string() && status.state != ZoneState::Shadowed);
    let why = || status.as_ref().and_then(|status| status.error.clone()).unwrap_or_default();
    match entry.map(|(_, authority)| authority) {
        Some(Authority::Loaded(loaded)) => Ok(head(zone, status.as_ref()) + &loaded.to_zone_file()),
        Some(Authority::CarvedOut) => {
            Err(format!("{zone} cannot be read here, its names are forwarded: {}", why()))
        }
        Some(Authority::Unloaded(..)) => Err(format!("{zone} has not been loaded: {}", why())),
        None => Err(format!("no source has the zone {zone}")),
    }
}

fn head(zone: &Name, status: Option<&ZoneStatus>) -> String {
    let Some(status) = status else { return format!("; {zone}, as zonelet serves it\n") };
    let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let age = status.age_seconds.map_or_else(String::new, |age| format!(", imported {age} s before"));
    let disk = if status.from_state_file { ", from its state file" } else { "" };
    let (source, id) = (plain(&status.source), plain(&status.id));
    format!("; {zone}, as zonelet serves it\n; source: {} {source}, id {id}{age}{disk}\n", status.kind)
}
