//! Lays settled RRsets out in the arena, parents before their children.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::choice::{Block, Compiled, Group, Held};
use super::compiled::Counts;
use super::data::{Content, Member, Policy};
use super::node::{self, BELOW_CUT, CUT, DNAME, HEAD, LINKED, RRSET_HEAD, WILDCARD};
use super::order::{common_labels, label_count};
use super::settle::{RrsetsOf, Settled};
use crate::wire::{CLASS_IN, NameRef, Rtype};

/// An arena in the making. Owners come in canonical order, the apex first.
#[derive(Default)]
pub(super) struct Layout {
    pub arena: Vec<u8>,
    /// Parents with their wildcard children.
    pub wildcards: Vec<(u32, u32)>,
    /// Nodes with a CNAME.
    pub cnames: Vec<u32>,
    /// Nodes with an alias of a name in the zone, and its type.
    pub aliases: Vec<(u32, Rtype)>,
    /// The sets that policies choose among.
    pub groups: Vec<Group>,
    /// Where the node at hand begins.
    node_at: u32,
    pub counts: Counts,
    /// Most labels below the apex.
    pub depth: usize,
    /// Where the node at hand and its ancestors begin, the apex first.
    path: Vec<u32>,
    /// The key of the owner before.
    last: Vec<u8>,
    /// The key of the cut above the owner at hand.
    cut: Option<Vec<u8>>,
}

impl Layout {
    /// With room for `rrsets` whose records and owners take `bytes`.
    pub fn with_room(rrsets: usize, bytes: usize) -> Self {
        let arena = Vec::with_capacity(bytes + rrsets * (HEAD + RRSET_HEAD) + 1024);
        Self { arena, ..Self::default() }
    }

    /// Lays out `owner`, whose sort key is `key`, and before it the ancestors that nothing stands
    /// at (RFC 4592 §2.2.2). False when a zone has no room for it: offsets have 32 bits.
    #[must_use]
    pub fn owner(&mut self, key: &[u8], owner: NameRef<'_>, rrsets: &RrsetsOf<'_>) -> bool {
        let (depth, shared) = (label_count(key), common_labels(&self.last, key));
        // What the owner before has in common with this one is a node already.
        self.path.truncate(shared + 1);
        let nothing = RrsetsOf::default();
        while self.path.len() < depth {
            let missing = depth - self.path.len();
            let Some(ancestor) = owner.suffixes().nth(missing) else { break };
            if !self.node(ancestor_key(key, self.path.len()), ancestor, &nothing) {
                return false;
            }
        }
        self.depth = self.depth.max(depth);
        let is_laid_out = self.node(key, owner, rrsets);
        self.last.clear();
        self.last.extend_from_slice(key);
        is_laid_out
    }

    fn node(&mut self, key: &[u8], owner: NameRef<'_>, rrsets: &RrsetsOf<'_>) -> bool {
        let longest = HEAD
            + owner.as_bytes().len()
            + node::LINK
            + rrsets.iter().map(|r| size(rrsets, r)).sum::<usize>();
        // Slots and links hold some more than an offset.
        let room = (u32::MAX as usize - node::FIRST_LINK as usize).checked_sub(self.arena.len());
        let Some(_) = room.filter(|room| longest <= *room) else { return false };
        let at = self.arena.len() as u32;
        self.node_at = at;
        let flags = self.flags(key, owner, rrsets);
        let count = rrsets.iter().count() as u16;
        let [count_0, count_1] = count.to_ne_bytes();
        self.arena.extend_from_slice(&[owner.as_bytes().len() as u8, flags, count_0, count_1]);
        self.arena.extend_from_slice(owner.as_bytes());
        rrsets.iter().for_each(|rrset| self.head(rrsets, rrset));
        rrsets.iter().for_each(|rrset| self.block(rrsets, rrset));
        let inside = rrsets.iter().filter(|r| r.alias.is_some_and(|alias| alias.is_inside));
        self.aliases.extend(inside.map(|rrset| (at, rrset.rtype)));
        if flags & LINKED != 0 {
            self.arena.extend_from_slice(&[0; node::LINK]);
            self.cnames.push(at);
        }
        if owner.is_wildcard() {
            self.note_wildcard(at);
        }
        self.counts.names += 1;
        self.path.push(at);
        true
    }

    fn flags(&mut self, key: &[u8], owner: NameRef<'_>, rrsets: &RrsetsOf<'_>) -> u8 {
        if self.cut.as_ref().is_some_and(|cut| !key.starts_with(cut)) {
            self.cut = None;
        }
        let mut flags = if self.cut.is_some() { BELOW_CUT } else { 0 };
        // NS at a wildcard is no delegation of anything (RFC 4592 §4.2).
        let delegates = rrsets.has(Rtype::NS) && !key.is_empty() && !owner.is_wildcard();
        let redirects = rrsets.has(Rtype::DNAME);
        if (delegates || redirects) && self.cut.is_none() {
            self.cut = Some(key.to_vec());
            self.counts.cuts += usize::from(delegates);
        }
        flags |= if delegates || redirects { CUT } else { 0 };
        flags |= if redirects { DNAME } else { 0 };
        let leads_on = rrsets.iter().any(|r| r.rtype == Rtype::CNAME && r.is_plain());
        flags | if leads_on { LINKED } else { 0 }
    }

    fn note_wildcard(&mut self, at: u32) {
        // A zone that is itself named with a star has no parent here.
        let Some(&parent) = self.path.last() else { return };
        if let Some(flags) = self.arena.get_mut(parent as usize + 1) {
            *flags |= WILDCARD;
            self.wildcards.push((parent, at));
        }
    }

    fn head(&mut self, rrsets: &RrsetsOf<'_>, rrset: &Settled<'_>) {
        let values = rrsets.values(rrset);
        let len = block_len(rrsets, rrset);
        let numbers = [rrset.rtype.0, values.len() as u16, len as u16].map(u16::to_ne_bytes);
        let [[type_0, type_1], [count_0, count_1], [len_0, len_1]] = numbers;
        let kind = node::code(rrset);
        let evaluates = u8::from(rrset.alias.is_some_and(|alias| alias.evaluates_health));
        let head = [type_0, type_1, count_0, count_1, len_0, len_1, kind, evaluates];
        self.arena.extend_from_slice(&head);
        self.counts.rrsets += 1;
        self.counts.aliases += usize::from(rrset.alias.is_some());
        self.counts.choices += usize::from(rrset.is_chosen);
        self.counts.deferred += usize::from(rrset.deferred.is_some());
        self.counts.records += values.len();
    }

    /// The records, ready to be copied into an answer whose question stands at offset 12.
    fn block(&mut self, rrsets: &RrsetsOf<'_>, rrset: &Settled<'_>) {
        if let Some(alias) = rrset.alias {
            self.arena.extend_from_slice(&[0; node::LINK]);
            return self.arena.extend_from_slice(alias.target.as_bytes());
        }
        if rrset.is_chosen {
            return self.choice(rrset.rtype, rrsets.members(rrset));
        }
        self.records(rrset.rtype, rrset.ttl, rrsets.values(rrset).iter().copied());
    }

    /// The number of the group and a fingerprint of all it says, then the records of its members.
    fn choice(&mut self, rtype: Rtype, members: &[&Member]) {
        let mut hasher = DefaultHasher::new();
        members.hash(&mut hasher);
        self.arena.extend_from_slice(&(self.groups.len() as u32).to_ne_bytes());
        self.arena.extend_from_slice(&hasher.finish().to_ne_bytes());
        // The records of several sets may be one answer, and that has one TTL (RFC 2181 §5.2).
        let ttls = members.iter().filter_map(|member| match &member.content {
            Content::Records { ttl, .. } => Some(*ttl),
            Content::Alias(_) => None,
        });
        let least = ttls.min().unwrap_or(0);
        let mut compiled = Vec::with_capacity(members.len());
        for member in members {
            let content = match &member.content {
                Content::Alias(alias) => Held::Alias(alias.clone()),
                Content::Records { ttl, rdata } => {
                    let from = self.arena.len() as u32;
                    let ttl = if member.policy == Policy::Multivalue { least } else { *ttl };
                    self.records(rtype, ttl, rdata.iter().map(|value| &**value));
                    Held::Block(Block { from, to: self.arena.len() as u32, count: rdata.len() as u16 })
                }
            };
            let (policy, health_check) = (member.policy.clone(), member.health_check.clone());
            let identifier = member.identifier.clone();
            compiled.push(Compiled { identifier, policy, health_check, content });
        }
        self.groups.push(Group { at: self.node_at, rtype, members: compiled.into() });
    }

    fn records<'v>(&mut self, rtype: Rtype, ttl: u32, values: impl Iterator<Item = &'v [u8]>) {
        let [[type_0, type_1], [class_0, class_1]] = [rtype.0, CLASS_IN].map(u16::to_be_bytes);
        let [ttl_0, ttl_1, ttl_2, ttl_3] = ttl.to_be_bytes();
        for value in values {
            let [len_0, len_1] = (value.len() as u16).to_be_bytes();
            let fixed =
                [0xc0, 12, type_0, type_1, class_0, class_1, ttl_0, ttl_1, ttl_2, ttl_3, len_0, len_1];
            self.arena.extend_from_slice(&fixed);
            self.arena.extend_from_slice(value);
        }
    }
}

fn size(rrsets: &RrsetsOf<'_>, rrset: &Settled<'_>) -> usize {
    RRSET_HEAD + block_len(rrsets, rrset)
}

fn block_len(rrsets: &RrsetsOf<'_>, rrset: &Settled<'_>) -> usize {
    match rrset.alias {
        Some(alias) => node::LINK + alias.target.as_bytes().len(),
        None if rrset.is_chosen => {
            let members = rrsets.members(rrset).iter();
            node::CHOICE + members.map(|member| member.content.size_of_block()).sum::<usize>()
        }
        None => node::size_of_block(rrsets.values(rrset).iter().copied()),
    }
}

/// The part of a key that is the key of the ancestor `labels` below the apex.
fn ancestor_key(key: &[u8], labels: usize) -> &[u8] {
    let Some(last) = labels.checked_sub(1) else { return &[] };
    let ends = key.iter().enumerate().filter(|(_, byte)| **byte == 0);
    ends.map(|(at, _)| at).nth(last).and_then(|end| key.get(..=end)).unwrap_or(key)
}
