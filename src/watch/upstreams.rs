//! What is told of the messages to and from upstreams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::feed::{Head, Kind};
use super::{By, Watch};
use crate::metrics::{AnswerSource, Proto};
use crate::wire::Rcode;
use crate::wire::query::HEADER;

/// A message to or from an upstream.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded<'a> {
    /// Where the upstream is; an unspecified address where it goes by its name.
    pub upstream: SocketAddr,
    /// How it is asked.
    pub proto: Proto,
    /// The message as it is on the wire.
    pub message: &'a [u8],
    /// How long ago the query left, of a reply; `None` for a query that leaves now.
    pub took: Option<Duration>,
}

impl Watch {
    /// Whether anybody wants to know what is asked of upstreams. Cost: a load.
    #[inline]
    pub fn follows_upstreams(&self) -> bool {
        self.0.follows_upstreams.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether somebody wants the messages as well, to be asked once for each exchange. Cost: a load.
    #[inline]
    pub fn takes_forwarder(&self) -> bool {
        self.0.takes_forwarder.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Takes in a message to or from an upstream, for dnstap. Waits for nobody.
    pub fn forwarded(&self, forwarded: &Forwarded<'_>) {
        let live = self.0.live.load();
        let draw = draw(forwarded.message, forwarded.proto);
        if !live.dnstap.takes_forwarder() || !draw.is_multiple_of(live.dnstap.sample.into()) {
            return;
        }
        let now = self.0.clock.precise();
        let kind = if forwarded.took.is_some() { Kind::ForwarderResponse } else { Kind::ForwarderQuery };
        let head = Head {
            kind,
            peer: forwarded.upstream,
            local: None,
            proto: forwarded.proto,
            source: AnswerSource::Upstream,
            rcode: Rcode::NOERROR,
            stop: None,
            asked: now.saturating_sub(forwarded.took.unwrap_or_default()),
            answered: now,
            fetched: Duration::ZERO,
            is_tapped: true,
            class: None,
            is_turned_away: false,
        };
        let (query, response) = match kind {
            Kind::ForwarderResponse => (&b""[..], forwarded.message),
            _ => (forwarded.message, &b""[..]),
        };
        self.0.feed.push(head, [query, response, b""]);
    }

    /// Takes in who has answered a question, known by its hash, for the query log.
    pub fn answered(&self, question: u64, upstream: &Arc<str>, took: Duration) {
        if !self.0.live.load().query_log.classes.is_empty() {
            let by = By { upstream: Arc::clone(upstream), took };
            self.0.fetched.note(question, by, self.0.clock.precise());
        }
    }

    /// Who has answered a question since it was asked, if that was just now.
    pub fn answered_by(&self, question: u64, since: Duration) -> Option<By> {
        self.0.fetched.find(question, since)
    }
}

/// The same number for a query and for its reply, whatever case that has the name in; even, as ids are random. Over
/// HTTPS and QUIC there are none.
fn draw(message: &[u8], proto: Proto) -> u64 {
    let name = message.get(HEADER..).unwrap_or_default().split(|&byte| byte == 0).next().unwrap_or_default();
    let has_id = !matches!(proto, Proto::Https | Proto::Quic);
    let id = message.get(..2).filter(|_| has_id).unwrap_or_default();
    let fold =
        |hash: u64, byte: &u8| (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
    let hash = id.iter().chain(name).fold(0xcbf2_9ce4_8422_2325, fold);
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u16, name: &str) -> Vec<u8> {
        let label = [&[name.len() as u8], name.as_bytes()].concat();
        [&id.to_be_bytes()[..], &[0; 10], &label, &[0, 0, 1, 0, 1]].concat()
    }

    #[test]
    fn a_reply_is_drawn_with_its_query_and_queries_evenly() {
        let draw_of = |id, name: &str, proto| draw(&message(id, name), proto);
        assert_eq!(draw_of(7, "www", Proto::Udp), draw_of(7, "WwW", Proto::Udp));
        assert_ne!(draw_of(7, "www", Proto::Udp), draw_of(8, "www", Proto::Udp));
        assert_eq!(draw_of(0, "www", Proto::Https), draw_of(9, "www", Proto::Https));
        let taken = (0..=u16::MAX).filter(|&id| draw_of(id, "www", Proto::Udp).is_multiple_of(16)).count();
        assert!((3700..4500).contains(&taken), "{taken} of 65536, one in 16");
        for short in 0..HEADER + 1 {
            draw(&vec![0; short], Proto::Udp);
        }
    }
}
