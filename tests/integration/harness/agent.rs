//! The forwarding half of zonelet, without zones: cache, miss path and forwarder, and a small
//! UDP server in front where the test needs one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use zonelet::answer::miss::{Fetched, MissPath, Want};
use zonelet::cache::{Cache, CacheKey};
use zonelet::clock::Clock;
use zonelet::metrics::CacheMetrics;
use zonelet::upstream::{ForwardDomain, Forwarder, MARKER_OPTION, Policy, Settings, UpstreamSpec};
use zonelet::wire::{NameRef, Rtype, Sections};

use super::message::{Question, name, with_ede};

/// Forwarding settings: everything to `upstreams` in this order, few sockets, and no second queries
/// beside late ones, so that tests can count.
pub fn forward_all(upstreams: &[SocketAddr]) -> Settings {
    Settings { domains: vec![forward(".", upstreams)], sockets: 4, hedge: false, ..Settings::default() }
}

/// One forwarded domain, whose upstreams are asked in this order.
pub fn forward(domain: &str, upstreams: &[SocketAddr]) -> ForwardDomain {
    let upstreams = upstreams.iter().map(|&u| UpstreamSpec::Plain(u)).collect();
    ForwardDomain { policy: Policy::Sequential, ..ForwardDomain::new(name(domain), upstreams) }
}

/// Cache, miss path and forwarder.
#[derive(Clone)]
pub struct Agent {
    pub clock: Clock,
    pub cache: Arc<Cache>,
    pub forwarder: Arc<Forwarder>,
    pub miss: MissPath,
    probes_seen: Arc<Mutex<usize>>,
}

impl Agent {
    /// With default caps.
    pub fn new(settings: Settings) -> Self {
        Self::with_caps(settings, &zonelet::answer::Settings::default())
    }

    /// With the caps of `answer`.
    pub fn with_caps(settings: Settings, answer: &zonelet::answer::Settings) -> Self {
        let clock = Clock::manual();
        let cache = Arc::new(Cache::new(&zonelet::cache::Settings::default(), CacheMetrics::register()));
        let forwarder = Forwarder::new(settings, clock.clone(), Handle::current());
        let (kept, asked) = (Arc::clone(&cache), Arc::clone(&forwarder));
        let miss = MissPath::new(answer, kept, asked, clock.clone(), Handle::current());
        Self { clock, cache, forwarder, miss, probes_seen: Arc::default() }
    }

    /// A question as a plain client asks it.
    pub fn want(qname: &str, qtype: Rtype) -> Want {
        Want {
            question: asked(name(qname).as_ref(), qtype),
            dnssec_ok: false,
            checking_disabled: false,
            was_in_use: false,
            renews: false,
            must_exist: false,
            client: (Ipv4Addr::new(127, 0, 0, 99), 4711).into(),
            marker: None,
        }
    }

    /// Puts a question to the miss path; its outcome comes through the receiver, once.
    pub fn fetch(&self, want: Want) -> oneshot::Receiver<Fetched> {
        let (done, outcome) = oneshot::channel();
        self.miss.fetch(want, Box::new(move |fetched: Fetched| drop(done.send(fetched))));
        outcome
    }

    /// As the answering half does: the cache, then the miss path.
    pub async fn ask(&self, want: Want) -> Fetched {
        match self.cache.get(&key(&want), self.clock.now()) {
            Some(entry) => Fetched::Entry(entry),
            None => self.fetch(want).await.expect("exactly one outcome"),
        }
    }

    /// Our own probes that came back.
    pub fn probes_seen(&self) -> usize {
        *self.probes_seen.lock().unwrap()
    }

    /// Answers on `ip`: the cache, then the miss path. `addr` is filled before anybody asks.
    pub async fn serve(&self, socket: UdpSocket) {
        let socket = Arc::new(socket);
        let mut buffer = [0; 4096];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            if let Some(question) = Question::read(&buffer[..len]) {
                self.answer(Arc::clone(&socket), question, from);
            }
        }
    }

    fn answer(&self, socket: Arc<UdpSocket>, question: Question, from: SocketAddr) {
        if self.miss.saw_probe(question.qname.as_ref()) {
            *self.probes_seen.lock().unwrap() += 1;
            let _ = socket.try_send_to(&question.reply(5, &[], &[]), from);
            return;
        }
        let want = Want {
            question: asked(question.qname.as_ref(), question.qtype),
            dnssec_ok: question.dnssec_ok(),
            checking_disabled: question.checking_disabled(),
            was_in_use: false,
            renews: false,
            must_exist: false,
            client: from,
            marker: question.option(MARKER_OPTION).map(Into::into),
        };
        let (clock, agent) = (self.clock.clone(), self.clone());
        tokio::spawn(async move {
            let response = respond(&question, agent.ask(want).await, &clock);
            let _ = socket.send_to(&response, from).await;
        });
    }
}

/// A bound socket and its address, so that others can be pointed at an agent before it serves.
pub async fn front(host: u8) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((IpAddr::from([127, 0, 2, host]), 0)).await.unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

fn asked(qname: NameRef<'_>, qtype: Rtype) -> zonelet::upstream::Question {
    zonelet::upstream::Question::new(qname, qtype)
}

fn key(want: &Want) -> CacheKey<'_> {
    CacheKey {
        qname: want.question.qname(),
        qtype: want.question.qtype(),
        dnssec_ok: want.dnssec_ok,
        checking_disabled: want.checking_disabled,
    }
}

fn respond(question: &Question, fetched: Fetched, clock: &Clock) -> Vec<u8> {
    match fetched {
        // What is played here has nothing to do with stale answers.
        Fetched::Stale(_, failure) | Fetched::Failed(failure) => {
            with_ede(question.reply(failure.rcode.0 as u8, &[], &[]), failure.ede.0, &failure.text)
        }
        Fetched::Entry(entry) => {
            let learned = &entry.learned;
            let mut out = question.reply(learned.rcode.0 as u8, &[], &[]);
            out[7] = learned.answers as u8;
            out[9] = learned.authorities as u8;
            let at = out.len();
            out.resize(4096, 0);
            let age = entry.age(clock.now());
            let end = learned.copy_into(&mut out, at, 12, age, Sections::Both, 0).unwrap();
            out.truncate(end);
            out
        }
    }
}

/// The failure's text, or a panic that shows what came instead.
pub fn failed(fetched: Fetched) -> (u16, String) {
    match fetched {
        Fetched::Failed(failure) => (failure.ede.0, failure.text.to_string()),
        Fetched::Entry(entry) => panic!("answered: {:?}", entry.learned),
        Fetched::Stale(stale, _) => panic!("answered: {:?}", stale.entry.learned),
    }
}

/// The TTLs of the records as shown now, or a panic that shows the failure.
pub fn ttls(fetched: &Fetched, clock: &Clock) -> Vec<u32> {
    match fetched {
        Fetched::Entry(entry) => {
            let age = entry.age(clock.now());
            entry.learned.records().map(|r| r.ttl.saturating_sub(age)).collect()
        }
        Fetched::Stale(_, failure) | Fetched::Failed(failure) => panic!("failed: {failure:?}"),
    }
}
