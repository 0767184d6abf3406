//! Route 53 Profiles: zones and resolver rules that a VPC has without being associated with them.

use aws_sdk_route53profiles::types::{ProfileResourceAssociation, ProfileStatus};

use crate::metrics::source::ApiCall;
use crate::source::SourceError;

use super::Route53Source;
use super::listing::{Listing, Pages};
use super::select::Wanted;
use super::vpc::Vpc;

/// More profiles of one VPC than AWS allows.
const MAX_PROFILES: usize = 16;
/// The most items on a page.
const PAGE: i32 = 100;

impl Route53Source {
    /// Adds the zones of the VPC's profiles to those that are its own, which go before those of the same
    /// name; the ids of the profiles' resolver rules.
    pub(super) async fn add_profiles(
        &self,
        vpc: &Vpc,
        wanted: &Wanted,
        listing: &mut Listing,
    ) -> Result<Vec<String>, SourceError> {
        let (mut rules, own) = (Vec::new(), listing.zones.len());
        for profile in self.profiles_of(vpc).await? {
            for resource in self.resources_of(vpc, &profile, listing.len()).await? {
                match resource.resource_arn().and_then(read) {
                    Some(Resource::Zone(id)) if !listing.has(id) => {
                        let is_known = self.add_by_id(id, wanted, listing).await?;
                        self.note_profile_zone(&profile, id, is_known);
                    }
                    Some(Resource::Rule(id)) => rules.push(id.to_owned()),
                    _ => {}
                }
            }
        }
        listing.yield_names(own);
        Ok(rules)
    }

    fn note_profile_zone(&self, profile: &str, id: &str, is_known: bool) {
        if !is_known {
            let reason = "a profile gives it to the VPC, and its name cannot be learned: \
                          names in it are answered as if it were not there";
            self.memory().warn_once(&format!("{id} of profile {profile}"), reason);
        }
    }

    /// The profiles that work for the VPC.
    pub(super) async fn profiles_of(&self, vpc: &Vpc) -> Result<Vec<String>, SourceError> {
        let what = format!("listing of the profiles of {}", vpc.id);
        let client = &self.regional(vpc).await?.profiles;
        let (mut profiles, mut pages, mut token) = (Vec::new(), Pages::default(), None);
        loop {
            let request = client
                .list_profile_associations()
                .resource_id(&vpc.id)
                .max_results(PAGE)
                .set_next_token(token.take());
            let page = self.call(ApiCall::ListProfileAssociations, &what, request.send()).await?;
            for association in page.profile_associations() {
                let works = association.status().is_some_and(works);
                profiles.extend(association.profile_id().filter(|_| works).map(str::to_owned));
            }
            match page.next_token().filter(|token| !token.is_empty()) {
                Some(next) if profiles.len() < MAX_PROFILES => {
                    token = Some(pages.turn(&what, profiles.len(), Some(next))?);
                }
                _ => break,
            }
        }
        profiles.truncate(MAX_PROFILES);
        Ok(profiles)
    }

    pub(super) async fn resources_of(
        &self,
        vpc: &Vpc,
        profile: &str,
        known: usize,
    ) -> Result<Vec<ProfileResourceAssociation>, SourceError> {
        let what = format!("listing of what profile {profile} holds");
        let client = &self.regional(vpc).await?.profiles;
        let (mut resources, mut pages, mut token) = (Vec::new(), Pages::default(), None);
        loop {
            let request = client
                .list_profile_resource_associations()
                .profile_id(profile)
                .max_results(PAGE)
                .set_next_token(token.take());
            let page = self.call(ApiCall::ListProfileResourceAssociations, &what, request.send()).await?;
            let next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            let working = |resource: &ProfileResourceAssociation| resource.status().is_some_and(works);
            resources
                .extend(page.profile_resource_associations.unwrap_or_default().into_iter().filter(working));
            match next {
                Some(next) => token = Some(pages.turn(&what, known + resources.len(), Some(&next))?),
                None => return Ok(resources),
            }
        }
    }
}

/// One that is being changed still works as it did.
fn works(status: &ProfileStatus) -> bool {
    matches!(status, ProfileStatus::Complete | ProfileStatus::Updating)
}

/// What of a profile matters here.
#[derive(Debug, PartialEq, Eq)]
enum Resource<'a> {
    Zone(&'a str),
    Rule(&'a str),
}

/// Reads the ARN of a resource; `None` for kinds that answer no names of ours.
fn read(arn: &str) -> Option<Resource<'_>> {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next()?, parts.nth(2)?);
    match (service, resource.split_once('/')?) {
        ("route53", ("hostedzone", id)) => Some(Resource::Zone(id)),
        ("route53resolver", ("resolver-rule", id)) => Some(Resource::Rule(id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_rules_are_told_by_their_arns() {
        assert_eq!(read("arn:aws:route53:::hostedzone/Z1"), Some(Resource::Zone("Z1")));
        let rule = "arn:aws:route53resolver:eu-west-1:111122223333:resolver-rule/rslvr-rr-1";
        assert_eq!(read(rule), Some(Resource::Rule("rslvr-rr-1")));
        for other in [
            "arn:aws:route53resolver:eu-west-1:111122223333:firewall-rule-group/rslvr-frg-1",
            "arn:aws:ec2:eu-west-1:111122223333:vpc-endpoint/vpce-1",
            "arn:aws:route53:::hostedzone",
            "Z1",
            "",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
