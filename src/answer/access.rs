//! Who is answered: the access list, laid out for the check that every query passes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The networks of an access list as masks, so that each costs one compare.
#[derive(Debug)]
pub(super) struct AccessList {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl AccessList {
    pub fn new(networks: &[IpNet]) -> Self {
        let v4 = |net: &IpNet| match net {
            IpNet::V4(net) => Some((net.netmask().to_bits(), net.network().to_bits())),
            IpNet::V6(_) => None,
        };
        let v6 = |net: &IpNet| match net {
            IpNet::V4(_) => None,
            IpNet::V6(net) => Some((net.netmask().to_bits(), net.network().to_bits())),
        };
        Self { v4: networks.iter().filter_map(v4).collect(), v6: networks.iter().filter_map(v6).collect() }
    }

    /// The first network on the list that has the client in it, for people.
    pub fn admitting(&self, client: IpAddr) -> Option<IpNet> {
        match client.to_canonical() {
            IpAddr::V4(ip) => {
                let (mask, network) =
                    self.v4.iter().find(|(mask, network)| ip.to_bits() & mask == *network)?;
                IpNet::new(Ipv4Addr::from_bits(*network).into(), mask.count_ones() as u8).ok()
            }
            IpAddr::V6(ip) => {
                let (mask, network) =
                    self.v6.iter().find(|(mask, network)| ip.to_bits() & mask == *network)?;
                IpNet::new(Ipv6Addr::from_bits(*network).into(), mask.count_ones() as u8).ok()
            }
        }
    }

    /// Whether the client's network is on the list; a mapped IPv4 address counts as IPv4.
    pub fn admits(&self, client: IpAddr) -> bool {
        match client.to_canonical() {
            IpAddr::V4(ip) => self.v4.iter().any(|&(mask, network)| ip.to_bits() & mask == network),
            IpAddr::V6(ip) => self.v6.iter().any(|&(mask, network)| ip.to_bits() & mask == network),
        }
    }
}

#[cfg(test)]
mod tests {
    use ipnet::{Ipv4Net, Ipv6Net};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn network() -> impl Strategy<Value = IpNet> {
        let v4 = (any::<u32>(), 0u8..=32).prop_filter_map("at most 32 bits", |(ip, len)| {
            Ipv4Net::new(Ipv4Addr::from(ip), len).ok().map(IpNet::V4)
        });
        let v6 = (any::<u128>(), 0u8..=128).prop_filter_map("at most 128 bits", |(ip, len)| {
            Ipv6Net::new(Ipv6Addr::from(ip), len).ok().map(IpNet::V6)
        });
        prop_oneof![v4, v6]
    }

    fn admits(networks: &[&str], client: &str) -> bool {
        let networks: Vec<IpNet> = networks.iter().map(|net| net.parse().unwrap()).collect();
        AccessList::new(&networks).admits(client.parse().unwrap())
    }

    #[test]
    fn mapped_addresses_count_as_ipv4_and_families_keep_apart() {
        assert!(admits(&["10.0.0.0/8"], "::ffff:10.1.2.3"));
        assert!(admits(&["10.9.9.9/8"], "10.1.2.3"), "a network written with a host in it");
        assert!(!admits(&["0.0.0.0/0"], "2001:db8::1") && !admits(&["::/0"], "10.1.2.3"));
        assert!(admits(&["::/0"], "2001:db8::1") && !admits(&[], "127.0.0.1"));
    }

    proptest! {
        #[test]
        fn the_list_admits_what_its_networks_contain(
            networks in vec(network(), 0..6),
            strangers in vec(any::<u128>(), 4),
        ) {
            let list = AccessList::new(&networks);
            let edges = networks.iter().flat_map(|net| [net.network(), net.broadcast()]);
            let strangers = strangers.iter().flat_map(|&bits| {
                [IpAddr::from(Ipv6Addr::from(bits)), Ipv4Addr::from(bits as u32).into()]
            });
            for client in edges.chain(strangers) {
                let canonical = client.to_canonical();
                prop_assert_eq!(list.admits(client), networks.iter().any(|net| net.contains(&canonical)));
                let first = networks.iter().find(|net| net.contains(&canonical)).map(IpNet::trunc);
                prop_assert_eq!(list.admitting(client), first);
            }
        }
    }
}
