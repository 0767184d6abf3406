//! Which of a group's sets a query could be given, and in which order.

use super::evaluate::View;
use super::{Compiled, Group};
use crate::zone::Region;
use crate::zone::data::{Location, Place, Policy};

impl View<'_> {
    /// The sets that a query from this VPC could be given at all, the one to be given first in front.
    pub(super) fn candidates<'g>(&mut self, group: &'g Group) -> Vec<&'g Compiled> {
        let mut members: Vec<&Compiled> = group.members.iter().collect();
        let is_by_place = matches!(
            members.first().map(|member| &member.policy),
            Some(Policy::Latency(_) | Policy::Geolocation(_) | Policy::Geoproximity { .. })
        );
        self.is_lost |= is_by_place && self.zone.region.is_none();
        let is_biased =
            |member: &&Compiled| matches!(member.policy, Policy::Geoproximity { bias: 1.. | ..=-1, .. });
        self.is_approximate |= members.len() > 1 && members.iter().any(is_biased);
        members.retain(|member| rank(&member.policy, self.zone.region).is_some());
        // Regions as near as each other in the order of their names.
        members.sort_by_cached_key(|member| match &member.policy {
            Policy::Latency(code) => (rank(&member.policy, self.zone.region), Some(code)),
            policy => (rank(policy, self.zone.region), None),
        });
        members
    }
}

/// How soon a set is given to who is in this Region; `None` for never.
pub(super) fn rank(policy: &Policy, here: Option<&Region>) -> Option<u64> {
    match policy {
        Policy::Simple | Policy::Weighted(_) | Policy::Multivalue => Some(0),
        Policy::Failover { is_primary } => Some(u64::from(!is_primary)),
        Policy::Latency(code) => Some(distance(code, here?)),
        Policy::Geolocation(location) => nearness(location, here?),
        Policy::Geoproximity { place, bias } => Some(biased(place, *bias, here?)),
    }
}

/// How far a Region is from here; one that is not known is farther than all.
fn distance(code: &str, here: &Region) -> u64 {
    if code == here.code {
        return 0;
    }
    Region::find(code).map_or(u64::MAX, |region| 1 + here.kilometres_to(region) as u64)
}

/// How closely a location is about this Region, the closest first; `None` where it is about another.
fn nearness(location: &Location, here: &Region) -> Option<u64> {
    let (is_here, rank) = match location {
        Location::Subdivision(country, part) => {
            (**country == *here.country && here.subdivision == Some(part), 0)
        }
        Location::Country(country) => (**country == *here.country, 1),
        Location::Continent(continent) => (**continent == *here.continent, 2),
        Location::Default => (true, 3),
    };
    is_here.then_some(rank)
}

/// How far a place counts as being from here, in metres. How Route 53 reckons with the bias is not
/// published in full: this shortens a distance by so many percent, or lengthens it by the inverse.
fn biased(place: &Place, bias: i8, here: &Region) -> u64 {
    let kilometres = match place {
        Place::Region(code) => match Region::around(code) {
            Some(region) => here.kilometres_to(region),
            None => return u64::MAX,
        },
        Place::Point { latitude, longitude } => here.kilometres_to_point((*latitude, *longitude)),
    };
    let share = f64::from(bias.clamp(-99, 99)) / 100.0;
    let counted = if share < 0.0 { kilometres / (1.0 + share) } else { kilometres * (1.0 - share) };
    (counted * 1000.0) as u64
}
