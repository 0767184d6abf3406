//! The ids of connections over QUIC, which say what process made them.

use quinn::{ConnectionId, ConnectionIdGenerator};

/// What ids of one process' connections begin with. Behind it come 48 bits that nobody can guess.
///
/// That all ids of a server share two bytes tells nobody which of them are one client's (RFC 9000 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) struct Tag(u16);

/// Bytes of an id; `sys::steer_by_tag` knows that.
const LEN: usize = 8;

impl Tag {
    /// One that no process beside this has: not that of `before`, if there is one.
    pub fn other_than(before: Option<u16>) -> Self {
        loop {
            let tag = rand::random();
            if Some(tag) != before {
                return Self(tag);
            }
        }
    }

    /// As a number, by which another process tells these ids from its own.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl ConnectionIdGenerator for Tag {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id: [u8; LEN] = rand::random();
        id[..2].copy_from_slice(&self.0.to_be_bytes());
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        LEN
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_begin_with_the_tag_and_differ_behind_it() {
        let mut tag = Tag::other_than(Some(7));
        assert_ne!(tag.number(), 7);
        let (one, other) = (tag.generate_cid(), tag.generate_cid());
        assert_eq!(one[..2], tag.number().to_be_bytes());
        assert_eq!((one.len(), one[..2] == other[..2], one[2..] == other[2..]), (tag.cid_len(), true, false));
    }
}
