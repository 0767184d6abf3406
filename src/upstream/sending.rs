//! How the queries of an exchange leave.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::exchange::Exchange;
use super::marker::MARKER_OPTION;
use super::pending::{Pending, Place};
use super::server::{Transport, Upstream};
use super::verdict::Fault;
use crate::wire::ask::Query;

/// Sockets drawn until one has room for another query.
const MAX_DRAWS: usize = 4;

impl Exchange<'_> {
    /// Sends the upstream its query, over UDP where it takes that.
    pub(super) async fn send(&mut self, index: usize) -> Result<(), Fault> {
        let Some(candidate) = self.candidates.get_mut(index) else { return Ok(()) };
        candidate.tries += 1;
        candidate.started = Instant::now();
        if candidate.tries == 1 {
            candidate.mark = candidate.upstream.breaker.mark();
        }
        self.sends += 1;
        let upstream = Arc::clone(&candidate.upstream);
        let mut message = self.message(index);
        if !upstream.identity.transport.is_udp() {
            self.ask_over_tcp(index, Duration::ZERO);
            return Ok(());
        }
        let place = self.place(index, &upstream)?;
        if let Some(slot) = message.first_chunk_mut() {
            *slot = place.id.to_be_bytes();
        }
        upstream.metrics.udp_sends.increment(1);
        if let Some(tap) = self.forwarder.tap(&upstream, false) {
            tap.asked(&message, None);
        }
        let sent = place.link.send(&message).await;
        self.places.push(place);
        sent.map_err(|error| Fault::network(&upstream, &error))
    }

    /// A socket that this question has not been sent by, and an id on it: where one port is cut
    /// off, as a stale entry in a connection table does it, another is not.
    fn place(&self, index: usize, upstream: &Upstream) -> Result<Place, Fault> {
        let mut is_full = false;
        for _ in 0..MAX_DRAWS {
            let link = upstream
                .pool
                .draw(&upstream.metrics.mismatches)
                .map_err(|error| Fault::network(upstream, &error))?;
            if self.places.iter().any(|place| Arc::ptr_eq(&place.link, &link)) {
                continue;
            }
            if let Some(place) = Pending::join(&link, &self.question, index, &self.events) {
                return Ok(place);
            }
            is_full = true;
        }
        if is_full {
            return Err(Fault::busy(upstream));
        }
        let link = upstream
            .pool
            .fresh(&upstream.metrics.mismatches)
            .map_err(|error| Fault::network(upstream, &error))?;
        Pending::join(&link, &self.question, index, &self.events).ok_or_else(|| Fault::busy(upstream))
    }

    /// The query for one upstream, without an id; padded where it is encrypted (RFC 8467 §4.1).
    fn message(&self, index: usize) -> Vec<u8> {
        let Some(candidate) = self.candidates.get(index) else { return Vec::new() };
        let (ask, upstream) = (self.ask, &candidate.upstream);
        let marker = upstream.takes_marker().then(|| {
            let now = self.forwarder.clock.now();
            let stamp = self.forwarder.stamper.stamp(ask.qname.as_ref(), ask.qtype, upstream.address(), now);
            ask.stamps.with(stamp)
        });
        let query = Query {
            qname: ask.qname.as_ref(),
            qtype: ask.qtype,
            dnssec_ok: ask.dnssec_ok,
            checking_disabled: ask.checking_disabled,
            edns: candidate.edns || ask.dnssec_ok,
            option: marker.as_deref().map(|m| (MARKER_OPTION, m)),
        };
        match upstream.identity.transport {
            Transport::Secure(_) => query.to_padded_bytes(),
            Transport::Udp | Transport::Tcp => query.to_bytes(),
        }
    }

    /// Asks the upstream over a connection from now on, at first in a moment where its packets must `wait`; what it
    /// says over UDP is not listened to any more.
    pub(super) fn ask_over_tcp(&mut self, index: usize, wait: Duration) {
        let message = self.message(index);
        let Some(candidate) = self.candidates.get_mut(index) else { return };
        if std::mem::replace(&mut candidate.over_tcp, true) {
            return;
        }
        candidate.streamed = Some(Instant::now() + wait);
        let (upstream, question) = (Arc::clone(&candidate.upstream), Arc::clone(&self.question));
        let tap = self.forwarder.tap(&upstream, true);
        self.streams.spawn(async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            let result = upstream.streams.ask_told(&message, &question, tap.as_ref()).await;
            (index, result)
        });
    }
}
