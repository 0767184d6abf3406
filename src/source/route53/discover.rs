//! Which hosted zones there are.

use aws_sdk_route53::types::{HostedZone, HostedZoneSummary, HostedZoneType, VpcRegion};
use tokio::time::Instant;

use crate::metrics::source::ApiCall;
use crate::source::{Access, FoundZone, Origin, SourceError};

use super::Route53Source;
use super::accounts::Account;
use super::listing::{Listing, Pages, Seen};
use super::memory::Known;
use super::select::Wanted;
use super::vpc::Vpc;

const LISTING: &str = "listing of the account's hosted zones";

impl Route53Source {
    /// Lists the wanted zones by the cheapest calls that can name them.
    pub(super) async fn list_zones(&self) -> Result<Vec<FoundZone>, SourceError> {
        let wanted = Wanted::new(&self.settings.zones)?;
        let vpc = self.vpc().await?;
        let listing = match &vpc {
            Some(vpc) => self.zones_around(vpc, &wanted).await?,
            None if wanted.ids().is_empty() => self.zones_of_accounts(&wanted).await?,
            None => self.zones_by_id(&wanted).await?,
        };
        let origin = self.origin_of_all(&listing, vpc);
        self.memory().settle(&listing, origin);
        Ok(listing.zones.into_iter().map(|found| found.zone).collect())
    }

    /// What all data belongs to. Zones of several accounts have none in common.
    fn origin_of_all(&self, listing: &Listing, vpc: Option<Vpc>) -> Origin {
        let mut owners = listing.owners.iter();
        let only = owners.next().filter(|_| owners.next().is_none() && self.settings.roles.is_empty());
        let account = only.cloned().unwrap_or_default();
        Origin { account, vpc: vpc.map(|vpc| vpc.id).unwrap_or_default() }
    }

    /// What a VPC's own resolver would answer from: its zones, those of its profiles, without what
    /// its rules forward.
    async fn zones_around(&self, vpc: &Vpc, wanted: &Wanted) -> Result<Listing, SourceError> {
        let mut listing = self.zones_of_vpc(vpc, wanted).await?;
        let mut rules = Vec::new();
        if self.settings.profiles {
            rules = self.add_profiles(vpc, wanted, &mut listing).await?;
        }
        self.keep_tagged(wanted, &mut listing).await?;
        listing.carve_unwanted();
        if self.settings.resolver_rules {
            self.carve_forwarded(vpc, rules, &mut listing).await?;
        }
        Ok(listing)
    }

    /// All private zones of a VPC, whoever owns them.
    pub(super) async fn zones_of_vpc(&self, vpc: &Vpc, wanted: &Wanted) -> Result<Listing, SourceError> {
        let what = format!("listing of the hosted zones of {}", vpc.id);
        let session = self.session().await?;
        let (mut listing, mut pages, mut token) = (Listing::default(), Pages::default(), None);
        loop {
            let request = session
                .client
                .list_hosted_zones_by_vpc()
                .vpc_id(&vpc.id)
                .vpc_region(VpcRegion::from(vpc.region.as_str()))
                .set_next_token(token.take());
            let page = self.call(ApiCall::ListHostedZonesByVpc, &what, request.send()).await?;
            for zone in page.hosted_zone_summaries() {
                let owner = zone.owner().and_then(|owner| owner.owning_account()).unwrap_or_default();
                let seen = Seen {
                    id: zone.hosted_zone_id(),
                    name: zone.name(),
                    access: access(zone),
                    records: None,
                    account: session.account_of(owner),
                    owner,
                };
                listing.add(seen, wanted);
            }
            match page.next_token().filter(|token| !token.is_empty()) {
                Some(next) => token = Some(pages.turn(&what, listing.len(), Some(next))?),
                None => return Ok(listing),
            }
        }
    }

    /// The zones of every account. One that cannot be listed does not keep the others back; only if
    /// none can be, nothing was found out.
    async fn zones_of_accounts(&self, wanted: &Wanted) -> Result<Listing, SourceError> {
        let session = self.session().await?;
        let mut all = Listing::default();
        let mut first_failure = None;
        for (at, account) in session.accounts.iter().enumerate() {
            match self.zones_of_account(at, account, wanted).await {
                Ok(listing) => {
                    self.memory().went_well(at, &account.name());
                    all.join(listing);
                }
                Err(failure) => {
                    self.note_unseen(at, account, &failure, &mut all);
                    first_failure.get_or_insert(failure);
                }
            }
        }
        match first_failure {
            Some(failure) if all.unseen.len() == session.accounts.len() => Err(failure),
            _ => Ok(all),
        }
    }

    /// Notes that zones of an account could not be told. With one account alone, the failure is the
    /// discovery's, and whoever asked for it says so.
    pub(super) fn note_unseen(
        &self,
        at: usize,
        account: &Account,
        failure: &SourceError,
        listing: &mut Listing,
    ) {
        listing.unseen.insert(account.id().unwrap_or_default().to_owned());
        if !self.settings.roles.is_empty() {
            self.memory().failed(at, &account.name(), failure, Instant::now());
        }
    }

    /// The zones of one account, all or none.
    async fn zones_of_account(
        &self,
        at: usize,
        account: &Account,
        wanted: &Wanted,
    ) -> Result<Listing, SourceError> {
        let resting = self.memory().resting(at, Instant::now());
        if let Some(retry_after) = resting {
            return Err(SourceError::Throttled { what: LISTING.to_owned(), retry_after });
        }
        let mut listing = self.list_account(at, account, wanted).await?;
        self.keep_tagged(wanted, &mut listing).await?;
        Ok(listing)
    }

    /// The zones of one account, whatever their tags.
    pub(super) async fn list_account(
        &self,
        at: usize,
        account: &Account,
        wanted: &Wanted,
    ) -> Result<Listing, SourceError> {
        let (mut listing, mut pages, mut marker) = (Listing::default(), Pages::default(), None);
        loop {
            let kind = (!self.settings.public).then_some(HostedZoneType::PrivateHostedZone);
            let request =
                account.client.list_hosted_zones().set_marker(marker.take()).set_hosted_zone_type(kind);
            let page = self.call(ApiCall::ListHostedZones, LISTING, request.send()).await?;
            for zone in page.hosted_zones().iter().filter(|zone| self.is_taken(zone)) {
                let seen = Seen {
                    id: zone.id(),
                    name: zone.name(),
                    access: Access::Readable,
                    records: zone.resource_record_set_count().and_then(|count| u64::try_from(count).ok()),
                    account: at,
                    owner: account.id().unwrap_or_default(),
                };
                listing.add(seen, wanted);
            }
            if !page.is_truncated() {
                return Ok(listing);
            }
            marker = Some(pages.turn(LISTING, listing.len(), page.next_marker())?);
        }
    }

    /// The zones of the configured ids. What an id stands for never changes, so each is asked for
    /// once; a call that fails leaves the ones before it known.
    async fn zones_by_id(&self, wanted: &Wanted) -> Result<Listing, SourceError> {
        let mut listing = Listing::default();
        for id in wanted.ids() {
            self.add_by_id(id, wanted, &mut listing).await?;
        }
        self.keep_tagged(wanted, &mut listing).await?;
        Ok(listing)
    }

    /// Takes in the zone of an id, through the first account that can read it. False where none can.
    pub(super) async fn add_by_id(
        &self,
        id: &str,
        wanted: &Wanted,
        listing: &mut Listing,
    ) -> Result<bool, SourceError> {
        let known = self.memory().by_id.get(id).cloned();
        let known = match known {
            Some(known) => known,
            None => match self.find_by_id(id, listing).await? {
                Some(known) => {
                    self.memory().by_id.insert(id.to_owned(), known.clone());
                    known
                }
                None => return Ok(false),
            },
        };
        let session = self.session().await?;
        let owner = session.accounts.get(known.account).and_then(Account::id).unwrap_or_default();
        let Known { name, account } = &known;
        let seen = Seen { id, name, access: Access::Readable, records: None, account: *account, owner };
        listing.add(seen, wanted);
        Ok(true)
    }

    /// Asks one account after the other for the zone of an id.
    pub(super) async fn find_by_id(
        &self,
        id: &str,
        listing: &mut Listing,
    ) -> Result<Option<Known>, SourceError> {
        let what = format!("hosted zone {id}");
        let session = self.session().await?;
        let (mut reason, mut failure, mut asked) = (None, None, 0);
        for (at, account) in session.accounts.iter().enumerate() {
            if listing.unseen.contains(account.id().unwrap_or_default()) {
                continue;
            }
            let request = account.client.get_hosted_zone().id(id);
            match self.call(ApiCall::GetHostedZone, &what, request.send()).await {
                Ok(reply) => match reply.hosted_zone() {
                    Some(zone) if self.is_taken(zone) => {
                        self.memory().went_well(at, &account.name());
                        return Ok(Some(Known { name: zone.name().to_owned(), account: at }));
                    }
                    Some(_) => {
                        self.memory().warn_once(id, "it is public, and the key `public` is off");
                        return Ok(None);
                    }
                    None => return Err(SourceError::Damaged { what, problem: "it holds no zone".into() }),
                },
                // Without its name there is nothing that could be carved out.
                Err(no @ SourceError::Gone { .. }) => _ = reason.get_or_insert(no),
                Err(no @ SourceError::Denied { .. }) if !super::error::is_role_refused(&no) => {
                    reason = Some(no)
                }
                Err(no) => {
                    self.note_unseen(at, account, &no, listing);
                    failure = Some(no);
                    continue;
                }
            }
            asked += 1;
        }
        match (failure, reason) {
            // Nobody else could say.
            (Some(failure), _) if asked == 0 => Err(failure),
            (None, Some(reason)) => {
                self.memory().warn_once(id, &reason.to_string());
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn is_taken(&self, zone: &HostedZone) -> bool {
        self.settings.public || zone.config().is_some_and(|config| config.private_zone())
    }
}

/// Zones that AWS services own (VPC endpoints, EFS) are seen but never readable.
fn access(zone: &HostedZoneSummary) -> Access {
    match zone.owner().and_then(|owner| owner.owning_service()) {
        Some(service) => Access::CarvedOut(format!("owned by {service}")),
        None => Access::Readable,
    }
}
