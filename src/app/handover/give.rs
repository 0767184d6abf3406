//! The old process: gives its sockets away, and goes on serving until somebody else does.

use std::future::pending;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use metrics::Counter;
use tokio::sync::{mpsc as tasks, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::file::Place;
use super::protocol::{self, Channel, Message, ProtocolError, VERSION};
use super::{ANSWER, Meeting, START};
use crate::cache::{Cache, snapshot};
use crate::clock::Clock;
use crate::metrics::HandoverMetrics;
use crate::server::Sockets;
use crate::sys::{self, MAX_DESCRIPTORS, SocketName};

/// How often it is looked whether the process still wants to give anything away.
const LOOK: Duration = Duration::from_millis(50);
/// How long successors are put off while the process before this one still ends its connections over QUIC.
const PREDECESSOR: Duration = Duration::from_secs(30);
/// How often it is looked for that one's end later.
const SELDOM: Duration = Duration::from_secs(5);

/// What there is to give.
pub struct Offer {
    /// The DNS sockets.
    pub server: Sockets,
    /// Those of the admin listeners.
    pub admin: Vec<(SocketName, OwnedFd)>,
    /// What was learned.
    pub cache: Arc<Cache>,
    /// Its time.
    pub clock: Clock,
    /// Whom it was learned from.
    pub origin: Arc<AtomicU64>,
    /// What is counted.
    pub metrics: HandoverMetrics,
}

/// A successor serves: this process may stop.
#[derive(Debug)]
pub struct Commit {
    /// What the successor reads from now on.
    pub taken: Vec<SocketName>,
    /// To be told once nothing more is read here.
    pub stopped: mpsc::Sender<()>,
}

/// The giving side, as the rest of the process sees it.
pub struct Giver {
    /// Comes once a successor serves.
    pub commits: tasks::Receiver<Commit>,
    underway: watch::Receiver<bool>,
    flags: Arc<Flags>,
    place: Place,
}

/// Waits for a successor to serve.
pub async fn succession(giver: &mut Option<Giver>) -> Commit {
    match giver {
        Some(giver) => match giver.commits.recv().await {
            Some(commit) => commit,
            // Nobody can come any more.
            None => pending().await,
        },
        None => pending().await,
    }
}

#[derive(Default)]
struct Flags {
    /// Nothing is begun any more.
    is_closed: AtomicBool,
    /// What is under way is taken back.
    is_withdrawn: AtomicBool,
    /// A successor serves; who comes now is sent to it.
    is_left: AtomicBool,
    /// The process before this one has closed its sockets, or is not waited for any more.
    is_settled: AtomicBool,
}

impl Giver {
    /// Listens for successors until `shutdown`, one at a time.
    pub fn start(meeting: Meeting, offer: Offer, shutdown: CancellationToken) -> Self {
        let ((commit, commits), (busy, underway)) = (tasks::channel(1), watch::channel(false));
        let flags = Arc::new(Flags::default());
        let desk = Arc::new(Desk { offer, commit, busy, flags: Arc::clone(&flags) });
        let Meeting { listener, place } = meeting;
        // Most often there is nothing to be waited for, and nobody is put off.
        if !desk.settle() {
            let (desk, shutdown) = (Arc::clone(&desk), shutdown.clone());
            tokio::spawn(async move { shutdown.run_until_cancelled(desk.outlast()).await });
        }
        tokio::spawn(async move {
            while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
                let stream = accepted.and_then(|(stream, _)| stream.into_std());
                let desk = Arc::clone(&desk);
                match stream {
                    Ok(stream) => drop(tokio::task::spawn_blocking(move || desk.receive(stream))),
                    Err(error) => {
                        warn!(%error, "a successor could not be let in");
                        tokio::time::sleep(LOOK).await;
                    }
                }
            }
        });
        Self { commits, underway, flags, place }
    }

    /// Waits until the successor can be found by its own, `patience` at most: whoever came in between would find nobody,
    /// and start beside it.
    pub async fn followed(&self, patience: Duration) {
        let followed = async {
            while self.place.is_own() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(patience, followed).await.is_err() {
            warn!("the successor has not made a socket for its own successor");
        }
    }

    /// Begins nothing any more. What is under way gets `patience` to come to an end, and is taken back then: sockets
    /// that a successor may read must not be drained. `Some`: the successor serves.
    pub async fn settle(&mut self, patience: Duration) -> Option<Commit> {
        self.flags.is_closed.store(true, Ordering::Release);
        for wait in [patience, ANSWER] {
            let idle = async {
                // An error: nobody is left to be waited for.
                let _ = self.underway.wait_for(|underway| !underway).await;
            };
            tokio::select! {
                biased;
                commit = self.commits.recv() => return commit,
                () = idle => return self.commits.try_recv().ok(),
                () = tokio::time::sleep(wait) => self.flags.is_withdrawn.store(true, Ordering::Release),
            }
        }
        None
    }
}

/// Where successors are received.
struct Desk {
    offer: Offer,
    commit: tasks::Sender<Commit>,
    busy: watch::Sender<bool>,
    flags: Arc<Flags>,
}

impl Desk {
    /// Whether this process need not look for the one before it any more.
    fn settle(&self) -> bool {
        let is_settled = self.offer.server.settle().unwrap_or_else(|error| {
            warn!(%error, "connections over QUIC may be cut short by a process that starts beside this one");
            true
        });
        if is_settled {
            self.flags.is_settled.store(true, Ordering::Release);
        }
        is_settled
    }

    /// Waits until the process before this one is gone, and puts successors off for so long, within bounds.
    async fn outlast(self: Arc<Self>) {
        let began = tokio::time::Instant::now();
        loop {
            let is_late = began.elapsed() >= PREDECESSOR;
            if is_late && !self.flags.is_settled.swap(true, Ordering::AcqRel) {
                warn!("another process keeps a socket for QUIC open at an address of this one");
            }
            tokio::time::sleep(if is_late { SELDOM } else { LOOK }).await;
            let desk = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || desk.settle()).await.unwrap_or(true) {
                return;
            }
        }
    }

    fn receive(&self, stream: UnixStream) {
        if let Err(error) = stream.set_nonblocking(false) {
            return warn!(%error, "a successor could not be let in");
        }
        match sys::peer_user(&stream) {
            Ok(user) if is_trusted(user, sys::own_user()) => {}
            other => return warn!(user = ?other, "somebody who may not asked for the sockets"),
        }
        let mut channel = Channel::new(stream);
        if !self.flags.is_settled.load(Ordering::Acquire) {
            let busy = Message::because(protocol::BUSY, "the process before this one still serves QUIC");
            return drop(channel.send(&busy, &[], ANSWER));
        }
        let is_left = self.flags.is_left.load(Ordering::Acquire);
        let is_first = !is_left && self.busy.send_if_modified(|busy| !std::mem::replace(busy, true));
        if !is_first {
            let busy = Message::because(protocol::BUSY, "another successor is starting");
            return drop(channel.send(&busy, &[], ANSWER));
        }
        let outcome = self.serve(&mut channel);
        // Who sees it counted finds the desk free.
        self.busy.send_replace(false);
        outcome.increment(1);
    }

    /// Serves a successor; what is to be counted of it.
    fn serve(&self, channel: &mut Channel) -> &Counter {
        let metrics = &self.offer.metrics;
        match self.exchange(channel) {
            Ok(true) => &metrics.done,
            Ok(false) => &metrics.refused,
            Err(error) => {
                warn!(%error, "a successor did not take over, this process goes on");
                let withdrawn = Message::because(protocol::WITHDRAWN, error.to_string());
                let _ = channel.send(&withdrawn, &[], ANSWER);
                &metrics.failed
            }
        }
    }

    /// Whether the successor serves now.
    fn exchange(&self, channel: &mut Channel) -> Result<bool, ProtocolError> {
        let hello = channel.receive(ANSWER)?;
        if let Some(why) = self.objection(&hello) {
            info!(why, "a successor is refused");
            channel.send(&Message::because(protocol::REFUSED, why), &[], ANSWER)?;
            return Ok(false);
        }
        info!("a successor starts: it gets the sockets and the cache");
        self.send_sockets(channel)?;
        channel.send(&Message::new(protocol::CACHE), &[], ANSWER)?;
        let (at, now) = (snapshot::Stamp::now(), self.offer.clock.now());
        let mut bytes = std::io::BufWriter::with_capacity(128 << 10, channel.bytes(START)?);
        let origin = self.offer.origin.load(Ordering::Relaxed);
        snapshot::write(&self.offer.cache, (at, now), origin, u64::MAX, &mut bytes)?;
        drop(bytes);
        self.await_word(channel)?;
        let word = channel.receive(ANSWER)?;
        match word.say.as_str() {
            protocol::SERVING => self.leave(channel, word.sockets).map(|()| true),
            protocol::DECLINED => {
                warn!(why = word.text, "a second zonelet does not take over");
                Ok(false)
            }
            other => Err(ProtocolError::Nonsense(format!("{other:?} in place of serving"))),
        }
    }

    fn objection(&self, hello: &Message) -> Option<&'static str> {
        let here = sys::network_namespace();
        if hello.say != protocol::HELLO || hello.version == 0 {
            Some("it does not speak as a successor does")
        } else if hello.namespace != 0 && here != 0 && hello.namespace != here {
            Some("it runs in another network namespace")
        } else if self.flags.is_closed.load(Ordering::Acquire) {
            Some("this process is draining")
        } else {
            None
        }
    }

    fn send_sockets(&self, channel: &Channel) -> Result<(), ProtocolError> {
        let mut sockets = self.offer.server.duplicate()?;
        for (name, socket) in &self.offer.admin {
            sockets.push((name.clone(), sys::duplicate(socket)?));
        }
        let mut parts = sockets.chunks(MAX_DESCRIPTORS).peekable();
        while let Some(part) = parts.next() {
            let names = part.iter().map(|(name, _)| name.clone()).collect();
            let descriptors: Vec<_> = part.iter().map(|(_, socket)| socket.as_fd()).collect();
            let more = parts.peek().is_some();
            let message =
                Message { version: VERSION, sockets: names, more, ..Message::new(protocol::SOCKETS) };
            channel.send(&message, &descriptors, ANSWER)?;
        }
        Ok(())
    }

    /// Waits until the successor says something.
    fn await_word(&self, channel: &Channel) -> Result<(), ProtocolError> {
        let deadline = Instant::now() + START;
        while !channel.has_come(LOOK)? {
            if self.flags.is_withdrawn.load(Ordering::Acquire) {
                return Err(ProtocolError::Nonsense("nothing, while this process has to end".to_owned()));
            }
            if Instant::now() > deadline {
                return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
            }
        }
        Ok(())
    }

    /// Has this process stop reading, and tells the successor when it has.
    fn leave(&self, channel: &Channel, taken: Vec<SocketName>) -> Result<(), ProtocolError> {
        let (stopped, stops) = mpsc::channel();
        let gone = |_| ProtocolError::Withdrawn("this process has ended otherwise".to_owned());
        self.commit.blocking_send(Commit { taken, stopped }).map_err(|_| gone(()))?;
        stops.recv().map_err(|_| gone(()))?;
        self.flags.is_left.store(true, Ordering::Release);
        // It serves, whether it hears of this or not.
        let _ = channel.send(&Message::new(protocol::STOPPED), &[], ANSWER);
        Ok(())
    }
}

/// Whom sockets are given to, and taken from: the same user, or root.
pub(super) fn is_trusted(user: u32, own: u32) -> bool {
    user == own || user == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_users_get_nothing() {
        assert!(is_trusted(65532, 65532) && is_trusted(0, 65532));
        assert!(!is_trusted(1000, 65532) && !is_trusted(65532, 0));
    }
}
