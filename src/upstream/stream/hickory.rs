//! Messages over HTTP/2 (RFC 8484) and QUIC (RFC 9250), each in a stream of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hickory_net::NetError;
use hickory_net::h2::HttpsClientStream;
use hickory_net::proto::op::{DnsRequest, DnsRequestOptions, Message};
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::xfer::{DnsRequestSender, FirstAnswer};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::connection::Outgoing;
use super::dial::Link;
use super::fault::Lost;
use super::inbox::Inbox;
use crate::upstream::secure::Secure;

/// Opens a connection for DNS over HTTPS.
pub(super) async fn dial_https(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    secure: &Secure,
) -> io::Result<Link> {
    let (name, path) = (Arc::from(&*secure.server_name), Arc::from(&*secure.path));
    let builder = HttpsClientStream::builder(config, TokioRuntimeProvider::new());
    builder.build(address, name, path).await.map(Link::Https).map_err(dial_error)
}

/// Opens a connection for DNS over QUIC.
#[cfg(feature = "doq")]
pub(super) async fn dial_quic(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    secure: &Secure,
) -> io::Result<Link> {
    let builder = hickory_net::quic::QuicClientStream::builder().crypto_config((*config).clone());
    builder.build(address, Arc::from(&*secure.server_name)).await.map(Link::Quic).map_err(|error| match error
        .to_string()
        .split_once("handshake failed: ")
    {
        Some((_, why)) => super::tls::told_by_text(why),
        None => dial_error(error),
    })
}

/// This build has no QUIC, and its configuration takes none.
#[cfg(not(feature = "doq"))]
pub(super) async fn dial_quic(_: SocketAddr, _: Arc<ClientConfig>, _: &Secure) -> io::Result<Link> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "built without doq"))
}

fn dial_error(error: NetError) -> io::Error {
    match error {
        NetError::Io(error) => Arc::try_unwrap(error).unwrap_or_else(|shared| shared.kind().into()),
        NetError::Timeout => io::ErrorKind::TimedOut.into(),
        other => io::Error::other(other.to_string()),
    }
}

/// Moves messages both ways until the connection ends, which is an error of the kind it ended with.
pub(super) async fn drive<C: DnsRequestSender + Clone>(
    mut client: C,
    inbox: &Arc<Inbox>,
    queue: &mut mpsc::Receiver<Outgoing>,
    over: impl Future<Output = ()>,
) -> io::Error {
    let mut asking = JoinSet::new();
    tokio::pin!(over);
    let ended = loop {
        tokio::select! {
            outgoing = queue.recv() => match outgoing {
                Some(outgoing) if !inbox.is_awaited(outgoing.id) => {}
                Some(outgoing) => drop(asking.spawn(ask(client.clone(), Arc::clone(inbox), outgoing))),
                None => break io::ErrorKind::ConnectionAborted,
            },
            Some(joined) = asking.join_next() => if let Ok(Err(kind)) = joined {
                break kind;
            },
            () = &mut over => break io::ErrorKind::ConnectionAborted,
        }
    };
    drop(asking);
    client.shutdown();
    ended.into()
}

/// Asks one query, and tells it what comes of it. An error is one of the whole connection.
async fn ask(
    mut client: impl DnsRequestSender,
    inbox: Arc<Inbox>,
    outgoing: Outgoing,
) -> Result<(), io::ErrorKind> {
    let id = outgoing.id;
    let Ok(message) = Message::from_vec(&outgoing.message) else {
        inbox.fail(id, Lost::Damaged(Some("what is no reply: the query cannot be written".into())));
        return Ok(());
    };
    let answer = client.send_message(DnsRequest::new(message, DnsRequestOptions::default())).first_answer();
    match answer.await {
        Ok(response) => {
            let mut message = response.into_buffer();
            // On the wire it is 0: the stream says what belongs together (RFC 9250 §4.2.1).
            if let Some(slot) = message.first_chunk_mut() {
                *slot = id.to_be_bytes();
            }
            let _ = inbox.deliver(message);
            Ok(())
        }
        Err(error) => match fate(&error) {
            Fate::Connection(kind) => Err(kind),
            Fate::Stream => {
                let had_answered = inbox.answered().0 > 0;
                inbox.fail(id, Lost::Ended { kind: io::ErrorKind::ConnectionReset, had_answered });
                Ok(())
            }
            Fate::Query(what) => {
                inbox.fail(id, Lost::Damaged(what));
                Ok(())
            }
        },
    }
}

/// What an error ends.
enum Fate {
    /// The connection, and all queries on it.
    Connection(io::ErrorKind),
    /// The stream of one query, which another connection may do better.
    Stream,
    /// The query alone: what came in its stream cannot be used.
    Query(Option<Box<str>>),
}

fn fate(error: &NetError) -> Fate {
    match error {
        NetError::H2(error) if error.is_reset() && !error.is_go_away() => Fate::Stream,
        NetError::H2(_) => Fate::Connection(io::ErrorKind::ConnectionReset),
        NetError::Io(error) => Fate::Connection(error.kind()),
        NetError::RequestTooLarge => Fate::Query(Some("more than a DNS message can hold".into())),
        NetError::Proto(_) => Fate::Query(None),
        NetError::Msg(text) => Fate::Query(http_status(text)),
        NetError::Message(_) | NetError::ParseInt(_) | NetError::Decode(_) => Fate::Query(None),
        #[cfg(feature = "doq")]
        NetError::QuicMessageIdNot0(_) => Fate::Query(None),
        #[cfg(feature = "doq")]
        NetError::QuinnReadError(error) if !error.to_string().contains("connection lost") => Fate::Stream,
        _ => Fate::Connection(io::ErrorKind::ConnectionReset),
    }
}

/// The status in the text of an HTTP error; its body, which follows, is nobody's business.
fn http_status(text: &str) -> Option<Box<str>> {
    let status = text.strip_prefix("http unsuccessful code: ")?.get(..3)?;
    Some(format!("HTTP status {status}").into())
}
