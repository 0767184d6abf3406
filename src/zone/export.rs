//! A zone as an RFC 1035 zone file, for other servers and for backups.
//!
//! What plain DNS cannot say is written as the records it comes to, as far as it comes to any, and each such
//! decision stands in a comment line before them, so that nothing is lost in silence.

use std::fmt::Write;

use super::choice::{EndTold, GroupTold, SetTold};
use super::node::Node;
use super::{AliasAt, AliasView, Rrset, RrsetView, Zone};
use crate::wire::{NameRef, Rtype};

impl Zone {
    /// The zone file: `$ORIGIN`, the SOA, then every RRset in canonical order of owners, all names absolute.
    ///
    /// An alias of a name in the zone is written as the records it leads to. A policy is written as the outcome
    /// that is likeliest, with what is unknown counting as healthy; sets that are answered together all at once.
    /// An alias of a name elsewhere, and what only the origin can answer, are left out. Comments say so.
    pub fn to_zone_file(&self) -> String {
        let mut file = File { zone: self, text: String::new() };
        file.line(&format!("$ORIGIN {}", self.apex));
        file.records(self.apex.as_ref(), Rtype::SOA, self.soa().ttl(), &self.soa().told_values());
        for RrsetView { owner, rrset } in self.rrsets() {
            if rrset.rtype != Rtype::SOA {
                file.rrset(owner, rrset);
            }
        }
        file.text
    }
}

struct File<'z> {
    zone: &'z Zone,
    text: String,
}

impl File<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// One line, whatever is in it.
    fn comment(&mut self, owner: NameRef<'_>, rtype: Rtype, what: &str) {
        let plain: String = what.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.line(&format!("; {owner} {rtype}: {plain}"));
    }

    fn records(&mut self, owner: NameRef<'_>, rtype: Rtype, ttl: u32, values: &[String]) {
        let mut seen = Vec::with_capacity(values.len());
        for value in values {
            // Of several sets with one value each, two may have the same.
            if !seen.contains(&value) {
                seen.push(value);
                // Writing to a string cannot fail.
                let _ = writeln!(self.text, "{owner} {ttl} IN {rtype} {value}");
            }
        }
    }

    fn rrset(&mut self, owner: NameRef<'_>, rrset: Rrset<'_>) {
        if let Some(alias) = rrset.alias() {
            return self.alias(owner, rrset.rtype, alias);
        }
        if rrset.group().is_some() {
            return self.group(owner, owner, rrset);
        }
        match rrset.deferred() {
            Some(reason) => {
                let what = format!("left out: only the zone's origin can answer it ({})", reason.label());
                self.comment(owner, rrset.rtype, &what);
            }
            None => self.records(owner, rrset.rtype, rrset.ttl(), &rrset.told_values()),
        }
    }

    fn alias(&mut self, owner: NameRef<'_>, rtype: Rtype, alias: AliasView<'_>) {
        let (zone, target) = (self.zone, alias.target);
        let left_out = match alias.at {
            AliasAt::Outside | AliasAt::Elsewhere => {
                "left out: an alias of a name that the zone has no records of"
            }
            AliasAt::Nothing => "left out: an alias of a name that has no records of this type",
            AliasAt::Loop => "left out: an alias that leads back to itself",
            AliasAt::Node(at) => {
                let node = Node::read(&zone.arena, at);
                let found = node.and_then(|node| Some((node, node.rrsets().find(|r| r.rtype == rtype)?)));
                let Some((node, rrset)) = found else { return };
                if rrset.group().is_some() {
                    self.comment(owner, rtype, &format!("an alias of {target}, which a policy answers"));
                    return self.group(owner, node.name(), rrset);
                }
                if rrset.is_plain() {
                    self.comment(owner, rtype, &format!("an alias of {target}, written as its records"));
                    return self.records(owner, rtype, rrset.ttl(), &rrset.told_values());
                }
                "left out: an alias that leads to what only others can answer"
            }
        };
        self.comment(owner, rtype, &format!("{left_out}: {target}"));
    }

    fn group(&mut self, owner: NameRef<'_>, of: NameRef<'_>, rrset: Rrset<'_>) {
        let Some(told) = self.zone.tell_choice(of, rrset) else { return };
        let likeliest = told.ends.iter().fold(None, |best: Option<&EndTold>, end| match best {
            Some(best) if best.odds >= end.odds => Some(best),
            _ => Some(end),
        });
        let end = likeliest.filter(|end| !end.values.is_empty());
        self.comment(owner, rrset.rtype, &decision(&told, end));
        for set in &told.sets {
            self.comment(owner, rrset.rtype, &format!("  set {}", described(set)));
        }
        if let Some(end) = end {
            self.records(owner, rrset.rtype, end.ttl.unwrap_or(0), &end.values);
        }
    }
}

/// What is done with a group.
fn decision(told: &GroupTold, end: Option<&EndTold>) -> String {
    let GroupTold { policy, ends, .. } = told;
    let assumed =
        if told.is_uncertain { ", what has an unknown state of health counting as healthy" } else { "" };
    match end {
        None if ends.is_empty() => format!("left out: a {policy} policy that only the origin can follow"),
        None => format!("left out: a {policy} policy whose likeliest outcome has no records in the zone"),
        Some(end) if end.end == "several" => {
            format!("a {policy} policy, written as the records of all its healthy sets{assumed}")
        }
        Some(_) if ends.len() == 1 => format!("a {policy} policy, written as its only outcome{assumed}"),
        Some(end) => {
            let odds = end.odds * 100.0;
            format!(
                "a {policy} policy, written as its likeliest outcome of {}, {odds:.1} %{assumed}",
                ends.len()
            )
        }
    }
}

fn described(set: &SetTold) -> String {
    let mut text = format!("{:?}", set.identifier);
    for (key, value) in set.terms.iter().chain(&set.health_checks) {
        let _ = write!(text, ", {key} {value}");
    }
    match &set.alias {
        Some(target) => text.push_str(&format!(": an alias of {target}")),
        None => text.push_str(&format!(": {}", set.values.join(", "))),
    }
    text
}
