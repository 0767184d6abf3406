//! A snapshot's bytes, taken apart. They may be anything.

use std::io::Read;
use std::time::Duration;

use super::{Header, MAGIC, MAX_BLOCK, MAX_STALE, SnapshotError, Stamp, checksum};
use crate::cache::CacheKey;
use crate::wire::name::wire_len;
use crate::wire::{EdeCode, Learned, Name, NameRef, Rtype, learn};

/// One entry.
pub(super) struct Item<'a> {
    /// How long ago it was learned.
    pub age: Duration,
    flags: u8,
    ede: Option<(EdeCode, &'a str)>,
    message: &'a [u8],
}

impl Item<'_> {
    /// Learns the message anew, as if an upstream had sent it. `None`: this version would not have learned it. The name
    /// of the key is the first of the pair.
    pub fn learn(&self) -> Option<((Name, CacheKey<'static>), Learned)> {
        let question = self.message.get(12..)?;
        let (name, rest) = question.split_at_checked(wire_len(question).ok()?)?;
        let qname = Name::from_wire(name).ok()?;
        let qtype = Rtype(u16::from_be_bytes(*rest.first_chunk()?));
        let key = CacheKey {
            qname: NameRef::from_checked(&[0]),
            qtype,
            dnssec_ok: self.flags & 1 != 0,
            checking_disabled: self.flags & 2 != 0,
        };
        let mut learned = learn(self.message, qname.as_ref(), qtype, key.dnssec_ok).ok()?;
        learned.ede = self.ede.map(|(code, text)| (code, text.into()));
        Some(((qname, key), learned))
    }
}

/// Takes a snapshot apart, lends each entry that is not too old to `each`, and says how many there are in all.
pub(super) fn walk(
    input: &mut impl Read,
    origin: u64,
    today: &Stamp,
    mut each: impl FnMut(&Item<'_>),
) -> Result<u64, SnapshotError> {
    let mut magic = [0; MAGIC.len()];
    exact(input, &mut magic)?;
    if &magic != MAGIC {
        return Err(SnapshotError::Damaged("it does not begin as one"));
    }
    let mut block = Vec::new();
    let passed = match next(input, &mut block)? {
        (b'H', content) => elapsed(content, origin, today)?,
        _ => return Err(SnapshotError::Damaged("it has no header")),
    };
    let mut entries = 0u64;
    loop {
        match next(input, &mut block)? {
            (b'E', content) => entries += entries_of(content, passed, &mut each)?,
            (b'Z', content) if content == entries.to_le_bytes() => return Ok(entries),
            (b'Z', _) => return Err(SnapshotError::Damaged("entries are missing")),
            _ => return Err(SnapshotError::Damaged("a block of another kind")),
        }
    }
}

/// Reads up to the last block.
pub(super) fn skip(input: &mut impl Read) -> Result<(), SnapshotError> {
    let mut block = Vec::new();
    while next(input, &mut block)?.0 != b'Z' {}
    Ok(())
}

/// How long ago it was taken.
fn elapsed(header: &[u8], origin: u64, today: &Stamp) -> Result<Duration, SnapshotError> {
    let header: Header = serde_json::from_slice(header).map_err(|_| SnapshotError::Damaged("its header"))?;
    if header.origin != origin {
        return Err(SnapshotError::Useless("it was learned from other upstreams"));
    }
    header.stamp.until(today).ok_or(SnapshotError::Useless("the clock stands before it was taken"))
}

fn exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), SnapshotError> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => SnapshotError::Damaged("it is cut off"),
        _ => SnapshotError::Io(error),
    })
}

/// The next block: its kind and its content.
fn next<'b>(input: &mut impl Read, block: &'b mut Vec<u8>) -> Result<(u8, &'b [u8]), SnapshotError> {
    let (mut len, mut sum) = ([0; 4], [0; 8]);
    exact(input, &mut len)?;
    exact(input, &mut sum)?;
    let len = u32::from_le_bytes(len) as usize;
    if !(1..=MAX_BLOCK).contains(&len) {
        return Err(SnapshotError::Damaged("a block of impossible length"));
    }
    block.resize(len, 0);
    exact(input, block)?;
    match block.split_first() {
        Some((&kind, content)) if checksum(kind, content) == u64::from_le_bytes(sum) => Ok((kind, content)),
        _ => Err(SnapshotError::Damaged("a block is not what was written")),
    }
}

fn entries_of(
    mut content: &[u8],
    passed: Duration,
    each: &mut impl FnMut(&Item<'_>),
) -> Result<u64, SnapshotError> {
    let mut entries = 0;
    while !content.is_empty() {
        let (item, rest) = entry(content, passed).ok_or(SnapshotError::Damaged("an entry is not whole"))?;
        // What is older has ended whatever its TTL: no TTL that is kept is longer than a week.
        if item.age < MAX_STALE * 8 {
            each(&item);
        }
        content = rest;
        entries += 1;
    }
    Ok(entries)
}

/// The entry at the front of a block, and what is behind it.
fn entry(content: &[u8], passed: Duration) -> Option<(Item<'_>, &[u8])> {
    let (len, rest) = content.split_first_chunk()?;
    let (entry, behind) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    let (age, rest) = entry.split_first_chunk()?;
    // Below zero for what was learned while it was written. Never younger than new.
    let age = i64::try_from(passed.as_millis()).ok()?.saturating_add(i64::from_le_bytes(*age)).max(0);
    let (&flags, rest) = rest.split_first()?;
    let (text_len, rest) = rest.split_first_chunk()?;
    let (code, rest) = rest.split_first_chunk()?;
    let (ede, message) = match u16::from_le_bytes(*text_len).checked_sub(1) {
        None => (None, rest),
        Some(len) => {
            let (text, message) = rest.split_at_checked(len.into())?;
            (Some((EdeCode(u16::from_le_bytes(*code)), std::str::from_utf8(text).ok()?)), message)
        }
    };
    Some((Item { age: Duration::from_millis(age.unsigned_abs()), flags, ede, message }, behind))
}
