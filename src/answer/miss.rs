//! The slow half of answering: what neither a zone nor the cache holds is asked of the upstreams,
//! once for all who ask the same.

mod flights;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;

use super::Settings;
use crate::cache::{Cache, CacheKey, Entry, Failure};
use crate::clock::Clock;
use crate::metrics::{MissMetrics, Refusal};
use crate::upstream::{Ask, ExchangeError, Forwarder, MAX_HOPS, Stamps};
use crate::wire::{EdeCode, Learned, Name, NameRef, Rcode, Rtype};

use flights::{Flight, Flights, Kind, Seat, Waiter};

/// A question that neither a zone nor the cache answers.
#[derive(Clone, Debug)]
pub struct Want {
    /// The name asked for.
    pub qname: Name,
    /// The type asked for.
    pub qtype: Rtype,
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
}

impl Want {
    fn key(&self) -> CacheKey<'_> {
        CacheKey {
            qname: self.qname.as_ref(),
            qtype: self.qtype,
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
    /// There is none; the client is told why.
    Failed(Arc<Failure>),
}

/// Called with what came of a [`Want`], exactly once. Must not block.
pub type Done = Box<dyn FnOnce(Fetched) + Send>;

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
    max_in_flight: AtomicUsize,
    max_waiters: AtomicUsize,
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
            cache,
            forwarder,
            clock,
            runtime,
            flights: Flights::default(),
            waiting: AtomicUsize::new(0),
            max_in_flight: AtomicUsize::new(0),
            max_waiters: AtomicUsize::new(0),
            metrics: MissMetrics::register(),
        };
        let path = Self(Arc::new(shared));
        path.reload(settings);
        path
    }

    /// Puts the caps of new settings in force; who waits already goes on waiting.
    pub fn reload(&self, settings: &Settings) {
        self.0.max_in_flight.store(settings.max_in_flight, Ordering::Relaxed);
        self.0.max_waiters.store(settings.max_waiters, Ordering::Relaxed);
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
    pub fn fetch(&self, want: Want, done: Done) {
        let stamps = want.marker.as_deref().map(Stamps::read).unwrap_or_default();
        if let Some(failure) = self.0.refuse_hops(&want, &stamps) {
            return done(Fetched::Failed(Arc::new(failure)));
        }
        if self.0.waiting.fetch_add(1, Ordering::Relaxed) >= self.0.max_in_flight.load(Ordering::Relaxed) {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
            self.0.metrics.refused(Refusal::InFlight);
            return done(overloaded("too many queries wait for upstreams"));
        }
        self.0.metrics.waiting.increment(1);
        let from_upstream = self.0.forwarder.is_upstream(want.qname.as_ref(), want.client.ip());
        self.0.seat(want, stamps, from_upstream, done);
    }
}

impl Shared {
    /// Refuses a question that has come back to us, or has come too far.
    fn refuse_hops(&self, want: &Want, stamps: &Stamps) -> Option<Failure> {
        if let Some(upstream) = self.forwarder.come_back(stamps, want.qname.as_ref(), want.qtype) {
            self.metrics.refused(Refusal::Loop);
            self.flights.come_back(&want.qname, want.qtype, &upstream);
            return Some(ExchangeError::Looping { upstream: upstream.into(), known: true }.failure());
        }
        (stamps.hops() > MAX_HOPS).then(|| {
            self.metrics.refused(Refusal::Hops);
            failure(&format!("the query has passed {} instances of zonelet", stamps.hops()))
        })
    }

    /// Joins a question in flight, finds the answer after all, or starts asking. What comes
    /// `from_upstream` may be a question of ours, and joins whatever its DO and CD.
    fn seat(self: &Arc<Self>, want: Want, stamps: Stamps, from_upstream: bool, done: Done) {
        let kind = Kind {
            dnssec_ok: want.dnssec_ok,
            checking_disabled: want.checking_disabled,
            hops: stamps.hops(),
        };
        let again = from_upstream.then(|| Box::new((want.clone(), stamps.clone())));
        let waiter = Waiter::new(want.must_exist, done).with_again(again);
        let max_waiters = self.max_waiters.load(Ordering::Relaxed);
        // Asked under the lock of the question: who lands puts the answer in before it leaves.
        let known = || self.known(&want);
        let seat =
            self.flights.seat(&want.qname, want.qtype, kind, from_upstream, max_waiters, waiter, known);
        if from_upstream && seat.is_shared() {
            self.forwarder.suspect(want.qname.as_ref(), want.client.ip());
        }
        match seat {
            Seat::Joined => self.metrics.coalesced.increment(1),
            Seat::Known(waiter, fetched) => self.finish(waiter, fetched),
            Seat::Full(waiter) => {
                self.metrics.refused(Refusal::Waiters);
                self.finish(waiter, overloaded("too many clients wait for this answer"));
            }
            Seat::Started { number, signs, .. } => {
                let ask = Ask {
                    qname: want.qname,
                    qtype: want.qtype,
                    dnssec_ok: want.dnssec_ok,
                    checking_disabled: want.checking_disabled,
                    stamps,
                    signs,
                };
                let landing = Landing { shared: Arc::clone(self), number, ask: Some(ask) };
                self.runtime.spawn(landing.fly());
            }
        }
    }

    /// The answer or the failure that is known by now.
    fn known(&self, want: &Want) -> Option<Fetched> {
        let (key, now) = (want.key(), self.clock.now());
        let believed = |e: &Arc<Entry>| !(want.must_exist && e.learned.denies_qname());
        let entry = self.cache.get(&key, now).filter(believed).map(Fetched::Entry);
        entry.or_else(|| self.cache.failure(&key, now).map(Fetched::Failed))
    }

    fn finish(&self, waiter: Waiter, fetched: Fetched) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.metrics.waiting.decrement(1);
        waiter.tell(fetched);
    }

    /// Ends a flight: what it brought is kept, and all who wait for it are told.
    fn land(self: &Arc<Self>, ask: &Ask, number: u64, result: Result<Learned, ExchangeError>) {
        let key = CacheKey {
            qname: ask.qname.as_ref(),
            qtype: ask.qtype,
            dnssec_ok: ask.dnssec_ok,
            checking_disabled: ask.checking_disabled,
        };
        let mut outcome = None;
        let flight = self.flights.land(&ask.qname, ask.qtype, number, |flight| {
            outcome = Some(self.keep(&key, ask, flight, result));
        });
        let (Some(flight), Some((fetched, denied))) = (flight, outcome) else { return };
        for mut waiter in flight.waiters {
            if let (Some(again), Fetched::Entry(_)) = (waiter.again.take(), &fetched) {
                // It has been answered, so it was no loop: a client on the upstream's host.
                let (want, stamps) = *again;
                self.seat(want, stamps, false, waiter.into_done());
                continue;
            }
            let fetched = denied.as_ref().filter(|_| waiter.must_exist).unwrap_or(&fetched).clone();
            self.finish(waiter, fetched);
        }
    }

    /// Keeps what a flight brought. Returns it, and what those get to whom it cannot be true.
    fn keep(
        &self,
        key: &CacheKey<'_>,
        ask: &Ask,
        flight: &Flight,
        result: Result<Learned, ExchangeError>,
    ) -> (Fetched, Option<Fetched>) {
        let now = self.clock.now();
        match result {
            Ok(learned) if learned.denies_qname() && flight.waiters.iter().any(|w| w.must_exist) => {
                let denied = failure("the upstream denies a name that a zone here holds");
                let denied = self.cache.remember_failure(key, denied, now);
                (Fetched::Entry(self.cache.entry(key, learned, now)), Some(Fetched::Failed(denied)))
            }
            Ok(learned) => (Fetched::Entry(self.cache.insert(key, learned, now)), None),
            Err(error) => {
                let failure = error.failure();
                tracing::debug!(qname = %ask.qname, qtype = %ask.qtype, %error, "no answer");
                let remembered = !error.is_local() && !may_be_forged(ask, &error);
                let failure = if remembered {
                    self.cache.remember_failure(key, failure, now)
                } else {
                    Arc::new(failure)
                };
                (Fetched::Failed(failure), None)
            }
        }
    }
}

/// Whether the failure may come of a forged marker: it then is nobody else's.
fn may_be_forged(ask: &Ask, error: &ExchangeError) -> bool {
    ask.stamps.hops() > 0 && matches!(error, ExchangeError::Failed { refused: true, .. })
}

fn failure(text: &str) -> Failure {
    Failure { rcode: Rcode::SERVFAIL, ede: EdeCode::OTHER, text: text.into() }
}

fn overloaded(text: &str) -> Fetched {
    Fetched::Failed(Arc::new(failure(text)))
}

/// A question being asked. However it ends, those who wait are told.
struct Landing {
    shared: Arc<Shared>,
    number: u64,
    ask: Option<Ask>,
}

impl Landing {
    async fn fly(mut self) {
        if let Some(ask) = self.ask.clone() {
            let result = self.shared.forwarder.exchange(&ask).await;
            self.ask = None;
            self.shared.land(&ask, self.number, result);
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(ask) = self.ask.take() {
            self.shared.land(&ask, self.number, Err(ExchangeError::Stopped));
        }
    }
}
