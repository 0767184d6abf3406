//! A group of sets in words and numbers: who is in it, who may be given, what comes of it and how often.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::evaluate::View;
use super::{Compiled, Group, Held, Leaf, MAX_TOGETHER, Plan, Subject};
use crate::zone::data::{Location, Place, Policy};
use crate::zone::{Rrset, Zone};

/// The sets that a routing policy chooses among, and what the choice comes to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupTold {
    /// Their owner.
    pub owner: String,
    /// Their type.
    pub rtype: String,
    /// `simple`, `weighted`, `failover`, `multivalue`, `latency`, `geolocation`, `geoproximity`.
    pub policy: String,
    /// The Region that places are reckoned from, where it is known.
    pub region: Option<String>,
    /// The sets, in the order of the source.
    pub sets: Vec<SetTold>,
    /// What it may come to, by all aliases and further policies on the way; none where only the origin can
    /// choose.
    pub ends: Vec<EndTold>,
    /// It would come out otherwise if something whose health is unknown were ill.
    pub is_uncertain: bool,
    /// Distances with a bias were compared, which the origin may weigh otherwise.
    pub is_approximate: bool,
}

/// One of the sets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetTold {
    /// Its set identifier.
    pub identifier: String,
    /// What its policy says of it: `weight`, `role`, `region`, `continent`, `country`, `subdivision`, `location`,
    /// `point`, `bias`.
    pub terms: BTreeMap<String, String>,
    /// The health checks and probes that it hangs on, with their states: `healthy`, `unhealthy` or `unknown`.
    pub health_checks: BTreeMap<String, String>,
    /// Seconds; an alias has none.
    pub ttl: Option<u32>,
    /// The data of its records; an alias has none.
    pub values: Vec<String>,
    /// Whose records it stands for.
    pub alias: Option<String>,
    /// Whether that name is looked up in the zone.
    pub is_inside: bool,
    /// Whether it counts as healthy only while something it leads to does.
    pub evaluates_health: bool,
    /// Whether who asks from here could be given it at all.
    pub is_for_here: bool,
    /// Whether it counts as healthy: what is unknown does.
    pub is_healthy: bool,
    /// How often it is given, from 0 to 1.
    pub odds: f64,
}

/// One thing that a choice may come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EndTold {
    /// How often, from 0 to 1.
    pub odds: f64,
    /// `records`, `several` (up to eight of them), `outside`, `nothing`, `loop`.
    pub end: String,
    /// The identifiers of the sets whose own records these are.
    pub identifiers: Vec<String>,
    /// Seconds; of several sets the first one's.
    pub ttl: Option<u32>,
    /// The data.
    pub values: Vec<String>,
    /// The name that upstreams are asked for.
    pub target: Option<String>,
}

impl Zone {
    /// Tells of group `number`. The ends and their odds are those that queries are answered by; whether single
    /// sets are well is worked out anew, from the same health.
    pub(in crate::zone) fn tell_group(&self, number: usize, owner: &str) -> Option<GroupTold> {
        let (group, plan) = (self.groups.get(number)?, self.plans.get(number)?);
        let policy = group.members.first().map_or("simple", |first| terms(&first.policy).0);
        Some(GroupTold {
            owner: owner.to_owned(),
            rtype: group.rtype.to_string(),
            policy: policy.to_owned(),
            region: self.region.map(|region| region.code.to_owned()),
            sets: Telling { zone: self, group }.sets(),
            ends: self.ends(group, plan),
            is_uncertain: plan.is_uncertain,
            is_approximate: plan.is_approximate,
        })
    }

    fn ends(&self, group: &Group, plan: &Plan) -> Vec<EndTold> {
        let (mut ends, mut before) = (Vec::with_capacity(plan.ways.len()), 0);
        for (last, leaf) in plan.ways.iter() {
            let odds = rounded(f64::from(last - before) / f64::from(u32::MAX));
            ends.push(EndTold { odds, ..self.end(group, leaf) });
            before = *last;
        }
        ends
    }

    fn end(&self, group: &Group, leaf: &Leaf) -> EndTold {
        let (end, blocks, target) = match leaf {
            Leaf::Block(block) => ("records", std::slice::from_ref(block), None),
            Leaf::Several(blocks) => ("several", &**blocks, None),
            Leaf::Node(at) => return self.end_at(*at, group),
            Leaf::Outside(name) => ("outside", &[][..], Some(name.to_string())),
            Leaf::Nothing => ("nothing", &[][..], None),
            Leaf::Loop => ("loop", &[][..], None),
        };
        let rrsets: Vec<Rrset<'_>> = blocks.iter().map(|&block| self.block(group.rtype, block)).collect();
        let is_one = |member: &&Compiled| matches!(member.content, Held::Block(own) if blocks.contains(&own));
        EndTold {
            odds: 0.0,
            end: end.to_owned(),
            identifiers: group
                .members
                .iter()
                .filter(is_one)
                .map(|member| member.identifier.to_string())
                .collect(),
            ttl: rrsets.first().map(|rrset| rrset.ttl()),
            values: rrsets.iter().flat_map(|&rrset| rrset.told_values()).collect(),
            target,
        }
    }

    fn end_at(&self, at: usize, group: &Group) -> EndTold {
        let node = super::Node::read(&self.arena, at);
        let rrset = node.and_then(|node| node.rrsets().find(|rrset| rrset.rtype == group.rtype));
        EndTold {
            end: "records".to_owned(),
            ttl: rrset.map(Rrset::ttl),
            values: rrset.map(Rrset::told_values).unwrap_or_default(),
            target: node.map(|node| node.name().to_string()),
            ..EndTold::default()
        }
    }
}

struct Telling<'z> {
    zone: &'z Zone,
    group: &'z Group,
}

impl Telling<'_> {
    fn view(&self) -> View<'_> {
        View::new(self.zone, &self.zone.health, BTreeMap::new())
    }

    fn sets(&self) -> Vec<SetTold> {
        let (group, at) = (self.group, self.group.at as usize);
        let candidates = self.view().candidates(group);
        let lots = self.view().choose(group, &mut vec![at]);
        let one = |member: &Compiled| {
            let has = |sets: &[&Compiled]| sets.iter().any(|other| std::ptr::eq(*other, member));
            let share = |(odds, sets): &(f64, Vec<&Compiled>)| match sets.len() {
                _ if !has(sets) => 0.0,
                many if many > MAX_TOGETHER => odds * MAX_TOGETHER as f64 / many as f64,
                _ => *odds,
            };
            SetTold {
                is_for_here: has(&candidates),
                is_healthy: self.view().is_healthy(member, group.rtype, &mut vec![at]),
                odds: rounded(lots.iter().map(share).sum()),
                ..self.set(member)
            }
        };
        group.members.iter().map(one).collect()
    }

    fn set(&self, member: &Compiled) -> SetTold {
        let told = SetTold {
            identifier: member.identifier.to_string(),
            terms: terms(&member.policy).1,
            health_checks: self.checks(member),
            ..SetTold::default()
        };
        match &member.content {
            Held::Block(block) => {
                let rrset = self.zone.block(self.group.rtype, *block);
                SetTold { ttl: Some(rrset.ttl()), values: rrset.told_values(), ..told }
            }
            Held::Alias(alias) => SetTold {
                alias: Some(alias.target.to_string()),
                is_inside: alias.is_inside,
                evaluates_health: alias.evaluates_health,
                ..told
            },
        }
    }

    fn checks(&self, member: &Compiled) -> BTreeMap<String, String> {
        let zone = self.zone;
        let subjects = member.subjects.iter().filter_map(|&number| zone.subjects.get(number as usize));
        let told = |subject: &Subject| match subject {
            Subject::Check(id) => id.to_string(),
            Subject::Probe(_) => subject.to_string(),
        };
        subjects.map(|subject| (told(subject), zone.health.state(subject).label().to_owned())).collect()
    }
}

/// The policy's name, and what it says of a set.
fn terms(policy: &Policy) -> (&'static str, BTreeMap<String, String>) {
    let (name, terms): (_, Vec<(&str, String)>) = match policy {
        Policy::Simple => ("simple", Vec::new()),
        Policy::Weighted(weight) => ("weighted", vec![("weight", weight.to_string())]),
        Policy::Failover { is_primary: true } => ("failover", vec![("role", "primary".to_owned())]),
        Policy::Failover { is_primary: false } => ("failover", vec![("role", "secondary".to_owned())]),
        Policy::Multivalue => ("multivalue", Vec::new()),
        Policy::Latency(region) => ("latency", vec![("region", region.to_string())]),
        Policy::Geolocation(location) => ("geolocation", location_terms(location)),
        Policy::Geoproximity { place, bias } => {
            ("geoproximity", vec![place_term(place), ("bias", bias.to_string())])
        }
    };
    (name, terms.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn location_terms(location: &Location) -> Vec<(&'static str, String)> {
    match location {
        Location::Default => vec![("location", "default".to_owned())],
        Location::Continent(code) => vec![("continent", code.to_string())],
        Location::Country(code) => vec![("country", code.to_string())],
        Location::Subdivision(country, part) => {
            vec![("country", country.to_string()), ("subdivision", part.to_string())]
        }
    }
}

fn place_term(place: &Place) -> (&'static str, String) {
    let degrees = |hundredths: i32| f64::from(hundredths) / 100.0;
    match place {
        Place::Region(code) => ("region", code.to_string()),
        Place::Point { latitude, longitude } => {
            ("point", format!("{:.2},{:.2}", degrees(*latitude), degrees(*longitude)))
        }
    }
}

/// To six places: what is beyond comes of the arithmetic.
fn rounded(odds: f64) -> f64 {
    // A sum of nothing is minus zero.
    (odds * 1e6).round() / 1e6 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Rtype, Suffixes};
    use crate::zone::{Body, Content, Member, RecordSet, Region, ZoneData, ZoneOptions};

    fn group(policies: Vec<Policy>, region: Option<&str>) -> GroupTold {
        let set = |(number, policy): (usize, Policy)| {
            let content = Content::Records { ttl: 60, rdata: vec![[10, 0, 0, number as u8].into()] };
            let member =
                Member { identifier: number.to_string().into(), policy, health_check: None, content };
            let body = Body::Member(Box::new(member));
            RecordSet { owner: "g.z.test".parse().unwrap(), rtype: Rtype::A, body }
        };
        let sets = policies.into_iter().enumerate().map(set).collect();
        let data = ZoneData { apex: "z.test".parse().unwrap(), sets, skipped: Vec::new() };
        let options = ZoneOptions { region: region.and_then(Region::find), ..ZoneOptions::default() };
        let zone = Zone::build(&data, &options).zone;
        let qname: crate::wire::Name = "g.z.test".parse().unwrap();
        zone.tell(&Suffixes::of(qname.as_ref()), Rtype::A).group.unwrap()
    }

    #[test]
    fn of_many_sets_that_are_answered_together_each_is_given_in_turn() {
        let told = group(vec![Policy::Multivalue; 10], None);
        assert!(told.sets.iter().all(|set| set.odds == 0.8 && set.is_for_here));
        assert_eq!((told.ends.len(), told.ends[0].values.len(), told.ends[0].odds), (1, 10, 1.0));
    }

    #[test]
    fn sets_for_elsewhere_are_told_apart_and_without_a_region_all_are() {
        let location = |code: &str| Policy::Geolocation(Location::Country(code.into()));
        let told = group(vec![location("IE"), location("US")], Some("eu-west-1"));
        let of = |told: &GroupTold| told.sets.iter().map(|s| (s.is_for_here, s.odds)).collect::<Vec<_>>();
        assert_eq!(of(&told), [(true, 1.0), (false, 0.0)]);
        assert_eq!(told.sets[1].terms["country"], "US");
        let lost = group(vec![location("IE"), location("US")], None);
        assert_eq!((of(&lost), lost.ends.len()), (vec![(false, 0.0); 2], 0));
    }
}
