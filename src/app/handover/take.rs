//! The new process: takes what the old one has, before it starts anything.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::protocol::{self, Channel, Message, ProtocolError, VERSION};
use super::{ANSWER, START, file, give};
use crate::cache::{Cache, snapshot};
use crate::clock::Clock;
use crate::sys::{self, Estate};

/// How long a successor that is not the first waits for the one before it.
const TURN: Duration = Duration::from_secs(60);
/// How often it asks.
const AGAIN: Duration = Duration::from_millis(100);

/// What was found at the meeting place.
#[derive(Debug)]
pub enum Found {
    /// No process to take anything from, or one that gives nothing and says why.
    Nothing(Option<String>),
    /// All that the old process has. It goes on serving until [`Heir::serving`].
    Heritage(Box<Heritage>),
}

/// What the old process has.
#[derive(Debug)]
pub struct Heritage {
    /// Its listening sockets.
    pub estate: Estate,
    /// Responses that came into the cache.
    pub restored: u64,
    /// The way to it.
    pub heir: Heir,
}

/// The connection to the old process, which waits for a word.
#[derive(Debug)]
pub struct Heir(Channel);

/// Takes over from the process that listens at `path`, if there is one, as far as that this one can start: its sockets,
/// and its cache, which goes into `cache`. Blocks.
///
/// # Errors
/// There is a process, but nothing comes of it. It goes on serving; this one must not start beside it.
pub fn take(path: &Path, cache: &Cache, clock: &Clock, origin: u64) -> Result<Found, ProtocolError> {
    let deadline = Instant::now() + TURN;
    loop {
        let Some(stream) = file::connect(path)? else { return Ok(Found::Nothing(None)) };
        let user = sys::peer_user(&stream)?;
        if !give::is_trusted(user, sys::own_user()) {
            return Ok(Found::Nothing(Some(format!("{} is user {user}'s", path.display()))));
        }
        let mut channel = Channel::new(stream);
        let (version, namespace) = (VERSION, sys::network_namespace());
        let hello = Message { version, namespace, ..Message::new(protocol::HELLO) };
        let first = channel.send(&hello, &[], ANSWER).and_then(|()| channel.receive(ANSWER));
        let first = match first {
            Ok(first) => first,
            // It ended while it was asked, or before it got round to it.
            Err(ProtocolError::Io(e)) if is_gone(&e) && Instant::now() < deadline => {
                std::thread::sleep(AGAIN);
                continue;
            }
            Err(error) => return Err(error),
        };
        match first.say.as_str() {
            protocol::SOCKETS => return receive(channel, first, cache, clock, origin),
            protocol::REFUSED => return Ok(Found::Nothing(Some(first.text))),
            protocol::BUSY if Instant::now() < deadline => std::thread::sleep(AGAIN),
            other => return Err(ProtocolError::Nonsense(format!("{other:?}: {}", first.text))),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn receive(
    mut channel: Channel,
    first: Message,
    cache: &Cache,
    clock: &Clock,
    origin: u64,
) -> Result<Found, ProtocolError> {
    let (mut sockets, mut message) = (Vec::new(), first);
    loop {
        sockets.extend(channel.claim(message.sockets)?);
        let more = message.more;
        message = channel.receive(START)?;
        if !more {
            break;
        }
    }
    if message.say != protocol::CACHE {
        return Err(ProtocolError::Nonsense(format!("{:?} in place of the cache", message.say)));
    }
    // Not buffered: a word of the other process may stand right behind it.
    let mut bytes = channel.bytes(ANSWER)?;
    let (today, now) = (snapshot::Stamp::now(), clock.now());
    let restored = match snapshot::restore(cache, (&today, now), origin, &mut bytes) {
        Ok(restored) => restored,
        Err(snapshot::SnapshotError::Useless(why)) => {
            info!(why, "the cache of the process before is not taken over");
            // What is left of it stands before the next word.
            snapshot::skip(&mut bytes).map_err(|error| ProtocolError::Nonsense(error.to_string()))?;
            0
        }
        Err(error) => return Err(ProtocolError::Nonsense(error.to_string())),
    };
    Ok(Found::Heritage(Box::new(Heritage { estate: Estate::new(sockets), restored, heir: Heir(channel) })))
}

impl Heir {
    /// Says that this process serves what it has `taken`, and waits until the old one has stopped.
    ///
    /// # Errors
    /// Only where the old one goes on serving: this process must end, or both would.
    pub fn serving(mut self, taken: Vec<sys::SocketName>) -> Result<(), ProtocolError> {
        let word = Message { sockets: taken, ..Message::new(protocol::SERVING) };
        let sent = self.0.send(&word, &[], ANSWER);
        // Also where it could not be sent: what the old one said last may explain it.
        match self.0.receive(START) {
            Ok(word) if word.say == protocol::STOPPED => {
                info!("the process before has stopped: this one serves alone");
                Ok(())
            }
            Err(error @ ProtocolError::Withdrawn(_)) => Err(error),
            other => {
                // Dead, or as good as that: somebody has to serve.
                warn!(?sent, ?other, "the process before has ended without a word");
                Ok(())
            }
        }
    }

    /// Says that this process has nothing in common with the old one, which goes on.
    pub fn decline(self, why: &str) {
        // Where it is not heard, the end of the connection says the same.
        let _ = self.0.send(&Message::because(protocol::DECLINED, why), &[], ANSWER);
    }
}
