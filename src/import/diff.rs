//! What one version of a zone has that another has not.

use std::cmp::Ordering;
use std::fmt;

use crate::wire::{Name, Rtype};
use crate::zone::{AliasAt, Rrset, RrsetView, Zone};

/// How many changed owners a diff lists; what was learned of more of them ends with its TTL.
const MAX_OWNERS: usize = 1000;
/// How many changed owners a diff names.
const NAMED: usize = 5;
/// A zone that loses fewer RRsets than this never counts as sharply shrunken.
const SHARP_LOSS: usize = 10;

/// The RRsets that differ between two versions of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Diff {
    pub added: usize,
    pub removed: usize,
    pub changed: usize,
    before: usize,
    named: Vec<String>,
    /// Which they are, the first [`MAX_OWNERS`].
    pub owners: Vec<(Name, Rtype)>,
}

impl Diff {
    /// Compares two versions of a zone RRset by RRset. The order of records within an RRset has
    /// no meaning (RFC 2181 §5) and is not looked at. Cost: linear in both zones, no memory: both
    /// are listed in the same order.
    pub fn between(old: &Zone, new: &Zone) -> Self {
        let mut diff = Self { before: old.counts().rrsets, ..Self::default() };
        let mut gone = Vec::new();
        for (before, after) in differing(old, new) {
            let either = after.or(before);
            match (before, after) {
                (Some(_), Some(_)) => diff.changed += 1,
                (None, _) => diff.added += 1,
                (Some(before), None) => {
                    diff.removed += 1;
                    if gone.len() < NAMED {
                        gone.push(before);
                    }
                }
            }
            after.into_iter().for_each(|after| diff.name(after));
            if let Some(view) = either.filter(|_| diff.owners.len() < MAX_OWNERS) {
                diff.owners.push((view.owner.to_owned(), view.rrset.rtype));
            }
        }
        gone.into_iter().for_each(|before| diff.name(before));
        diff
    }

    /// Every difference, in canonical order of owners.
    pub fn changes<'z>(old: &'z Zone, new: &'z Zone) -> impl Iterator<Item = Change> + 'z {
        differing(old, new).filter_map(|(before, after)| {
            let kind = match (before, after) {
                (None, _) => ChangeKind::Added,
                (_, None) => ChangeKind::Removed,
                _ => ChangeKind::Changed,
            };
            let view = after.or(before)?;
            Some(Change { kind, owner: view.owner.to_string(), rtype: view.rrset.rtype.to_string() })
        })
    }

    /// Whether the versions say the same.
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// Whether more than half of the old version, and more than a handful, is gone: as likely a
    /// fault at the source as somebody's wish.
    pub fn is_sharp_shrink(&self) -> bool {
        self.removed > SHARP_LOSS && self.removed > self.before / 2
    }

    /// How many RRsets differ.
    pub fn total(&self) -> usize {
        self.added + self.removed + self.changed
    }

    fn name(&mut self, view: RrsetView<'_>) {
        if self.named.len() < NAMED {
            self.named.push(format!("{} {}", view.owner, view.rrset.rtype));
        }
    }
}

/// One RRset that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// How.
    pub kind: ChangeKind,
    /// Its owner.
    pub owner: String,
    /// Its type.
    pub rtype: String,
}

/// How an RRset differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The old version does not have it.
    Added,
    /// The new version does not have it.
    Removed,
    /// It says something else.
    Changed,
}

/// The RRsets that differ, as they were and as they are, in the order of both listings.
fn differing<'z>(
    old: &'z Zone,
    new: &'z Zone,
) -> impl Iterator<Item = (Option<RrsetView<'z>>, Option<RrsetView<'z>>)> + 'z {
    let (mut olds, mut news) = (old.rrsets().peekable(), new.rrsets().peekable());
    std::iter::from_fn(move || {
        loop {
            let order = match (olds.peek(), news.peek()) {
                (Some(old), Some(new)) => old.canonical_cmp(new),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return None,
            };
            match (olds.next_if(|_| order.is_le()), news.next_if(|_| order.is_ge())) {
                (Some(before), Some(after)) if same(before.rrset, after.rrset) => {}
                differing => return Some(differing),
            }
        }
    })
}

/// A few of the names, for one log line.
impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.named.join(", "))?;
        match self.total() - self.named.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn same(old: Rrset<'_>, new: Rrset<'_>) -> bool {
    if (old.ttl(), old.count, old.deferred()) != (new.ttl(), new.count, new.deferred()) {
        return false;
    }
    // Where in the zone its target lies may change with any other record.
    let target = |rrset: Rrset<'_>| {
        rrset.alias().map(|a| (a.target.to_owned(), a.at == AliasAt::Outside, a.evaluates_health))
    };
    // Of a choice the number may change with any other record, too.
    if target(old) != target(new) || old.fingerprint() != new.fingerprint() {
        return false;
    }
    old.block() == new.block() || sorted(old) == sorted(new)
}

fn sorted(rrset: Rrset<'_>) -> Vec<&[u8]> {
    let mut all: Vec<_> = rrset.rdata().collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::{Alias, Body, Content, DeferredReason, Member, Policy};
    use crate::zone::{RecordSet, ZoneData, ZoneOptions};

    fn a(owner: &str, ttl: u32, last: &[u8]) -> RecordSet {
        let rdata = last.iter().map(|&n| vec![10, 0, 0, n].into()).collect();
        RecordSet { owner: owner.parse().unwrap(), rtype: Rtype::A, body: Body::Records { ttl, rdata } }
    }

    fn zone(sets: Vec<RecordSet>) -> Zone {
        let apex: Name = "z.test".parse().unwrap();
        Zone::build(&ZoneData { apex, sets, skipped: Vec::new() }, &ZoneOptions::default()).zone
    }

    #[test]
    fn added_removed_and_changed_rrsets_are_counted_and_a_few_named() {
        let old =
            zone(vec![a("keep.z.test", 60, &[1]), a("ttl.z.test", 60, &[1]), a("gone.z.test", 60, &[1])]);
        let mut deferred = a("ttl.z.test", 60, &[1]);
        deferred.body = Body::Deferred(DeferredReason::Choice);
        let new = zone(vec![a("keep.z.test", 60, &[1]), deferred, a("new.z.test", 60, &[1])]);
        let diff = Diff::between(&old, &new);
        assert_eq!((diff.added, diff.removed, diff.changed), (1, 1, 1));
        assert_eq!(diff.to_string(), "new.z.test. A, ttl.z.test. A, gone.z.test. A");
        assert!(Diff::between(&old, &old).is_empty());
    }

    fn alias(owner: &str, target: &str) -> RecordSet {
        let body =
            Body::Alias(Alias { target: target.parse().unwrap(), is_inside: true, evaluates_health: false });
        RecordSet { owner: owner.parse().unwrap(), rtype: Rtype::A, body }
    }

    #[test]
    fn an_alias_changes_with_its_target_and_not_with_where_that_lies() {
        let old = zone(vec![a("t.z.test", 60, &[1]), alias("x.z.test", "t.z.test")]);
        let moved =
            zone(vec![a("a.z.test", 60, &[1]), a("t.z.test", 60, &[1]), alias("x.z.test", "t.z.test")]);
        assert_eq!(Diff::between(&old, &moved).to_string(), "a.z.test. A");
        let other = zone(vec![a("t.z.test", 60, &[1]), alias("x.z.test", "u.z.test")]);
        assert_eq!(Diff::between(&old, &other).to_string(), "x.z.test. A");
        let mut evaluated = alias("x.z.test", "t.z.test");
        if let Body::Alias(alias) = &mut evaluated.body {
            alias.evaluates_health = true;
        }
        let evaluated = zone(vec![a("t.z.test", 60, &[1]), evaluated]);
        assert_eq!(Diff::between(&old, &evaluated).to_string(), "x.z.test. A");
    }

    fn weighted(owner: &str, weight: u16) -> RecordSet {
        let content = Content::Records { ttl: 60, rdata: vec![[10, 0, 0, 1].into()] };
        let (identifier, policy) = ("one".into(), Policy::Weighted(weight));
        let body = Body::Member(Box::new(Member { identifier, policy, health_check: None, content }));
        RecordSet { owner: owner.parse().unwrap(), rtype: Rtype::A, body }
    }

    #[test]
    fn a_choice_changes_with_its_sets_and_not_with_its_place() {
        let old = zone(vec![weighted("x.z.test", 1)]);
        let more = zone(vec![weighted("a.z.test", 1), weighted("x.z.test", 1)]);
        assert_eq!(Diff::between(&old, &more).to_string(), "a.z.test. A");
        assert_eq!(Diff::between(&old, &zone(vec![weighted("x.z.test", 2)])).to_string(), "x.z.test. A");
    }

    #[test]
    fn the_order_of_records_is_no_change_and_their_ttl_is_one() {
        let old = zone(vec![a("x.z.test", 60, &[1, 2, 3])]);
        assert!(Diff::between(&old, &zone(vec![a("x.z.test", 60, &[3, 1, 2])])).is_empty());
        assert_eq!(Diff::between(&old, &zone(vec![a("x.z.test", 61, &[1, 2, 3])])).changed, 1);
        assert_eq!(Diff::between(&old, &zone(vec![a("x.z.test", 60, &[1, 2, 4])])).changed, 1);
    }

    #[test]
    fn many_changes_are_summed_up() {
        let many: Vec<_> = (0..20).map(|n| a(&format!("h{n}.z.test"), 60, &[n])).collect();
        let diff = Diff::between(&zone(vec![]), &zone(many));
        assert!(diff.to_string().ends_with(" and 15 more"), "{diff}");
    }

    #[test]
    fn losing_more_than_half_and_more_than_ten_is_a_sharp_shrink() {
        let hosts = |n: u8| zone((0..n).map(|i| a(&format!("h{i}.z.test"), 60, &[i])).collect());
        // The made-up SOA counts: 31 RRsets.
        assert!(!Diff::between(&hosts(30), &hosts(15)).is_sharp_shrink());
        assert!(Diff::between(&hosts(30), &hosts(14)).is_sharp_shrink());
        assert!(!Diff::between(&hosts(10), &hosts(0)).is_sharp_shrink());
    }
}
