//! Floor 1: what is seen of queries: dnstap, a query log, and who and what is asked most.
//!
//! The answering threads say what came of a query to one place, [`Watch::saw`], and of most they do not even
//! say that: [`Sampling`] is one comparison. What outputs want goes through a bounded `feed` to one task.

mod dnstap;
mod drain;
mod feed;
mod fetched;
mod log;
mod own;
mod ration;
mod seen;
pub mod settings;
mod sketch;
mod stats;
mod told;
mod top;
mod upstreams;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::wire::{CLASS_IN, Query, Suffixes};

pub use drain::Route;
pub use fetched::By;
pub use own::{OwnQueries, Unseen};
pub use seen::{Seen, Stop};
pub use settings::Settings;
pub use told::{ClientTold, NameTold, TopTold};
pub use upstreams::Forwarded;

use feed::{Feed, Head, Kind};
use fetched::Fetched;
use ration::Ration;
use settings::{Class, Dnstap, QueryLog};
use stats::Outcome;
use top::{Sample, Tables};

/// Which queries are worth a look: held against the even draw that each query has.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    mask: u64,
    is_exact: bool,
    is_on: bool,
}

impl Sampling {
    /// None: but for one draw in four billion, which whoever is told of it takes for nothing.
    pub const NONE: Self = Self { mask: u64::MAX, is_exact: false, is_on: false };

    /// Whether [`Watch::saw`] is to be told of an answer that was given at once. Cost: a comparison.
    #[inline]
    pub fn takes(self, draw: u64) -> bool {
        draw & self.mask == 0
    }

    /// Whether it is to be told of answers that had to be fetched, which may be slow.
    #[inline]
    pub fn is_on(self) -> bool {
        self.is_on
    }

    /// Whether times are to be told as exactly as the clock has them.
    #[inline]
    pub fn is_exact(self) -> bool {
        self.is_exact
    }

    fn of(settings: &Settings) -> Self {
        let Settings { dnstap, query_log, top } = settings;
        // A mask is for powers of two; of what is sampled otherwise all is looked at.
        let mask = |sample: u32| if sample.is_power_of_two() { u64::from(sample) - 1 } else { 0 };
        let logged = query_log.classes.iter().map(|class| match class {
            Class::All => mask(query_log.sample),
            Class::Denials | Class::Errors | Class::TurnedAway => 0,
            // What is answered at once is not slow.
            Class::Slow => u64::MAX,
        });
        let is_tapped = dnstap.takes_client();
        let tapped = if is_tapped { mask(dnstap.sample) } else { u64::MAX };
        let counted = if top.sample > 0 { mask(top.sample) } else { u64::MAX };
        let is_logged = !query_log.classes.is_empty();
        Self {
            mask: logged.fold(tapped & counted, |all, one| all & one),
            is_exact: is_tapped || is_logged,
            is_on: is_tapped || is_logged || top.sample > 0,
        }
    }
}

/// Takes in what is seen. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    /// That of the start: a receiver is not changed while it is written to.
    dnstap: Dnstap,
    live: ArcSwap<Settings>,
    tables: Tables,
    feed: Feed,
    turned_away: Ration,
    own: OwnQueries,
    /// Whether anybody wants to know what is asked of upstreams.
    follows_upstreams: AtomicBool,
    /// Whether somebody wants the messages as well.
    takes_forwarder: AtomicBool,
    fetched: Fetched,
}

/// Bytes that wait for the query log alone.
const LOG_BUFFER: usize = 1 << 20;

impl Watch {
    /// Nothing is seen yet, and nothing written before [`Watch::run`].
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let shared = Shared {
            clock,
            dnstap: settings.dnstap.clone(),
            live: ArcSwap::from_pointee(Settings::default()),
            tables: Tables::new(),
            feed: Feed::new(),
            turned_away: Ration::default(),
            own: OwnQueries::default(),
            follows_upstreams: AtomicBool::new(false),
            takes_forwarder: AtomicBool::new(false),
            fetched: Fetched::new(),
        };
        let watch = Self(Arc::new(shared));
        watch.reload(settings);
        watch
    }

    /// Takes other settings from the next query on, but for the receiver of dnstap.
    pub fn reload(&self, settings: Settings) {
        let Dnstap { sample, messages, .. } = settings.dnstap;
        let dnstap = Dnstap { sample, messages, ..self.0.dnstap.clone() };
        let settings = Settings { dnstap, ..settings };
        let room = match settings.dnstap.to {
            Some(_) => settings.dnstap.buffer / 2,
            None if settings.query_log.classes.is_empty() => 0,
            None => LOG_BUFFER,
        };
        let takes_forwarder = settings.dnstap.takes_forwarder();
        let follows_upstreams = takes_forwarder || !settings.query_log.classes.is_empty();
        self.0.live.store(Arc::new(settings));
        self.0.takes_forwarder.store(takes_forwarder, Ordering::Relaxed);
        self.0.follows_upstreams.store(follows_upstreams, Ordering::Relaxed);
        // Wakes the background task, which must see by then that there is something to wait for.
        if room > 0 {
            self.0.feed.open(room);
        }
    }

    /// Which queries it wants to hear of.
    pub fn sampling(&self) -> Sampling {
        Sampling::of(&self.0.live.load())
    }

    /// Takes in one query that has been answered, drawn as `draw`. Takes nothing from the heap and waits for nobody.
    pub fn saw(&self, seen: &Seen<'_>, draw: u64) {
        if self.0.own.is_from(seen.client) {
            return;
        }
        let live = self.0.live.load();
        let is_drawn = |sample: u32| sample > 0 && draw.is_multiple_of(u64::from(sample));
        let is_tapped = live.dnstap.takes_client() && is_drawn(live.dnstap.sample);
        if is_drawn(live.top.sample) {
            self.count(seen, live.top.window);
        }
        if is_tapped || !live.query_log.classes.is_empty() {
            self.offer(seen, &live.query_log, is_tapped, is_drawn(live.query_log.sample));
        }
    }

    /// Puts a query into the feed, if an output wants it.
    fn offer(&self, seen: &Seen<'_>, log: &QueryLog, is_tapped: bool, is_drawn: bool) {
        let outcome = Outcome::of(seen);
        let is_turned_away = outcome == Outcome::TurnedAway;
        let class_after = |took| log.class(outcome, took, is_drawn);
        let (is_tapped, class, answered) = if is_turned_away {
            // It was at once, so that it is not slow, and a flood of it costs no look at the clock.
            let (is_tapped, class) = self.rationed(seen, log, (is_tapped, class_after(Duration::ZERO)));
            (is_tapped, class, None)
        } else {
            let answered = self.0.clock.precise();
            (is_tapped, class_after(answered.saturating_sub(seen.asked)), Some(answered))
        };
        if is_tapped || class.is_some() {
            let Seen { client: peer, local, proto, source, rcode, stop, asked, .. } = *seen;
            let (kind, fetched) = (Kind::Client, seen.by.map_or(Duration::ZERO, |by| by.took));
            let head = Head {
                kind,
                peer,
                local,
                proto,
                source,
                rcode,
                stop,
                asked,
                answered: answered.unwrap_or_else(|| self.0.clock.precise()),
                fetched,
                is_tapped,
                class,
                is_turned_away,
            };
            let upstream = seen.by.map_or(&b""[..], |by| by.upstream.as_bytes());
            self.0.feed.push(head, [seen.query, seen.response, upstream]);
        }
    }

    /// What outputs still get of a query that is turned away. A response is traffic like any other; lines, and what is
    /// dropped in silence, are told of until their ration is eaten up.
    fn rationed(
        &self,
        seen: &Seen<'_>,
        log: &QueryLog,
        wanted: (bool, Option<Class>),
    ) -> (bool, Option<Class>) {
        let (is_tapped, class) = wanted;
        let is_silent = seen.response.is_empty();
        let is_rationed = class.is_some() || (is_tapped && is_silent);
        if !is_rationed || self.0.turned_away.take(seen.asked, ration::most(log.lines)) {
            return wanted;
        }
        self.0.feed.left_out();
        (is_tapped && !is_silent, None)
    }

    fn count(&self, seen: &Seen<'_>, window: Duration) {
        let mut qname = Suffixes::default();
        if let Ok(query) = Query::parse(seen.query, &mut qname)
            && query.qclass == CLASS_IN
        {
            let outcome = Outcome::of(seen);
            let client = seen.client.ip();
            let sample = Sample { client, qname: query.qname(), qtype: query.qtype, outcome };
            self.0.tables.note(&sample, seen.asked, window);
        }
    }

    /// Where the process notes what it asks itself, of which nothing is to be seen.
    pub fn own(&self) -> OwnQueries {
        self.0.own.clone()
    }

    /// Who and what is asked most.
    pub fn told(&self) -> TopTold {
        let top = self.0.live.load().top.clone();
        match top.sample {
            0 => TopTold::default(),
            sample => {
                let clock = &self.0.clock;
                self.0.tables.told(clock.precise(), clock.running(), top.window, sample)
            }
        }
    }
}

#[cfg(test)]
mod tests;
