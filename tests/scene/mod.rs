//! An answerer without sockets: zones and cache filled by hand, time moved by hand.
#![allow(dead_code)] // Each binary that includes it uses its own part.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, Runtime};
use zonelet::answer::miss::MissPath;
use zonelet::answer::{Answerer, Asker, Disposition, Responder, Settings, Transport};
use zonelet::cache::{self, Cache, CacheKey};
use zonelet::clock::Clock;
use zonelet::metrics::{Board, CacheMetrics, Tally};
use zonelet::source::file::zonefile;
use zonelet::upstream::{self, Forwarder};
use zonelet::wire::{CLASS_IN, Name, Rcode, Rtype, learn};
use zonelet::zone::{Authority, Built, Zone, ZoneData, ZoneOptions, ZoneTable};

/// The client of every query: on the default access list.
pub const UDP: Asker = asker(Transport::Udp);
/// The same over TCP.
pub const TCP: Asker = asker(Transport::Tcp);

const fn asker(transport: Transport) -> Asker {
    let address = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    Asker::new(SocketAddr::new(address, 40_000), transport)
}

/// An answerer with everything that one needs. Nothing is ever asked of an upstream.
pub struct Scene {
    pub answerer: Answerer,
    pub cache: Arc<Cache>,
    pub clock: Clock,
    _runtime: Runtime,
}

impl Scene {
    pub fn new(zones: impl IntoIterator<Item = Zone>) -> Self {
        Self::beside(zones, &[])
    }

    /// With names that exist as zones elsewhere.
    pub fn beside(zones: impl IntoIterator<Item = Zone>, carved_out: &[&str]) -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime without drivers");
        let (clock, settings) = (Clock::manual(), Settings::default());
        let cache = Arc::new(Cache::new(&cache::Settings::default(), CacheMetrics::register()));
        let nowhere = upstream::Settings { domains: Vec::new(), ..upstream::Settings::default() };
        let handle = runtime.handle().clone();
        let forwarder = Forwarder::new(nowhere, clock.clone(), handle.clone());
        let miss = MissPath::new(&settings, Arc::clone(&cache), forwarder, clock.clone(), handle);
        let entries = zones.into_iter().map(|zone| (zone.apex().clone(), Authority::Loaded(Arc::new(zone))));
        let entries = entries.chain(carved_out.iter().map(|apex| (name(apex), Authority::CarvedOut)));
        let table = Arc::new(ArcSwap::from_pointee(ZoneTable::new(entries.collect())));
        let board = Board::default();
        let answerer = Answerer::new(table, Arc::clone(&cache), miss, settings, clock.clone(), &board);
        Self { answerer, cache, clock, _runtime: runtime }
    }

    /// Puts an upstream's response into the cache.
    pub fn learn(&self, response: &Learnt) {
        let (qname, qtype) = (response.qname.as_ref(), response.qtype);
        for dnssec_ok in [false, true] {
            let learned = learn(&response.to_bytes(), qname, qtype, dnssec_ok).expect("a sound response");
            let key = CacheKey { qname, qtype, dnssec_ok, checking_disabled: false };
            self.cache.insert(&key, learned, self.clock.now());
        }
    }

    /// The response to `query` into `out`, its length; `None` where an upstream would be asked.
    pub fn answer(&self, query: &[u8], asker: Asker, out: &mut [u8], tally: &Tally) -> Option<usize> {
        match self.answerer.answer(&self.answerer.view(), query, asker, out, tally) {
            Disposition::Respond(len) => Some(len),
            Disposition::Forward(_) | Disposition::Drop => None,
        }
    }

    /// The response to `query`, RRsets turned the same way each time.
    pub fn ask(&self, query: &[u8], asker: Asker) -> Option<Vec<u8>> {
        let mut out = vec![0xa5; if asker.transport == Transport::Tcp { 65_535 } else { 1232 }];
        let len = self.answer(query, asker, &mut out, &Tally::default())?;
        out.truncate(len);
        Some(out)
    }
}

/// Compiles a zone file, in which every record must be sound.
pub fn zone(apex: &str, text: &str) -> Zone {
    let built = build(apex, text);
    assert_eq!(built.skipped, []);
    built.zone
}

/// Compiles a zone file; what cannot stand is left out.
pub fn build(apex: &str, text: &str) -> Built {
    let apex: Name = apex.parse().expect("an apex");
    let file = zonefile::parse(text.as_bytes(), Some(apex.clone())).expect("a zone file");
    let sets = file.records.into_iter().map(|(_, set)| set).collect();
    Zone::build(&ZoneData { apex, sets, skipped: file.skipped }, &ZoneOptions::default())
}

/// What an upstream said.
#[derive(Clone, Debug)]
pub struct Learnt {
    pub qname: Name,
    pub qtype: Rtype,
    pub rcode: Rcode,
    pub answers: Vec<Rec>,
    pub authorities: Vec<Rec>,
}

/// A record: owner, type, TTL, RDATA.
pub type Rec = (Name, Rtype, u32, Vec<u8>);

impl Learnt {
    pub fn to_bytes(&self) -> Vec<u8> {
        let counts = [self.answers.len() as u16, self.authorities.len() as u16];
        let header = [0, 0x8180 | self.rcode.0, 1, counts[0], counts[1], 0];
        let mut out: Vec<u8> = header.iter().flat_map(|number| number.to_be_bytes()).collect();
        out.extend(self.qname.as_bytes());
        out.extend(self.qtype.0.to_be_bytes());
        out.extend(CLASS_IN.to_be_bytes());
        for (owner, rtype, ttl, rdata) in self.answers.iter().chain(&self.authorities) {
            out.extend(owner.as_bytes());
            out.extend(rtype.0.to_be_bytes());
            out.extend(CLASS_IN.to_be_bytes());
            out.extend(ttl.to_be_bytes());
            out.extend((rdata.len() as u16).to_be_bytes());
            out.extend(rdata);
        }
        out
    }
}

pub fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub fn a(owner: &str, ttl: u32, last: u8) -> Rec {
    (name(owner), Rtype::A, ttl, vec![192, 0, 2, last])
}

pub fn cname(owner: &str, ttl: u32, target: &str) -> Rec {
    (name(owner), Rtype::CNAME, ttl, name(target).as_bytes().to_vec())
}

pub fn soa(owner: &str, ttl: u32, minimum: u32) -> Rec {
    let numbers = [1, 7200, 900, 86_400, minimum].map(u32::to_be_bytes);
    (name(owner), Rtype::SOA, ttl, [&b"\x02ns\x00\x01h\x00"[..], numbers.as_flattened()].concat())
}

/// A positive answer.
pub fn positive(qtype: Rtype, answers: Vec<Rec>) -> Learnt {
    let qname = answers[0].0.clone();
    Learnt { qname, qtype, rcode: Rcode::NOERROR, answers, authorities: Vec::new() }
}

/// A client's query: RD, and with `edns` an OPT of that size.
pub fn query(qname: &Name, qtype: Rtype, edns: Option<Opt>) -> Vec<u8> {
    let mut out = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    out.extend(qname.as_bytes());
    out.extend(qtype.0.to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    if let Some(opt) = edns {
        out.extend([0, 0, 41]);
        out.extend(opt.size.to_be_bytes());
        out.extend([0, 0, u8::from(opt.dnssec_ok) << 7, 0, 0, 0]);
    }
    out
}

/// What a client says in its OPT.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    pub size: u16,
    pub dnssec_ok: bool,
}
