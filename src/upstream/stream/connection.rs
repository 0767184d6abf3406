//! One connection, from before it is opened until it is closed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Asked;
use super::dial::{Dialer, Link};
use super::frames;
use super::inbox::{Inbox, MAX_IN_FLIGHT, Place, Standing};
use super::pool::Ending;

/// A connection is open for half to the whole of this before it is replaced: what stands behind an
/// address changes, and those opened together are not replaced together.
pub(super) const LIFETIME: Duration = Duration::from_secs(60);
/// How long it may take to open, to the end of the handshake.
const DIAL: Duration = Duration::from_secs(3);

/// A query on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) id: u16,
    /// With its id.
    pub(super) message: Vec<u8>,
}

/// A connection. Queries are taken from the start, and leave once it is open.
#[derive(Debug)]
pub(super) struct Connection {
    /// Later ones have higher numbers.
    pub(super) number: u64,
    inbox: Arc<Inbox>,
    queue: mpsc::Sender<Outgoing>,
}

impl Connection {
    /// Begins to open a connection. Its task ends with it, or once it is in nobody's hands.
    pub(super) fn open(number: u64, dialer: Arc<Dialer>, ending: Ending) -> Arc<Self> {
        let inbox = Inbox::new(super::super::pool::some_of(LIFETIME));
        let (queue, queued) = mpsc::channel(MAX_IN_FLIGHT);
        tokio::spawn(run(dialer, Arc::clone(&inbox), queued, ending));
        Arc::new(Self { number, inbox, queue })
    }

    pub(super) fn standing(&self) -> Standing {
        self.inbox.standing()
    }

    pub(super) fn retire(&self) {
        self.inbox.retire();
    }

    /// Puts a query on its way. `None`: this connection takes no more.
    pub(super) fn join(&self, message: &[u8], asked: &Asked) -> Option<Place> {
        let place = self.inbox.join(asked)?;
        let mut message = message.to_vec();
        if let Some(slot) = message.first_chunk_mut() {
            *slot = place.id.to_be_bytes();
        }
        if self.queue.try_send(Outgoing { id: place.id, message }).is_err() {
            // Nothing moves any more: the queue is full of what nobody waits for.
            self.inbox.withdraw(place.id);
            self.inbox.retire();
            return None;
        }
        Some(place)
    }

    pub(super) fn leave(&self, id: u16) {
        self.inbox.leave(id);
    }
}

async fn run(dialer: Arc<Dialer>, inbox: Arc<Inbox>, mut queue: mpsc::Receiver<Outgoing>, ending: Ending) {
    let link = match timeout(DIAL, dialer.dial()).await {
        Ok(Ok(link)) => link,
        Ok(Err(error)) => return ending.refused(&inbox, error),
        Err(_) => return ending.refused(&inbox, io::ErrorKind::TimedOut.into()),
    };
    inbox.opened();
    let ended = drive(link, &inbox, &mut queue).await;
    // Before its end is known nobody is to find it open.
    ending.ended(&inbox, ended.kind());
}

async fn drive(link: Link, inbox: &Arc<Inbox>, queue: &mut mpsc::Receiver<Outgoing>) -> io::Error {
    let over = inbox.until_over();
    match link {
        Link::Tcp(stream) => frames::drive(stream, inbox, queue, over).await,
        #[cfg(feature = "tls")]
        Link::Tls(stream) => frames::drive(*stream, inbox, queue, over).await,
        #[cfg(feature = "tls")]
        Link::Https(client) => super::hickory::drive(client, inbox, queue, over).await,
        #[cfg(feature = "doq")]
        Link::Quic(client) => super::hickory::drive(client, inbox, queue, over).await,
    }
}
