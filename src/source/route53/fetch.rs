//! The listing of one zone's record sets, page by page.

use std::collections::HashSet;

use aws_sdk_route53::operation::list_resource_record_sets::ListResourceRecordSetsOutput;
use aws_sdk_route53::types::{ResourceRecordSet, RrType};
use serde::de::IgnoredAny;

use crate::metrics::source::ApiCall;
use crate::source::recordset::{ApiAlias, ApiCoordinates, ApiLocation, ApiProximity};
use crate::source::recordset::{ApiRecordSet, ApiValue, Collector};
use crate::source::{Fetched, FoundZone, Progress, SourceError, ZoneId};

use super::Route53Source;

/// The most the API puts on a page, and what is asked for; fewer are no sign of the end.
const PAGE: i32 = 300;

/// The most record sets of one zone: 10 000 is the limit of Route 53 unless raised, and a listing
/// that does not end must end here.
const MAX_SETS: usize = 1_000_000;

/// Where the next page begins. The identifier matters: a page may end inside a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Cursor {
    name: String,
    rtype: Option<String>,
    identifier: Option<String>,
}

/// A listing under way, kept over failed calls.
struct Listing {
    zone: ZoneId,
    sets: Collector,
    next: Option<Cursor>,
    used: HashSet<Cursor>,
    pages: u32,
}

impl Listing {
    fn new(zone: &FoundZone) -> Self {
        let sets = Collector::of_zone(zone.apex.clone(), &zone.id.0);
        Self { zone: zone.id.clone(), sets, next: None, used: HashSet::new(), pages: 0 }
    }

    /// Takes a page in. Whether the listing goes on, only `IsTruncated` says.
    ///
    /// # Errors
    /// What is wrong with the listing; it cannot be continued.
    fn take(&mut self, page: ListResourceRecordSetsOutput) -> Result<bool, &'static str> {
        self.pages = self.pages.saturating_add(1);
        let cursor = page.is_truncated().then(|| cursor(&page));
        page.resource_record_sets.into_iter().for_each(|set| self.sets.add(convert(set)));
        let Some(cursor) = cursor else {
            return if self.sets.has_apex() { Ok(false) } else { Err("its apex has no SOA or no NS") };
        };
        let cursor = cursor.ok_or("it goes on but does not say where")?;
        if self.sets.len() > MAX_SETS {
            return Err("it does not end");
        }
        if !self.used.insert(cursor.clone()) {
            return Err("its cursor stands still");
        }
        self.next = Some(cursor);
        Ok(true)
    }
}

impl Route53Source {
    /// Lists a zone whole. `progress` keeps the pages that came before a failed call.
    pub(super) async fn list_records(
        &self,
        zone: &FoundZone,
        progress: &mut Progress,
    ) -> Result<Fetched, SourceError> {
        let what = format!("listing of hosted zone {} ({})", zone.id, zone.apex);
        let session = self.session().await?;
        let account = self.memory().account_of(&zone.id.0);
        let client = session.client_of(account);
        let listing = resume(zone, progress)?;
        loop {
            let cursor = listing.next.clone();
            let request = client
                .list_resource_record_sets()
                .hosted_zone_id(&*zone.id.0)
                .max_items(PAGE)
                .set_start_record_type(cursor.as_ref().and_then(|c| c.rtype.as_deref()).map(RrType::from))
                .set_start_record_identifier(cursor.as_ref().and_then(|c| c.identifier.clone()))
                .set_start_record_name(cursor.map(|c| c.name));
            let page = self.call(ApiCall::ListResourceRecordSets, &what, request.send()).await?;
            match listing.take(page) {
                Ok(true) => {}
                Ok(false) => break,
                Err(problem) => {
                    progress.0 = None;
                    return Err(SourceError::Damaged { what, problem: problem.into() });
                }
            }
        }
        let calls = listing.pages;
        let sets = std::mem::replace(&mut listing.sets, Collector::new(zone.apex.clone()));
        progress.0 = None;
        Ok(Fetched { data: sets.finish(), calls })
    }
}

/// The listing that `progress` holds, or a new one in it.
fn resume<'a>(zone: &FoundZone, progress: &'a mut Progress) -> Result<&'a mut Listing, SourceError> {
    let is_ours = |kept: &Listing| kept.zone == zone.id && *kept.sets.apex() == zone.apex;
    if !progress.0.as_ref().and_then(|p| p.downcast_ref()).is_some_and(is_ours) {
        progress.0 = None;
    }
    let kept = progress.0.get_or_insert_with(|| Box::new(Listing::new(zone)));
    kept.downcast_mut().ok_or_else(|| SourceError::Failed {
        what: format!("listing of hosted zone {}", zone.id),
        source: "its progress is of another kind".into(),
    })
}

/// Where a truncated page says the next one begins.
fn cursor(page: &ListResourceRecordSetsOutput) -> Option<Cursor> {
    Some(Cursor {
        name: page.next_record_name()?.to_owned(),
        rtype: page.next_record_type().map(|t| t.as_str().to_owned()),
        identifier: page.next_record_identifier().map(str::to_owned),
    })
}

/// The SDK's shape in ours.
fn convert(set: ResourceRecordSet) -> ApiRecordSet {
    fn present<T>(field: Option<T>) -> Option<IgnoredAny> {
        field.map(|_| IgnoredAny)
    }
    let values = set.resource_records.unwrap_or_default();
    ApiRecordSet {
        name: set.name,
        rtype: set.r#type.as_str().to_owned(),
        set_identifier: set.set_identifier,
        ttl: set.ttl,
        resource_records: values.into_iter().map(|record| ApiValue { value: record.value }).collect(),
        alias_target: set.alias_target.map(|alias| ApiAlias {
            hosted_zone_id: alias.hosted_zone_id,
            dns_name: alias.dns_name,
            evaluate_target_health: alias.evaluate_target_health,
        }),
        health_check_id: set.health_check_id,
        weight: set.weight,
        failover: set.failover.map(|role| role.as_str().to_owned()),
        region: set.region.map(|region| region.as_str().to_owned()),
        geo_location: set.geo_location.map(|location| ApiLocation {
            continent_code: location.continent_code,
            country_code: location.country_code,
            subdivision_code: location.subdivision_code,
        }),
        geo_proximity_location: set.geo_proximity_location.map(|location| ApiProximity {
            aws_region: location.aws_region,
            local_zone_group: location.local_zone_group,
            coordinates: location
                .coordinates
                .map(|point| ApiCoordinates { latitude: point.latitude, longitude: point.longitude }),
            bias: location.bias.map(i64::from),
        }),
        multi_value_answer: set.multi_value_answer,
        cidr_routing_config: present(set.cidr_routing_config),
        traffic_policy_instance_id: present(set.traffic_policy_instance_id),
    }
}
