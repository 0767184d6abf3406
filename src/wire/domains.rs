//! Values by domain: the longest domain that covers a name decides.

use std::collections::BTreeMap;

use super::{Name, NameRef};

/// A value for each of some domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domains<T> {
    /// By wire name.
    by_name: BTreeMap<Box<[u8]>, T>,
    /// Bit n: there is a domain whose name is n bytes long, or 127 and more. Most names have no
    /// suffix of such a length but the root, and are spared a search for each of their labels.
    lengths: u128,
}

impl<T> Default for Domains<T> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), lengths: 0 }
    }
}

impl<T> Domains<T> {
    /// The value of the longest domain that covers `qname`, `None` where none does.
    ///
    /// Cost: a look at each suffix, and a search for those that are as long as some domain; no allocation.
    pub fn find(&self, qname: NameRef<'_>) -> Option<&T> {
        let may_be = |suffix: &NameRef<'_>| self.lengths & length_bit(suffix.as_bytes()) != 0;
        qname.suffixes().filter(may_be).find_map(|suffix| self.by_name.get(suffix.as_bytes()))
    }

    /// All values, in no order that means anything.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.by_name.values()
    }
}

/// Of two values for one domain the later one stays.
impl<T> FromIterator<(Name, T)> for Domains<T> {
    fn from_iter<I: IntoIterator<Item = (Name, T)>>(values: I) -> Self {
        let by_name: BTreeMap<Box<[u8]>, T> =
            values.into_iter().map(|(domain, value)| (domain.as_bytes().into(), value)).collect();
        let lengths = by_name.keys().fold(0, |lengths, name| lengths | length_bit(name));
        Self { by_name, lengths }
    }
}

fn length_bit(name: &[u8]) -> u128 {
    1 << name.len().min(127)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_domain_that_covers_a_name_decides() {
        let long = format!("{0}.{0}.{0}.test", "a".repeat(60));
        let domains: Domains<u8> = [(".", 0), ("test", 1), ("b.test", 2), (&*long, 3)]
            .map(|(d, v)| (name(d), v))
            .into_iter()
            .collect();
        let find = |qname: &str| domains.find(name(qname).as_ref()).copied();
        assert_eq!(find("example"), Some(0));
        assert_eq!(find("a.test"), Some(1));
        assert_eq!(find("x.b.test"), Some(2));
        assert_eq!(find("b.test"), Some(2));
        assert_eq!(find("xb.test"), Some(1), "a label is not cut");
        assert_eq!(find(&format!("x.{long}")), Some(3));
        assert_eq!(domains.values().count(), 4);
    }

    #[test]
    fn a_name_that_no_domain_covers_has_no_value() {
        let domains: Domains<u8> = [(name("b.test"), 1)].into_iter().collect();
        assert_eq!(domains.find(name("a.test").as_ref()), None);
        assert_eq!(domains.find(name(".").as_ref()), None);
        assert_eq!(Domains::<u8>::default().find(name("a.test").as_ref()), None);
    }
}
