//! Answers of upstreams that lead a protected name to a private address are withheld.
//!
//! Somebody else's name that suddenly has an address of one's own network lets web pages talk to what is
//! there (DNS rebinding). The question's name decides whether it is protected, as a browser goes by that,
//! whatever its chain leads through. The whole answer goes, not only the private records: a set that mixes
//! them with public ones is what an attack looks like. What comes of it is NODATA with EDE 17, since a client
//! would take an error to its next resolver. Zones, overrides and hosts files are not held against this.

use super::names::NameMap;
use super::settings::Rebinding;
use crate::wire::{Learned, NameRef, Suffixes};

/// What is said of an answer that was withheld.
const TEXT: &str = "a private address for a name that is protected from rebinding (section [rebinding])";

/// The domains that are protected, and those that are not.
#[derive(Debug)]
pub(super) struct Protected(NameMap<bool>);

impl Protected {
    /// `None` where none is.
    pub fn new(settings: &Rebinding) -> Option<Self> {
        let except = settings.except.iter().map(|name| (name.clone(), false));
        let all = except.chain(settings.domains.iter().map(|name| (name.clone(), true)));
        (!settings.domains.is_empty()).then(|| Self(NameMap::new(all.collect())))
    }

    /// What is kept of an answer for `qname`, `None` if all of it.
    pub fn screen(&self, qname: NameRef<'_>, learned: &Learned) -> Option<Learned> {
        let qname = Suffixes::of(qname);
        let is_protected = self.0.covering(&qname).next().is_some_and(|(_, is_protected)| *is_protected);
        (is_protected && learned.leads_to_private()).then(|| learned.clone().withheld(TEXT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    #[test]
    fn the_most_specific_domain_decides_and_an_exception_goes_first() {
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        let settings = Rebinding {
            domains: names(&[".", "bad.corp.test", "both.test"]),
            except: names(&["corp.test", "both.test"]),
        };
        let protected = Protected::new(&settings).unwrap();
        let is_protected = |qname: &str| {
            let qname = Suffixes::of(qname.parse::<Name>().unwrap().as_ref());
            protected.0.covering(&qname).next().map(|(_, is_protected)| *is_protected)
        };
        assert_eq!(is_protected("example.com"), Some(true));
        assert_eq!(is_protected("db.corp.test"), Some(false));
        assert_eq!(is_protected("x.bad.corp.test"), Some(true));
        assert_eq!(is_protected("both.test"), Some(false));
        assert!(Protected::new(&Rebinding { domains: Vec::new(), ..settings }).is_none());
    }
}
