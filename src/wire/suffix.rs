//! A name as it is looked up: in lower case, with the start and the hash of each of its suffixes.

use super::NameRef;
use super::hash::{BLOCK, Folded};
use super::name::{MAX_LABEL, MAX_NAME};

/// Most suffixes a name can have, the root counted (RFC 1035 §2.3.4: 127 labels of one byte).
const MAX_SUFFIXES: usize = 128;

/// Room for a whole block at the last byte of the longest name.
const PADDED: usize = MAX_NAME + BLOCK;

/// A name in lower case with the start of each of its suffixes.
///
/// `suffix(0)` is the root, `suffix(1)` the top-level domain, `suffix(depth())` the name itself.
/// Hashes are keyed by random numbers of this process and only meaningful within it.
#[derive(Clone, Debug)]
pub struct Suffixes {
    /// The wire form, then a block of zeros: a name ends itself, so they never make two names alike.
    name: [u8; PADDED],
    len: usize,
    /// Where each label begins, from the left; the root's empty one is the last.
    starts: [u8; MAX_SUFFIXES],
    depth: usize,
}

impl Default for Suffixes {
    /// The root.
    fn default() -> Self {
        Self { name: [0; PADDED], len: 1, starts: [0; MAX_SUFFIXES], depth: 0 }
    }
}

impl Suffixes {
    /// The suffixes of a name.
    pub fn of(name: NameRef<'_>) -> Self {
        let mut all = Self::default();
        let whole = all.read(name.as_bytes());
        debug_assert_eq!(whole, Some(name.as_bytes().len()), "a NameRef is a whole name");
        all
    }

    /// Takes the name at the front of `wire`, in any case, in place of what was here, and returns
    /// its length; what follows it is not looked at.
    ///
    /// `None` where it is cut, longer than 255 bytes, or goes on at a compression pointer; this is
    /// then the root. Cost: one pass over the labels and one over the bytes; no allocation. It is
    /// filled in place since it is large: moving it would cost more than all the rest.
    #[inline]
    pub fn read(&mut self, wire: &[u8]) -> Option<usize> {
        (self.len, self.depth) = (1, 0);
        self.name[..BLOCK].fill(0);
        let (mut at, mut depth) = (0, 0);
        loop {
            *self.starts.get_mut(depth)? = u8::try_from(at).ok()?;
            let label = usize::from(*wire.get(at)?);
            at += 1 + label;
            if label == 0 {
                break;
            }
            if label > MAX_LABEL || at >= MAX_NAME {
                return None;
            }
            depth += 1;
        }
        lower(wire.get(..at)?, &mut self.name);
        self.name.get_mut(at..)?.first_chunk_mut::<BLOCK>()?.fill(0);
        (self.len, self.depth) = (at, depth);
        Some(at)
    }

    /// The number of labels, the root label not counted.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The whole name.
    pub fn name(&self) -> NameRef<'_> {
        self.from(0)
    }

    /// The suffix of `depth` labels; the whole name for anything deeper.
    pub fn suffix(&self, depth: usize) -> NameRef<'_> {
        self.from(self.start(depth))
    }

    /// The hash of [`Suffixes::suffix`]. Cost: a multiplication for each 16 bytes of it, and one more.
    pub fn hash(&self, depth: usize) -> u64 {
        let mut hash = Folded::new();
        for at in (self.start(depth)..self.len).step_by(BLOCK) {
            let Some(block) = self.name[at..].first_chunk() else { break };
            hash = hash.with(block);
        }
        hash.finish()
    }

    fn start(&self, depth: usize) -> usize {
        usize::from(self.starts[(self.depth - depth.min(self.depth)) % MAX_SUFFIXES])
    }

    fn from(&self, start: usize) -> NameRef<'_> {
        NameRef::from_checked(&self.name[start..self.len])
    }
}

/// Copies a wire name in lower case, block by block. Its length bytes, up to 63, are no letters.
fn lower(name: &[u8], to: &mut [u8; PADDED]) {
    let to = &mut to[..name.len()];
    let Some(last) = name.last_chunk::<BLOCK>() else {
        to.copy_from_slice(name);
        return to.make_ascii_lowercase();
    };
    for (to, from) in to.as_chunks_mut::<BLOCK>().0.iter_mut().zip(name.as_chunks::<BLOCK>().0) {
        *to = from.map(|byte| byte.to_ascii_lowercase());
    }
    // The rest once more with some of what is done already, so that it is a whole block, too.
    if let Some(to) = to.last_chunk_mut::<BLOCK>() {
        *to = last.map(|byte| byte.to_ascii_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Name;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn read(wire: &[u8]) -> Option<Suffixes> {
        let mut all = Suffixes::default();
        all.read(wire).map(|_| all)
    }

    fn hash(name: NameRef<'_>) -> u64 {
        let all = Suffixes::of(name);
        all.hash(all.depth())
    }

    /// Every suffix is found where the name's own walk to the root has it, with the hash that it
    /// has by itself.
    fn agree(all: &Suffixes, name: NameRef<'_>) {
        assert_eq!((all.depth(), all.name()), (name.label_count(), name));
        for (depth, suffix) in (0..=all.depth()).rev().zip(name.suffixes()) {
            assert_eq!(all.suffix(depth), suffix);
            assert_eq!(all.hash(depth), hash(suffix), "{suffix}");
        }
        assert_eq!(all.suffix(all.depth() + 1), name);
        assert_eq!(all.hash(all.depth() + 1), all.hash(all.depth()));
    }

    #[test]
    fn every_suffix_hashes_like_the_name_it_is() {
        for text in [".", "a", "a.bb.ccccccccccccccc.corp.internal", "*.apps.corp.internal"] {
            let name = name(text);
            agree(&Suffixes::of(name.as_ref()), name.as_ref());
        }
    }

    #[test]
    fn names_of_one_to_127_labels_fit() {
        for labels in 1..=127 {
            let wire = [b"\x01A".repeat(labels), vec![0]].concat();
            let all = read(&wire).unwrap();
            assert_eq!(all.depth(), labels);
            agree(&all, Name::from_wire(&wire).unwrap().as_ref());
        }
    }

    #[test]
    fn a_name_is_read_in_lower_case_and_what_follows_is_left() {
        for len in 1..=63 {
            let (upper, lower) = (vec![b'Z'; len], vec![b'z'; len]);
            let wire = [&[len as u8][..], &upper, b"\x00BEHIND"].concat();
            let all = read(&wire).unwrap();
            assert_eq!(all.name().as_bytes(), [&[len as u8][..], &lower, b"\x00"].concat());
        }
    }

    #[test]
    fn what_is_no_whole_name_is_not_read() {
        let long = [b"\x3f".repeat(64), b"\x3f".repeat(64), b"\x3f".repeat(64)].concat();
        assert!(read(&[&long[..], b"\x3d", &[b'a'; 61], b"\x00"].concat()).is_some());
        assert!(read(&[&long[..], b"\x3e", &[b'a'; 62], b"\x00"].concat()).is_none());
        for bad in [&b""[..], b"\x01", b"\x01a", b"\xc0\x0c", b"\x01a\xc0\x0c", b"\x40"] {
            assert!(read(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn after_a_name_that_cannot_be_read_it_is_the_root() {
        let mut all = Suffixes::of(name("a.test").as_ref());
        assert_eq!(all.read(b"\x01a\xc0\x0c"), None);
        agree(&all, NameRef::from_checked(&[0]));
    }

    #[test]
    fn nothing_stays_of_the_name_that_was_there_before() {
        let mut all = Suffixes::of(name(&"long-label.".repeat(20)).as_ref());
        for text in ["a.b.c.d.e", "a-name-of-sixteen.x", "a.b", "."] {
            let name = name(text);
            assert_eq!(all.read(name.as_ref().as_bytes()), Some(name.as_bytes().len()));
            agree(&all, name.as_ref());
        }
        assert!(all.read(b"\x03www\x04te").is_none());
        agree(&all, Name::root().as_ref());
    }

    #[test]
    fn label_boundaries_change_the_hash() {
        assert_ne!(hash(name("ab.c").as_ref()), hash(name("a.bc").as_ref()));
        assert_ne!(hash(name("abc").as_ref()), hash(name("a.b.c").as_ref()));
        assert_ne!(hash(name("a").as_ref()), hash(Name::root().as_ref()));
    }

    /// What a table needs of the low bits, and of the high ones, over names that differ little.
    #[test]
    fn similar_names_spread_over_all_buckets() {
        for shift in [0, 32] {
            let mut buckets = [0; 64];
            for n in 0..6400 {
                let hash = hash(name(&format!("host-{n}.rack-{}.corp.test", n % 7)).as_ref());
                buckets[(hash >> shift) as usize % 64] += 1;
            }
            assert!(buckets.iter().all(|&n| (40..180).contains(&n)), "{buckets:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_a_name_reader_without_tricks_does(bytes in vec(0u8..=70, 0..300)) {
            let len = crate::wire::name::wire_len(&bytes);
            let Some(all) = read(&bytes) else {
                prop_assert!(len.is_err());
                return Ok(());
            };
            let name = Name::from_wire(&bytes[..len.unwrap()]).unwrap();
            agree(&all, name.as_ref());
        }
    }
}
