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
        Self { watch, upstream: upstream.address(), proto, label: Arc::clone(upstream.label()) }
    }

    /// A query leaves, under this id where it goes over a stream.
    pub(super) fn asked(&self, message: &[u8], id: Option<u16>) {
        match id {
            None => self.tell(message, None),
            Some(id) => self.tell(&self.on_the_wire(message, id), None),
        }
    }

    /// A reply has come, so long after its query.
    pub(super) fn replied(&self, message: &[u8], took: Duration) {
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
