//! Names that a search list makes up and that cannot exist, by how a domain is built.
//!
//! A pod with `ndots:5` asks for `api.example.com` first as `api.example.com.default.svc.cluster.local` and
//! in two or three more domains, with A and AAAA each, before it asks for what it wants. Where the structure
//! of a domain leaves no place for such a name, it is denied here; whatever could exist, or is answered by
//! CoreDNS beyond the specification, is forwarded. Rewrites and templates can give a cluster other names,
//! which nobody sees from here: so this is for those who switch it on.

use super::names::NameMap;
use super::settings::{Relief, ReliefKind};
use crate::wire::Suffixes;

/// The domains of `[[relief]]`.
#[derive(Debug)]
pub(super) struct ReliefRules(NameMap<Option<Rule>>);

#[derive(Clone, Copy, Debug)]
struct Rule {
    kind: ReliefKind,
    ttl: u32,
}

/// A name that cannot exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impossible {
    /// Wire length of the domain at the end of the name, the owner of the SOA record.
    pub zone_len: usize,
    /// Of the denial, seconds.
    pub ttl: u32,
}

impl ReliefRules {
    /// `None` where there are no such domains.
    pub fn new(relief: &[Relief]) -> Option<Box<Self>> {
        let domains = relief
            .iter()
            .map(|relief| (relief.domain.clone(), Some(Rule { kind: relief.kind, ttl: relief.ttl })));
        // An exception that is such a domain, too, is that domain: the first entry of a name stands.
        let except = relief.iter().flat_map(|relief| &relief.except).map(|name| (name.clone(), None));
        (!relief.is_empty()).then(|| Box::new(Self(NameMap::new(domains.chain(except).collect()))))
    }

    /// Whether `qname` cannot exist. The most specific domain decides, and below an exception everything may
    /// exist; so may a name with an exception below it.
    pub fn find(&self, qname: &Suffixes) -> Option<Impossible> {
        let (depth, rule) = self.0.covering(qname).next()?;
        let rule = (*rule)?;
        let mut labels = qname.name().labels();
        let below = qname.depth() - depth;
        let mut last = [&[][..]; 8];
        // Deeper names are judged by their number of labels alone.
        if below <= last.len() {
            last.iter_mut().zip(labels.by_ref().take(below)).for_each(|(to, label)| *to = label);
        }
        let labels = last.get(..below);
        let can_exist = labels.is_some_and(|labels| can_exist(rule.kind, labels));
        let is_denied = !can_exist && !self.0.has_below(qname);
        is_denied.then(|| Impossible { zone_len: qname.suffix(depth).as_bytes().len(), ttl: rule.ttl })
    }
}

/// Whether a domain of this kind can have a name with these labels, the leftmost first and the domain's own
/// left out; there are at most eight, and names with more cannot exist in any.
fn can_exist(kind: ReliefKind, labels: &[&[u8]]) -> bool {
    let Some((kind_label, front)) = labels.split_last() else { return true };
    match kind {
        ReliefKind::Ec2 => front.is_empty(),
        ReliefKind::Kubernetes => is_of_cluster(kind_label, front, 0),
        // The cluster's id may stand before the service.
        ReliefKind::ClusterSet => is_of_cluster(kind_label, front, 1),
    }
}

/// Kubernetes DNS specification 1.1.0: `service.namespace.svc`, `hostname.service.namespace.svc` (with an
/// address as hostname, too), `_port._proto.service.namespace.svc`, `address.namespace.pod`, `dns-version`.
///
/// CoreDNS parses `pod` as it does `svc`, answers port and protocol without their underscores, has
/// `ns.dns` for its own name, and knew `any` and `*` for any label.
fn is_of_cluster(kind_label: &[u8], front: &[&[u8]], cluster_id: usize) -> bool {
    match kind_label {
        b"svc" | b"pod" => {}
        b"dns" => return true,
        _ => return kind_label == b"dns-version" && front.is_empty(),
    }
    let is_marked = |label: &&[u8]| label.starts_with(b"_");
    let is_service =
        front.iter().take(2).all(is_marked) || front.get(1).is_some_and(|label| is_protocol(label));
    match front.len() - cluster_id.min(front.len()) {
        0..=3 => true,
        4 => is_service,
        // A hostname behind port and protocol is nowhere specified, but no search list makes it up either.
        5 => front.iter().take(2).all(is_marked),
        _ => false,
    }
}

fn is_protocol(label: &[u8]) -> bool {
    let bare = label.strip_prefix(b"_").unwrap_or(label);
    [&b"tcp"[..], b"udp", b"sctp", b"any", b"*"].contains(&bare)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Name;

    fn rules(domains: &[(&str, ReliefKind)], except: &[&str]) -> Box<ReliefRules> {
        let except: Vec<Name> = except.iter().map(|name| name.parse().unwrap()).collect();
        let relief = |(domain, kind): &(&str, ReliefKind)| Relief {
            domain: domain.parse().unwrap(),
            kind: *kind,
            except: except.clone(),
            ttl: 30,
        };
        ReliefRules::new(&domains.iter().map(relief).collect::<Vec<_>>()).unwrap()
    }

    fn all() -> Box<ReliefRules> {
        let domains = [
            ("cluster.local", ReliefKind::Kubernetes),
            ("clusterset.local", ReliefKind::ClusterSet),
            ("eu-central-1.compute.internal", ReliefKind::Ec2),
        ];
        rules(&domains, &["odd.cluster.local", "a.b.c.d.e.svc.cluster.local"])
    }

    fn is_denied(rules: &ReliefRules, qname: &str) -> bool {
        rules.find(&Suffixes::of(qname.parse::<Name>().unwrap().as_ref())).is_some()
    }

    /// Names that clusters answer: of the specification, of CoreDNS, of the Multi-Cluster Services API.
    const REAL: [&str; 38] = [
        "cluster.local",
        "svc.cluster.local",
        "pod.cluster.local",
        "default.svc.cluster.local",
        "kubernetes.default.svc.cluster.local",
        "kube-dns.kube-system.svc.cluster.local",
        "_https._tcp.kubernetes.default.svc.cluster.local",
        "_dns._udp.kube-dns.kube-system.svc.cluster.local",
        "_sip._sctp.proxy.voip.svc.cluster.local",
        "_tcp.kubernetes.default.svc.cluster.local",
        "_x._anything.web.default.svc.cluster.local",
        "web-0.nginx.default.svc.cluster.local",
        "kafka-12.kafka-headless.streaming.svc.cluster.local",
        "10-0-0-1.nginx.default.svc.cluster.local",
        "fd00--1.nginx.default.svc.cluster.local",
        "10-0-0-1.default.pod.cluster.local",
        "2001-db8--1.default.pod.cluster.local",
        "default.pod.cluster.local",
        "10-0-0-1.web.default.pod.cluster.local",
        "dns-version.cluster.local",
        "ns.dns.cluster.local",
        "dns.cluster.local",
        "example.com.svc.cluster.local",
        "www.example.com.svc.cluster.local",
        "https.tcp.kubernetes.default.svc.cluster.local",
        "any.any.nginx.default.svc.cluster.local",
        "*.*.nginx.default.svc.cluster.local",
        "_http._tcp.web-0.nginx.default.svc.cluster.local",
        "odd.cluster.local",
        "anything.at.all.odd.cluster.local",
        "a.b.c.d.e.svc.cluster.local",
        "x.a.b.c.d.e.svc.cluster.local",
        "web.default.svc.clusterset.local",
        "cluster-1.web.default.svc.clusterset.local",
        "web-0.cluster-1.web.default.svc.clusterset.local",
        "_http._tcp.web.default.svc.clusterset.local",
        "_http._tcp.cluster-1.web.default.svc.clusterset.local",
        "ip-10-0-0-1.eu-central-1.compute.internal",
    ];

    #[test]
    fn names_that_a_cluster_may_have_are_never_denied_in_any_case() {
        let rules = all();
        for name in REAL {
            assert!(!is_denied(&rules, name), "{name}");
            assert!(!is_denied(&rules, &name.to_uppercase()), "{name}");
        }
    }

    #[test]
    fn what_a_search_list_makes_of_other_names_is_denied() {
        let rules = all();
        for name in [
            "api.example.com.default.svc.cluster.local",
            "www.api.example.com.svc.cluster.local",
            "www.example.com.default.svc.cluster.local",
            "api.example.com.cluster.local",
            "example.com.cluster.local",
            "sqs.eu-central-1.amazonaws.com.default.svc.cluster.local",
            "sqs.eu-central-1.amazonaws.com.svc.cluster.local",
            "kubernetes.default.svc.cluster.local.default.svc.cluster.local",
            "kubernetes.default.svc.cluster.local.svc.cluster.local",
            "kubernetes.default.svc.cluster.local.cluster.local",
            "web.cluster.local",
            "x.dns-version.cluster.local",
            "_mongodb._tcp.db.example.com.default.svc.cluster.local",
            "a.b.c.d.e.f.g.h.i.j.k.svc.cluster.local",
            "x.web-0.cluster-1.web.default.svc.clusterset.local",
            "example.com.eu-central-1.compute.internal",
        ] {
            assert!(is_denied(&rules, name), "{name}");
        }
    }

    #[test]
    fn names_of_other_domains_and_those_above_an_exception_are_left_alone() {
        let rules = all();
        for name in [
            "example.com",
            "local",
            ".",
            "a.b.c.notcluster.local",
            "b.c.d.e.svc.cluster.local",
            "compute.internal",
            "a.b.us-east-1.compute.internal",
        ] {
            assert!(!is_denied(&rules, name), "{name}");
        }
        // Four labels before svc, neither port nor protocol: denied, but for what lies below.
        assert!(is_denied(&rules, "x.c.d.e.svc.cluster.local"));
    }

    proptest! {
        /// Every name that the specification's grammar makes is forwarded.
        #[test]
        fn nothing_that_the_specification_allows_is_denied(
            service in "[a-z]([a-z0-9-]{0,8}[a-z0-9])?", namespace in "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?",
            host in "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", port in "[a-z0-9]{1,8}", form in 0usize..6,
            protocol in prop::sample::select(vec!["tcp", "udp", "sctp"]),
        ) {
            let front = match form {
                0 => format!("{service}.{namespace}.svc"),
                1 => format!("{host}.{service}.{namespace}.svc"),
                2 => format!("_{port}._{protocol}.{service}.{namespace}.svc"),
                3 => format!("{host}.{namespace}.pod"),
                4 => format!("{host}.{service}.{namespace}.pod"),
                _ => format!("{port}.{protocol}.{service}.{namespace}.svc"),
            };
            let rules = all();
            let name = format!("{front}.cluster.local");
            prop_assert!(!is_denied(&rules, &name), "{}", name);
            // The same behind another domain of the search list has no place.
            let name = format!("{front}.cluster.local.default.svc.cluster.local");
            prop_assert!(is_denied(&rules, &name), "{}", name);
        }
    }
}
