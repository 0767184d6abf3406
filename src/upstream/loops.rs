//! Finding forwarding loops: nonce probes that only we can recognise when they come back.
//!
//! A probe asks the suspected upstream for a random name below a suffix of the suspect name. If it
//! arrives here as a query, the upstream sends that suffix back to us. The shortest suffix that
//! comes back is kept from that upstream for a while; its other names are not touched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, timeout_at};

use super::isolation::{ROUND_EVERY, ROUND_LASTS};
use super::pending::Pending;
use super::server::Upstream;
use crate::clock::{Clock, Moment};
use crate::wire::ask::Query;
use crate::wire::{Name, NameRef, Rtype};

/// Probes of one round.
const MAX_PROBES: usize = 6;
/// Probes remembered over all upstreams.
const MAX_OUTSTANDING: usize = 512;
/// After the first probe came back, how long shorter suffixes are waited for.
const SETTLE: Duration = Duration::from_millis(200);
/// What the first label of a probe ends in, behind 32 hexadecimal digits.
const PROBE_TAIL: &[u8] = b"-zonelet-probe";

/// The probes on their way, and who is told when a loop is found.
#[derive(Debug)]
pub(super) struct Loops {
    clock: Clock,
    outstanding: Mutex<HashMap<u128, Probe>>,
    found: watch::Sender<u64>,
}

#[derive(Debug)]
struct Probe {
    upstream: Arc<Upstream>,
    suffix: Name,
    hold: Duration,
    sent: Moment,
    round: mpsc::Sender<Name>,
    /// It has come back. It may do so again: dnsmasq repeats what was refused.
    is_back: bool,
}

impl Loops {
    pub(super) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, outstanding: Mutex::default(), found: watch::Sender::new(0) })
    }

    /// Changes whenever a loop has been found.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.found.subscribe()
    }

    /// Begins a round of probes to `upstream` for `qname`, which it is asked for as a name of the
    /// forwarded `domain`, unless there was one a short while ago.
    pub(super) fn suspect(
        self: &Arc<Self>,
        runtime: &tokio::runtime::Handle,
        upstream: &Arc<Upstream>,
        domain: NameRef<'_>,
        qname: NameRef<'_>,
        hold: Duration,
    ) {
        let now = self.clock.now();
        if upstream.isolation.covers(qname, now) || !upstream.isolation.begin_round(now) {
            return;
        }
        let (round, returned) = mpsc::channel(MAX_PROBES);
        let probes: Vec<Name> = suffixes(domain, qname)
            .into_iter()
            .filter_map(|suffix| self.remember(upstream, suffix, hold, &round))
            .collect();
        tracing::debug!(%upstream, %qname, probes = probes.len(), "a forwarding loop is suspected");
        runtime.spawn(Arc::clone(self).round(Arc::clone(upstream), probes, returned, hold));
    }

    /// Makes the name of a probe and remembers it.
    fn remember(
        &self,
        upstream: &Arc<Upstream>,
        suffix: NameRef<'_>,
        hold: Duration,
        round: &mpsc::Sender<Name>,
    ) -> Option<Name> {
        let nonce: u128 = rand::random();
        let label = format!("{nonce:032x}{}", str::from_utf8(PROBE_TAIL).ok()?);
        // A suffix too long to have anything below it is not probed.
        let probe = Name::child(label.as_bytes(), suffix).ok()?;
        let sent = self.clock.now();
        let mut outstanding = self.outstanding.lock().unwrap_or_else(PoisonError::into_inner);
        outstanding.retain(|_, p| sent.since(p.sent) < ROUND_EVERY);
        if outstanding.len() >= MAX_OUTSTANDING {
            return None;
        }
        let (upstream, suffix, round) = (Arc::clone(upstream), suffix.to_owned(), round.clone());
        outstanding.insert(nonce, Probe { upstream, suffix, hold, sent, round, is_back: false });
        Some(probe)
    }

    async fn round(
        self: Arc<Self>,
        upstream: Arc<Upstream>,
        probes: Vec<Name>,
        mut returned: mpsc::Receiver<Name>,
        hold: Duration,
    ) {
        let ends = tokio::time::Instant::now() + ROUND_LASTS;
        let sending = tokio::spawn(send_probes(Arc::clone(&upstream), probes));
        if let Ok(Some(mut shortest)) = timeout_at(ends, returned.recv()).await {
            sleep_until(tokio::time::Instant::now() + SETTLE).await;
            while let Ok(suffix) = returned.try_recv() {
                if suffix.as_bytes().len() < shortest.as_bytes().len() {
                    shortest = suffix;
                }
            }
            drop(returned);
            self.isolate(&upstream, shortest.as_ref(), hold);
        }
        upstream.isolation.end_round();
        sending.abort();
    }

    /// Whether `qname` is a probe of ours; then the upstream it was sent to has sent it back.
    ///
    /// Other instances' probes look alike but are questions like any other: they find their own
    /// loop by being passed on.
    pub(super) fn saw_probe(&self, qname: NameRef<'_>) -> bool {
        let Some(nonce) = probe_nonce(qname) else { return false };
        let mut outstanding = self.outstanding.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(probe) = outstanding.get_mut(&nonce) else { return false };
        let is_first = !std::mem::replace(&mut probe.is_back, true);
        if is_first && probe.round.try_send(probe.suffix.clone()).is_err() {
            // Its round is over: a slow loop is a loop, too.
            let (upstream, suffix, hold) = (Arc::clone(&probe.upstream), probe.suffix.clone(), probe.hold);
            drop(outstanding);
            self.isolate(&upstream, suffix.as_ref(), hold);
        }
        true
    }

    fn isolate(&self, upstream: &Upstream, suffix: NameRef<'_>, hold: Duration) {
        let now = self.clock.now();
        if upstream.isolation.isolate(suffix, now, now.after(hold)) {
            upstream.metrics.loops.increment(1);
            tracing::warn!(
                %upstream, domain = %suffix, retry_in = ?hold,
                "forwarding loop: the upstream sends queries for the domain back to us, \
                 it is not asked for it for a while"
            );
        }
        upstream.metrics.isolated.set(upstream.isolation.len(now) as f64);
        self.found.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// The suffixes to probe: the forwarded domain, and below it `qname` and its parents; of many the
/// longest and the shortest.
fn suffixes<'a>(domain: NameRef<'a>, qname: NameRef<'a>) -> Vec<NameRef<'a>> {
    let mut all: Vec<_> = qname.suffixes().filter(|s| s.is_at_or_below(domain)).collect();
    if all.len() > MAX_PROBES {
        all.drain(MAX_PROBES / 2..all.len() - MAX_PROBES / 2);
    }
    all
}

/// The nonce of a name that has the form of a probe.
fn probe_nonce(qname: NameRef<'_>) -> Option<u128> {
    let label = qname.labels().next()?.strip_suffix(PROBE_TAIL)?;
    let digits = str::from_utf8(label).ok().filter(|d| d.len() == 32 && !d.starts_with('+'))?;
    u128::from_str_radix(digits, 16).ok()
}

/// Sends the probes and waits until it is aborted, so that replies to them are known as such.
async fn send_probes(upstream: Arc<Upstream>, probes: Vec<Name>) {
    let (events, mut replies) = mpsc::channel(3 * MAX_PROBES);
    let mut places = Vec::new();
    let mut streams = tokio::task::JoinSet::new();
    for probe in probes {
        let query = Query {
            qname: probe.as_ref(),
            qtype: Rtype::A,
            dnssec_ok: false,
            checking_disabled: false,
            edns: true,
            option: None,
        };
        let mut message = query.to_bytes();
        upstream.metrics.probes.increment(1);
        if !upstream.identity.transport.is_udp() {
            let (upstream, asked) = (Arc::clone(&upstream), Arc::new((probe, Rtype::A)));
            streams.spawn(async move { upstream.streams.ask(&message, &asked).await });
            continue;
        }
        let Ok(link) = upstream.pool.draw(&upstream.metrics.mismatches) else { continue };
        let question = Arc::new((probe, Rtype::A));
        let Some(place) = Pending::join(&link, &question, 0, &events) else { continue };
        if let Some(slot) = message.first_chunk_mut() {
            *slot = place.id.to_be_bytes();
        }
        let _ = link.send(&message).await;
        places.push(place);
    }
    // Only whether a probe arrives here counts, not what the upstream says of it.
    while replies.recv().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::server::{Identity, Transport};

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn few_suffixes_are_probed_and_the_domain_and_the_name_are_among_them() {
        let probed = |domain: &str, qname: &str| -> Vec<String> {
            suffixes(name(domain).as_ref(), name(qname).as_ref()).iter().map(|s| s.to_string()).collect()
        };
        assert_eq!(probed("test", "a.corp.test"), ["a.corp.test.", "corp.test.", "test."]);
        let many = probed(".", "a.b.c.d.e.f.g.test");
        assert_eq!(
            many,
            ["a.b.c.d.e.f.g.test.", "b.c.d.e.f.g.test.", "c.d.e.f.g.test.", "g.test.", "test.", "."]
        );
    }

    #[test]
    fn a_probe_is_known_by_its_form() {
        let hex = "0123456789abcdef0123456789abcdef";
        assert_eq!(
            probe_nonce(name(&format!("{hex}-zonelet-probe.test")).as_ref()),
            Some(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)
        );
        for other in [
            format!("{hex}-probe.test"),
            format!("+{}-zonelet-probe.test", &hex[1..]),
            "x.test".into(),
            ".".into(),
        ] {
            assert_eq!(probe_nonce(name(&other).as_ref()), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_probe_is_known_each_time_it_comes_back() {
        let loops = Loops::new(Clock::manual());
        let address = "127.0.0.1:9".parse().unwrap();
        let lifetime = Duration::from_secs(60);
        let identity = Identity { address, transport: Transport::Udp, sockets: 1, lifetime };
        let (round, mut returned) = mpsc::channel(MAX_PROBES);
        let upstream = Upstream::new(identity);
        let probe = loops.remember(&upstream, name("test").as_ref(), ROUND_LASTS, &round).unwrap();
        for _ in 0..2 * MAX_PROBES {
            assert!(loops.saw_probe(probe.as_ref()));
        }
        assert_eq!(returned.try_recv(), Ok(name("test")));
        assert!(returned.try_recv().is_err(), "told once");
    }

    #[test]
    fn probes_of_others_are_questions_like_any_other() {
        let loops = Loops::new(Clock::manual());
        assert!(!loops.saw_probe(name("0123456789abcdef0123456789abcdef-zonelet-probe.test").as_ref()));
    }
}
