//! Names that are answered here whatever zones and upstreams say: overrides, and hosts files.
//!
//! Of all that cover a name the most specific decides: what is said of the name itself, then what is said of
//! all names below the closest domain above it. An override goes before a hosts file that has the same name.
//! Names that nobody covers, and those that an override passes on, go their usual way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::names::NameMap;
use super::settings::{Override, OverrideAnswer, SpecialNames};
use super::special;
use crate::metrics::AnswerSource;
use crate::source::hosts::Hosts;
use crate::wire::{CLASS_IN, Name, NamePattern, Rcode, Rtype, Suffixes};

/// All such names; built whole when settings or a hosts file change.
#[derive(Debug)]
pub(super) struct LocalNames(NameMap<Held>);

/// What is said of a name and of those below it.
#[derive(Debug, Default)]
struct Held {
    itself: Option<Arc<Pin>>,
    below: Option<Arc<Pin>>,
}

/// What one override, or a name of a hosts file, is answered with.
#[derive(Debug, PartialEq, Eq)]
pub struct Pin {
    /// Whose word it is.
    pub source: AnswerSource,
    /// The alias, or the addresses, or nothing.
    pub data: Data,
    /// Of negative answers, seconds.
    pub ttl: u32,
}

/// The records of a pin, each RRset as zones keep theirs.
#[derive(Debug, PartialEq, Eq)]
pub enum Data {
    /// NODATA for any other type.
    Rrsets(Box<[Rrset]>),
    /// One CNAME record.
    Cname(Box<[u8]>),
    /// A denial of the name, or of all its data.
    Denied(Rcode),
    /// The name goes its usual way.
    Pass,
}

/// Records of one type.
#[derive(Debug, PartialEq, Eq)]
pub struct Rrset {
    /// Their type.
    pub rtype: Rtype,
    /// How many they are.
    pub count: u16,
    /// They as they stand in a response, their owner being the question's name.
    pub block: Box<[u8]>,
}

/// A name that is answered here.
#[derive(Clone, Copy, Debug)]
pub struct Local<'l> {
    /// What with.
    pub pin: &'l Pin,
    /// Wire length of the domain at the end of the name that it was said of, the owner of the SOA record.
    pub zone_len: usize,
}

impl LocalNames {
    /// `None` where there is no such name. What a hosts file says of special names that are answered here
    /// does not count: `localhost` has both its addresses, whatever the file lists.
    pub fn new(overrides: &[Override], hosts: &[Arc<Hosts>], special: SpecialNames) -> Option<Box<Self>> {
        let mut all: HashMap<Name, Held> = HashMap::new();
        for rule in overrides {
            let pin = Arc::new(Pin::of(rule));
            for pattern in &rule.names {
                let (name, is_below) = match pattern {
                    NamePattern::Exactly(name) => (name, false),
                    NamePattern::Below(name) => (name, true),
                };
                let held = all.entry(name.clone()).or_default();
                let place = if is_below { &mut held.below } else { &mut held.itself };
                place.get_or_insert_with(|| Arc::clone(&pin));
            }
        }
        for file in hosts {
            let is_special =
                |name: &Name| special::find(&Suffixes::of(name.as_ref()), Rtype::A, special).is_some();
            for (name, addresses) in file.forward.iter().filter(|(name, _)| !is_special(name)) {
                let pin = || Arc::new(Pin::addresses(AnswerSource::Hosts, addresses, file.ttl));
                all.entry(name.clone()).or_default().itself.get_or_insert_with(pin);
            }
            for (name, target) in &file.reverse {
                let pin = || Arc::new(Pin::pointer(target, file.ttl));
                all.entry(name.clone()).or_default().itself.get_or_insert_with(pin);
            }
        }
        (!all.is_empty()).then(|| Box::new(Self(NameMap::new(all.into_iter().collect()))))
    }

    /// What `qname` is answered with, `None` for a name that goes its usual way.
    pub fn find(&self, qname: &Suffixes) -> Option<Local<'_>> {
        for (depth, held) in self.0.covering(qname) {
            let place = if depth == qname.depth() { &held.itself } else { &held.below };
            if let Some(pin) = place.as_deref() {
                let zone_len = qname.suffix(depth).as_bytes().len();
                return (pin.data != Data::Pass).then_some(Local { pin, zone_len });
            }
        }
        None
    }

    /// Whether some name below `qname` is answered here.
    pub fn has_below(&self, qname: &Suffixes) -> bool {
        self.0.has_below(qname)
    }
}

impl Pin {
    fn of(rule: &Override) -> Self {
        let data = match &rule.answer {
            OverrideAnswer::Addresses(addresses) => {
                return Self::addresses(AnswerSource::Override, addresses, rule.ttl);
            }
            OverrideAnswer::Cname(target) => {
                Data::Cname(block(Rtype::CNAME, rule.ttl, [target.as_bytes()]).into())
            }
            OverrideAnswer::NxDomain => Data::Denied(Rcode::NXDOMAIN),
            OverrideAnswer::NoData => Data::Denied(Rcode::NOERROR),
            OverrideAnswer::Pass => Data::Pass,
        };
        Self { source: AnswerSource::Override, data, ttl: rule.ttl }
    }

    fn addresses(source: AnswerSource, addresses: &[IpAddr], ttl: u32) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in addresses {
            match address {
                IpAddr::V4(ip) => v4.push(ip.octets()),
                IpAddr::V6(ip) => v6.push(ip.octets()),
            }
        }
        let mut rrsets = Vec::new();
        if !v4.is_empty() {
            rrsets.push(rrset(Rtype::A, ttl, v4.iter().map(<[u8; 4]>::as_slice)));
        }
        if !v6.is_empty() {
            rrsets.push(rrset(Rtype::AAAA, ttl, v6.iter().map(<[u8; 16]>::as_slice)));
        }
        Self { source, data: Data::Rrsets(rrsets.into()), ttl }
    }

    fn pointer(target: &Name, ttl: u32) -> Self {
        let rrsets = [rrset(Rtype::PTR, ttl, [target.as_bytes()])];
        Self { source: AnswerSource::Hosts, data: Data::Rrsets(rrsets.into()), ttl }
    }
}

fn rrset<'d>(rtype: Rtype, ttl: u32, rdata: impl IntoIterator<Item = &'d [u8]> + Clone) -> Rrset {
    let count = u16::try_from(rdata.clone().into_iter().count()).unwrap_or(u16::MAX);
    Rrset { rtype, count, block: block(rtype, ttl, rdata.into_iter().take(count.into())).into() }
}

/// Records as they stand in a response, their owner being the question's name.
fn block<'d>(rtype: Rtype, ttl: u32, rdata: impl IntoIterator<Item = &'d [u8]>) -> Vec<u8> {
    let mut block = Vec::new();
    for rdata in rdata {
        block.extend([0xc0, 0x0c]);
        block.extend(rtype.0.to_be_bytes());
        block.extend(CLASS_IN.to_be_bytes());
        block.extend(ttl.to_be_bytes());
        block.extend((rdata.len() as u16).to_be_bytes());
        block.extend(rdata);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(names: &[&str], answer: OverrideAnswer) -> Override {
        Override { names: names.iter().map(|name| name.parse().unwrap()).collect(), answer, ttl: 30 }
    }

    fn addresses(ip: &str) -> OverrideAnswer {
        OverrideAnswer::Addresses(vec![ip.parse().unwrap()])
    }

    fn hosts(text: &str) -> Vec<Arc<Hosts>> {
        vec![Arc::new(Hosts::parse(text.as_bytes(), 30))]
    }

    /// What is said of a name: source, first octet or code; and how long its domain is.
    fn find(names: &LocalNames, qname: &str) -> Option<(AnswerSource, u8, usize)> {
        let qname = Suffixes::of(qname.parse::<Name>().unwrap().as_ref());
        let local = names.find(&qname)?;
        let what = match &local.pin.data {
            Data::Rrsets(rrsets) => rrsets[0].block[12],
            Data::Denied(rcode) => rcode.0 as u8,
            Data::Cname(_) => 99,
            Data::Pass => unreachable!("it is passed on"),
        };
        Some((local.pin.source, what, local.zone_len))
    }

    #[test]
    fn the_most_specific_word_counts_and_an_override_goes_before_a_hosts_file() {
        use AnswerSource::{Hosts, Override};
        let overrides = [
            over(&["*.ads.test"], OverrideAnswer::NxDomain),
            over(&["good.ads.test", "*.fine.ads.test"], OverrideAnswer::Pass),
            over(&["a.ads.test"], addresses("10.0.0.1")),
            over(&["both.test"], addresses("11.0.0.1")),
        ];
        let hosts = hosts("12.0.0.1 both.test\n13.0.0.1 h.ads.test\n");
        let names = LocalNames::new(&overrides, &hosts, SpecialNames::default()).unwrap();
        assert_eq!(find(&names, "x.y.ads.test"), Some((Override, 3, 10)));
        assert_eq!(find(&names, "ads.test"), None, "a star does not mean the name itself");
        assert_eq!(find(&names, "good.ads.test"), None);
        assert_eq!(find(&names, "x.good.ads.test"), Some((Override, 3, 10)));
        assert_eq!(find(&names, "x.fine.ads.test"), None);
        assert_eq!(find(&names, "fine.ads.test"), Some((Override, 3, 10)));
        assert_eq!(find(&names, "A.ads.test"), Some((Override, 10, 12)));
        assert_eq!(find(&names, "x.a.ads.test"), Some((Override, 3, 10)));
        assert_eq!(find(&names, "both.test"), Some((Override, 11, 11)));
        assert_eq!(find(&names, "h.ads.test"), Some((Hosts, 13, 12)));
        assert_eq!(find(&names, "1.0.0.12.in-addr.arpa").map(|found| found.0), Some(Hosts));
        assert_eq!(find(&names, "test"), None);
    }

    #[test]
    fn special_names_of_a_hosts_file_stay_special_unless_they_are_given_back() {
        let file = hosts("127.0.0.1 localhost db.localhost\n127.0.1.1 box\n");
        let names = LocalNames::new(&[], &file, SpecialNames::default()).unwrap();
        assert_eq!(find(&names, "localhost"), None);
        assert!(find(&names, "box").is_some() && find(&names, "db.localhost").is_none());
        let none = SpecialNames { localhost: false, ..SpecialNames::default() };
        let names = LocalNames::new(&[], &file, none).unwrap();
        assert!(find(&names, "localhost").is_some());
        assert!(LocalNames::new(&[], &[], SpecialNames::default()).is_none());
    }
}
