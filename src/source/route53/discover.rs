//! Which hosted zones there are.

use std::collections::HashSet;

use aws_sdk_route53::types::{HostedZone, HostedZoneSummary, HostedZoneType, VpcRegion};
use tracing::warn;

use crate::metrics::source::ApiCall;
use crate::source::{Access, FoundZone, Origin, SourceError, ZoneId};
use crate::wire::{Escapes, Name};

use super::Route53Source;
use super::select::{Wanted, bare_id};
use super::vpc::Vpc;

/// The most zones that are followed: the account's limit is 500 unless raised, and a listing that
/// does not end must end here.
const MAX_ZONES: usize = 20_000;

/// A listing of zones being put together.
#[derive(Default)]
struct Listing {
    zones: Vec<FoundZone>,
    ids: HashSet<String>,
    /// The cursors used so far: one that comes again would go round for ever.
    cursors: HashSet<String>,
    owners: HashSet<String>,
}

impl Listing {
    fn add(&mut self, id: &str, name: &str, access: Access, wanted: &Wanted) {
        let id = bare_id(id);
        if !self.ids.insert(id.to_owned()) {
            return;
        }
        match Name::from_text(name, Escapes::Octal) {
            Ok(apex) if wanted.matches(id, apex.as_ref()) => {
                self.zones.push(FoundZone { id: ZoneId(id.into()), apex, access });
            }
            Ok(_) => {}
            Err(error) => warn!(id, name, %error, "hosted zone left out: its name cannot be read"),
        }
    }

    /// Takes the next page's cursor.
    fn turn(&mut self, what: &str, cursor: Option<&str>) -> Result<String, SourceError> {
        let damaged = |problem: &str| SourceError::Damaged { what: what.into(), problem: problem.into() };
        let cursor = cursor.ok_or_else(|| damaged("it goes on but does not say where"))?;
        if self.ids.len() > MAX_ZONES {
            return Err(damaged("it does not end"));
        }
        if !self.cursors.insert(cursor.to_owned()) {
            return Err(damaged("its cursor stands still"));
        }
        Ok(cursor.to_owned())
    }
}

impl Route53Source {
    /// Lists the wanted zones by the cheapest call that can name them.
    pub(super) async fn list_zones(&self) -> Result<Vec<FoundZone>, SourceError> {
        let wanted = Wanted::new(&self.settings.zones)?;
        let vpc = self.vpc().await?;
        let listing = match &vpc {
            Some(vpc) => self.zones_of_vpc(vpc, &wanted).await?,
            None if wanted.ids().is_empty() => self.zones_of_account(&wanted).await?,
            None => self.zones_by_id(&wanted).await?,
        };
        // Zones of several accounts have no account in common that the data would belong to.
        let mut owners = listing.owners.into_iter();
        let account = owners.next().filter(|_| owners.next().is_none()).unwrap_or_default();
        self.set_origin(Origin { account, vpc: vpc.map(|vpc| vpc.id).unwrap_or_default() });
        Ok(listing.zones)
    }

    /// All private zones of a VPC, whoever owns them.
    async fn zones_of_vpc(&self, vpc: &Vpc, wanted: &Wanted) -> Result<Listing, SourceError> {
        let what = format!("listing of the hosted zones of {}", vpc.id);
        let client = &self.session().await?.client;
        let mut listing = Listing::default();
        let mut token = None;
        loop {
            let request = client
                .list_hosted_zones_by_vpc()
                .vpc_id(&vpc.id)
                .vpc_region(VpcRegion::from(vpc.region.as_str()))
                .set_next_token(token.take());
            let page = self.call(ApiCall::ListHostedZonesByVpc, &what, request.send()).await?;
            for zone in page.hosted_zone_summaries() {
                let owner = zone.owner().and_then(|owner| owner.owning_account());
                listing.owners.extend(owner.map(str::to_owned));
                listing.add(zone.hosted_zone_id(), zone.name(), access(zone), wanted);
            }
            match page.next_token().filter(|token| !token.is_empty()) {
                Some(next) => token = Some(listing.turn(&what, Some(next))?),
                None => return Ok(listing),
            }
        }
    }

    /// The zones of the account whose credentials we have.
    async fn zones_of_account(&self, wanted: &Wanted) -> Result<Listing, SourceError> {
        let what = "listing of the account's hosted zones";
        let client = &self.session().await?.client;
        let mut listing = Listing::default();
        let mut marker = None;
        loop {
            let kind = (!self.settings.public).then_some(HostedZoneType::PrivateHostedZone);
            let request = client.list_hosted_zones().set_marker(marker.take()).set_hosted_zone_type(kind);
            let page = self.call(ApiCall::ListHostedZones, what, request.send()).await?;
            for zone in page.hosted_zones().iter().filter(|zone| self.settings.public || is_private(zone)) {
                listing.add(zone.id(), zone.name(), Access::Readable, wanted);
            }
            if !page.is_truncated() {
                return Ok(listing);
            }
            marker = Some(listing.turn(what, page.next_marker())?);
        }
    }

    /// The zones of the configured ids. What an id stands for never changes, so each is asked for
    /// once; a call that fails leaves the ones before it known.
    async fn zones_by_id(&self, wanted: &Wanted) -> Result<Listing, SourceError> {
        let client = &self.session().await?.client;
        let mut listing = Listing::default();
        for id in wanted.ids() {
            if let Some(apex) = self.apex_of(id) {
                listing.add(id, &apex, Access::Readable, wanted);
                continue;
            }
            let what = format!("hosted zone {id}");
            let request = client.get_hosted_zone().id(id);
            match self.call(ApiCall::GetHostedZone, &what, request.send()).await {
                Ok(reply) => match reply.hosted_zone() {
                    Some(zone) if self.settings.public || is_private(zone) => {
                        self.remember(id, zone.name());
                        listing.add(id, zone.name(), Access::Readable, wanted);
                    }
                    Some(_) => self.warn_once(id, "it is public, and the key `public` is off"),
                    None => return Err(SourceError::Damaged { what, problem: "it holds no zone".into() }),
                },
                // Without its name there is nothing that could be carved out.
                Err(error @ (SourceError::Gone { .. } | SourceError::Denied { .. })) => {
                    self.warn_once(id, &error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(listing)
    }
}

/// Zones that AWS services own (VPC endpoints, EFS) are seen but never readable.
fn access(zone: &HostedZoneSummary) -> Access {
    match zone.owner().and_then(|owner| owner.owning_service()) {
        Some(service) => Access::CarvedOut(format!("owned by {service}")),
        None => Access::Readable,
    }
}

fn is_private(zone: &HostedZone) -> bool {
    zone.config().is_some_and(|config| config.private_zone())
}
