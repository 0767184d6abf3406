//! The whole answering half over one zone and one upstream, without a server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use tokio::sync::oneshot;

use zonelet::answer::explain::{self, Explanation, Reach};
use zonelet::answer::{Answerer, Asker, Disposition, Reply, Responder, Settings, Transport};
use zonelet::clock::Clock;
use zonelet::metrics::{Board, Tally};
use zonelet::wire::{Name, Rtype};
use zonelet::zone::{Authority, Body, RecordSet, SharedTable, Zone, ZoneData, ZoneOptions, ZoneTable};

use super::agent::{Agent, forward_all};
use super::client::{ask, message};
use super::message::{Rec, name, soa};

/// The whole answering half over one zone and one upstream, without a server.
pub struct House {
    /// Its clock, moved by hand.
    pub clock: Clock,
    answerer: Answerer,
    tally: Arc<Tally>,
}

/// What became of a query at once.
pub enum Begun {
    /// It was answered, or dropped.
    Answered(Option<Vec<u8>>),
    /// It waits for its response.
    Waiting(oneshot::Receiver<Vec<u8>>),
}

struct Told(Mutex<Option<oneshot::Sender<Vec<u8>>>>);

impl Reply for Told {
    fn send(&self, _: &Asker, response: &[u8]) {
        let told = self.0.lock().unwrap().take().expect("told once");
        let _ = told.send(response.to_vec());
    }
}

impl House {
    pub fn new(zone: ZoneData, upstream: SocketAddr) -> Self {
        Self::of(vec![Zone::build(&zone, &ZoneOptions::default()).zone], upstream)
    }

    /// Over a zone that the upstream does not know.
    pub fn off_the_vpc(zone: ZoneData, upstream: SocketAddr) -> Self {
        Self::with(vec![Zone::build(&zone, &ZoneOptions::default()).zone], upstream, false)
    }

    /// Over these zones.
    pub fn of(zones: Vec<Zone>, upstream: SocketAddr) -> Self {
        Self::with(zones, upstream, true)
    }

    /// Over these zones, which the upstream knows or not.
    pub fn with(zones: Vec<Zone>, upstream: SocketAddr, is_known: bool) -> Self {
        let entries = zones.into_iter().map(|zone| (zone.apex().clone(), Authority::Loaded(Arc::new(zone))));
        Self::over(entries.collect(), upstream, is_known)
    }

    /// Over whatever is known of these zones.
    pub fn over(entries: Vec<(Name, Authority)>, upstream: SocketAddr, is_known: bool) -> Self {
        Self::under(Settings::default(), entries, upstream, is_known)
    }

    /// The same with other settings of answers.
    pub fn under(
        settings: Settings,
        entries: Vec<(Name, Authority)>,
        upstream: SocketAddr,
        is_known: bool,
    ) -> Self {
        let agent = Agent::with_caps(forward_all(&[upstream]), &settings);
        let table = ZoneTable::new(entries).with_origins(|_| is_known);
        let table: SharedTable = Arc::new(ArcSwap::from_pointee(table));
        let board = Board::default();
        let (cache, clock) = (Arc::clone(&agent.cache), agent.clock.clone());
        let answerer = Answerer::new(table, cache, agent.miss, settings, clock.clone(), &board);
        Self { clock, answerer, tally: board.register() }
    }

    /// Who answers.
    pub fn answerer(&self) -> &Answerer {
        &self.answerer
    }

    /// What has been counted at once, late answers left out.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What a client is told.
    pub async fn ask(&self, qname: &str, qtype: RecordType) -> Message {
        message(&self.raw(&ask(qname, qtype).edns(1232, false).bytes(), Transport::Udp).await)
    }

    /// Takes other settings of answers.
    pub fn reload(&self, settings: Settings) {
        self.answerer.reload(settings);
    }

    /// Why a local client gets its answer.
    pub async fn explain(&self, qname: &str, qtype: Rtype, reach: Reach) -> Explanation {
        let question = explain::Question { qname: name(qname), qtype, client: [127, 0, 0, 99].into() };
        self.answerer.explain(&question, reach).await
    }

    /// The response to a query.
    pub async fn raw(&self, query: &[u8], transport: Transport) -> Vec<u8> {
        let asker = Asker::new(([127, 0, 0, 99], 4711).into(), transport);
        self.raw_from(query, asker).await.expect("it is not dropped")
    }

    /// The response to a query of anybody, `None` if it is dropped.
    pub async fn raw_from(&self, query: &[u8], asker: Asker) -> Option<Vec<u8>> {
        match self.begin(query, asker) {
            Begun::Answered(response) => response,
            Begun::Waiting(response) => Some(response.await.expect("exactly one response")),
        }
    }

    /// Puts a query and does not wait for what must be fetched.
    pub fn begin(&self, query: &[u8], asker: Asker) -> Begun {
        let mut out = vec![0; 65_535];
        let view = self.answerer.view();
        match self.answerer.answer(&view, query, asker, &mut out, &self.tally) {
            Disposition::Respond(len) => Begun::Answered(Some(out[..len].to_vec())),
            Disposition::Drop => Begun::Answered(None),
            Disposition::Forward(pending) => {
                let (told, response) = oneshot::channel();
                self.answerer.submit(pending, Arc::new(Told(Mutex::new(Some(told)))));
                Begun::Waiting(response)
            }
        }
    }
}

/// A zone with a SOA and these sets.
pub fn zone(apex: &str, sets: Vec<RecordSet>) -> ZoneData {
    let (_, rtype, ttl, rdata) = soa(apex, 900, 60);
    let soa = RecordSet { owner: name(apex), rtype, body: Body::Records { ttl, rdata: vec![rdata.into()] } };
    ZoneData { apex: name(apex), sets: [vec![soa], sets].concat(), skipped: Vec::new() }
}

/// The RRset of these records.
pub fn records(all: &[Rec]) -> RecordSet {
    let (owner, rtype, ttl, _) = all[0].clone();
    let rdata = all.iter().map(|(.., rdata)| rdata.clone().into()).collect();
    RecordSet { owner, rtype, body: Body::Records { ttl, rdata } }
}
