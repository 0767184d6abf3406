//! How answers of upstreams are kept: by the longest forwarded domain that covers the name.

use std::time::Duration;

use super::settings::{Keeping, Settings};
use crate::wire::{Domains, NameRef};

/// The rules of all forwarded domains.
#[derive(Debug)]
pub(super) struct Keepings {
    domains: Domains<Keeping>,
    /// For names that no domain covers: nothing is forwarded for them, so nothing is kept.
    other: Keeping,
    /// The least time after which expired answers are given.
    shortest_timer: Duration,
}

impl Keepings {
    /// Those of the settings.
    pub fn of(settings: &Settings) -> Self {
        let giving = settings.keeping.iter().filter(|(_, keeping)| !keeping.max_stale.is_zero());
        let shortest_timer = giving.map(|(_, keeping)| keeping.stale_timer).min().unwrap_or(Duration::MAX);
        let domains = settings.keeping.iter().cloned().collect();
        Self { domains, other: Keeping::default(), shortest_timer }
    }

    /// Those for a name. Cost: as [`Domains::find`]; nothing of a fresh answer needs them.
    pub fn find(&self, qname: NameRef<'_>) -> &Keeping {
        self.domains.find(qname).unwrap_or(&self.other)
    }

    /// Those for a name whose expired answers are given at once.
    pub fn immediate(&self, qname: NameRef<'_>) -> Option<&Keeping> {
        let keeping = if self.shortest_timer.is_zero() { self.find(qname) } else { return None };
        (keeping.stale_timer.is_zero() && !keeping.max_stale.is_zero()).then_some(keeping)
    }

    /// How long upstreams are waited for before an expired answer may be given, where that is less than
    /// `patience`. Where nobody waits, there is nothing to be in a hurry for.
    pub fn hurry(&self, qname: NameRef<'_>, patience: Duration) -> Option<Duration> {
        let timer = if self.shortest_timer < patience { self.find(qname).stale_timer } else { return None };
        (timer < patience && !timer.is_zero()).then_some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    #[test]
    fn expired_answers_are_given_at_once_only_where_a_domain_says_so() {
        let name = |text: &str| -> Name { text.parse().unwrap() };
        let at_once = Keeping { stale_timer: Duration::ZERO, ..Keeping::default() };
        let never = Keeping { max_stale: Duration::ZERO, ..at_once.clone() };
        let keeping = vec![
            (Name::root(), Keeping::default()),
            (name("a.test"), at_once.clone()),
            (name("b.test"), never),
        ];
        let keepings = Keepings::of(&Settings { keeping, ..Settings::default() });
        let immediate = |qname: &str| keepings.immediate(name(qname).as_ref()).is_some();
        assert!(immediate("x.a.test") && !immediate("b.test") && !immediate("c.test"));
        assert_eq!(keepings.find(name("x.a.test").as_ref()), &at_once);
        let (timer, later) = (Duration::from_millis(1800), Duration::from_millis(1801));
        let hurry = |qname: &str, patience| keepings.hurry(name(qname).as_ref(), patience);
        assert_eq!((hurry("c.test", timer), hurry("c.test", later)), (None, Some(timer)));
        assert_eq!(hurry("a.test", later), None);
    }
}
