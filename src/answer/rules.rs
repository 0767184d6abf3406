//! Who is answered what: the rules that go before the access list.
//!
//! The first rule in the order of the file decides, as its reader expects; a query that meets none is held
//! against the access list. A rule sees the question's name only: the names that a chain leads to were
//! chosen by those who answer, and an answer cut off in its middle would be a broken one.

use std::net::IpAddr;

use super::access::AccessList;
use super::names::NameMap;
use super::settings::{AccessAction, AccessRule};
use crate::wire::Suffixes;

/// The rules of `[[access]]`, laid out for queries.
#[derive(Debug)]
pub(super) struct AccessRules(Box<[Rule]>);

#[derive(Debug)]
struct Rule {
    action: AccessAction,
    clients: AccessList,
    /// `None`: every name.
    domains: Option<NameMap<()>>,
}

impl Rule {
    fn of(rule: &AccessRule) -> Self {
        let domains = rule.domains.iter().map(|domain| (domain.clone(), ())).collect::<Vec<_>>();
        Self {
            action: rule.action,
            clients: AccessList::new(&rule.clients),
            domains: (!domains.is_empty()).then(|| NameMap::new(domains)),
        }
    }

    /// Whether the rule means a query of `client`; one that cannot be read has no name.
    fn means(&self, client: IpAddr, qname: Option<&Suffixes>) -> bool {
        let means_name = match (&self.domains, qname) {
            (None, _) => true,
            (Some(domains), Some(qname)) => domains.covering(qname).next().is_some(),
            (Some(_), None) => false,
        };
        means_name && self.clients.admits(client)
    }
}

/// What a rule decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ruling {
    pub action: AccessAction,
    /// Its place in the file, counted from 0.
    pub rule: usize,
    /// It means some names only.
    pub is_by_name: bool,
}

impl AccessRules {
    /// `None` where there are no rules.
    pub fn new(rules: &[AccessRule]) -> Option<Self> {
        (!rules.is_empty()).then(|| Self(rules.iter().map(Rule::of).collect()))
    }

    /// What the first rule says that means a query of `client`; `None` leaves it to the access list.
    /// Cost: for each rule one compare a network, and for those with names a probe a depth.
    pub fn judge(&self, client: IpAddr, qname: Option<&Suffixes>) -> Option<Ruling> {
        let rule = self.0.iter().position(|rule| rule.means(client, qname))?;
        let found = self.0.get(rule)?;
        Some(Ruling { action: found.action, rule, is_by_name: found.domains.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    fn rule(action: AccessAction, clients: &str, domains: &[&str]) -> AccessRule {
        AccessRule {
            action,
            clients: clients.split(' ').map(|net| net.parse().unwrap()).collect(),
            domains: domains.iter().map(|domain| domain.parse().unwrap()).collect(),
        }
    }

    fn judge(rules: &[AccessRule], client: &str, qname: &str) -> Option<(usize, AccessAction)> {
        let qname = Suffixes::of(qname.parse::<Name>().unwrap().as_ref());
        let ruling = AccessRules::new(rules)?.judge(client.parse().unwrap(), Some(&qname))?;
        Some((ruling.rule, ruling.action))
    }

    #[test]
    fn the_first_rule_that_means_client_and_name_decides() {
        use AccessAction::{Allow, Drop, Refuse};
        let rules = [
            rule(Allow, "10.0.0.5/32", &["corp.internal"]),
            rule(Refuse, "10.0.0.0/8 fd00::/8", &["corp.internal", "x.test"]),
            rule(Drop, "10.9.0.0/16", &[]),
        ];
        assert_eq!(judge(&rules, "10.0.0.5", "db.CORP.internal"), Some((0, Allow)));
        assert_eq!(judge(&rules, "10.0.0.6", "corp.internal"), Some((1, Refuse)));
        assert_eq!(judge(&rules, "fd00::1", "a.b.x.test"), Some((1, Refuse)));
        assert_eq!(judge(&rules, "::ffff:10.0.0.6", "x.test"), Some((1, Refuse)), "a mapped address");
        assert_eq!(judge(&rules, "10.9.1.1", "x.test"), Some((1, Refuse)), "the order of the file");
        assert_eq!(judge(&rules, "10.9.1.1", "other.test"), Some((2, Drop)));
        assert_eq!(judge(&rules, "10.0.0.6", "notcorp.internal"), None);
        assert_eq!(judge(&rules, "192.0.2.1", "corp.internal"), None);
        assert_eq!(judge(&[], "10.0.0.6", "x.test"), None);
    }

    #[test]
    fn a_query_without_a_readable_name_meets_rules_for_every_name_only() {
        let rules =
            [rule(AccessAction::Refuse, "0.0.0.0/0", &["."]), rule(AccessAction::Drop, "10.0.0.0/8", &[])];
        let rules = AccessRules::new(&rules).unwrap();
        assert_eq!(rules.judge("10.0.0.1".parse().unwrap(), None).map(|r| r.rule), Some(1));
        assert_eq!(rules.judge("192.0.2.1".parse().unwrap(), None), None);
    }
}
