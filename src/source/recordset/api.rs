//! The API's shapes.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::wire::{Escapes, Name};
use crate::zone::{Location, Place, Policy};

/// One `ResourceRecordSet`, as far as it matters here.
///
/// Of a field whose content is not used yet only its presence is kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApiRecordSet {
    /// The owner, with octal escapes.
    pub name: String,
    /// The type's mnemonic.
    #[serde(rename = "Type")]
    pub rtype: String,
    /// What tells sets of one owner and type apart.
    pub set_identifier: Option<String>,
    /// Seconds; an alias has none.
    #[serde(rename = "TTL")]
    pub ttl: Option<i64>,
    /// The values; an alias has none.
    #[serde(default)]
    pub resource_records: Vec<ApiValue>,
    /// Set for an alias.
    pub alias_target: Option<ApiAlias>,
    /// What has to be healthy for it.
    pub health_check_id: Option<String>,
    /// Set for the weighted policy.
    pub weight: Option<i64>,
    /// Set for the failover policy: `PRIMARY` or `SECONDARY`.
    pub failover: Option<String>,
    /// Set for the latency policy.
    pub region: Option<String>,
    /// Set for the geolocation policy.
    pub geo_location: Option<ApiLocation>,
    /// Set for the geoproximity policy.
    pub geo_proximity_location: Option<ApiProximity>,
    /// True for the multivalue policy.
    pub multi_value_answer: Option<bool>,
    /// Set for the CIDR policy.
    pub cidr_routing_config: Option<IgnoredAny>,
    /// Set for a set that a traffic policy made.
    pub traffic_policy_instance_id: Option<IgnoredAny>,
}

/// Whose records an alias stands for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ApiAlias {
    /// The zone of the target: the alias' own, or one that belongs to the service it is of.
    pub hosted_zone_id: String,
    /// The target, with octal escapes.
    #[serde(rename = "DNSName")]
    pub dns_name: String,
    /// Whether the alias is as healthy as what it leads to.
    pub evaluate_target_health: bool,
}

/// For whom a geolocation set is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ApiLocation {
    /// A continent.
    pub continent_code: Option<String>,
    /// A country, or `*` for everybody.
    pub country_code: Option<String>,
    /// A part of that country.
    pub subdivision_code: Option<String>,
}

/// From where on a geoproximity set is, and how much nearer or farther it counts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ApiProximity {
    /// A Region.
    #[serde(rename = "AWSRegion")]
    pub aws_region: Option<String>,
    /// A group of local zones.
    pub local_zone_group: Option<String>,
    /// A point.
    pub coordinates: Option<ApiCoordinates>,
    /// Percent, -99 to 99; none is 0.
    pub bias: Option<i64>,
}

/// Degrees, with up to two decimals, as text.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ApiCoordinates {
    /// North.
    pub latitude: String,
    /// East.
    pub longitude: String,
}

impl ApiProximity {
    fn policy(&self) -> Option<Policy> {
        let place = match (&self.aws_region, &self.local_zone_group, &self.coordinates) {
            (Some(code), None, None) | (None, Some(code), None) => Place::Region(code.as_str().into()),
            (None, None, Some(ApiCoordinates { latitude, longitude })) => Place::Point {
                latitude: hundredths(latitude, 90.0)?,
                longitude: hundredths(longitude, 180.0)?,
            },
            _ => return None,
        };
        let bias = i8::try_from(self.bias.unwrap_or(0)).ok().filter(|bias| (-99..=99).contains(bias))?;
        Some(Policy::Geoproximity { place, bias })
    }
}

/// Degrees of at most `limit` either way.
fn hundredths(text: &str, limit: f64) -> Option<i32> {
    let degrees: f64 = text.trim().parse().ok()?;
    (degrees.abs() <= limit).then_some((degrees * 100.0).round() as i32)
}

impl ApiLocation {
    fn location(&self) -> Option<Location> {
        match (self.continent_code.as_deref(), self.country_code.as_deref(), self.subdivision_code.as_deref())
        {
            (None, Some("*"), None) => Some(Location::Default),
            (None, Some(country), Some(part)) => Some(Location::Subdivision(country.into(), part.into())),
            (None, Some(country), None) => Some(Location::Country(country.into())),
            (Some(continent), None, None) => Some(Location::Continent(continent.into())),
            _ => None,
        }
    }
}

/// One value of a record set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ApiValue {
    /// The record's data as text.
    pub value: String,
}

impl ApiRecordSet {
    /// Whether it is one of several sets among which a routing policy chooses.
    pub(super) fn is_chosen(&self) -> bool {
        self.set_identifier.is_some()
            || self.policies() > 0
            || self.cidr_routing_config.is_some()
            || self.traffic_policy_instance_id.is_some()
    }

    /// How many policies that can be followed here it has.
    fn policies(&self) -> usize {
        let has = [
            self.weight.is_some(),
            self.failover.is_some(),
            self.region.is_some(),
            self.geo_location.is_some(),
            self.geo_proximity_location.is_some(),
            self.multi_value_answer == Some(true),
        ];
        has.into_iter().filter(|&has| has).count()
    }

    /// When the set is chosen; `None` where that cannot be told here.
    pub(super) fn policy(&self) -> Option<Policy> {
        if !self.is_chosen() {
            return Some(Policy::Simple);
        }
        if self.cidr_routing_config.is_some() || self.policies() != 1 {
            return None;
        }
        let failover = self.failover.as_deref().map(|role| match role {
            "PRIMARY" => Some(Policy::Failover { is_primary: true }),
            "SECONDARY" => Some(Policy::Failover { is_primary: false }),
            _ => None,
        });
        let weight = self.weight.map(|weight| u16::try_from(weight).ok().map(Policy::Weighted));
        let region = self.region.as_deref().map(|region| Some(Policy::Latency(region.into())));
        let location = self.geo_location.as_ref().map(|l| l.location().map(Policy::Geolocation));
        let proximity = self.geo_proximity_location.as_ref().map(ApiProximity::policy);
        failover.or(weight).or(region).or(location).or(proximity).unwrap_or(Some(Policy::Multivalue))
    }

    pub(super) fn owner(&self) -> Result<Name, crate::wire::NameError> {
        Name::from_text(&self.name, Escapes::Octal)
    }
}
