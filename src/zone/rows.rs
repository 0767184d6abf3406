//! The record sets of a zone in canonical order, without a copy of any.

use std::hint::black_box;
use std::ops::Range;

use super::data::{Body, RecordSet, SkipReason, Skipped, ZoneData};
use super::{node, order};
use crate::wire::{Name, Rtype};

/// The record sets that can stand in the zone, sorted by owner, type, and place in the input.
pub(super) struct Rows<'d> {
    sets: &'d [RecordSet],
    /// The sort keys of all owners, one after another.
    keys: Vec<u8>,
    rows: Vec<Row>,
    /// How many bytes the records take in an answer, and their owners.
    size: usize,
    dropped: usize,
}

/// So many record sets are reached for at a time.
const AHEAD: usize = 256;

/// One record set.
#[derive(Clone, Copy)]
struct Row {
    /// The first bytes of the key, which settle most comparisons.
    prefix: u128,
    key_at: usize,
    set: u32,
    key_len: u16,
    rtype: Rtype,
}

impl<'d> Rows<'d> {
    /// Takes over what can stand in the zone; what cannot is noted in `skipped`.
    pub fn admit(data: &'d ZoneData, drops_registry: bool, skipped: &mut Vec<Skipped>) -> Self {
        let mut keys = Vec::with_capacity(data.sets.len() * 12);
        let mut rows = Vec::with_capacity(data.sets.len());
        let (mut size, mut dropped) = (0, 0);
        for (at, set) in data.sets.iter().enumerate() {
            if let Err((reason, detail)) = admissible(&data.apex, set) {
                skip(skipped, &set.owner, set.rtype, reason, detail);
                continue;
            }
            if drops_registry && is_registry(set) {
                dropped += 1;
                continue;
            }
            size += set.owner.as_bytes().len() + size_of_block(set);
            let key_at = keys.len();
            order::push_key(&mut keys, set.owner.as_ref(), data.apex.as_ref());
            let key = keys.get(key_at..).unwrap_or_default();
            // A name has 255 bytes at most, its key twice as many.
            let (prefix, key_len) = (order::prefix(key), key.len() as u16);
            rows.push(Row { prefix, key_at, set: at as u32, key_len, rtype: set.rtype });
        }
        let mut sorted = Self { sets: &data.sets, keys, rows, size, dropped };
        sorted.sort();
        sorted
    }

    fn sort(&mut self) {
        let keys = &self.keys;
        self.rows.sort_unstable_by(|a, b| {
            let order = a.prefix.cmp(&b.prefix).then_with(|| a.key(keys).cmp(b.key(keys)));
            order.then((a.rtype, a.set).cmp(&(b.rtype, b.set)))
        });
    }

    /// How many bytes the records take in an answer, and their owners.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many record sets were left out on request.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// How many record sets there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The owners in canonical order, each with its key and its sets by type.
    pub fn owners(&self) -> impl Iterator<Item = (&[u8], impl Iterator<Item = &'d RecordSet>)> {
        let same_owner = |a: &Row, b: &Row| a.prefix == b.prefix && a.key(&self.keys) == b.key(&self.keys);
        let groups = self.rows.chunk_by(same_owner);
        let (mut passed, mut reached) = (0, 0);
        groups.map(move |rows| {
            passed += rows.len();
            if passed > reached {
                self.reach_for(reached..passed + AHEAD);
                reached = passed + AHEAD;
            }
            let key = rows.first().map_or(&[][..], |row| row.key(&self.keys));
            (key, rows.iter().filter_map(|row| self.set(row)))
        })
    }

    /// Reads a little of each record set of these rows. In canonical order they lie scattered over
    /// memory: such reads overlap, where each would be waited for when its set is laid out.
    fn reach_for(&self, rows: Range<usize>) {
        let rows = self.rows.get(rows.start..rows.end.min(self.rows.len())).unwrap_or_default();
        let first = |bytes: &[u8]| bytes.first().copied().unwrap_or(0);
        let read = |set: &RecordSet| match &set.body {
            Body::Records { rdata, .. } => rdata.first().map_or(0, |value| first(value)),
            Body::Alias(_) | Body::Member(_) | Body::Deferred(_) => 0,
        };
        let sets = rows.iter().filter_map(|row| self.set(row));
        black_box(sets.fold(0, |sum, set| sum ^ read(set) ^ first(set.owner.as_bytes())));
    }

    fn set(&self, row: &Row) -> Option<&'d RecordSet> {
        self.sets.get(row.set as usize)
    }
}

impl Row {
    fn key<'k>(&self, keys: &'k [u8]) -> &'k [u8] {
        keys.get(self.key_at..self.key_at + usize::from(self.key_len)).unwrap_or_default()
    }
}

/// Whether a set says to ExternalDNS that a name is its own, and nothing else.
fn is_registry(set: &RecordSet) -> bool {
    const MARK: &[u8] = b"heritage=external-dns,";
    let is_mark = |value: &[u8]| value.get(1..).is_some_and(|text| text.starts_with(MARK));
    match &set.body {
        Body::Records { rdata, .. } => set.rtype == Rtype::TXT && rdata.iter().all(|value| is_mark(value)),
        _ => false,
    }
}

fn size_of_block(set: &RecordSet) -> usize {
    match &set.body {
        Body::Records { rdata, .. } => node::size_of_block(rdata.iter().map(|value| &**value)),
        Body::Alias(alias) => node::LINK + alias.target.as_bytes().len(),
        Body::Member(member) => member.content.size_of_block(),
        Body::Deferred(_) => 0,
    }
}

/// Why a record set cannot stand in the zone of `apex` at all.
fn admissible(apex: &Name, set: &RecordSet) -> Result<(), (SkipReason, String)> {
    let RecordSet { owner, rtype, .. } = set;
    if !owner.as_ref().is_at_or_below(apex.as_ref()) {
        return Err((SkipReason::OutOfZone, format!("not at or below {apex}")));
    }
    let stands_for_others = *rtype == Rtype::ANY && matches!(set.body, Body::Deferred(_));
    if (rtype.is_meta() && !stands_for_others) || rtype.0 == 0 {
        return Err((SkipReason::UnsupportedType, "no zone holds records of this type".to_owned()));
    }
    if *rtype == Rtype::SOA && owner != apex {
        return Err((SkipReason::Conflict, "a SOA stands at the apex only".to_owned()));
    }
    Ok(())
}

/// Notes one thing that is not served.
pub(super) fn skip(
    skipped: &mut Vec<Skipped>,
    owner: &Name,
    rtype: Rtype,
    reason: SkipReason,
    detail: String,
) {
    skipped.push(Skipped { owner: owner.to_string(), rtype: rtype.to_string(), reason, detail });
}
