//! Patterns of names in settings.

use std::fmt;
use std::str::FromStr;

use super::{Name, NameError, NameRef};

/// One name, or all names below one: `corp.internal`, `*.corp.internal`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// This name.
    Exactly(Name),
    /// Every name below this one, at any depth, and not itself.
    Below(Name),
}

impl NamePattern {
    /// Whether `name` is meant. ASCII case is ignored.
    pub fn matches(&self, name: NameRef<'_>) -> bool {
        match self {
            Self::Exactly(exact) => exact.as_ref() == name,
            Self::Below(above) => above.as_ref() != name && name.is_at_or_below(above.as_ref()),
        }
    }
}

impl FromStr for NamePattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.strip_prefix("*.") {
            Some(above) => above.parse().map(Self::Below),
            None => text.parse().map(Self::Exactly),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(name) => write!(f, "{name}"),
            Self::Below(above) => write!(f, "*.{above}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_means_below_at_any_depth_and_not_the_name_itself() {
        let pattern: NamePattern = "*.Corp.internal".parse().unwrap();
        let matches = |name: &str| pattern.matches(name.parse::<Name>().unwrap().as_ref());
        assert!(matches("a.corp.internal") && matches("b.A.CORP.internal"));
        assert!(!matches("corp.internal") && !matches("acorp.internal"));
        assert_eq!(pattern.to_string(), "*.corp.internal.");
    }

    #[test]
    fn without_one_only_the_name_itself_is_meant() {
        let pattern: NamePattern = "corp.internal".parse().unwrap();
        assert!(pattern.matches("CORP.internal".parse::<Name>().unwrap().as_ref()));
        assert!(!pattern.matches("a.corp.internal".parse::<Name>().unwrap().as_ref()));
        assert!("*.a..b".parse::<NamePattern>().is_err());
    }
}
