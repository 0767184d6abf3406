//! The JSON of `aws route53 list-resource-record-sets`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::source::recordset::{ApiRecordSet, Collector};
use crate::wire::{Escapes, Name};
use crate::zone::ZoneData;

use super::FileError;

/// What of a record set says which zone it is of.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Head<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(rename = "Type", borrow)]
    rtype: Cow<'a, str>,
}

/// Reads a listing into the data of `zone`, or of the zone whose SOA is nearest to the root.
/// `None` when neither says which zone it is.
///
/// Record sets are taken over one by one, so that beside the zone's data only one is in memory.
///
/// # Errors
/// [`FileError`] for what is no such JSON, and for one page of several: what is not in it would
/// seem not to exist.
pub fn parse(content: &[u8], zone: Option<Name>) -> Result<Option<ZoneData>, FileError> {
    let apex = match zone {
        Some(zone) => zone,
        None => {
            let mut nearest = None;
            read(content, |set: Head<'_>| note_soa(&mut nearest, &set))?;
            match nearest {
                Some((_, apex)) => apex,
                None => return Ok(None),
            }
        }
    };
    let mut collector = Collector::new(apex);
    read(content, |set: ApiRecordSet| collector.add(set))?;
    Ok(Some(collector.finish()))
}

/// Keeps the owner of a SOA that is nearer to the root than the one before.
fn note_soa(nearest: &mut Option<(usize, Name)>, set: &Head<'_>) {
    if !set.rtype.eq_ignore_ascii_case("SOA") {
        return;
    }
    let Ok(owner) = Name::from_text(&set.name, Escapes::Octal) else { return };
    let labels = owner.as_ref().label_count();
    if nearest.as_ref().is_none_or(|(least, _)| labels < *least) {
        *nearest = Some((labels, owner));
    }
}

/// Hands each record set of a listing that is whole to `take`.
fn read<'a, T: Deserialize<'a>>(content: &'a [u8], take: impl FnMut(T)) -> Result<(), FileError> {
    let mut json = serde_json::Deserializer::from_slice(content);
    let read = Listing { take, of: PhantomData }.deserialize(&mut json);
    let is_whole = read
        .and_then(|is_whole| json.end().map(|()| is_whole))
        .map_err(|error| FileError::new(error.line(), error.to_string()))?;
    if is_whole {
        return Ok(());
    }
    Err(FileError::new(1, "only a part of the zone's record sets: the listing is truncated"))
}

/// The whole document; reads as whether the listing is whole.
struct Listing<F, T> {
    take: F,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for Listing<F, T> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Listing<F, T> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a listing of record sets")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<bool, M::Error> {
        let (mut has_sets, mut is_truncated, mut has_next) = (None, None, None);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "ResourceRecordSets" => {
                    once(&mut has_sets, map.next_value_seed(Sets(&mut self))?, "ResourceRecordSets")?;
                }
                "IsTruncated" => once(&mut is_truncated, map.next_value::<Option<bool>>()?, "IsTruncated")?,
                "NextToken" => once(&mut has_next, map.next_value::<Option<IgnoredAny>>()?, "NextToken")?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        has_sets.ok_or_else(|| M::Error::missing_field("ResourceRecordSets"))?;
        Ok(is_truncated.flatten() != Some(true) && has_next.flatten().is_none())
    }
}

fn once<T, E: serde::de::Error>(slot: &mut Option<T>, value: T, field: &'static str) -> Result<(), E> {
    if slot.replace(value).is_some() { Err(E::duplicate_field(field)) } else { Ok(()) }
}

/// The list of record sets.
struct Sets<'l, F, T>(&'l mut Listing<F, T>);

impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for Sets<'_, F, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Sets<'_, F, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of record sets")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        while let Some(set) = seq.next_element()? {
            (self.0.take)(set);
        }
        Ok(())
    }
}
