//! What a source has learned and asks for no second time.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::source::{Origin, SourceError, chain};

use super::listing::Listing;
use super::rules::Rule;
use super::tags::Looked;

/// Bounded by the zones of the last discovery, the ids in the settings and the accounts.
#[derive(Debug, Default)]
pub struct Memory {
    /// What all data belongs to; an account only where there can be but one.
    pub origin: Option<Origin>,
    /// Zones that were asked for by id: their names, and through which account they are read.
    pub by_id: HashMap<String, Known>,
    /// The zones of the last discovery.
    routes: HashMap<String, Route>,
    /// Accounts whose zones the last discovery could not list.
    unseen: HashSet<String>,
    /// Accounts that could not be listed lately, by number; not before the time, if there is one.
    failing: HashMap<usize, Option<Instant>>,
    /// What was seen of zones' tags.
    pub tags: HashMap<String, Looked>,
    /// What was found out about resolver rules.
    pub rules: HashMap<String, Rule>,
    /// What was warned about.
    warned: HashSet<String>,
}

/// A zone asked for by id.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its name, as the API writes it.
    pub name: String,
    /// The account that could read it, by number.
    pub account: usize,
}

/// Where a zone comes from.
#[derive(Clone, Debug)]
pub struct Route {
    /// The account it is read through, by number.
    pub account: usize,
    /// The account it belongs to; empty where that is not known.
    pub owner: String,
}

impl Memory {
    /// Takes over what a discovery found. Of accounts that could not be listed, what was known stays.
    pub fn settle(&mut self, listing: &Listing, origin: Origin) {
        let unseen = listing.unseen.clone();
        self.routes.retain(|_, route| unseen.contains(&route.owner));
        for found in &listing.zones {
            let route = Route { account: found.account, owner: found.owner.clone() };
            self.routes.insert(found.zone.id.0.to_string(), route);
        }
        self.unseen = unseen;
        self.origin = Some(origin);
    }

    /// The number of the account that a zone is read through.
    pub fn account_of(&self, id: &str) -> usize {
        self.routes.get(id).map_or(0, |route| route.account)
    }

    /// What one zone's data belongs to.
    pub fn origin_of(&self, id: &str) -> Option<Origin> {
        let origin = self.origin.clone()?;
        match self.routes.get(id) {
            Some(route) if !route.owner.is_empty() => Some(Origin { account: route.owner.clone(), ..origin }),
            _ => Some(origin),
        }
    }

    /// The accounts that the last discovery could not list.
    pub fn unseen(&self) -> Vec<String> {
        self.unseen.iter().cloned().collect()
    }

    /// Forgets what was remembered of a zone that has gone.
    pub fn forget(&mut self, id: &str) {
        self.by_id.remove(id);
    }

    /// Warns once of a zone that cannot be taken.
    pub fn warn_once(&mut self, id: &str, reason: &str) {
        if self.warned.insert(id.to_owned()) {
            warn!(id, reason, "hosted zone left out");
        }
    }

    /// Whether something is said for the first time.
    pub fn is_news(&mut self, what: &str) -> bool {
        self.warned.insert(what.to_owned())
    }

    /// How long account `at` asked to be left alone yet.
    pub fn resting(&self, at: usize, now: Instant) -> Option<Duration> {
        let until = (*self.failing.get(&at)?)?;
        (until > now).then(|| until - now)
    }

    /// Notes that account `at` could not be listed, and says so once.
    pub fn failed(&mut self, at: usize, account: &str, failure: &SourceError, now: Instant) {
        let until = match failure {
            SourceError::Throttled { retry_after, .. } => Some(now + *retry_after),
            _ => None,
        };
        if self.failing.insert(at, until).is_some() {
            return;
        }
        let text = chain(failure);
        if matches!(failure, SourceError::Denied { .. }) {
            error!(account, error = text, "zones of an account cannot be listed, those known stay");
        } else {
            warn!(account, error = text, "zones of an account were not listed, those known stay");
        }
    }

    /// Notes that account `at` could be listed.
    pub fn went_well(&mut self, at: usize, account: &str) {
        if self.failing.remove(&at).is_some() {
            info!(account, "zones of the account are listed again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::listing::Found;
    use super::*;
    use crate::source::{Access, FoundZone, ZoneId};

    fn listing(zones: &[(&str, usize, &str)], unseen: &[&str]) -> Listing {
        let found = |&(id, account, owner): &(&str, usize, &str)| Found {
            zone: FoundZone {
                id: ZoneId(id.into()),
                apex: "a.test".parse().unwrap(),
                access: Access::Readable,
                records: None,
            },
            account,
            owner: owner.to_owned(),
        };
        let mut listing = Listing::default();
        listing.zones = zones.iter().map(found).collect();
        listing.unseen = unseen.iter().map(|u| (*u).to_owned()).collect();
        listing
    }

    #[test]
    fn a_throttled_account_rests_as_long_as_it_asked() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let throttled = |seconds| SourceError::Throttled {
            what: "a listing".into(),
            retry_after: Duration::from_secs(seconds),
        };
        memory.failed(1, "another", &throttled(90), now);
        assert_eq!(memory.resting(1, now + Duration::from_secs(30)), Some(Duration::from_secs(60)));
        assert_eq!(memory.resting(1, now + Duration::from_secs(90)), None);
        assert_eq!(memory.resting(0, now), None);
        memory.failed(1, "another", &throttled(0), now);
        assert_eq!(memory.resting(1, now), None);
        memory.failed(1, "another", &throttled(90), now);
        memory.went_well(1, "another");
        assert_eq!(memory.resting(1, now), None);
    }

    #[test]
    fn zones_of_an_account_that_was_not_listed_keep_their_way() {
        let mut memory = Memory::default();
        assert_eq!(memory.origin_of("Z1"), None);
        let origin = Origin { account: String::new(), vpc: "vpc-1".into() };
        memory.settle(&listing(&[("Z1", 0, ""), ("Z2", 1, "222"), ("Z3", 2, "333")], &[]), origin.clone());
        memory.settle(&listing(&[("Z1", 0, "")], &["222"]), origin.clone());
        assert_eq!((memory.account_of("Z2"), memory.account_of("Z3")), (1, 0));
        assert_eq!(memory.origin_of("Z2"), Some(Origin { account: "222".into(), vpc: "vpc-1".into() }));
        assert_eq!(memory.origin_of("Z1"), Some(origin));
        assert_eq!(memory.unseen(), ["222"]);
    }
}
