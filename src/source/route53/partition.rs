//! AWS partitions: which region Route 53 is signed for.

/// A partition of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// `aws`.
    Commercial,
    /// `aws-cn`.
    China,
    /// `aws-us-gov`.
    Government,
    /// `aws-eusc`.
    EuropeSovereign,
}

impl Partition {
    /// The partition of that name, `None` for one that is not known.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "aws" => Some(Self::Commercial),
            "aws-cn" => Some(Self::China),
            "aws-us-gov" => Some(Self::Government),
            "aws-eusc" => Some(Self::EuropeSovereign),
            _ => None,
        }
    }

    /// Its name, as ARNs have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commercial => "aws",
            Self::China => "aws-cn",
            Self::Government => "aws-us-gov",
            Self::EuropeSovereign => "aws-eusc",
        }
    }

    /// The partition a region lies in.
    pub fn of_region(region: &str) -> Self {
        if region.starts_with("cn-") {
            Self::China
        } else if region.starts_with("us-gov-") {
            Self::Government
        } else if region.starts_with("eusc-") {
            Self::EuropeSovereign
        } else {
            Self::Commercial
        }
    }

    /// The only region that the partition's Route 53 accepts signatures for, wherever the caller is.
    pub fn signing_region(self) -> &'static str {
        match self {
            Self::Commercial => "us-east-1",
            Self::China => "cn-northwest-1",
            Self::Government => "us-gov-west-1",
            Self::EuropeSovereign => "eusc-de-east-1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_signing_region() {
        for (region, signing) in [
            ("eu-west-1", "us-east-1"),
            ("cn-north-1", "cn-northwest-1"),
            ("us-gov-east-1", "us-gov-west-1"),
            ("eusc-de-east-1", "eusc-de-east-1"),
        ] {
            assert_eq!(Partition::of_region(region).signing_region(), signing);
        }
        assert_eq!(Partition::from_name("aws-cn"), Some(Partition::China));
        assert_eq!(Partition::from_name("aws-iso"), None);
    }
}
