//! What is asked, and the right answers: the same questions for the same seed.

use std::net::Ipv6Addr;

use super::dns::{A, AAAA, Case, Data, Record};
use super::random::{Random, Zipf};
use super::ready::{UNIQUE_ZONE, address_of};
use super::zonefile::{Zone, address};

/// Questions of a round before they repeat.
const QUESTIONS: usize = 100_000;
/// Names in the cache on `hit`, and names outside the cluster on `mix`.
const HIT_NAMES: usize = 10_000;
const MIX_NAMES: usize = 2_000;
/// A pod's search list in a cluster on EC2 (`ndots:5`); the last suffix is the node's own.
const SEARCH: [(&str, &str); 4] = [
    ("default.svc.cluster.bench", "cluster.bench"),
    ("svc.cluster.bench", "cluster.bench"),
    ("cluster.bench", "cluster.bench"),
    ("ec2.bench", "ec2.bench"),
];

/// Questions with their answers.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The zone to be served, where there is one; else the server forwards.
    pub zone: Option<Zone>,
    /// Every question once.
    pub cases: Vec<Case>,
    /// Indexes of `cases`, in the order they are asked.
    pub order: Vec<u32>,
    /// Whether names are made unique while they are sent; then there is one case, a pattern.
    pub is_unique: bool,
}

impl Workload {
    /// An imported zone: of 100 questions 75 for a host, 10 for an alias, 10 for a name that a wildcard
    /// answers, 5 for a name that does not exist; in no order.
    pub fn zone(seed: u64, records: usize) -> Self {
        let mut random = Random::new(seed, "zone");
        let zone = Zone::new(&mut random, records);
        let mut cases = Vec::new();
        for _ in 0..QUESTIONS {
            let case = match random.below(100) {
                0..75 => random.one_of(&zone.hosts).map(|host| zone.host(host)),
                75..85 => random.one_of(&zone.aliases).map(|alias| zone.alias(alias)),
                85..95 => {
                    let number = random.below(10_000);
                    random.one_of(&zone.wildcards).map(|parent| zone.wildcard(number, parent))
                }
                _ => Some(zone.missing(&mut random)),
            };
            cases.extend(case);
        }
        let order = (0..cases.len() as u32).collect();
        Self { zone: Some(zone), cases, order, is_unique: false }
    }

    /// Names of the world outside, some asked far more often than others; one in five for AAAA.
    pub fn hit(seed: u64) -> Self {
        let mut random = Random::new(seed, "hit");
        let mut cases = Vec::new();
        for n in 0..HIT_NAMES {
            let qname = format!("{}.up.bench", random.host(n));
            let is_aaaa = random.below(5) == 0;
            cases.push(if is_aaaa { host6(qname, n, "up.bench") } else { host4(qname, n, "up.bench") });
        }
        let zipf = Zipf::new(cases.len());
        let order = (0..QUESTIONS).map(|_| zipf.draw(&mut random) as u32).collect();
        Self { zone: None, cases, order, is_unique: false }
    }

    /// What a pod's resolver asks for a name outside the cluster: A and AAAA with each suffix of its search
    /// list, all denied, and then the name itself. Half of the names have no IPv6 address.
    pub fn mix(seed: u64) -> Self {
        let mut random = Random::new(seed, "mix");
        let mut cases = Vec::new();
        for n in 0..MIX_NAMES {
            let qname = format!("{}.ext.bench", random.host(n));
            for (suffix, apex) in SEARCH {
                let denied = format!("{qname}.{suffix}");
                cases.extend([A, AAAA].map(|qtype| Case::nxdomain(denied.clone(), qtype, apex)));
            }
            cases.push(host4(qname.clone(), n, "ext.bench"));
            cases.push(if random.below(2) == 0 {
                Case::positive(qname, AAAA, "ext.bench", Vec::new())
            } else {
                host6(qname, n, "ext.bench")
            });
        }
        let burst = 2 * (SEARCH.len() + 1);
        let zipf = Zipf::new(MIX_NAMES);
        let bursts = (0..QUESTIONS / burst).map(|_| zipf.draw(&mut random) * burst);
        let order = bursts.flat_map(|first| (first..first + burst).map(|index| index as u32)).collect();
        Self { zone: None, cases, order, is_unique: false }
    }

    /// A name that nobody has asked for before, each time.
    pub fn miss() -> Self {
        Self { zone: None, cases: vec![unique(0)], order: vec![0], is_unique: true }
    }

    /// The cases in the order they are asked.
    pub fn asked(&self) -> impl Iterator<Item = &Case> {
        self.order.iter().filter_map(|&index| self.cases.get(index as usize))
    }

    /// The share of questions for names that do not exist, and of those whose answer has records.
    pub fn shares(&self) -> (f64, f64) {
        let (mut nxdomain, mut answered) = (0.0, 0.0);
        for case in self.asked() {
            nxdomain += f64::from(u8::from(case.is_nxdomain));
            answered += f64::from(u8::from(!case.records.is_empty()));
        }
        let count = self.order.len().max(1) as f64;
        (nxdomain / count, answered / count)
    }

    /// Cases spread over all kinds, to be asked before anything is measured.
    pub fn sample(&self, count: usize) -> Vec<Case> {
        if self.is_unique {
            // From the top of the range, which the load never comes to.
            return (0..count as u64).map(|n| unique((1 << 48) - 1 - n * 7919)).collect();
        }
        let step = (self.cases.len() / count.max(1)).saturating_sub(1) | 1;
        self.cases.iter().step_by(step).take(count).cloned().collect()
    }
}

/// The case of a unique name.
pub fn unique(number: u64) -> Case {
    let qname = format!("u{number:012x}.{UNIQUE_ZONE}");
    let data = Data::A(address_of(number).into());
    Case::positive(qname.clone(), A, UNIQUE_ZONE, vec![Record { owner: qname, data }])
}

fn host4(qname: String, n: usize, apex: &'static str) -> Case {
    Case::positive(qname.clone(), A, apex, vec![Record { owner: qname, data: Data::A(address(10, n)) }])
}

fn host6(qname: String, n: usize, apex: &'static str) -> Case {
    let data = Data::Aaaa(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, (n >> 16) as u16, n as u16));
    Case::positive(qname.clone(), AAAA, apex, vec![Record { owner: qname, data }])
}

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "a bench without harness has cfg(test) and no tests")]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_asks_the_same() {
        for make in [Workload::hit, Workload::mix, |seed| Workload::zone(seed, 1000)] {
            assert_eq!(make(3).cases, make(3).cases);
            assert_eq!(make(3).order, make(3).order);
            assert_ne!(make(3).cases, make(4).cases);
        }
    }

    #[test]
    fn a_pod_is_mostly_denied() {
        let (nxdomain, answered) = Workload::mix(42).shares();
        assert!((nxdomain - 0.8).abs() < 1e-9, "{nxdomain}");
        assert!((0.13..0.17).contains(&answered), "{answered}");
    }

    #[test]
    fn a_zone_is_asked_for_everything_it_has() {
        let (nxdomain, answered) = Workload::zone(42, 10_000).shares();
        assert!((0.045..0.055).contains(&nxdomain), "{nxdomain}");
        assert!((answered + nxdomain - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_sample_has_every_kind() {
        let sample = Workload::mix(42).sample(200);
        assert_eq!(sample.len(), 200);
        assert!(sample.iter().any(|case| case.is_nxdomain && case.qtype == AAAA));
        assert!(sample.iter().any(|case| !case.is_nxdomain && case.records.is_empty()));
        assert!(sample.iter().any(|case| case.records.len() == 1));
        assert_ne!(Workload::miss().sample(2)[0], Workload::miss().sample(2)[1]);
    }
}
