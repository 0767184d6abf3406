//! What is told of messages to and from upstreams, to who watches.

use std::sync::Arc;
use std::time::Duration;

use super::Forwarder;
use super::question::number;
use super::server::{Transport, Upstream};
use crate::metrics::Proto;
use crate::watch::{Forwarded, Watch};
use crate::wire::{NameRef, Rtype};

impl Forwarder {
    /// Has `watch` told of what upstreams are asked and what they say; the first one stays.
    pub fn watched_by(&self, watch: Watch) {
        self.watch.get_or_init(|| watch);
    }

    /// Who wants to know what is asked of an upstream, over UDP or over a stream. Cost where nobody does: a branch.
    #[inline]
    pub(super) fn tap(&self, upstream: &Upstream, over_stream: bool) -> Option<Tap> {
        let watch = self.watch.get().filter(|watch| watch.follows_upstreams())?;
        Some(Tap::new(watch.clone(), upstream, over_stream))
    }
}

/// Tells of the messages of one upstream.
#[derive(Clone, Debug)]
pub(super) struct Tap {
    watch: Watch,
    /// The messages are wanted, and not only who has answered.
    takes_messages: bool,
    upstream: std::net::SocketAddr,
    proto: Proto,
    label: Arc<str>,
}

impl Tap {
    #[cold]
    fn new(watch: Watch, upstream: &Upstream, over_stream: bool) -> Self {
        let proto = match &upstream.identity.transport {
            Transport::Udp if !over_stream => Proto::Udp,
            Transport::Udp | Transport::Tcp => Proto::Tcp,
            Transport::Secure(secure) => secure.protocol.proto(),
        };
        let (takes_messages, label) = (watch.takes_forwarder(), Arc::clone(upstream.label()));
        Self { watch, takes_messages, upstream: upstream.address(), proto, label }
    }

    /// A query leaves, under this id where it goes over a stream.
    pub(super) fn asked(&self, message: &[u8], id: Option<u16>) {
        if !self.takes_messages {
            return;
        }
        match id {
            None => self.tell(message, None),
            Some(id) => self.tell(&self.on_the_wire(message, id), None),
        }
    }

    /// A reply has come, so long after its query.
    pub(super) fn replied(&self, message: &[u8], took: Duration) {
        if !self.takes_messages {
            return;
        }
        match self.proto {
            Proto::Https | Proto::Quic => self.tell(&self.on_the_wire(message, 0), Some(took)),
            _ => self.tell(message, Some(took)),
        }
    }

    /// It is the answer to this question.
    pub(super) fn answered(&self, qname: NameRef<'_>, qtype: Rtype, took: Duration) {
        self.watch.answered(number(qname, qtype), &self.label, took);
    }

    /// Over HTTPS and QUIC all messages have the id 0 (RFC 8484 §4.1, RFC 9250 §4.2.1); here they are told apart by others.
    fn on_the_wire(&self, message: &[u8], id: u16) -> Vec<u8> {
        let mut message = message.to_vec();
        let id = if matches!(self.proto, Proto::Https | Proto::Quic) { 0 } else { id };
        if let Some(slot) = message.first_chunk_mut() {
            *slot = id.to_be_bytes();
        }
        message
    }

    fn tell(&self, message: &[u8], took: Option<Duration>) {
        let Self { upstream, proto, .. } = *self;
        self.watch.forwarded(&Forwarded { upstream, proto, message, took });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::upstream::server::Identity;
    use crate::watch::Settings;
    use crate::watch::settings::{Class, Collector, Dnstap, Messages, QueryLog};

    const QUERY: [u8; 21] = *b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03www\0\0\x01\0\x01";

    #[test]
    fn messages_are_taken_for_dnstap_alone_which_is_asked_once_for_each_exchange() {
        let address = "192.0.2.1:53".parse().unwrap();
        let lifetime = Duration::from_secs(60);
        let upstream = Upstream::new(Identity { address, transport: Transport::Tcp, sockets: 4, lifetime });
        let query_log = QueryLog { classes: vec![Class::Slow], ..QueryLog::default() };
        let logged = Settings { query_log, ..Settings::default() };
        let to = Some(Collector::Tcp(([127, 0, 0, 1], 9).into()));
        let dnstap = Dnstap { to, messages: vec![Messages::Forwarder], ..Dnstap::default() };
        let tapped = Settings { dnstap, ..Settings::default() };
        let watch = Watch::new(tapped.clone(), Clock::manual());
        let exchange = |tap: &Tap| {
            tap.asked(&QUERY, Some(7));
            tap.replied(&QUERY, Duration::ZERO);
            watch.fed().len()
        };
        let with_messages = Tap::new(watch.clone(), &upstream, true);
        assert_eq!(exchange(&with_messages), 2);
        watch.reload(logged);
        assert!(watch.follows_upstreams(), "the log wants to know who has answered");
        let without = Tap::new(watch.clone(), &upstream, true);
        watch.reload(tapped);
        assert_eq!(exchange(&without), 0, "nothing was copied for nobody");
        assert_eq!(exchange(&Tap::new(watch.clone(), &upstream, true)), 2);
    }
}
