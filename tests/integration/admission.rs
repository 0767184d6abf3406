//! Who is let in, how much each client may ask, and what is answered here before anything else.

mod access;
mod clients;
mod files;
mod identity;
mod overrides;
mod rebinding;
mod relief;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_proto::rr::RecordType;
use zonelet::answer::settings::{Override, OverrideAnswer};
use zonelet::answer::{Asker, Settings, Transport};
use zonelet::wire::Name;
use zonelet::zone::{Authority, Zone, ZoneData, ZoneOptions};

use crate::harness::client::ask;
use crate::harness::house::House;

fn asker(client: &str, transport: Transport) -> Asker {
    Asker::new((client.parse::<IpAddr>().unwrap(), 5353).into(), transport)
}

/// A query with EDNS.
fn query(qname: &str) -> Vec<u8> {
    ask(qname, RecordType::A).edns(1232, false).bytes()
}

/// An override of these names.
fn over(names: &[&str], answer: OverrideAnswer) -> Override {
    Override { names: names.iter().map(|name| name.parse().unwrap()).collect(), answer, ttl: 30 }
}

fn names(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// No zones, or one.
fn house(upstream: SocketAddr, zone: Option<ZoneData>, change: impl FnOnce(&mut Settings)) -> House {
    let mut settings = Settings::default();
    change(&mut settings);
    let entry = |data: ZoneData| {
        let zone = Zone::build(&data, &ZoneOptions::default()).zone;
        (data.apex, Authority::Loaded(Arc::new(zone)))
    };
    House::under(settings, zone.into_iter().map(entry).collect(), upstream, true)
}
