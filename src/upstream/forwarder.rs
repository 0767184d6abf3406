//! Which upstreams a name goes to, kept up to date with the settings and the system's file.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::bootstrap::UpstreamNames;
use super::budget::is_on_ec2;
use super::candidate::foreseen;
use super::choice::Order;
use super::exchange::{exchange, resume, try_out};
use super::head::{Head, Heard};
use super::loops::Loops;
use super::marker::Stamper;
use super::route::{Look, Route, identities, uses_system};
use super::server::{Identity, Upstream, is_private};
use super::{Ask, ExchangeError, Settings, Stamps, system};
use crate::clock::{Clock, Moment};
use crate::metrics::ForwarderMetrics;
use crate::watch::Watch;
use crate::wire::{Domains, Learned, Name, NameRef, Rtype};

/// How often the system's resolver file is looked at. Its content is compared, so a file that is
/// replaced through a symbolic link is seen, too.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Puts questions to the upstreams of the longest forwarded domain that covers them.
#[derive(Debug)]
pub struct Forwarder {
    pub(super) clock: Clock,
    pub(super) stamper: Stamper,
    pub(super) loops: Arc<Loops>,
    pub(super) routes: ArcSwap<Routes>,
    pub(super) metrics: ForwarderMetrics,
    /// Itself, for tasks that outlive the question they began with.
    me: Weak<Self>,
    /// Held while the routes are rebuilt.
    rebuild: Mutex<()>,
    runtime: Handle,
    /// Where upstreams that go by a host name are.
    names: Arc<UpstreamNames>,
    health: watch::Sender<Health>,
    /// How often the routes were built.
    pub(super) generation: AtomicU64,
    /// The lanes that share the sockets to each upstream.
    pub(super) lanes: AtomicUsize,
    /// Who is told of messages.
    pub(super) watch: OnceLock<Watch>,
}

/// Whether every forwarded domain has somewhere to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Domains without a single upstream that could be used. While there is one, zonelet is not
    /// ready; the log says which key to set.
    pub unserved: Vec<Name>,
}

#[derive(Debug)]
pub(super) struct Routes {
    settings: Settings,
    system: Vec<SocketAddr>,
    pub(super) by_domain: Domains<Arc<Route>>,
}

impl Forwarder {
    /// Reads the system's resolver file where the settings want it and builds the routes. No
    /// socket is opened before an upstream is first asked; then readers run on `runtime`.
    pub fn new(settings: Settings, clock: Clock, runtime: Handle) -> Arc<Self> {
        let empty =
            Routes { settings: Settings::default(), system: Vec::new(), by_domain: Domains::default() };
        let forwarder = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            metrics: ForwarderMetrics::register(),
            loops: Loops::new(clock.clone()),
            stamper: Stamper::random(),
            routes: ArcSwap::from_pointee(empty),
            rebuild: Mutex::default(),
            health: watch::Sender::new(Health::default()),
            clock,
            runtime,
            names: Arc::default(),
            generation: AtomicU64::new(0),
            lanes: AtomicUsize::new(0),
            watch: OnceLock::new(),
        });
        forwarder.reload(settings);
        forwarder
    }

    /// Puts new settings in force. Upstreams that stay keep their sockets, health and loops;
    /// questions under way end with the old ones.
    pub fn reload(&self, settings: Settings) {
        let _alone = self.rebuild.lock().unwrap_or_else(PoisonError::into_inner);
        let system = if uses_system(&settings) { system::servers(&settings) } else { Vec::new() };
        self.build(settings, system);
    }

    /// Watches the system's resolver file until `shutdown`.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let forwarder = Arc::clone(&self);
            // A file system that hangs must not hold up a runtime thread.
            let looked = tokio::task::spawn_blocking(move || forwarder.look_at_system());
            if shutdown.run_until_cancelled(looked).await.is_none() {
                break;
            }
        }
    }

    /// Reads the system's resolver file now and rebuilds the routes if it names other servers.
    pub fn look_at_system(&self) {
        let _alone = self.rebuild.lock().unwrap_or_else(PoisonError::into_inner);
        let routes = self.routes.load_full();
        if uses_system(&routes.settings) {
            let servers = system::servers(&routes.settings);
            if servers != routes.system {
                tracing::info!(?servers, "the system's name servers changed");
                self.build(routes.settings.clone(), servers);
            }
        }
    }

    fn build(&self, settings: Settings, system: Vec<SocketAddr>) {
        let old = self.routes.load_full();
        let mut known: HashMap<Identity, Arc<Upstream>> = old
            .by_domain
            .values()
            .flat_map(|route| &route.upstreams)
            .map(|upstream| (upstream.identity.clone(), Arc::clone(upstream)))
            .collect();
        let on_ec2 = is_on_ec2(&settings.vendor_file);
        let mut routes = Vec::with_capacity(settings.domains.len());
        for forward in &settings.domains {
            let mut upstreams: Vec<Arc<Upstream>> = Vec::new();
            for identity in identities(&settings, &forward.upstreams, &system) {
                let address = identity.address;
                let upstream = known
                    .entry(identity.clone())
                    .or_insert_with(|| Upstream::found_by(identity, Arc::clone(&self.names)));
                upstream.budget.set_limit(settings.packets.limit(address, on_ec2));
                if !upstreams.iter().any(|u| Arc::ptr_eq(u, upstream)) {
                    upstreams.push(Arc::clone(upstream));
                }
            }
            let addresses: Vec<_> = upstreams.iter().map(|u| u.address()).collect();
            let route = Route {
                domain: forward.domain.clone(),
                order: Order::of(forward.policy, &forward.upstreams, &addresses),
                upstreams,
                silence: settings.silence,
                hedge: settings.hedge,
                max_sends: settings.max_sends,
                timeout: settings.timeout,
                loop_hold: settings.loop_hold,
            };
            routes.push((forward.domain.clone(), Arc::new(route)));
        }
        let by_domain: Domains<_> = routes.into_iter().collect();
        self.names.ask(by_domain.values());
        self.report(&by_domain);
        self.routes.store(Arc::new(Routes { settings, system, by_domain }));
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Looks at what is known of a question that `client` has asked: one look at the routes, and
    /// no allocation.
    pub fn look(&self, qname: NameRef<'_>, client: IpAddr, started: Instant, now: Moment) -> Look {
        let Some(route) = self.route(qname) else { return Look::default() };
        let client = client.to_canonical();
        let from_upstream = route.upstreams.iter().any(|u| u.address().ip().to_canonical() == client);
        let index = route.first_usual(now);
        let mark = index.and_then(|index| route.upstreams.get(index)).map(|u| u.breaker.mark());
        let head =
            index.zip(mark).map(|(index, mark)| Head { route, index, started, mark, most: Duration::MAX });
        Look { from_upstream, head }
    }

    /// Goes on with a question whose first query was sent by a lane, as [`Forwarder::exchange`]
    /// does from the start.
    ///
    /// # Errors
    /// As there.
    pub async fn resume(&self, ask: &Ask, head: &Head, heard: Heard) -> Result<Learned, ExchangeError> {
        resume(self, ask, head, heard).await
    }

    fn report(&self, by_domain: &Domains<Arc<Route>>) {
        let mut unserved: Vec<Name> =
            by_domain.values().filter(|r| r.upstreams.is_empty()).map(|r| r.domain.clone()).collect();
        unserved.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        let health = Health { unserved };
        self.health.send_if_modified(|current| {
            let changed = *current != health;
            if changed {
                for domain in &health.unserved {
                    tracing::error!(
                        %domain, key = "forward.upstreams",
                        "no upstream can be used; queries for the domain get SERVFAIL until some are set"
                    );
                }
                *current = health;
            }
            changed
        });
    }

    /// Whether every domain has an upstream, now and as it changes.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// The domain that decides where `qname` goes: the longest forwarded one that covers it.
    pub(super) fn route(&self, qname: NameRef<'_>) -> Option<Arc<Route>> {
        self.routes.load().by_domain.find(qname).cloned()
    }

    /// The addresses of the upstreams for `qname`, in order of preference.
    pub fn upstreams(&self, qname: NameRef<'_>) -> Vec<SocketAddr> {
        self.route(qname).map_or_else(Vec::new, |r| r.upstreams.iter().map(|u| u.address()).collect())
    }

    /// Whether names of `domain` go to the VPC's resolver first, which knows the private zones and
    /// the answers of their policies.
    ///
    /// Any upstream with an address of RFC 1918, 100.64/10, 169.254/16 or fc00::/7 counts as such:
    /// the resolver has the VPC's base address plus two, which depends on the VPC, and the usual
    /// forwarders in front of it (kube-dns, an inbound endpoint) have private addresses, too.
    pub fn is_vpc_resolver(&self, domain: NameRef<'_>) -> bool {
        self.upstreams(domain).first().is_some_and(|address| is_private(address.ip()))
    }

    /// Asks the upstreams of the name. At most `max_sends` UDP queries leave, over all of them;
    /// truncated and doubtful replies are asked for again over TCP.
    ///
    /// # Errors
    /// [`ExchangeError`] says what a client is told, and whether it may be remembered.
    pub async fn exchange(&self, ask: &Ask) -> Result<Learned, ExchangeError> {
        match self.route(ask.qname.as_ref()) {
            Some(route) => exchange(self, ask, &route).await,
            None => Err(ExchangeError::NoUpstream(ask.qname.to_string())),
        }
    }

    /// Why [`Forwarder::exchange`] would fail at once, if it would: nobody may be asked for `qname` now.
    pub fn foreseen(&self, qname: NameRef<'_>, now: Moment) -> Option<ExchangeError> {
        match self.route(qname) {
            Some(route) => foreseen(&route, qname, now),
            None => Some(ExchangeError::NoUpstream(qname.to_owned().to_string())),
        }
    }

    /// Tries out an upstream whose breaker is open, beside the others that answer.
    pub(super) fn try_out(&self, ask: &Ask, route: &Arc<Route>, upstream: &Arc<Upstream>) {
        if let Some(me) = self.me.upgrade() {
            self.runtime.spawn(try_out(me, ask.clone(), Arc::clone(route), Arc::clone(upstream)));
        }
    }

    /// Looks for a loop: a question that is in flight for `qname` has come from `client`, the
    /// address of one of its upstreams. At most one round of probes to an upstream in 30 s.
    pub fn suspect(&self, qname: NameRef<'_>, client: IpAddr) {
        let Some(route) = self.route(qname) else { return };
        for upstream in &route.upstreams {
            if upstream.address().ip().to_canonical() == client.to_canonical() {
                self.probe(upstream, &route, qname);
            }
        }
    }

    /// The upstream that our question came back through, if `stamps` prove that it did. A loop is
    /// then looked for, to know how much of the upstream's names it takes in.
    pub fn come_back(&self, stamps: &Stamps, qname: NameRef<'_>, qtype: Rtype) -> Option<String> {
        if stamps.hops() == 0 {
            return None;
        }
        let (route, now) = (self.route(qname)?, self.clock.now());
        let knows = |u: &&Arc<Upstream>| self.stamper.knows(stamps, qname, qtype, u.address(), now);
        let upstream = route.upstreams.iter().find(knows)?;
        self.probe(upstream, &route, qname);
        Some(upstream.to_string())
    }

    /// Whether `qname` is a probe of ours that an upstream has sent back; the loop is then noted.
    pub fn saw_probe(&self, qname: NameRef<'_>) -> bool {
        self.loops.saw_probe(qname)
    }

    pub(super) fn probe(&self, upstream: &Arc<Upstream>, route: &Route, qname: NameRef<'_>) {
        self.loops.suspect(&self.runtime, upstream, route.domain.as_ref(), qname, route.loop_hold);
    }

    /// Brings the gauges up to date, before they are read.
    pub fn observe(&self) {
        let now = self.clock.now();
        for upstream in self.routes.load().by_domain.values().flat_map(|r| &r.upstreams) {
            upstream.observe(now);
        }
    }
}
