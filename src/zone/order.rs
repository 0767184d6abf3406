//! Canonical order of names (RFC 4034 §6.1), as keys that compare byte by byte.

use std::cmp::Ordering;

use crate::wire::NameRef;

/// Ends a label in a key: below every byte that can stand in one.
const END: u8 = 0;
/// Marks a byte that would be taken for a mark.
const ESCAPE: u8 = 1;

/// Appends the sort key of `owner`, which must be at or below `apex`, to `keys`.
///
/// The labels between the two from the right, each ended by a zero: keys of one zone are in the
/// order of their names, and a name's key begins with the keys of all its ancestors.
pub(super) fn push_key(keys: &mut Vec<u8>, owner: NameRef<'_>, apex: NameRef<'_>) {
    let front = owner.as_bytes().len().saturating_sub(apex.as_bytes().len());
    let owner = owner.as_bytes();
    let (mut starts, mut labels, mut at) = ([0u8; 128], 0, 0);
    while at < front {
        starts[labels % 128] = at as u8;
        labels += 1;
        at += 1 + usize::from(owner[at]);
    }
    for &start in starts[..labels.min(128)].iter().rev() {
        let from = usize::from(start) + 1;
        for &byte in &owner[from..from + usize::from(owner[from - 1])] {
            match byte {
                END | ESCAPE => keys.extend_from_slice(&[ESCAPE, byte + 1]),
                other => keys.push(other),
            }
        }
        keys.push(END);
    }
}

/// Compares two names in canonical order. Equal ones, the usual case in two versions of a zone, cost
/// one comparison of their bytes.
pub(super) fn compare(one: NameRef<'_>, other: NameRef<'_>) -> Ordering {
    if one == other {
        return Ordering::Equal;
    }
    let (mut keys, root) = (Vec::with_capacity(128), NameRef::from_checked(&[0]));
    push_key(&mut keys, one, root);
    let middle = keys.len();
    push_key(&mut keys, other, root);
    let (one, other) = keys.split_at(middle);
    one.cmp(other)
}

/// How many labels two keys have in common from the start.
pub(super) fn common_labels(one: &[u8], other: &[u8]) -> usize {
    let same = one.iter().zip(other).take_while(|(a, b)| a == b);
    same.filter(|(byte, _)| **byte == END).count()
}

/// The number of labels in a key.
pub(super) fn label_count(key: &[u8]) -> usize {
    key.iter().filter(|&&byte| byte == END).count()
}

/// The first bytes of a key as a number that compares as they do.
pub(super) fn prefix(key: &[u8]) -> u128 {
    let mut first = [0; 16];
    let len = key.len().min(16);
    first[..len].copy_from_slice(&key[..len]);
    u128::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    fn key(owner: &[u8]) -> Vec<u8> {
        let mut keys = Vec::new();
        push_key(&mut keys, Name::from_wire(owner).unwrap().as_ref(), Name::root().as_ref());
        keys
    }

    #[test]
    fn keys_compare_as_rfc_4034_orders_names() {
        // The example of its §6.1.
        let names: [&[u8]; 9] = [
            b"\x07example\0",
            b"\x01a\x07example\0",
            b"\x08yljkjljk\x01a\x07example\0",
            b"\x01Z\x01a\x07example\0",
            b"\x04zABC\x01a\x07EXAMPLE\0",
            b"\x01z\x07example\0",
            b"\x01\x01\x01z\x07example\0",
            b"\x01*\x01z\x07example\0",
            b"\x01\xc8\x01z\x07example\0",
        ];
        assert!(names.map(key).is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn bytes_that_look_like_marks_keep_their_place() {
        let names: [&[u8]; 7] = [
            b"\0",
            b"\x01\x00\0",
            b"\x02\x00\x00\0",
            b"\x02\x00\x01\0",
            b"\x01\x01\0",
            b"\x01a\x01\x01\0",
            b"\x01\x02\0",
        ];
        let keys = names.map(key);
        assert!(keys.is_sorted_by(|a, b| a < b) && keys.is_sorted_by(|a, b| prefix(a) <= prefix(b)));
        assert_eq!(names.map(|n| label_count(&key(n))), [0, 1, 1, 1, 1, 2, 1]);
    }

    #[test]
    fn common_labels_are_whole_ones() {
        let (one, other) = (key(b"\x01x\x02ab\x01c\0"), key(b"\x02ac\x01c\0"));
        assert_eq!((common_labels(&one, &other), common_labels(&one, &one)), (1, 3));
        assert_eq!(common_labels(&one, &key(b"\x01a\x01c\0")), 1);
        assert_eq!(common_labels(&one, &key(b"\0")), 0);
    }
}
