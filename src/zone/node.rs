//! How a name and its RRsets lie in a zone's arena: one run of bytes, so that a hit touches one or
//! two cache lines beside its slot.
//!
//! ```text
//! name length u8 | flags u8 | number of RRsets u16 | name | heads | blocks | link u32, if flagged
//! head = type u16, records u16, length of its block u16, kind u8, unused u8
//! ```
//! Integers are in the machine's order; blocks are as [`Rrset::block`] says, that of an alias is a link
//! u32 and the target's name.

use super::settle::Settled;
use super::{DeferredReason, Rrset};
use crate::wire::{NameRef, Rtype};

/// Bytes before the name.
pub(super) const HEAD: usize = 4;
/// Bytes that describe one RRset.
pub(super) const RRSET_HEAD: usize = 8;
/// Bytes of a link.
pub(super) const LINK: usize = 4;

/// At or below a zone cut or a DNAME: not ours to answer.
pub(super) const BELOW_CUT: u8 = 1;
/// A delegation or the owner of a DNAME.
pub(super) const CUT: u8 = 1 << 1;
/// The owner of a DNAME.
pub(super) const DNAME: u8 = 1 << 2;
/// The node `*.<this name>` exists.
pub(super) const WILDCARD: u8 = 1 << 3;
/// The owner of a CNAME, with room for where its target stands.
pub(super) const LINKED: u8 = 1 << 4;

/// An alias of a name in the zone, and of one elsewhere, as the kind of an RRset.
const INSIDE: u8 = 4;
const OUTSIDE: u8 = 5;
/// Sets that a policy chooses among.
const CHOSEN: u8 = 6;
/// Records of its own.
const RECORDS: u8 = 0;

/// Bytes of a choice before its records: the number of the group, and a fingerprint.
pub(super) const CHOICE: usize = 12;

/// The links of aliases that lead to no node; the others are that much more than where it begins.
const NOTHING: u32 = 0;
const LOOP: u32 = 1;
const ELSEWHERE: u32 = 2;
pub(super) const FIRST_LINK: u32 = 3;

/// An RRset that stands for another name's.
#[derive(Clone, Copy, Debug)]
pub struct AliasView<'z> {
    /// Whose records are answered.
    pub target: NameRef<'z>,
    /// Where they are.
    pub at: AliasAt,
    /// Whether its health is that of what it leads to.
    pub evaluates_health: bool,
}

/// Where an alias leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasAt {
    /// To a name that upstreams are asked for.
    Outside,
    /// To a name of the zone that has no records of the type.
    Nothing,
    /// Back to itself.
    Loop,
    /// To a name of the zone that only its origin can answer for, at or below a cut: as good as outside.
    Elsewhere,
    /// To records of the zone, those of the node that begins there.
    Node(usize),
}

impl AliasAt {
    fn read(link: u32) -> Self {
        match link {
            NOTHING => Self::Nothing,
            LOOP => Self::Loop,
            ELSEWHERE => Self::Elsewhere,
            link => Self::Node((link - FIRST_LINK) as usize),
        }
    }

    /// As it stands in the arena.
    pub(super) fn link(self) -> u32 {
        match self {
            Self::Outside | Self::Nothing => NOTHING,
            Self::Loop => LOOP,
            Self::Elsewhere => ELSEWHERE,
            // The layout sees to it that there is room.
            Self::Node(at) => u32::try_from(at).map_or(ELSEWHERE, |at| at.saturating_add(FIRST_LINK)),
        }
    }
}

/// Whether RRsets of this kind have records of their own.
pub(super) fn has_records(kind: u8) -> bool {
    kind == RECORDS
}

pub(super) fn alias(rrset: Rrset<'_>) -> Option<AliasView<'_>> {
    let (link, target) = rrset.raw.split_first_chunk()?;
    let at = match rrset.kind {
        INSIDE => AliasAt::read(u32::from_ne_bytes(*link)),
        OUTSIDE => AliasAt::Outside,
        _ => return None,
    };
    let evaluates_health = rrset.evaluates != 0;
    Some(AliasView { target: NameRef::from_checked(target), at, evaluates_health })
}

/// The group's number, and the fingerprint of all it says.
pub(super) fn choice(rrset: Rrset<'_>) -> Option<(usize, u64)> {
    let head: &[u8; CHOICE] = rrset.raw.first_chunk().filter(|_| rrset.kind == CHOSEN)?;
    let (number, fingerprint) = head.split_first_chunk()?;
    Some((u32::from_ne_bytes(*number) as usize, u64::from_ne_bytes(*fingerprint.first_chunk()?)))
}

/// Bytes of a block of records with this RDATA.
pub(super) fn size_of_block<'v>(rdata: impl IntoIterator<Item = &'v [u8]>) -> usize {
    rdata.into_iter().map(|value| 12 + value.len()).sum()
}

/// One existing name of a zone.
#[derive(Clone, Copy)]
pub(super) struct Node<'z> {
    name: &'z [u8],
    flags: u8,
    heads: &'z [u8],
    /// The blocks, the link, and all nodes behind this one.
    rest: &'z [u8],
}

impl<'z> Node<'z> {
    /// Reads the node that begins at `at`; `None` where the arena ends.
    pub fn read(arena: &'z [u8], at: usize) -> Option<Self> {
        let ([name_len, flags, count @ ..], rest) = arena.get(at..)?.split_first_chunk::<HEAD>()?;
        let (name, rest) = rest.split_at_checked(usize::from(*name_len))?;
        let (heads, rest) = rest.split_at_checked(usize::from(u16::from_ne_bytes(*count)) * RRSET_HEAD)?;
        Some(Self { name, flags: *flags, heads, rest })
    }

    pub fn name(self) -> NameRef<'z> {
        NameRef::from_checked(self.name)
    }

    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether it is a delegation, whose parent side owns DS alone (RFC 4035 §3.1.4.1).
    pub fn delegates(self, rtype: Rtype) -> bool {
        self.has(CUT) && !self.has(DNAME) && rtype != Rtype::DS
    }

    /// The RRsets by ascending type.
    pub fn rrsets(self) -> impl Iterator<Item = Rrset<'z>> {
        let (heads, _) = self.heads.as_chunks::<RRSET_HEAD>();
        let mut rest = self.rest;
        heads.iter().map_while(move |head| {
            let (block, after) = rest.split_at_checked(block_len(head))?;
            rest = after;
            Some(self.rrset(head, block, after))
        })
    }

    fn rrset(self, head: &[u8; RRSET_HEAD], block: &'z [u8], after: &[u8]) -> Rrset<'z> {
        let &[type_0, type_1, count_0, count_1, _, _, kind, evaluates] = head;
        Rrset {
            rtype: Rtype(u16::from_ne_bytes([type_0, type_1])),
            count: u16::from_ne_bytes([count_0, count_1]),
            kind,
            evaluates,
            raw: block,
            // A CNAME stands alone, so what follows its block is the link.
            link: match after.first_chunk() {
                Some(link) if self.has(LINKED) => u32::from_ne_bytes(*link),
                _ => 0,
            },
        }
    }

    /// Where in the arena the link of the alias of this type stands, the node beginning at `at`.
    pub fn alias_link(self, at: usize, rtype: Rtype) -> Option<usize> {
        let (heads, _) = self.heads.as_chunks::<RRSET_HEAD>();
        let before = self.rrsets().take_while(|rrset| rrset.rtype != rtype).count();
        let blocks: usize = heads.get(..before)?.iter().map(block_len).sum();
        self.rrsets().nth(before)?.alias()?;
        Some(at + HEAD + self.name.len() + self.heads.len() + blocks)
    }

    /// How many bytes the node takes.
    pub fn len(self) -> usize {
        let (heads, _) = self.heads.as_chunks::<RRSET_HEAD>();
        let blocks: usize = heads.iter().map(block_len).sum();
        let link = if self.has(LINKED) { LINK } else { 0 };
        HEAD + self.name.len() + self.heads.len() + blocks + link
    }
}

fn block_len(&[_, _, _, _, len_0, len_1, _, _]: &[u8; RRSET_HEAD]) -> usize {
    usize::from(u16::from_ne_bytes([len_0, len_1]))
}

/// The kind of an RRset, as it is read back.
pub(super) fn code(rrset: &Settled<'_>) -> u8 {
    match (rrset.alias, rrset.deferred) {
        _ if rrset.is_chosen => CHOSEN,
        (Some(alias), _) if alias.is_inside => INSIDE,
        (Some(_), _) => OUTSIDE,
        (None, None) => RECORDS,
        (None, Some(DeferredReason::Flattened)) => 1,
        (None, Some(DeferredReason::Choice)) => 2,
        (None, Some(DeferredReason::Unknown)) => 3,
    }
}

pub(super) fn reason(code: u8) -> Option<DeferredReason> {
    match code {
        RECORDS | INSIDE | OUTSIDE | CHOSEN => None,
        1 => Some(DeferredReason::Flattened),
        2 => Some(DeferredReason::Choice),
        _ => Some(DeferredReason::Unknown),
    }
}
