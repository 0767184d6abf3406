//! A zone as an organisation's private zone looks: hosts, aliases of them, wildcards.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::dns::{A, Case, Data, Record};
use super::random::Random;

/// The zone's name.
pub const ORIGIN: &str = "zone.bench";
/// SOA, NS and the name server's address.
const FRAME: usize = 3;

/// A host or the parent of a wildcard, with its address.
pub type Host = (String, Ipv4Addr);

/// The zone's records. All names are whole, without the final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Names with an address.
    pub hosts: Vec<Host>,
    /// Names that stand for a host.
    pub aliases: Vec<(String, Host)>,
    /// Names below which every name has an address.
    pub wildcards: Vec<Host>,
}

impl Zone {
    /// A zone of `records` records in all: of 100 ten are aliases and one is a wildcard.
    pub fn new(random: &mut Random, records: usize) -> Self {
        let (aliases, wildcards) = (records / 10, records / 100);
        let hosts = records.saturating_sub(aliases + wildcards + FRAME);
        let hosts: Vec<Host> = (0..hosts).map(|n| (owner(random, "", n), address(10, n))).collect();
        let mut alias = |n| Some((owner(random, "to-", n), random.one_of(&hosts)?.clone()));
        let aliases = (0..aliases).filter_map(&mut alias).collect();
        let wildcards = (0..wildcards).map(|n| (owner(random, "any-", n), address(172, n))).collect();
        Self { hosts, aliases, wildcards }
    }

    /// The zone as an RFC 1035 zone file; the last host with an address comes last.
    pub fn text(&self) -> String {
        let mut text = format!(
            "$TTL 300\n{ORIGIN}. SOA ns.{ORIGIN}. admin.{ORIGIN}. 1 7200 3600 1209600 300\n\
             {ORIGIN}. NS ns.{ORIGIN}.\nns.{ORIGIN}. A 127.0.0.1\n"
        );
        for (parent, address) in &self.wildcards {
            let _ = writeln!(text, "*.{parent}. A {address}");
        }
        for (owner, (target, _)) in &self.aliases {
            let _ = writeln!(text, "{owner}. CNAME {target}.");
        }
        for (owner, address) in &self.hosts {
            let _ = writeln!(text, "{owner}. A {address}");
        }
        text
    }

    /// The address of a host.
    pub fn host(&self, (owner, address): &Host) -> Case {
        Case::positive(owner.clone(), A, ORIGIN, vec![record(owner, *address)])
    }

    /// The address behind an alias.
    pub fn alias(&self, (owner, (target, address)): &(String, Host)) -> Case {
        let alias = Record { owner: owner.clone(), data: Data::Cname(target.clone()) };
        Case::positive(owner.clone(), A, ORIGIN, vec![alias, record(target, *address)])
    }

    /// A name that only a wildcard answers.
    pub fn wildcard(&self, number: usize, (parent, address): &Host) -> Case {
        let qname = format!("pod-{number}.{parent}");
        Case::positive(qname.clone(), A, ORIGIN, vec![record(&qname, *address)])
    }

    /// A name that does not exist.
    pub fn missing(&self, random: &mut Random) -> Case {
        let number = random.below(100_000);
        Case::nxdomain(format!("no-{}.{ORIGIN}", random.host(number)), A, ORIGIN)
    }

    /// The case whose right answer shows that the whole zone is served: the file's last record.
    pub fn last(&self) -> Option<Case> {
        self.hosts.last().map(|host| self.host(host))
    }
}

fn owner(random: &mut Random, prefix: &str, number: usize) -> String {
    format!("{prefix}{}.{ORIGIN}", random.host(number))
}

fn record(owner: &str, address: Ipv4Addr) -> Record {
    Record { owner: owner.to_owned(), data: Data::A(address) }
}

/// The address of the n-th of something.
pub fn address(network: u8, number: usize) -> Ipv4Addr {
    let [.., a, b, c] = (number as u32 + 1).to_be_bytes();
    Ipv4Addr::new(network, a, b, c)
}

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "a bench without harness has cfg(test) and no tests")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_zone_has_as_many_records_as_asked_for_and_no_name_twice() {
        let zone = Zone::new(&mut Random::new(1, "zone"), 10_000);
        let text = zone.text();
        let owners: BTreeSet<&str> = text.lines().skip(3).filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(text.lines().count() - 1, 10_000, "the first line is $TTL");
        assert_eq!(owners.len(), 10_000 - 2);
        assert_eq!(zone, Zone::new(&mut Random::new(1, "zone"), 10_000));
    }

    #[test]
    fn every_address_is_its_own() {
        let zone = Zone::new(&mut Random::new(1, "zone"), 2_000);
        let addresses: BTreeSet<Ipv4Addr> = zone.hosts.iter().map(|(_, address)| *address).collect();
        assert_eq!(addresses.len(), zone.hosts.len());
    }
}
