//! The groups of a zone in the making, and what their health hangs on.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::{Compiled, Group, Held, ProbeRule, ProbeTarget, Subject};
use crate::wire::{NameRef, Rtype};
use crate::zone::data::{Content, Member};

/// AWS' services of the machine over IPv6, `fd00:ec2::/32`.
const METADATA: [u16; 2] = [0xfd00, 0x0ec2];

/// Groups and subjects, both by their numbers.
#[derive(Default)]
pub(crate) struct Gathered {
    pub groups: Vec<Group>,
    pub subjects: Vec<Subject>,
    numbers: HashMap<Subject, u32>,
    rules: Arc<[ProbeRule]>,
}

impl Gathered {
    /// Nothing yet; the addresses of sets that `rules` cover are probed, the first rule counts.
    pub fn new(rules: Arc<[ProbeRule]>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Takes the group of `owner` in, whose node begins at `at`; `held` is what each of its sets holds.
    pub fn take(&mut self, at: u32, owner: NameRef<'_>, rtype: Rtype, members: &[&Member], held: Vec<Held>) {
        let rules = Arc::clone(&self.rules);
        let rule = rules.iter().find(|rule| rule.covers(owner));
        let compiled = members.iter().zip(held).map(|(member, content)| Compiled {
            identifier: member.identifier.clone(),
            policy: member.policy.clone(),
            subjects: self.subjects_of(member, rtype, rule),
            content,
        });
        let members = compiled.collect();
        self.groups.push(Group { at, rtype, members });
    }

    /// What a set's health hangs on: the probes of its addresses, which know better than the origin
    /// whether those answer here; else its health check.
    fn subjects_of(&mut self, member: &Member, rtype: Rtype, rule: Option<&ProbeRule>) -> Box<[u32]> {
        let probed = rule.map(|rule| (rule, addresses(member, rtype))).filter(|(_, found)| !found.is_empty());
        match (probed, &member.health_check) {
            (Some((rule, found)), _) => {
                let target = |address| ProbeTarget { address, probe: rule.probe.clone() };
                found.into_iter().map(|address| self.number(Subject::Probe(target(address)))).collect()
            }
            (None, Some(check)) => [self.number(Subject::Check(check.clone()))].into(),
            (None, None) => Box::default(),
        }
    }

    fn number(&mut self, subject: Subject) -> u32 {
        let subjects = &mut self.subjects;
        *self.numbers.entry(subject).or_insert_with_key(|subject| {
            subjects.push(subject.clone());
            subjects.len() as u32 - 1
        })
    }
}

/// The addresses that a set holds and that can be probed.
fn addresses(member: &Member, rtype: Rtype) -> Vec<IpAddr> {
    let Content::Records { rdata, .. } = &member.content else { return Vec::new() };
    let address = |value: &[u8]| match rtype {
        Rtype::A => <[u8; 4]>::try_from(value).ok().map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
        Rtype::AAAA => <[u8; 16]>::try_from(value).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets))),
        _ => None,
    };
    rdata.iter().filter_map(|value| address(value)).filter(is_probed).collect()
}

/// Whoever may write records must not be able to point us at the metadata service of the machine.
fn is_probed(address: &IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            !(v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified())
        }
        IpAddr::V6(v6) => {
            let is_metadata = v6.segments()[..2] == METADATA;
            !(is_metadata || v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified())
        }
    }
}
