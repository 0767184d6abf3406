//! The JSON of `aws route53 list-resource-record-sets`.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::source::recordset::{ApiRecordSet, Collector};
use crate::wire::{Escapes, Name};
use crate::zone::ZoneData;

use super::FileError;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    resource_record_sets: Vec<ApiRecordSet>,
    is_truncated: Option<bool>,
    next_token: Option<IgnoredAny>,
}

/// Reads a listing into the data of `zone`, or of the zone whose SOA is nearest to the root.
/// `None` when neither says which zone it is.
///
/// # Errors
/// [`FileError`] for what is no such JSON, and for one page of several: what is not in it would
/// seem not to exist.
pub fn parse(content: &[u8], zone: Option<Name>) -> Result<Option<ZoneData>, FileError> {
    let listing: Listing =
        serde_json::from_slice(content).map_err(|error| FileError::new(error.line(), error.to_string()))?;
    if listing.is_truncated == Some(true) || listing.next_token.is_some() {
        return Err(FileError::new(1, "only a part of the zone's record sets: the listing is truncated"));
    }
    let Some(apex) = zone.or_else(|| apex(&listing.resource_record_sets)) else {
        return Ok(None);
    };
    let mut collector = Collector::new(apex);
    listing.resource_record_sets.into_iter().for_each(|set| collector.add(set));
    Ok(Some(collector.finish()))
}

fn apex(sets: &[ApiRecordSet]) -> Option<Name> {
    sets.iter()
        .filter(|set| set.rtype.eq_ignore_ascii_case("SOA"))
        .filter_map(|set| Name::from_text(&set.name, Escapes::Octal).ok())
        .min_by_key(|name| name.as_ref().label_count())
}
