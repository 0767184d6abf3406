//! Everything that some settings need of AWS, tried once, for `zonelet check --online`.

mod signals;

use std::collections::HashSet;
use std::error::Error;

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;

use crate::metrics::source::ApiCall;
use crate::source::trial::Finding;
use crate::source::{SourceError, chain};

use super::Route53Source;
use super::accounts::Account;
use super::listing::Listing;
use super::select::Wanted;
use super::session::Session;
use super::vpc::Vpc;

/// What trying some settings out has found.
#[derive(Debug, Default)]
pub struct Trial {
    /// In the order in which it was tried.
    pub findings: Vec<Finding>,
    /// The ARN of whoever the credentials found belong to.
    pub caller: Option<String>,
    /// The VPC that zones are selected by.
    pub vpc: Option<Vpc>,
    /// Accounts whose role cannot be assumed, by number: the rest would say so again.
    refused: HashSet<usize>,
}

impl Trial {
    fn reachable<'s>(&self, session: &'s Session) -> Vec<(usize, &'s Account)> {
        let all = session.accounts.iter().enumerate();
        all.filter(|(at, _)| !self.refused.contains(at)).collect()
    }

    /// Notes what came of a call, and which permission it needs if it was denied.
    fn note<T>(
        &mut self,
        what: impl Into<String>,
        needs: &str,
        outcome: Result<T, SourceError>,
        tell: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.findings.push(Finding::works(what, tell(&value)));
                Some(value)
            }
            Err(error) => {
                let mut text = chain(&error);
                if matches!(error, SourceError::Denied { .. }) && !super::error::is_role_refused(&error) {
                    text.push_str(&format!(" (it needs {needs})"));
                }
                self.findings.push(Finding::fails(what, text));
                None
            }
        }
    }
}

impl Route53Source {
    /// Tries out what the settings need: credentials, roles, each permission once, ids and names.
    pub async fn trial(&self) -> Trial {
        let mut trial = Trial::default();
        let session = match self.session().await {
            Ok(session) => session,
            Err(error) => {
                trial.findings.push(Finding::fails("connection", chain(&error)));
                return trial;
            }
        };
        if !try_credentials(session, &mut trial).await {
            return trial;
        }
        try_roles(session, &mut trial).await;
        let wanted = match Wanted::new(&self.settings.zones) {
            Ok(wanted) => wanted,
            Err(error) => {
                trial.findings.push(Finding::fails("zones", chain(&error)));
                return trial;
            }
        };
        if let Some(listing) = self.try_listing(session, &wanted, &mut trial).await {
            self.try_reading(session, &wanted, &listing, &mut trial).await;
            compare(&self.settings.zones.ids, &self.settings.zones.names, &listing, &mut trial);
        }
        self.try_surroundings(&mut trial).await;
        self.try_health(session, &mut trial).await;
        self.try_hints(session, &mut trial).await;
        trial
    }

    /// Which zones there are, by the calls that a discovery makes.
    async fn try_listing(&self, session: &Session, wanted: &Wanted, trial: &mut Trial) -> Option<Listing> {
        if self.settings.zones.vpc.is_some() {
            let vpc = trial.note("zones.vpc", "", self.vpc().await, |vpc| match vpc {
                Some(vpc) => format!("{} in {}", vpc.id, vpc.region),
                None => "none".to_owned(),
            });
            let vpc = vpc??;
            trial.vpc = Some(vpc.clone());
            let needs = "route53:ListHostedZonesByVPC and ec2:DescribeVpcs";
            let listing = self.zones_of_vpc(&vpc, wanted).await;
            return trial.note("route53:ListHostedZonesByVPC", needs, listing, found);
        }
        if wanted.ids().is_empty() {
            return self.try_accounts(session, wanted, trial).await;
        }
        let mut listing = Listing::default();
        for id in wanted.ids() {
            let what = format!("zones.ids: {id}");
            match self.add_by_id(id, &Wanted::default(), &mut listing).await {
                Ok(true) => {
                    let zone = listing.zones.iter().find(|found| *found.zone.id.0 == **id);
                    let name = zone.map(|found| found.zone.apex.to_string()).unwrap_or_default();
                    trial.findings.push(Finding::works(what, format!("is zone {name}")));
                }
                Ok(false) => {
                    let text = "does not exist, or is not readable here (it needs route53:GetHostedZone), or is public";
                    trial.findings.push(Finding::fails(what, text));
                }
                Err(error) => trial.findings.push(Finding::fails(what, chain(&error))),
            }
        }
        Some(listing)
    }

    async fn try_accounts(&self, session: &Session, wanted: &Wanted, trial: &mut Trial) -> Option<Listing> {
        let mut all: Option<Listing> = None;
        for (at, account) in trial.reachable(session) {
            let what = format!("route53:ListHostedZones of {}", account.name());
            let listing = self.list_account(at, account, wanted).await;
            if let Some(listing) = trial.note(what, "route53:ListHostedZones", listing, found) {
                all.get_or_insert_default().join(listing);
            }
        }
        all
    }

    /// Records and tags of the first zone that each account has.
    async fn try_reading(&self, session: &Session, wanted: &Wanted, listing: &Listing, trial: &mut Trial) {
        let mut is_tried = false;
        for (at, account) in trial.reachable(session) {
            let readable = |id: &str| listing.readable().any(|zone| *zone.id.0 == *id);
            let mut ids = listing.zones.iter().filter(|f| f.account == at).map(|f| f.zone.id.0.to_string());
            let Some(id) = ids.find(|id| readable(id)) else { continue };
            is_tried = true;
            let what = format!("route53:ListResourceRecordSets on {id} through {}", account.name());
            let read = self.try_records(account, &id).await;
            trial.note(what, "route53:ListResourceRecordSets", read, |()| "may be read".to_owned());
            if wanted.asks_tags() {
                let what = format!("route53:ListTagsForResources on {id} through {}", account.name());
                let tags = self.tags_of(&account.client, std::slice::from_ref(&id)).await;
                trial.note(what, "route53:ListTagsForResources", tags, |_| "may be read".to_owned());
            }
        }
        if !is_tried {
            let text = "there is no zone to try it on";
            trial.findings.push(Finding::noted("route53:ListResourceRecordSets", text));
        }
    }

    async fn try_records(&self, account: &Account, id: &str) -> Result<(), SourceError> {
        let what = format!("listing of hosted zone {id}");
        let request = account.client.list_resource_record_sets().hosted_zone_id(id).max_items(1);
        self.call(ApiCall::ListResourceRecordSets, &what, request.send()).await.map(drop)
    }

    /// Profiles and resolver rules of the VPC.
    async fn try_surroundings(&self, trial: &mut Trial) {
        let Some(vpc) = trial.vpc.clone() else { return };
        if self.settings.profiles {
            let needs = "route53profiles:ListProfileAssociations";
            let profiles = self.profiles_of(&vpc).await;
            let profiles = trial.note(needs, needs, profiles, |all| format!("{} profiles", all.len()));
            for profile in profiles.unwrap_or_default() {
                let needs = "route53profiles:ListProfileResourceAssociations";
                let resources = self.resources_of(&vpc, &profile, 0).await;
                trial.note(needs, needs, resources, |all| format!("{} resources of {profile}", all.len()));
            }
        }
        if self.settings.resolver_rules {
            let needs = "route53resolver:ListResolverRuleAssociations";
            let rules =
                trial.note(needs, needs, self.rules_of(&vpc).await, |all| format!("{} rules", all.len()));
            if let Some(id) = rules.unwrap_or_default().iter().find(|id| !super::rules::is_autodefined(id)) {
                let needs = "route53resolver:GetResolverRule";
                trial.note(needs, needs, self.rule(&vpc, id).await, |_| format!("{id} may be read"));
            }
        }
    }
}

async fn try_credentials(session: &Session, trial: &mut Trial) -> bool {
    let Some(provider) = session.sdk.credentials_provider() else {
        trial.findings.push(Finding::fails("credentials", "none are configured"));
        return false;
    };
    let credentials = match provider.provide_credentials().await {
        Ok(credentials) => credentials,
        Err(error) => {
            trial.findings.push(Finding::fails("credentials", chain(&error)));
            return false;
        }
    };
    trial.findings.push(Finding::works("credentials", format!("from {}", provider_of(&credentials))));
    let identity = session.sts.get_caller_identity().send().await;
    match identity.map_err(|error| super::error::classify("sts:GetCallerIdentity".to_owned(), error)) {
        Ok(identity) => {
            let arn = identity.arn().unwrap_or_default().to_owned();
            let text = format!("account {}, {arn}", identity.account().unwrap_or_default());
            trial.findings.push(Finding::works("identity", text));
            trial.caller = Some(arn);
        }
        // Route 53 does not need STS: credentials may work without it being in reach.
        Err(error) => trial.findings.push(Finding::noted("identity", chain(&error))),
    }
    true
}

/// The SDK tells its provider in the credentials' own description, and nowhere else.
fn provider_of(credentials: &Credentials) -> String {
    let text = format!("{credentials:?}");
    let name = text.split_once("provider_name: \"").and_then(|(_, rest)| rest.split_once('"'));
    name.map_or("an unnamed provider", |(name, _)| name).to_owned()
}

async fn try_roles(session: &Session, trial: &mut Trial) {
    for (at, account) in session.accounts.iter().enumerate() {
        let (Some(role), Some(provider)) = (&account.role, account.sdk.credentials_provider()) else {
            continue;
        };
        let what = format!("role {}", role.arn);
        trial.findings.push(match provider.provide_credentials().await {
            Ok(_) => Finding::works(what, "can be assumed"),
            Err(error) => {
                trial.refused.insert(at);
                // The SDK's own words in front say nothing.
                Finding::fails(what, error.source().map_or_else(|| chain(&error), chain))
            }
        });
    }
}

fn found(listing: &Listing) -> String {
    format!("{} zones, {} of them selected", listing.len(), listing.zones.len())
}

/// Holds ids and names of the configuration against what there is.
fn compare(ids: &[String], names: &[String], listing: &Listing, trial: &mut Trial) {
    let id_of = |id: &String| super::select::bare_id(id).to_owned();
    for id in ids.iter().map(id_of).filter(|id| !listing.has(id)) {
        if trial.vpc.is_some() {
            let text = "is not among the zones of the VPC";
            trial.findings.push(Finding::fails(format!("zones.ids: {id}"), text));
        }
    }
    for name in names {
        let Ok(pattern) = Wanted::of_name(name) else { continue };
        let apexes = || listing.zones.iter().map(|found| &found.zone);
        if !apexes().any(|zone| pattern.matches(&zone.id.0, zone.apex.as_ref())) {
            let text = "matches no zone that the other selectors leave";
            trial.findings.push(Finding::fails(format!("zones.names: {name}"), text));
        }
    }
    if ids.is_empty() || names.is_empty() {
        return;
    }
    let patterns: Vec<Wanted> = names.iter().filter_map(|name| Wanted::of_name(name).ok()).collect();
    for zone in listing.seen().filter(|zone| ids.iter().any(|id| id_of(id) == *zone.id.0)) {
        if !patterns.iter().any(|pattern| pattern.matches(&zone.id.0, zone.apex.as_ref())) {
            let text = format!("is zone {}, which none of zones.names matches", zone.apex);
            trial.findings.push(Finding::fails(format!("zones.ids: {}", zone.id), text));
        }
    }
}
