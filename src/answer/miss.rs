//! The slow half of answering: what neither a zone nor the cache holds is asked of the upstreams,
//! once for all who ask the same.

mod departure;
mod few;
mod flights;
mod landing;
mod renewals;
mod stale;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::runtime::Handle;

use super::Settings;
use super::keeping::Keepings;
use super::rebinding::Protected;
use crate::cache::{Cache, CacheKey, Entry, Failure, Remembered, Stale};
use crate::clock::{Clock, Moment};
use crate::metrics::{MissMetrics, Refusal};
use crate::upstream::{
    Desk, Errand, ExchangeError, Forwarder, Lane, MAX_HOPS, Question, RouteTold, Stamps, What,
};
use crate::wire::{EdeCode, Learned, NameRef, Rcode, Rtype};

use flights::{Flights, Waiter};
use renewals::Renewals;

pub use flights::Landed;
pub use stale::stale;

/// A question that neither a zone nor the cache answers.
#[derive(Clone, Debug)]
pub struct Want {
    /// The question.
    pub question: Question,
    /// DO: with signatures.
    pub dnssec_ok: bool,
    /// CD: the upstream need not validate.
    pub checking_disabled: bool,
    /// A zone of ours holds the name: an upstream that denies it is wrong.
    pub must_exist: bool,
    /// Who asks.
    pub client: SocketAddr,
    /// The content of the query's loop marker option.
    pub marker: Option<Box<[u8]>>,
    /// Clients have been given an answer to it that has expired since.
    pub was_in_use: bool,
    /// An answer that is [due](crate::cache::EntryRef::is_due) is not enough.
    pub renews: bool,
}

impl Want {
    /// A question that nobody asks, so that its answer is known when somebody does.
    pub(super) fn renewal(
        question: Question,
        must_exist: bool,
        dnssec_ok: bool,
        checking_disabled: bool,
    ) -> Self {
        Self {
            question,
            dnssec_ok,
            checking_disabled,
            must_exist,
            client: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            marker: None,
            was_in_use: false,
            renews: true,
        }
    }

    fn key(&self) -> CacheKey<'_> {
        CacheKey {
            qname: self.question.qname(),
            qtype: self.question.qtype(),
            dnssec_ok: self.dnssec_ok,
            checking_disabled: self.checking_disabled,
        }
    }
}

/// What came of a [`Want`].
#[derive(Clone, Debug)]
pub enum Fetched {
    /// The upstream's answer, kept in the cache or not.
    Entry(Arc<Entry>),
    /// What it answered before, and why there is nothing newer.
    Stale(Stale, Arc<Failure>),
    /// There is none; the client is told why.
    Failed(Arc<Failure>),
}

/// Who is told what came of a [`Want`], exactly once. Must not block.
pub trait Done: Send {
    /// Tells it, `now`.
    fn told(self: Box<Self>, fetched: Fetched, now: Moment);
}

impl<F: FnOnce(Fetched) + Send> Done for F {
    fn told(self: Box<Self>, fetched: Fetched, _: Moment) {
        self(fetched);
    }
}

/// Fetches from upstreams, bounded, one exchange for any number of equal questions. Clones share it.
#[derive(Clone, Debug)]
pub struct MissPath(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cache: Arc<Cache>,
    forwarder: Arc<Forwarder>,
    clock: Clock,
    runtime: Handle,
    flights: Flights,
    waiting: AtomicUsize,
    /// Questions that have left a worker's hands. Those whose askers were given an expired answer go on.
    airborne: AtomicUsize,
    max_in_flight: AtomicUsize,
    max_waiters: AtomicUsize,
    keepings: ArcSwap<Keepings>,
    renewals: Renewals,
    /// Names that upstreams may not lead to private addresses.
    protected: ArcSwapOption<Protected>,
    metrics: MissMetrics,
}

impl MissPath {
    /// A miss path that fills `cache` through `forwarder`, its tasks on `runtime`.
    pub fn new(
        settings: &Settings,
        cache: Arc<Cache>,
        forwarder: Arc<Forwarder>,
        clock: Clock,
        runtime: Handle,
    ) -> Self {
        let shared = Shared {
            renewals: Renewals::new(clock.clone()),
            cache,
            forwarder,
            clock,
            runtime,
            flights: Flights::default(),
            waiting: AtomicUsize::new(0),
            airborne: AtomicUsize::new(0),
            max_in_flight: AtomicUsize::new(0),
            max_waiters: AtomicUsize::new(0),
            keepings: ArcSwap::from_pointee(Keepings::of(settings)),
            protected: ArcSwapOption::empty(),
            metrics: MissMetrics::register(),
        };
        let path = Self(Arc::new(shared));
        path.reload(settings);
        path
    }

    /// Puts the caps of new settings in force, and the rules made of them; who waits already goes on waiting.
    pub fn reload(&self, settings: &Settings) {
        self.0.keepings.store(Arc::new(Keepings::of(settings)));
        self.0.renewals.reload(settings.max_renewals);
        self.0.max_in_flight.store(settings.max_in_flight, Ordering::Relaxed);
        self.0.max_waiters.store(settings.max_waiters, Ordering::Relaxed);
        self.0.protected.store(Protected::new(&settings.rebinding).map(Arc::new));
    }

    /// Client questions that wait for an upstream now; a drain waits until there are none.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Whether `qname` is a probe of ours that an upstream has sent back to us, which proves a
    /// forwarding loop. Such a query is refused by the caller and goes no further.
    ///
    /// Cost for other names: a look at the first label.
    pub fn saw_probe(&self, qname: NameRef<'_>) -> bool {
        self.0.forwarder.saw_probe(qname)
    }

    /// Fetches the answer to `want` and hands it to `done`: at once from this thread when nothing
    /// needs to be asked or a cap is reached, else later from a task.
    ///
    /// May be called from any thread; never waits.
    pub fn fetch(&self, want: Want, done: Box<dyn Done>) {
        self.fetch_by(want, self.0.clock.now(), done, None);
    }

    /// What a thread needs for [`MissPath::fetch_on`].
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn lane(&self) -> io::Result<Lane> {
        Lane::new(Arc::clone(&self.0.forwarder))
    }

    /// The same, asked by the calling thread itself where all is as usual. The answer then comes
    /// while the thread waits on its lane, with this as the desk. `seen` is what had been fetched
    /// when the caller found the cache without an answer: it is not asked again if that is all.
    pub fn fetch_on(&self, lane: &mut Lane, want: Want, seen: Option<Landed>, done: Box<dyn Done>) {
        self.fetch_by(want, lane.moment(), done, Some((lane, seen)));
    }

    /// Has the answer to a question learned anew, unless that is being done, or there is no leisure for it.
    /// Nobody is told; may be called for each query that meets a due answer. Addresses of both families are
    /// learned together, where both are asked for.
    pub(super) fn renew(&self, want: Want) {
        let now = self.0.clock.now();
        if !self.has_leisure(now) || self.0.flights.is_asked(&want.question) {
            return;
        }
        // Upstreams that have just failed are left alone.
        if self.0.cache.failure(&want.key(), now).is_some() {
            return;
        }
        // One domain that is in trouble is no reason to stop for others.
        let ease = self.0.forwarder.ease(want.question.qname(), now);
        if ease.is_none() || !self.0.renewals.take(ease.percent(), now) {
            return;
        }
        let sibling = self.0.sibling(&want, now);
        for want in [Some(want), sibling].into_iter().flatten() {
            self.0.metrics.renewals.increment(1);
            self.fetch(want, Box::new(|_: Fetched| ()));
        }
    }

    /// Has a question asked whose expired answer was given without waiting. That is no spare work, but what the
    /// client would have waited for.
    pub(super) fn refresh(&self, want: Want) {
        if !self.0.flights.is_asked(&want.question) {
            self.fetch(Want { renews: false, ..want }, Box::new(|_: Fetched| ()));
        }
    }

    /// Whether answers may be learned anew that nobody waits for. Cost: two loads.
    pub fn has_leisure(&self, now: Moment) -> bool {
        self.0.renewals.may_be(now) && self.0.under_way() < self.0.max_in_flight.load(Ordering::Relaxed) / 2
    }

    /// What has been fetched by now, for any question.
    pub fn landed(&self) -> Landed {
        self.0.flights.landed()
    }

    /// Tells where `qname` goes, for people.
    pub(super) fn tell(&self, qname: NameRef<'_>) -> Option<RouteTold> {
        self.0.forwarder.tell(qname)
    }

    /// Brings the gauge up to date, before it is read.
    pub fn observe(&self) {
        self.0.metrics.waiting.set(self.waiting() as f64);
    }

    fn fetch_by(
        &self,
        want: Want,
        now: Moment,
        done: Box<dyn Done>,
        lane: Option<(&mut Lane, Option<Landed>)>,
    ) {
        let stamps = want.marker.as_deref().map(Stamps::read).unwrap_or_default();
        if let Some(failure) = self.0.refuse_hops(&want, &stamps) {
            return done.told(Fetched::Failed(Arc::new(failure)), now);
        }
        let under_way = self.0.under_way();
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        if under_way >= self.0.max_in_flight.load(Ordering::Relaxed) {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
            self.0.metrics.refused(Refusal::InFlight);
            let text = "too many queries wait for upstreams";
            return done.told(self.0.refused(&want.key(), want.must_exist, text, now), now);
        }
        let sibling = want.was_in_use.then(|| self.0.sibling(&want, now)).flatten();
        self.0.place(want, now, stamps, done, lane);
        if let Some(sibling) = sibling {
            self.renew(sibling);
        }
    }
}

impl Desk for MissPath {
    fn answered(&self, errand: &Errand, learned: Learned, message: &[u8], now: Moment) {
        self.0.land_quick(errand, learned, message, now);
    }

    fn unusual(&self, errand: &Errand, what: Option<What>) -> bool {
        self.0.hand_over(errand, what)
    }
}

impl Shared {
    /// Refuses a question that has come back to us, or has come too far.
    fn refuse_hops(self: &Arc<Self>, want: &Want, stamps: &Stamps) -> Option<Failure> {
        if let Some(upstream) = self.forwarder.come_back(stamps, want.question.qname(), want.question.qtype())
        {
            self.metrics.refused(Refusal::Loop);
            for takeover in self.flights.come_back(&want.question, &upstream) {
                self.take_over(&want.question, takeover);
            }
            return Some(ExchangeError::Looping { upstream: upstream.into(), known: true }.failure());
        }
        (stamps.hops() > MAX_HOPS).then(|| {
            self.metrics.refused(Refusal::Hops);
            failure(&format!("the query has passed {} instances of zonelet", stamps.hops()))
        })
    }

    /// The answer or the failure that is known by now.
    fn known(&self, want: &Want, now: Moment) -> Option<Fetched> {
        let key = want.key();
        let wrong = |e: &Arc<Entry>| want.must_exist && e.learned.denies_qname();
        let too_old = |e: &Arc<Entry>| want.renews && e.view().is_due(now);
        let believed = |e: &Arc<Entry>| !wrong(e) && !too_old(e);
        let entry = self.cache.get(&key, now).filter(believed).map(Fetched::Entry);
        entry.or_else(|| {
            let Remembered { failure, is_firm } = self.cache.failure(&key, now)?;
            let instead = self.instead(&key, want.must_exist, failure, now);
            (is_firm || matches!(instead, Fetched::Stale(..))).then_some(instead)
        })
    }

    /// The question for addresses of the other family, if that is asked for, too, and its answer has expired
    /// or will soon: stubs ask for both at once, and wait for both.
    fn sibling(&self, want: &Want, now: Moment) -> Option<Want> {
        let qtype = match want.question.qtype() {
            Rtype::A => Rtype::AAAA,
            Rtype::AAAA => Rtype::A,
            _ => return None,
        };
        let question = Question::new(want.question.qname(), qtype);
        let sibling = Want::renewal(question, want.must_exist, want.dnssec_ok, want.checking_disabled);
        let keepings = self.keepings.load();
        let keeping = keepings.find(sibling.question.qname());
        let is_wanted =
            keeping.renews && self.cache.is_worth_renewing(&sibling.key(), now, keeping.max_stale);
        (is_wanted && !self.flights.is_asked(&sibling.question)).then_some(sibling)
    }

    /// What the bound on questions is about: those who wait for answers, and questions for which nobody waits any more.
    fn under_way(&self) -> usize {
        self.waiting.load(Ordering::Relaxed).max(self.airborne.load(Ordering::Relaxed))
    }

    fn finish(&self, waiter: Waiter, fetched: Fetched, now: Moment) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        waiter.tell(fetched, now);
    }
}

fn failure(text: &str) -> Failure {
    Failure { rcode: Rcode::SERVFAIL, ede: EdeCode::OTHER, text: text.into() }
}
