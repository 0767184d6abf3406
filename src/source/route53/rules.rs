//! Resolver rules of a VPC: what its resolver forwards elsewhere, whatever its zones say.

use aws_sdk_route53resolver::types::{Filter, ResolverRule, ResolverRuleAssociationStatus, RuleTypeOption};
use tracing::warn;

use crate::metrics::source::ApiCall;
use crate::source::{Access, FoundZone, SourceError, ZoneId};
use crate::wire::{Escapes, Name};

use super::Route53Source;
use super::listing::{Apexes, Found, Listing, Pages};
use super::vpc::Vpc;

/// The most items on a page.
const PAGE: i32 = 100;
/// Rules that every VPC has: they say what would happen without them.
const AUTODEFINED: &str = "rslvr-autodefined-";

/// What a rule does; neither its kind nor its domain can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It forwards a domain.
    Forwards(Name),
    /// It changes nothing about zones. Where it takes names out of a forwarded domain again, the
    /// upstream gives them back from the zone, if it is the VPC's resolver.
    Nothing,
}

impl Route53Source {
    /// Carves what the VPC's rules, and those of its profiles in `more`, forward out of the zones.
    ///
    /// The most specific of zones and rules has a name, and of equal ones the rule.
    pub(super) async fn carve_forwarded(
        &self,
        vpc: &Vpc,
        more: Vec<String>,
        listing: &mut Listing,
    ) -> Result<(), SourceError> {
        let mut ids = self.rules_of(vpc).await?;
        ids.extend(more);
        ids.retain(|id| !is_autodefined(id));
        ids.sort();
        ids.dedup();
        self.memory().rules.retain(|id, _| ids.contains(id));
        for id in ids {
            if let Rule::Forwards(domain) = self.rule(vpc, &id).await? {
                carve(listing, &id, domain);
            }
        }
        Ok(())
    }

    /// The ids of the rules associated with the VPC.
    pub(super) async fn rules_of(&self, vpc: &Vpc) -> Result<Vec<String>, SourceError> {
        let what = format!("listing of the resolver rules of {}", vpc.id);
        let client = &self.regional(vpc).await?.resolver;
        let (mut ids, mut pages, mut token) = (Vec::new(), Pages::default(), None);
        loop {
            let request = client
                .list_resolver_rule_associations()
                .filters(Filter::builder().name("VPCId").values(&vpc.id).build())
                .max_results(PAGE)
                .set_next_token(token.take());
            let page = self.call(ApiCall::ListResolverRuleAssociations, &what, request.send()).await?;
            for association in page.resolver_rule_associations() {
                let works = association.status() == Some(&ResolverRuleAssociationStatus::Complete);
                ids.extend(association.resolver_rule_id().filter(|_| works).map(str::to_owned));
            }
            match page.next_token().filter(|token| !token.is_empty()) {
                Some(next) => token = Some(pages.turn(&what, ids.len(), Some(next))?),
                None => return Ok(ids),
            }
        }
    }

    /// What rule `id` does; asked for once.
    pub(super) async fn rule(&self, vpc: &Vpc, id: &str) -> Result<Rule, SourceError> {
        if let Some(rule) = self.memory().rules.get(id) {
            return Ok(rule.clone());
        }
        let what = format!("resolver rule {id}");
        let request = self.regional(vpc).await?.resolver.get_resolver_rule().resolver_rule_id(id);
        let reply = self.call(ApiCall::GetResolverRule, &what, request.send()).await?;
        let Some(told) = reply.resolver_rule() else {
            return Err(SourceError::Damaged { what, problem: "it holds no rule".into() });
        };
        let rule = read(told);
        self.memory().rules.insert(id.to_owned(), rule.clone());
        Ok(rule)
    }
}

/// Whether every VPC has the rule.
pub fn is_autodefined(id: &str) -> bool {
    id.starts_with(AUTODEFINED)
}

fn read(rule: &ResolverRule) -> Rule {
    if rule.rule_type() != Some(&RuleTypeOption::Forward) {
        return Rule::Nothing;
    }
    let domain = rule.domain_name().unwrap_or_default();
    match Name::from_text(domain, Escapes::Octal) {
        Ok(domain) => Rule::Forwards(domain),
        Err(error) => {
            warn!(id = rule.id(), domain, %error, "resolver rule left out: its domain cannot be read");
            Rule::Nothing
        }
    }
}

/// Carves `domain` out of the zone it is in: a zone of that name is not served at all.
fn carve(listing: &mut Listing, id: &str, domain: Name) {
    let carved = || Access::CarvedOut(format!("resolver rule {id} forwards it"));
    if !Apexes::of(listing.readable()).covers(&domain) {
        return;
    }
    let mut is_apex = false;
    for found in listing.zones.iter_mut().filter(|found| found.zone.apex == domain) {
        found.zone.access = carved();
        is_apex = true;
    }
    if !is_apex {
        let zone = FoundZone { id: ZoneId(id.into()), apex: domain, access: carved(), records: None };
        listing.zones.push(Found { zone, account: 0, owner: String::new() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(apexes: &[&str]) -> Listing {
        let found = |apex: &&str| Found {
            zone: FoundZone {
                id: ZoneId((*apex).into()),
                apex: apex.parse().unwrap(),
                access: Access::Readable,
                records: None,
            },
            account: 0,
            owner: String::new(),
        };
        let mut listing = Listing::default();
        listing.zones = apexes.iter().map(found).collect();
        listing
    }

    fn carved(listing: &Listing) -> Vec<String> {
        let carved = listing.zones.iter().filter(|found| found.zone.access != Access::Readable);
        carved.map(|found| format!("{} {}", found.zone.id, found.zone.apex)).collect()
    }

    #[test]
    fn a_rule_at_a_zone_takes_it_and_one_below_takes_its_part() {
        let mut zones = listing(&["internal", "corp.internal", "test"]);
        carve(&mut zones, "r1", "corp.internal".parse().unwrap());
        carve(&mut zones, "r2", "a.b.test".parse().unwrap());
        carve(&mut zones, "r3", "example.com".parse().unwrap());
        carve(&mut zones, "r4", ".".parse().unwrap());
        assert_eq!(carved(&zones), ["corp.internal corp.internal.", "r2 a.b.test."]);
    }

    #[test]
    fn only_rules_that_forward_matter() {
        let rule = |kind: RuleTypeOption, domain: &str| {
            read(&ResolverRule::builder().id("r").rule_type(kind).domain_name(domain).build())
        };
        let corp: Name = "corp.internal".parse().unwrap();
        assert_eq!(rule(RuleTypeOption::Forward, "Corp.Internal."), Rule::Forwards(corp));
        for kind in [RuleTypeOption::System, RuleTypeOption::Recursive, RuleTypeOption::Delegate] {
            assert_eq!(rule(kind, "corp.internal."), Rule::Nothing);
        }
        assert_eq!(rule(RuleTypeOption::Forward, "a..b"), Rule::Nothing);
        assert_eq!(read(&ResolverRule::builder().rule_type(RuleTypeOption::Forward).build()), Rule::Nothing);
    }
}
