//! A response learned from an upstream, in the form it is cached and served from.

use super::{EdeCode, Rcode};

/// A checked upstream response without header, question and OPT.
///
/// `block` holds the answer records, then the authority records, as they stand in a message whose
/// question is `qname`: the block begins at offset [`Learned::base`], right behind the question.
/// Owner names are a compression pointer wherever the name occurs before: at 12 (the question
/// name), inside the question name (a suffix of it), or in an earlier owner or CNAME target of the
/// block. Names inside RDATA are never compressed. So a block is served by one copy, and can be
/// moved behind other records by shifting its owner pointers. Additional records are dropped
/// (minimal responses), and so is the authority section of a positive answer unless DO was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The response code, extended bits included.
    pub rcode: Rcode,
    /// The AD bit of the response (RFC 6840 §5.8).
    pub authentic: bool,
    /// Records in the answer section.
    pub answers: u16,
    /// Records in the authority section.
    pub authorities: u16,
    /// The records.
    pub block: Box<[u8]>,
    /// Where each record begins in `block`, in order.
    pub starts: Box<[u16]>,
    /// Wire length of the question name the block was laid out for.
    pub qname_len: u8,
    /// How long it may be cached: the least TTL of a positive answer, min(SOA TTL, MINIMUM) of a
    /// negative one (RFC 2308 §5), 0 for what may not be cached.
    pub lifetime: u32,
    /// The upstream's extended error, if it sent one.
    pub ede: Option<(EdeCode, Box<str>)>,
}

impl Learned {
    /// The message offset that `block` is laid out for: header, question name, type and class.
    pub fn base(&self) -> usize {
        12 + usize::from(self.qname_len) + 4
    }
}
