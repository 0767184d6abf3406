//! The cache's content outside the process: written for the next one, and read from the last.
//!
//! An entry is a DNS message, the one it would be learned from, with its age: this format does not change with
//! the layout in memory, and what is read is checked as an upstream's response is. It comes in blocks:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `ZLCACHE1`, once |
//! | 4 | length of the block's content, 1 to 1 MiB, little-endian like all numbers |
//! | 8 | SipHash-1-3 of the content under a key of zeros: damage, not forgery, is found by it |
//! | 1 | content: `H` the [`Stamp`] and the origin as JSON, `E` entries, `Z` their number (8), the last block |
//!
//! and an entry in a block: length (4) of what follows, milliseconds before the stamp that it was learned (8, signed),
//! DO and CD (1), extended error: length of its text plus one, 0 for none (2), code (2), text, message.

use std::hash::Hasher as _;
use std::io::{self, Read, Write};
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::layout::Packed;
use super::{Cache, CacheKey};
use crate::clock::Moment;
use crate::wire::{CLASS_IN, Rtype};

mod read;
mod stamp;

pub use stamp::Stamp;

const MAGIC: &[u8; 8] = b"ZLCACHE1";
/// A block is closed once it has so many bytes.
const BLOCK: usize = 64 << 10;
/// No block is longer: an entry with its message has less than 200 KiB.
const MAX_BLOCK: usize = 1 << 20;
/// Answers that ended longer ago are of no use to anybody (RFC 8767 §5 suggests at most a day or so).
pub const MAX_STALE: Duration = Duration::from_secs(86_400);

/// Why a snapshot was not read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It cannot be read.
    #[error("cannot read the snapshot")]
    Io(#[from] io::Error),
    /// It is not what was written: nothing of it is used.
    #[error("the snapshot is damaged: {0}")]
    Damaged(&'static str),
    /// It was taken in other circumstances.
    #[error("the snapshot is of no use: {0}")]
    Useless(&'static str),
}

/// What a snapshot was taken of.
#[derive(Debug, serde::Deserialize, serde::Serialize)]
struct Header {
    stamp: Stamp,
    /// Whom the answers came from, as a fingerprint: others may answer differently.
    origin: u64,
}

/// Writes all that may still be of use to `out`, at most some `max_bytes`, and says how many entries that were.
///
/// Each chunk of memory is copied under its shard's lock, 32 KiB at a time; the rest of the work holds no lock.
///
/// # Errors
/// Those of `out`.
pub fn write(
    cache: &Cache,
    (stamp, now): (Stamp, Moment),
    origin: u64,
    max_bytes: u64,
    out: &mut impl Write,
) -> io::Result<u64> {
    out.write_all(MAGIC)?;
    put_block(out, b'H', &serde_json::to_vec(&Header { stamp, origin })?)?;
    let (mut entries, mut bytes, mut chunk, mut block) = (0u64, 0u64, Vec::new(), Vec::new());
    for shard in 0..cache.shard_count() {
        let mut id = 0;
        while bytes < max_bytes && cache.copy_chunk(shard, id, &mut chunk) {
            id += 1;
            for packed in Packed::all(&chunk).filter(|packed| is_of_use(*packed, now)) {
                let before = block.len();
                if put_entry(&mut block, packed, now).is_none() {
                    block.truncate(before);
                    continue;
                }
                entries += 1;
                bytes += (block.len() - before) as u64;
                if block.len() >= BLOCK {
                    put_block(out, b'E', &block)?;
                    block.clear();
                }
            }
        }
    }
    if !block.is_empty() {
        put_block(out, b'E', &block)?;
    }
    put_block(out, b'Z', &entries.to_le_bytes())?;
    out.flush()?;
    Ok(entries)
}

fn is_of_use(packed: Packed<'_>, now: Moment) -> bool {
    !packed.is_dead() && now < packed.expires().after(MAX_STALE)
}

fn put_block(out: &mut impl Write, kind: u8, content: &[u8]) -> io::Result<()> {
    let len = u32::try_from(content.len() + 1).map_err(io::Error::other)?;
    out.write_all(&len.to_le_bytes())?;
    out.write_all(&checksum(kind, content).to_le_bytes())?;
    out.write_all(&[kind])?;
    out.write_all(content)
}

fn checksum(kind: u8, content: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(&[kind]);
    hasher.write(content);
    hasher.finish()
}

/// Appends an entry. `None`: it is not whole, which cannot be.
fn put_entry(block: &mut Vec<u8>, packed: Packed<'_>, now: Moment) -> Option<()> {
    let (entry, qname) = (packed.entry()?, packed.qname()?);
    let learned = entry.learned;
    let start = block.len();
    block.extend([0; 4]);
    let age = i64::try_from(now.as_millis()).ok()? - i64::try_from(entry.stored.as_millis()).ok()?;
    block.extend(age.to_le_bytes());
    block.push(packed.flags());
    let (code, text) = learned.ede.map_or((0, ""), |(code, text)| (code.0, text));
    let text_len = if learned.ede.is_some() { u16::try_from(text.len()).ok()? + 1 } else { 0 };
    block.extend(text_len.to_le_bytes());
    block.extend(code.to_le_bytes());
    block.extend(text.as_bytes());
    let authentic = if learned.authentic { 0x0020 } else { 0 };
    let flags = 0x8180 | authentic | (learned.rcode.0 & 0x000f);
    for number in [0, flags, 1, learned.answers, learned.authorities, 0] {
        block.extend(number.to_be_bytes());
    }
    block.extend(qname);
    // A denial counts for all types; one has to be named.
    block.extend(packed.qtype().unwrap_or(Rtype::A).0.to_be_bytes());
    block.extend(CLASS_IN.to_be_bytes());
    block.extend(learned.block);
    let len = u32::try_from(block.len() - start - 4).ok()?;
    block.get_mut(start..start + 4)?.copy_from_slice(&len.to_le_bytes());
    Some(())
}

/// Reads a snapshot to its end without using it, and says how many entries it has.
///
/// # Errors
/// [`SnapshotError`]: all of it must be left alone.
pub fn check(input: &mut impl Read, origin: u64, today: &Stamp) -> Result<u64, SnapshotError> {
    read::walk(input, origin, today, |_| {})
}

/// Reads what is left of a snapshot that turned out to be [useless](SnapshotError::Useless), where more follows it.
///
/// # Errors
/// [`SnapshotError`]: there is no telling where it ends.
pub fn skip(input: &mut impl Read) -> Result<(), SnapshotError> {
    read::skip(input)
}

/// Puts what a snapshot holds into the cache, as old as it is, where the cache knows nothing newer; says how many
/// entries were put in. `today` is `now` by the machine's clocks.
///
/// # Errors
/// [`SnapshotError`]; what was put in before an error stays, so a file is [checked](check) first.
pub fn restore(
    cache: &Cache,
    (today, now): (&Stamp, Moment),
    origin: u64,
    input: &mut impl Read,
) -> Result<u64, SnapshotError> {
    let _underway = cache.begin_restore();
    let mut restored = 0;
    read::walk(input, origin, today, |item| {
        if let Some((key, learned)) = item.learn() {
            let key = CacheKey { qname: key.0.as_ref(), ..key.1 };
            restored += u64::from(cache.restore(&key, learned, item.age, now));
        }
    })?;
    Ok(restored)
}

#[cfg(test)]
mod tests;
