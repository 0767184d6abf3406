//! What two processes say to each other, and how: version 1.
//!
//! A message is its length in four bytes, big-endian, and a JSON object. Descriptors come with the first bytes of the
//! message that names them, in its order. Whoever reads passes over fields that it does not know, and over sockets of a
//! kind that it does not know; so a version changes only when what is known means something else. Both sides go by
//! the lower of their versions.
//!
//! | new process | old process |
//! |---|---|
//! | `hello`: version, namespace | |
//! | | `sockets`, as often as `more` says; or `refused`, or `busy`, with a text, and the end |
//! | | `cache`, and behind it a snapshot (`cache::snapshot`) |
//! | `serving`: sockets taken; or `declined` and the end | |
//! | | `stopped`: it reads nothing more; or, at any point, `withdrawn`: it keeps everything |
//!
//! `busy` is no more than "not now": another successor is starting, or the process before the old one is not gone yet.
//! Whoever hears it asks again.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::sys::{self, SocketName};

/// The version spoken here.
pub const VERSION: u32 = 1;
/// The longest message.
const MAX_MESSAGE: usize = 1 << 20;
/// Descriptors that may lie here unclaimed.
const MAX_UNCLAIMED: usize = 4 * sys::MAX_DESCRIPTORS;

pub const HELLO: &str = "hello";
pub const SOCKETS: &str = "sockets";
pub const CACHE: &str = "cache";
pub const SERVING: &str = "serving";
pub const STOPPED: &str = "stopped";
pub const REFUSED: &str = "refused";
pub const BUSY: &str = "busy";
pub const DECLINED: &str = "declined";
pub const WITHDRAWN: &str = "withdrawn";

/// One message. What it does not say is left out.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
pub struct Message {
    /// What it says.
    pub say: String,
    /// The highest version that the sender speaks.
    #[serde(skip_serializing_if = "is_default")]
    pub version: u32,
    /// For people.
    #[serde(skip_serializing_if = "is_default")]
    pub text: String,
    /// The sender's network namespace; 0 if it does not know.
    #[serde(skip_serializing_if = "is_default")]
    pub namespace: u64,
    /// Those that come with it, or were taken.
    #[serde(skip_serializing_if = "is_default")]
    pub sockets: Vec<SocketName>,
    /// Another message of sockets follows.
    #[serde(skip_serializing_if = "is_default")]
    pub more: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Message {
    /// A message that says no more than this.
    pub fn new(say: &str) -> Self {
        Self { say: say.to_owned(), ..Self::default() }
    }

    /// A message with a reason.
    pub fn because(say: &str, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::new(say) }
    }
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The other side is gone, or silent for too long.
    #[error("the other process is gone or silent")]
    Io(#[from] io::Error),
    /// What came cannot be made sense of.
    #[error("the other process speaks nonsense: {0}")]
    Nonsense(String),
    /// The other side has taken it back, and says why.
    #[error("the other process gives up: {0}")]
    Withdrawn(String),
}

/// A connection of two processes.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    unclaimed: VecDeque<OwnedFd>,
}

impl Channel {
    /// Over a stream that blocks.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, unclaimed: VecDeque::new() }
    }

    /// Sends a message with the descriptors that it names.
    pub fn send(
        &self,
        message: &Message,
        sockets: &[BorrowedFd<'_>],
        patience: Duration,
    ) -> Result<(), ProtocolError> {
        let body = serde_json::to_vec(message).map_err(io::Error::from)?;
        let mut bytes = u32::try_from(body.len()).map_err(io::Error::other)?.to_be_bytes().to_vec();
        bytes.extend(body);
        self.stream.set_write_timeout(Some(patience))?;
        let sent = sys::send_with(&self.stream, &bytes, sockets)?;
        (&self.stream).write_all(bytes.get(sent..).unwrap_or_default())?;
        Ok(())
    }

    /// Waits for a message. `Withdrawn` is an error.
    pub fn receive(&mut self, patience: Duration) -> Result<Message, ProtocolError> {
        let deadline = Instant::now() + patience;
        let mut len = [0; 4];
        self.fill(&mut len, deadline)?;
        let len = u32::from_be_bytes(len) as usize;
        if !(2..=MAX_MESSAGE).contains(&len) {
            return Err(ProtocolError::Nonsense(format!("a message of {len} bytes")));
        }
        let mut body = vec![0; len];
        self.fill(&mut body, deadline)?;
        let message: Message =
            serde_json::from_slice(&body).map_err(|error| ProtocolError::Nonsense(error.to_string()))?;
        if message.say == WITHDRAWN { Err(ProtocolError::Withdrawn(message.text)) } else { Ok(message) }
    }

    /// Whether something has come, or the end, within `patience`.
    pub fn has_come(&self, patience: Duration) -> io::Result<bool> {
        let mut set = sys::Epoll::new()?;
        set.add(&self.stream, 0)?;
        Ok(set.wait(Some(patience))? > 0)
    }

    /// The descriptors that came with a message, in the order of its names.
    pub fn claim(&mut self, names: Vec<SocketName>) -> Result<Vec<(SocketName, OwnedFd)>, ProtocolError> {
        if names.len() > self.unclaimed.len() {
            let what = format!("{} sockets named, {} came", names.len(), self.unclaimed.len());
            return Err(ProtocolError::Nonsense(what));
        }
        let count = names.len();
        Ok(names.into_iter().zip(self.unclaimed.drain(..count)).collect())
    }

    /// The bytes behind a message, each awaited for `patience`, and bytes to be sent.
    pub fn bytes(&self, patience: Duration) -> io::Result<impl Read + Write + use<>> {
        self.stream.set_read_timeout(Some(patience))?;
        self.stream.set_write_timeout(Some(patience))?;
        self.stream.try_clone()
    }

    fn fill(&mut self, mut out: &mut [u8], deadline: Instant) -> Result<(), ProtocolError> {
        while !out.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let mut came = Vec::new();
            let got = match sys::recv_with(&self.stream, out, &mut came) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            self.unclaimed.extend(came);
            if self.unclaimed.len() > MAX_UNCLAIMED {
                return Err(ProtocolError::Nonsense("descriptors without end".to_owned()));
            }
            if got == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            out = out.get_mut(got..).unwrap_or_default();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn pair() -> (Channel, Channel) {
        let (one, two) = UnixStream::pair().unwrap();
        (Channel::new(one), Channel::new(two))
    }

    fn raw(bytes: &[u8]) -> Result<Message, ProtocolError> {
        let (one, mut two) = pair();
        (&one.stream).write_all(bytes).unwrap();
        drop(one);
        two.receive(SOON)
    }

    fn framed(json: &str) -> Vec<u8> {
        [&(json.len() as u32).to_be_bytes()[..], json.as_bytes()].concat()
    }

    #[test]
    fn version_1_is_these_bytes() {
        let asked = "127.0.0.1:53".parse().unwrap();
        let name = SocketName::new("udp", asked, asked, 1);
        let socket = r#"{"kind":"udp","asked":"127.0.0.1:53","addr":"127.0.0.1:53","index":1}"#;
        for (message, json) in [
            (
                Message { version: VERSION, namespace: 7, ..Message::new(HELLO) },
                r#"{"say":"hello","version":1,"namespace":7}"#.to_owned(),
            ),
            (
                Message {
                    version: VERSION,
                    sockets: vec![name.clone()],
                    more: true,
                    ..Message::new(SOCKETS)
                },
                format!(r#"{{"say":"sockets","version":1,"sockets":[{socket}],"more":true}}"#),
            ),
            (Message::new(CACHE), r#"{"say":"cache"}"#.to_owned()),
            (
                Message { sockets: vec![name], ..Message::new(SERVING) },
                format!(r#"{{"say":"serving","sockets":[{socket}]}}"#),
            ),
            (Message::new(STOPPED), r#"{"say":"stopped"}"#.to_owned()),
            (Message::because(BUSY, "why"), r#"{"say":"busy","text":"why"}"#.to_owned()),
        ] {
            let (one, two) = pair();
            one.send(&message, &[], SOON).unwrap();
            drop(one);
            let mut bytes = Vec::new();
            (&two.stream).read_to_end(&mut bytes).unwrap();
            assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&framed(&json)));
            assert_eq!(raw(&bytes).unwrap(), message);
        }
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over() {
        let json = r#"{"say":"sockets","version":9,"mood":"good","sockets":[
            {"kind":"carrier pigeon","asked":"a loft","addr":"a loft","colour":{"of":"feathers"}}]}"#;
        let message = raw(&framed(json)).unwrap();
        assert_eq!((message.version, message.sockets[0].kind.as_str()), (9, "carrier pigeon"));
        assert_eq!(raw(&framed("{}")).unwrap(), Message::default());
    }

    #[test]
    fn nonsense_and_a_connection_that_ends_are_errors() {
        let nonsense = |bytes: &[u8]| matches!(raw(bytes), Err(ProtocolError::Nonsense(_)));
        assert!(nonsense(b"GET / HTTP/1.1\r\n\r\n") && nonsense(&[0, 0, 0, 0]) && nonsense(&framed("[7")));
        assert!(matches!(raw(b""), Err(ProtocolError::Io(_))));
        assert!(matches!(raw(&framed(r#"{"say":"hello"}"#)[..9]), Err(ProtocolError::Io(_))));
        let withdrawn = raw(&framed(r#"{"say":"withdrawn","text":"draining"}"#));
        assert!(matches!(withdrawn, Err(ProtocolError::Withdrawn(why)) if why == "draining"));
    }

    #[test]
    fn sockets_come_with_their_names_and_names_without_sockets_are_nonsense() {
        let (one, mut two) = pair();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        let name = SocketName::new("udp", addr, addr, 0);
        one.send(&Message::new(SOCKETS), &[socket.as_fd()], SOON).unwrap();
        two.receive(SOON).unwrap();
        assert!(two.claim(vec![name.clone(), name.clone()]).is_err());
        let claimed = two.claim(vec![name.clone()]).unwrap();
        let [(claimed_name, claimed)] = <[_; 1]>::try_from(claimed).unwrap();
        assert_eq!((claimed_name, UdpSocket::from(claimed).local_addr().unwrap()), (name, addr));
        assert!(!two.has_come(Duration::ZERO).unwrap());
        drop(one);
        assert!(two.has_come(SOON).unwrap());
    }
}
