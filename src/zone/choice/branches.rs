//! Whether anything that a set leads to is healthy.

use super::evaluate::View;
use super::{Compiled, Held, State};
use crate::wire::{NameRef, Rtype};
use crate::zone::AliasAt;
use crate::zone::lookup::Stands;

impl View<'_> {
    /// Whether a set's check passes, and something that it leads to is healthy where that counts.
    pub(super) fn is_healthy(&mut self, member: &Compiled, rtype: Rtype, path: &mut Vec<usize>) -> bool {
        let passes = self.passes(member);
        match &member.content {
            Held::Alias(alias) if alias.evaluates_health => {
                let (name, is_inside) = (alias.target.as_ref(), alias.is_inside);
                self.is_branch_healthy(name, is_inside, rtype, path) && passes
            }
            _ => passes,
        }
    }

    /// Whether a set's check passes, or any of its addresses where those are probed.
    fn passes(&mut self, member: &Compiled) -> bool {
        let zone = self.zone;
        let subjects = member.subjects.iter().filter_map(|&n| Some((n, zone.subjects.get(n as usize)?)));
        // All of them are looked at, so that what is unknown does not depend on their order.
        let states = subjects.map(|(number, subject)| {
            self.asked.insert(number);
            match self.health.state(subject) {
                State::Healthy => true,
                State::Unhealthy => false,
                State::Unknown => self.assume(subject.to_string()),
            }
        });
        let states: Vec<bool> = states.collect();
        states.is_empty() || states.contains(&true)
    }

    /// Whether anything that a name leads to is healthy.
    fn is_branch_healthy(
        &mut self,
        name: NameRef<'_>,
        is_inside: bool,
        rtype: Rtype,
        path: &mut Vec<usize>,
    ) -> bool {
        let elsewhere = |view: &mut Self| view.assume(format!("target:{name}"));
        let (at, rrset) = match self.zone.stands_at(name, rtype) {
            _ if !is_inside => return elsewhere(self),
            Stands::Nowhere => return false,
            Stands::Elsewhere => return elsewhere(self),
            Stands::At(at, _) if path.contains(&at) => return false,
            Stands::At(at, rrset) => (at, rrset),
        };
        if self.goes_on_too_long(1, path) {
            return false;
        }
        path.push(at);
        let is_healthy = match (rrset.alias(), rrset.group()) {
            (Some(alias), _) => {
                let is_inside = alias.at != AliasAt::Outside;
                !alias.evaluates_health || self.is_branch_healthy(alias.target, is_inside, rtype, path)
            }
            (None, Some(number)) => self.any_healthy(number, path),
            (None, None) if rrset.deferred().is_some() => elsewhere(self),
            (None, None) => true,
        };
        path.pop();
        is_healthy
    }

    fn any_healthy(&mut self, number: usize, path: &mut Vec<usize>) -> bool {
        let zone = self.zone;
        let Some(group) = zone.groups.get(number) else { return false };
        if self.goes_on_too_long(group.members.len(), path) {
            return false;
        }
        // All of them are looked at, so that what is unknown does not depend on their order.
        let members = self.candidates(group).into_iter();
        let states: Vec<bool> = members.map(|member| self.is_healthy(member, group.rtype, path)).collect();
        states.contains(&true)
    }

    /// What is assumed of something unknown.
    fn assume(&mut self, subject: String) -> bool {
        match self.assumed.get(&subject) {
            Some(state) => *state,
            None => {
                self.unasked.get_or_insert(subject);
                true
            }
        }
    }
}
