//! Where AWS' Regions are: what latency and geolocation records are chosen by in a private zone, for which
//! Route 53 goes by the Region of the VPC that asks.
//!
//! AWS publishes no coordinates; these are those of the city or area that a Region is named after. Regions
//! that are missing here are farther away than all others, and lie nowhere.

/// One Region.
#[derive(Debug, PartialEq, Eq)]
pub struct Region {
    /// Its code, as `eu-west-1`.
    pub code: &'static str,
    /// Hundredths of a degree north and east.
    place: (i32, i32),
    /// As Route 53 abbreviates it.
    pub continent: &'static str,
    /// ISO 3166-1.
    pub country: &'static str,
    /// The state, in the countries that geolocation divides.
    pub subdivision: Option<&'static str>,
}

/// All Regions, by code.
#[rustfmt::skip]
static REGIONS: [Region; 39] = [
    at("af-south-1", (-3390, 1840), "AF", "ZA", None),
    at("ap-east-1", (2230, 11420), "AS", "HK", None),
    at("ap-east-2", (2500, 12150), "AS", "TW", None),
    at("ap-northeast-1", (3570, 13970), "AS", "JP", None),
    at("ap-northeast-2", (3760, 12700), "AS", "KR", None),
    at("ap-northeast-3", (3470, 13550), "AS", "JP", None),
    at("ap-south-1", (1910, 7290), "AS", "IN", None),
    at("ap-south-2", (1740, 7850), "AS", "IN", None),
    at("ap-southeast-1", (135, 10380), "AS", "SG", None),
    at("ap-southeast-2", (-3390, 15120), "OC", "AU", None),
    at("ap-southeast-3", (-620, 10680), "AS", "ID", None),
    at("ap-southeast-4", (-3780, 14500), "OC", "AU", None),
    at("ap-southeast-5", (310, 10170), "AS", "MY", None),
    at("ap-southeast-6", (-3680, 17480), "OC", "NZ", None),
    at("ap-southeast-7", (1380, 10050), "AS", "TH", None),
    at("ca-central-1", (4550, -7360), "NA", "CA", None),
    at("ca-west-1", (5100, -11410), "NA", "CA", None),
    at("cn-north-1", (3990, 11640), "AS", "CN", None),
    at("cn-northwest-1", (3750, 10520), "AS", "CN", None),
    at("eu-central-1", (5010, 870), "EU", "DE", None),
    at("eu-central-2", (4740, 850), "EU", "CH", None),
    at("eu-north-1", (5930, 1810), "EU", "SE", None),
    at("eu-south-1", (4550, 920), "EU", "IT", None),
    at("eu-south-2", (4160, -90), "EU", "ES", None),
    at("eu-west-1", (5330, -630), "EU", "IE", None),
    at("eu-west-2", (5150, -10), "EU", "GB", None),
    at("eu-west-3", (4890, 240), "EU", "FR", None),
    at("eusc-de-east-1", (5240, 1310), "EU", "DE", None),
    at("il-central-1", (3210, 3480), "AS", "IL", None),
    at("me-central-1", (2520, 5530), "AS", "AE", None),
    at("me-south-1", (2610, 5060), "AS", "BH", None),
    at("mx-central-1", (2060, -10040), "NA", "MX", None),
    at("sa-east-1", (-2350, -4660), "SA", "BR", None),
    at("us-east-1", (3890, -7740), "NA", "US", Some("VA")),
    at("us-east-2", (4000, -8300), "NA", "US", Some("OH")),
    at("us-gov-east-1", (4000, -8300), "NA", "US", Some("OH")),
    at("us-gov-west-1", (4580, -11970), "NA", "US", Some("OR")),
    at("us-west-1", (3740, -12200), "NA", "US", Some("CA")),
    at("us-west-2", (4580, -11970), "NA", "US", Some("OR")),
];

const fn at(
    code: &'static str,
    place: (i32, i32),
    continent: &'static str,
    country: &'static str,
    subdivision: Option<&'static str>,
) -> Region {
    Region { code, place, continent, country, subdivision }
}

impl Region {
    /// The Region of this code, if it is known here.
    pub fn find(code: &str) -> Option<&'static Self> {
        let at = REGIONS.binary_search_by(|region| region.code.cmp(code)).ok()?;
        REGIONS.get(at)
    }

    /// The Region of this code, or the one that a local zone group of this code belongs to.
    pub fn around(code: &str) -> Option<&'static Self> {
        let holds = |region: &&Self| code.strip_prefix(region.code).is_some_and(|rest| rest.starts_with('-'));
        Self::find(code).or_else(|| REGIONS.iter().find(holds))
    }

    /// The distance over the ground, kilometres.
    pub fn kilometres_to(&self, other: &Self) -> f64 {
        self.kilometres_to_point(other.place)
    }

    /// The distance over the ground to a point, hundredths of a degree north and east, in kilometres
    /// (haversine).
    pub fn kilometres_to_point(&self, point: (i32, i32)) -> f64 {
        const DIAMETER: f64 = 12_742.0;
        let radians = |hundredths: i32| (f64::from(hundredths) / 100.0).to_radians();
        let [(lat_a, lon_a), (lat_b, lon_b)] =
            [self.place, point].map(|(lat, lon)| (radians(lat), radians(lon)));
        let half = |a: f64, b: f64| ((a - b) / 2.0).sin().powi(2);
        let chord = half(lat_a, lat_b) + lat_a.cos() * lat_b.cos() * half(lon_a, lon_b);
        DIAMETER * chord.sqrt().min(1.0).asin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kilometres(a: &str, b: &str) -> f64 {
        Region::find(a).unwrap().kilometres_to(Region::find(b).unwrap())
    }

    #[test]
    fn regions_are_found_by_their_code() {
        assert!(REGIONS.is_sorted_by(|a, b| a.code < b.code));
        assert!(REGIONS.iter().all(|region| Region::find(region.code) == Some(region)));
        assert_eq!(Region::find("us-west-1").unwrap().subdivision, Some("CA"));
        assert!(Region::find("eu-west-9").is_none());
        assert_eq!(Region::around("us-east-1-bos-1").unwrap().code, "us-east-1");
        assert_eq!(Region::around("eu-west-1").unwrap().code, "eu-west-1");
        assert!(Region::around("us-east-10").is_none());
    }

    #[test]
    fn distances_are_those_of_an_atlas() {
        for (a, b, expected) in [
            ("eu-west-1", "eu-west-2", 460.0),
            ("us-east-1", "us-west-2", 3600.0),
            ("sa-east-1", "ap-northeast-1", 18_500.0),
        ] {
            let found = kilometres(a, b);
            assert!((found - expected).abs() < expected * 0.03, "{a} {b}: {found}");
            assert_eq!(found, kilometres(b, a));
        }
        assert_eq!(kilometres("eu-west-1", "eu-west-1"), 0.0);
    }
}
