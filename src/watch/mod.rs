//! Floor 1: what is seen of queries: dnstap, a query log, and who and what is asked most.
//!
//! The answering threads say what came of a query to one place, [`Watch::saw`], and of most they do not even
//! say that: [`Sampling`] is one comparison. What outputs want goes through a bounded `feed` to one task.

mod dnstap;
mod drain;
mod feed;
mod log;
pub mod settings;
mod sketch;
mod stats;
mod told;
mod top;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::metrics::{AnswerSource, Proto};
use crate::wire::{CLASS_IN, Query, Rcode, Suffixes};

pub use drain::Route;
pub use settings::Settings;
pub use told::{ClientTold, NameTold, TopTold};

use feed::{Feed, Head};
use settings::{Class, Dnstap};
use stats::Outcome;
use top::{Sample, Tables};

/// What came of one query.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Who asked.
    pub client: SocketAddr,
    /// The address it was sent to, where the socket has none of its own.
    pub local: Option<IpAddr>,
    /// How it came.
    pub proto: Proto,
    /// The query.
    pub query: &'a [u8],
    /// The response.
    pub response: &'a [u8],
    /// Where the response came from.
    pub source: AnswerSource,
    /// The response code.
    pub rcode: Rcode,
    /// When it was received, on the clock.
    pub asked: Duration,
}

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
            Class::Denials | Class::Errors => 0,
            // What is answered at once is not slow.
            Class::Slow => u64::MAX,
        });
        let is_tapped = dnstap.to.is_some();
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
        };
        let watch = Self(Arc::new(shared));
        watch.reload(settings);
        watch
    }

    /// Takes other settings from the next query on, but for the receiver of dnstap.
    pub fn reload(&self, settings: Settings) {
        let dnstap = Dnstap { sample: settings.dnstap.sample, ..self.0.dnstap.clone() };
        let settings = Settings { dnstap, ..settings };
        let room = match settings.dnstap.to {
            Some(_) => settings.dnstap.buffer / 2,
            None if settings.query_log.classes.is_empty() => 0,
            None => LOG_BUFFER,
        };
        self.0.live.store(Arc::new(settings));
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
        let live = self.0.live.load();
        let is_drawn = |sample: u32| sample > 0 && draw.is_multiple_of(u64::from(sample));
        let is_tapped = live.dnstap.to.is_some() && is_drawn(live.dnstap.sample);
        let is_fed = is_tapped || !live.query_log.classes.is_empty();
        let answered = if is_fed { self.0.clock.precise() } else { seen.asked };
        if is_drawn(live.top.sample) {
            self.count(seen, live.top.window);
        }
        let took = answered.saturating_sub(seen.asked);
        let class = live.query_log.class(seen.rcode, seen.response, took, is_drawn(live.query_log.sample));
        if is_tapped || class.is_some() {
            let Seen { client, local, proto, source, rcode, asked, .. } = *seen;
            let head = Head { client, local, proto, source, rcode, asked, answered, is_tapped, class };
            self.0.feed.push(head, seen.query, seen.response);
        }
    }

    fn count(&self, seen: &Seen<'_>, window: Duration) {
        let mut qname = Suffixes::default();
        if let Ok(query) = Query::parse(seen.query, &mut qname)
            && query.qclass == CLASS_IN
        {
            let outcome = Outcome::of(seen.rcode, seen.response);
            let client = seen.client.ip();
            let sample = Sample { client, qname: query.qname(), qtype: query.qtype, outcome };
            self.0.tables.note(&sample, seen.asked, window);
        }
    }

    /// Who and what is asked most.
    pub fn told(&self) -> TopTold {
        let top = self.0.live.load().top.clone();
        match top.sample {
            0 => TopTold::default(),
            sample => self.0.tables.told(self.0.clock.precise(), top.window, sample),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::settings::{Collector, QueryLog, Top};
    use super::*;

    fn takes(settings: &Settings) -> usize {
        let sampling = Sampling::of(settings);
        (1..=1024).filter(|&draw| sampling.takes(draw)).count()
    }

    #[test]
    fn the_answering_threads_look_up_only_for_what_some_output_wants() {
        let to = Some(Collector::Tcp(([127, 0, 0, 1], 6000).into()));
        let off = Top { sample: 0, ..Top::default() };
        let logs =
            |classes: &[Class], sample| QueryLog { classes: classes.to_vec(), sample, ..QueryLog::default() };
        let nothing = Settings { top: off.clone(), ..Settings::default() };
        assert_eq!(takes(&nothing), 0);
        assert!(!Sampling::of(&nothing).is_on());
        assert_eq!(takes(&Settings::default()), 32, "one in 32 for the tables");
        assert!(Sampling::of(&Settings::default()).is_on() && !Sampling::of(&Settings::default()).is_exact());
        let slow = Settings { query_log: logs(&[Class::Slow], 1), ..nothing.clone() };
        assert_eq!(takes(&slow), 0);
        assert!(Sampling::of(&slow).is_on() && Sampling::of(&slow).is_exact());
        assert_eq!(takes(&Settings { query_log: logs(&[Class::All], 64), ..nothing.clone() }), 16);
        assert_eq!(takes(&Settings { query_log: logs(&[Class::All], 1000), ..nothing.clone() }), 1024);
        assert_eq!(
            takes(&Settings { query_log: logs(&[Class::Slow, Class::Errors], 1), ..nothing.clone() }),
            1024
        );
        let tapped = |sample| Dnstap { to: to.clone(), sample, ..Dnstap::default() };
        assert_eq!(takes(&Settings { dnstap: tapped(256), ..nothing.clone() }), 4);
        assert_eq!(takes(&Settings { dnstap: tapped(256), ..Settings::default() }), 32);
    }

    #[test]
    fn what_is_seen_is_counted_by_client_and_name_in_any_case() {
        let watch = Watch::new(Settings::default(), Clock::manual());
        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, b'W', b'w', b'w', 0, 0, 1, 0, 1];
        let response = [&query[..6], &[0, 1], &query[8..]].concat();
        for draw in 0..64 {
            query[13] ^= 0x20;
            let seen = Seen {
                client: ([10, 0, 0, 1], 1000 + draw as u16).into(),
                local: None,
                proto: Proto::Udp,
                query: &query,
                response: &response,
                source: AnswerSource::Zone,
                rcode: Rcode::NOERROR,
                asked: Duration::ZERO,
            };
            watch.saw(&seen, draw);
        }
        watch.saw(
            &Seen {
                client: ([10, 0, 0, 2], 53).into(),
                local: None,
                proto: Proto::Udp,
                query: b"no query",
                response: b"",
                source: AnswerSource::Local,
                rcode: Rcode::FORMERR,
                asked: Duration::ZERO,
            },
            0,
        );
        let told = watch.told();
        assert_eq!((told.sampled, told.clients.len(), told.names.len()), (2, 1, 1));
        assert_eq!((told.names[0].name.as_str(), told.names[0].answers), ("www.", 1.0));
    }
}
