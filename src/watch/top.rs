//! Which clients and names are asked most, of a sample, over the last minute or so.
//!
//! Two generations of a window each: what is told is of the one under way and the one before. Each
//! thread counts in a part of its own turn, and skips a sample rather than wait for who reads it.

use std::collections::HashMap;
use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::feed::lane;
use super::sketch::Sketch;
use super::stats::{Name, Outcome, Stats};
use super::told::{ClientTold, NameTold, TopTold};
use crate::wire::{NameRef, Rtype, name_hash_with};

/// Parts; a thread keeps to one.
const PARTS: usize = 4;
/// Clients, and names with a type, in each table: counts are off by at most a 256th of all queries of a part.
const ENTRIES: usize = 256;
/// Clients and names that are told at most.
const TOLD: usize = 100;

/// A client in a table.
#[derive(Clone, Debug)]
struct Client {
    address: IpAddr,
    stats: Stats,
}

impl Default for Client {
    fn default() -> Self {
        Self { address: Ipv4Addr::UNSPECIFIED.into(), stats: Stats::default() }
    }
}

/// A name and type in a table.
#[derive(Clone, Debug, Default)]
struct Asked {
    qname: Name,
    qtype: u16,
    stats: Stats,
}

#[derive(Debug)]
struct Generation {
    /// The window it is of.
    number: u64,
    clients: Sketch<Client>,
    names: Sketch<Asked>,
}

impl Generation {
    fn begin(&mut self, number: u64) {
        self.number = number;
        self.clients.clear();
        self.names.clear();
    }
}

#[derive(Debug)]
struct Part {
    now: Generation,
    before: Generation,
}

impl Part {
    fn new() -> Self {
        let generation =
            || Generation { number: 0, clients: Sketch::new(ENTRIES), names: Sketch::new(ENTRIES) };
        Self { now: generation(), before: generation() }
    }

    /// Begins the window `number` if it is another; one that lies further back is forgotten.
    fn turn(&mut self, number: u64) {
        if number == self.now.number {
            return;
        }
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.begin(number);
        if self.before.number + 1 != number {
            self.before.begin(number.saturating_sub(1));
        }
    }
}

/// One sampled query.
pub(super) struct Sample<'q> {
    pub client: IpAddr,
    pub qname: NameRef<'q>,
    pub qtype: Rtype,
    pub outcome: Outcome,
}

/// The tables.
#[derive(Debug)]
pub(super) struct Tables {
    parts: [Mutex<Part>; PARTS],
    keys: [u64; 2],
    skipped: AtomicU64,
}

impl Tables {
    /// Empty ones.
    pub fn new() -> Self {
        let parts = std::array::from_fn(|_| Mutex::new(Part::new()));
        Self { parts, keys: rand::random(), skipped: AtomicU64::new(0) }
    }

    /// Counts a sample, at a time on the clock. Takes nothing from the heap; waits for nobody.
    pub fn note(&self, sample: &Sample<'_>, at: Duration, window: Duration) {
        let mut part = match self.parts[lane() % PARTS].try_lock() {
            Ok(part) => part,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        part.turn(number(at, window));
        let (client, is_new) = part.now.clients.add(self.hash(sample.client));
        if is_new {
            *client = Client { address: sample.client, stats: Stats::default() };
        }
        client.stats.note(sample.qname, sample.qtype, sample.outcome);
        let (asked, is_new) = part.now.names.add(name_hash_with(sample.qname, sample.qtype.0));
        if is_new {
            *asked = Asked { qname: Name::of(sample.qname), qtype: sample.qtype.0, stats: Stats::default() };
        }
        asked.stats.note(sample.qname, sample.qtype, sample.outcome);
    }

    fn hash(&self, client: IpAddr) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.keys[0], self.keys[1]);
        match client.to_canonical() {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.finish()
    }

    /// The most frequent, where one query in `sample` was looked at, by a process that has been `running` for so long.
    ///
    /// Cost: a copy of each table, part by part; a thread that counts meanwhile skips a sample.
    pub fn told(&self, at: Duration, running: Duration, window: Duration, sample: u32) -> TopTold {
        let number = number(at, window);
        let (mut clients, mut names) = (HashMap::new(), HashMap::new());
        let mut sampled = 0;
        for part in &self.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.turn(number);
            for generation in [&part.now, &part.before] {
                sampled += generation.clients.total();
                merge(&mut clients, &generation.clients, |client| (&client.stats, client.address));
                merge(&mut names, &generation.names, |asked| (&asked.stats, (asked.qname, asked.qtype)));
            }
        }
        // The window under way, and the one before if there was one by then.
        let began = window.saturating_mul(u32::try_from(number.saturating_sub(1)).unwrap_or(u32::MAX));
        let period = at.saturating_sub(began).min(running).as_secs_f64().max(0.001);
        let rate = |count: u64| count as f64 * f64::from(sample) / period;
        let clients = most(clients)
            .into_iter()
            .map(|(count, address, stats)| ClientTold::new(address.to_canonical(), rate(count), &stats));
        let names = most(names).into_iter().map(|(count, (qname, qtype), stats)| {
            NameTold::new(qname.text(), Rtype(qtype), rate(count), &stats)
        });
        TopTold {
            sample,
            period_seconds: period,
            sampled,
            skipped: self.skipped.load(Ordering::Relaxed),
            rate_error: rate(sampled.div_ceil(ENTRIES as u64)),
            clients: clients.collect(),
            names: names.collect(),
        }
    }
}

fn number(at: Duration, window: Duration) -> u64 {
    u64::try_from(at.as_nanos() / window.as_nanos().max(1)).unwrap_or(u64::MAX)
}

/// What is told of one thing: its count, what it is, and how its queries ended.
type Merged<K> = HashMap<u64, (u64, K, Stats)>;

fn merge<T: Default, K>(into: &mut Merged<K>, sketch: &Sketch<T>, of: impl Fn(&T) -> (&Stats, K)) {
    for (count, entry) in sketch.iter() {
        let (stats, key) = of(&entry.item);
        let known = into.entry(entry.hash).or_insert_with(|| (0, key, Stats::default()));
        known.0 += u64::from(count);
        known.2.add(stats);
    }
}

fn most<K>(merged: Merged<K>) -> Vec<(u64, K, Stats)> {
    let mut all: Vec<(u64, (u64, K, Stats))> = merged.into_iter().collect();
    // By their hash where they are equal, so that rows keep their place on a screen.
    all.sort_by_key(|(hash, (count, ..))| (std::cmp::Reverse(*count), *hash));
    all.truncate(TOLD);
    all.into_iter().map(|(_, told)| told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    fn note(tables: &Tables, client: [u8; 4], qname: &str, qtype: Rtype, outcome: Outcome, at: u64) {
        let qname: crate::wire::Name = qname.parse().unwrap();
        let sample = Sample { client: client.into(), qname: qname.as_ref(), qtype, outcome };
        tables.note(&sample, Duration::from_secs(at), WINDOW);
    }

    #[test]
    fn the_most_frequent_come_first_with_rates_that_are_scaled_by_the_sample() {
        let tables = Tables::new();
        for n in 0..90 {
            let client = if n % 3 == 0 { 1 } else { 2 };
            note(&tables, [10, 0, 0, client], "www.test", Rtype::A, Outcome::Answer, 10);
        }
        note(&tables, [10, 0, 0, 1], "www.test", Rtype::AAAA, Outcome::NoData, 10);
        let told = tables.told(Duration::from_secs(20), Duration::MAX, WINDOW, 32);
        assert_eq!((told.sampled, told.period_seconds, told.skipped), (91, 20.0, 0));
        let clients: Vec<String> =
            told.clients.iter().map(|c| format!("{} {:.1}", c.client, c.queries_per_second)).collect();
        assert_eq!(clients, ["10.0.0.2 96.0", "10.0.0.1 49.6"]);
        let names: Vec<String> =
            told.names.iter().map(|n| format!("{} {} {:.0}", n.name, n.rtype, n.nodata)).collect();
        assert_eq!(names, ["www.test. A 0", "www.test. AAAA 1"]);
        // The clock is older than the process.
        let young = tables.told(Duration::from_secs(20), Duration::from_secs(5), WINDOW, 32);
        assert_eq!((young.period_seconds, young.clients[0].queries_per_second), (5.0, 60.0 * 32.0 / 5.0));
    }

    #[test]
    fn what_lies_back_two_windows_is_forgotten() {
        let tables = Tables::new();
        note(&tables, [10, 0, 0, 1], "old.test", Rtype::A, Outcome::Answer, 5);
        let told = |at| tables.told(Duration::from_secs(at), Duration::MAX, WINDOW, 1);
        assert_eq!((told(29).clients.len(), told(59).clients.len()), (1, 1));
        assert_eq!((told(60).clients.len(), told(60).sampled), (0, 0));
        note(&tables, [10, 0, 0, 1], "new.test", Rtype::A, Outcome::Answer, 300);
        assert_eq!(told(301).names.len(), 1);
    }

    #[test]
    fn threads_are_added_up_and_strangers_take_no_more_memory_than_there_is() {
        let tables = Tables::new();
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let tables = &tables;
                scope.spawn(move || {
                    for n in 0..2000u32 {
                        let [_, b, c, d] = n.to_be_bytes();
                        let stranger = [100 + thread, b, c, d];
                        let client = if n % 2 == 0 { [10, 0, 0, 9] } else { stranger };
                        note(tables, client, &format!("n{n}.test"), Rtype::A, Outcome::NxDomain, 3);
                    }
                });
            }
        });
        let told = tables.told(Duration::from_secs(10), Duration::MAX, WINDOW, 1);
        assert_eq!(told.sampled + told.skipped, 8000);
        assert_eq!((told.clients.len(), told.names.len()), (TOLD, TOLD));
        let first = &told.clients[0];
        assert_eq!(first.client, IpAddr::from([10, 0, 0, 9]));
        let seen = told.sampled as f64 / 10.0;
        assert!((seen * 0.45..seen * 0.56).contains(&first.queries_per_second), "{first:?} of {seen}");
        assert_eq!(told.rate_error, (told.sampled.div_ceil(256)) as f64 / 10.0);
    }
}
