//! Queries in a stream, each behind two bytes of length (RFC 1035 §4.2.2).

use crate::sys::QUERY_MAX;

/// Where one stream stands between two queries.
///
/// Of a query longer than [`QUERY_MAX`] that many bytes are taken and the rest is passed over, as
/// a datagram is cut: a connection never holds more, and so long a query is answered FORMERR or
/// by its question, over both transports alike.
#[derive(Clone, Debug, Default)]
pub struct Framing {
    skip: usize,
}

impl Framing {
    /// Takes the next whole query off the front of `input`; `None` when the rest of it has yet to
    /// come. May be empty.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<&'a [u8]> {
        let skipped = self.skip.min(input.len());
        self.skip -= skipped;
        *input = input.get(skipped..)?;
        let (prefix, rest) = input.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes(*prefix));
        let (query, rest) = rest.split_at_checked(len.min(QUERY_MAX))?;
        self.skip = len - query.len();
        *input = rest;
        Some(query)
    }

    /// Whether the end of a cut query has yet to come.
    pub fn is_skipping(&self) -> bool {
        self.skip > 0
    }
}

/// The length prefix of a response; `None` when it is empty or too long for one.
pub(super) fn prefix(len: usize) -> Option<[u8; 2]> {
    u16::try_from(len).ok().filter(|&len| len > 0).map(u16::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(queries: &[Vec<u8>]) -> Vec<u8> {
        let frame = |query: &Vec<u8>| [&(query.len() as u16).to_be_bytes()[..], query].concat();
        queries.iter().flat_map(frame).collect()
    }

    /// Feeds `stream` in pieces of `step` bytes, as a connection does.
    fn fed(stream: &[u8], step: usize) -> (Vec<Vec<u8>>, usize) {
        let (mut framing, mut held, mut got, mut most) = (Framing::default(), Vec::new(), Vec::new(), 0);
        for piece in stream.chunks(step) {
            held.extend_from_slice(piece);
            let mut input = &held[..];
            while let Some(query) = framing.next(&mut input) {
                got.push(query.to_vec());
            }
            held = input.to_vec();
            most = most.max(held.len());
        }
        assert!(held.is_empty() && !framing.is_skipping());
        (got, most)
    }

    #[test]
    fn a_query_longer_than_the_limit_is_cut_and_the_next_one_still_found() {
        let stream = framed(&[vec![1; 65535], vec![2; QUERY_MAX + 1], vec![], vec![3; 20]]);
        for step in [1, 1000, 4098, 70_000, stream.len()] {
            let (got, most) = fed(&stream, step);
            assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [QUERY_MAX, QUERY_MAX, 0, 20]);
            assert_eq!((got[0][0], got[1][0], got[3][0]), (1, 2, 3));
            assert!(most < QUERY_MAX + 2);
        }
    }

    #[test]
    fn only_lengths_of_a_message_have_a_prefix() {
        assert_eq!(prefix(0), None);
        assert_eq!(prefix(0x0102), Some([1, 2]));
        assert_eq!(prefix(65535), Some([255, 255]));
        assert_eq!(prefix(65536), None);
    }

    proptest! {
        #[test]
        fn the_pieces_a_stream_comes_in_do_not_matter(
            queries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
            step in 1usize..50,
        ) {
            prop_assert_eq!(fed(&framed(&queries), step).0, queries);
        }
    }
}
