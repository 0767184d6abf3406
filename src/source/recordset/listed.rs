//! A record set as the API listed it, in one line for people.

use std::fmt::Write;

use super::ApiRecordSet;

/// Longer lines are cut here.
const MAX_LINE: usize = 400;

impl ApiRecordSet {
    /// What the API says of the set beside its name and type.
    pub(super) fn listed(&self) -> String {
        let mut parts = Vec::new();
        let mut part = |name: &str, value: Option<String>| parts.extend(value.map(|v| format!("{name} {v}")));
        part("set identifier", self.set_identifier.as_ref().map(|text| format!("{text:?}")));
        part("weight", self.weight.map(|weight| weight.to_string()));
        part("failover", self.failover.clone());
        part("region", self.region.clone());
        part(
            "location",
            self.geo_location.as_ref().map(|location| {
                let codes = [&location.continent_code, &location.country_code, &location.subdivision_code];
                codes.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("-")
            }),
        );
        part("policy", self.geo_proximity_location.as_ref().map(|_| "geoproximity".to_owned()));
        part("policy", self.cidr_routing_config.as_ref().map(|_| "CIDR".to_owned()));
        part("policy", self.traffic_policy_instance_id.as_ref().map(|_| "traffic policy".to_owned()));
        part("multivalue", self.multi_value_answer.map(|is_set| is_set.to_string()));
        part("health check", self.health_check_id.clone());
        part("TTL", self.ttl.map(|ttl| ttl.to_string()));
        part(
            "alias of",
            self.alias_target
                .as_ref()
                .map(|alias| format!("{:?} in hosted zone {:?}", alias.dns_name, alias.hosted_zone_id)),
        );
        let values: Vec<&str> = self.resource_records.iter().map(|record| record.value.as_str()).collect();
        part("values", (!values.is_empty()).then(|| format!("{values:?}")));
        cut(parts.join(", "))
    }
}

fn cut(mut text: String) -> String {
    let end = text.floor_char_boundary(MAX_LINE);
    if end < text.len() {
        text.truncate(end);
        // Writing to a string cannot fail.
        let _ = write!(text, "...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{ApiAlias, ApiLocation, ApiValue};
    use super::*;

    #[test]
    fn a_set_is_told_as_it_was_listed() {
        let set = ApiRecordSet {
            set_identifier: Some("eu \"1\"".into()),
            weight: Some(-1),
            geo_location: Some(ApiLocation { country_code: Some("DE".into()), ..ApiLocation::default() }),
            ttl: Some(60),
            resource_records: vec![ApiValue { value: "10.0.0.1".into() }, ApiValue { value: "x".into() }],
            health_check_id: Some("hc-1".into()),
            ..ApiRecordSet::default()
        };
        let want = "set identifier \"eu \\\"1\\\"\", weight -1, location DE, health check hc-1, TTL 60, \
                    values [\"10.0.0.1\", \"x\"]";
        assert_eq!(set.listed(), want);
        let alias = ApiAlias { dns_name: "lb.".into(), hosted_zone_id: "Z1".into(), ..ApiAlias::default() };
        let set = ApiRecordSet { alias_target: Some(alias), ..ApiRecordSet::default() };
        assert_eq!(set.listed(), "alias of \"lb.\" in hosted zone \"Z1\"");
    }

    #[test]
    fn a_long_one_is_cut_between_characters() {
        let value = ApiValue { value: "é".repeat(1000) };
        let set = ApiRecordSet { resource_records: vec![value], ..ApiRecordSet::default() };
        assert!(set.listed().len() <= MAX_LINE + 3 && set.listed().ends_with("..."));
    }
}
