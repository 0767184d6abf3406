//! DNS over HTTPS (RFC 8484), over HTTP/2 and, for simple clients, HTTP/1.1.
//!
//! hyper speaks HTTP; which requests are queries, and what they are answered, is [`request`]'s. Here is
//! what bounds a connection in time: [`Activity`] knows since when nothing is asked, and since when
//! the client has not taken what it was answered.

mod activity;
mod request;

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::server::TlsStream;

use super::lingering;
use super::tcp::{Limits, Shared};
use super::tls::{Acceptor, RECORD, handshake};
use crate::answer::Responder;
use crate::metrics::CloseReason;
use crate::sys::QUERY_MAX;
use activity::{Activity, Watched};
use request::Desk;

/// Spoken here, in the order of preference.
pub(super) const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The heads of a request, bytes: a query in a URL, and what browsers say about themselves.
const MAX_HEAD: usize = 16 << 10;
/// Bytes of one HTTP/2 body, and of a whole connection's, that a client may send ahead of being read.
const STREAM_WINDOW: u32 = 2 * QUERY_MAX as u32;
const CONNECTION_WINDOW: u32 = 64 << 10;
/// What HTTP/2 may have ready to be sent on one stream.
const SEND_BUFFER: usize = 64 << 10;
/// Streams that a client may reset before they were looked at (CVE-2023-44487).
const MAX_RESETS: usize = 20;

/// Serves one client that connected to a listener for HTTPS.
pub(super) async fn serve<R: Responder>(
    acceptor: Acceptor,
    path: Arc<str>,
    stream: TcpStream,
    client: SocketAddr,
    limits: Limits,
    shared: Arc<Shared<R>>,
) -> CloseReason {
    let mut stream = match handshake(acceptor, stream, limits, &shared).await {
        Ok(stream) => stream,
        Err(reason) => return reason,
    };
    // What TLS holds is neither counted nor needed: one record.
    stream.get_mut().1.set_buffer_limit(Some(RECORD));
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let activity = Arc::new(Activity::new(Instant::now()));
    let desk = Arc::new(Desk::new(Arc::clone(&shared), client, path, Arc::clone(&activity), limits.stall));
    let service = service_fn(move |request: Request<Incoming>| {
        let desk = Arc::clone(&desk);
        async move { desk.serve(request).await }
    });
    let stream = Arc::new(Mutex::new(stream));
    let io: Io = TokioIo::new(Watched { stream: Arc::clone(&stream), activity: Arc::clone(&activity) });
    let watch = Watch { activity, limits };
    let reason = if is_http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(u32::try_from(limits.in_flight).unwrap_or(u32::MAX))
            .max_header_list_size(MAX_HEAD as u32)
            .max_pending_accept_reset_streams(MAX_RESETS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .serve_connection(io, service);
        watch.drive(connection, &shared).await
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle.max(limits.stall))
            .max_buf_size(MAX_HEAD)
            .serve_connection(io, service);
        watch.drive(connection, &shared).await
    };
    // The library has let it go with its connection.
    if let Some(stream) = Arc::into_inner(stream) {
        let stream = stream.into_inner().unwrap_or_else(PoisonError::into_inner);
        shared.lifeline.cut.run_until_cancelled(lingering::close(stream, reason)).await;
    }
    reason
}

/// A connection that can be told to end when what is under way is done.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn end(self: Pin<&mut Self>);
}

type Io = TokioIo<Watched<TlsStream<TcpStream>>>;

impl<S> Graceful for http1::Connection<Io, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = Full<Bytes>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Graceful for http2::Connection<Io, S, TokioExecutor>
where
    S: hyper::service::HttpService<Incoming, ResBody = Full<Bytes>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// What bounds a connection in time.
struct Watch {
    activity: Arc<Activity>,
    limits: Limits,
}

impl Watch {
    /// Serves until one side ends it.
    async fn drive<R: Responder>(self, connection: impl Graceful, shared: &Shared<R>) -> CloseReason {
        let mut connection = pin!(connection);
        let mut timer = pin!(sleep_until(Instant::now() + self.limits.idle));
        // Why it is ending, and when that has taken too long.
        let mut ending: Option<(CloseReason, Option<Instant>)> = None;
        loop {
            let gave_up = ending.and_then(|(_, until)| until);
            let progress = poll_fn(|cx| self.poll(connection.as_mut(), timer.as_mut(), gave_up, cx));
            tokio::select! {
                biased;
                () = shared.lifeline.cut.cancelled() => return CloseReason::Cut,
                progress = progress => match progress {
                    Progress::Ended(Ok(())) => return ending.map_or(CloseReason::Client, |(reason, _)| reason),
                    // The one error of ours.
                    Progress::Ended(Err(e)) if e.is_user() => return CloseReason::Dropped,
                    Progress::Ended(Err(_)) => return ending.map_or(CloseReason::Reset, |(reason, _)| reason),
                    Progress::Late(CloseReason::Idle) if ending.is_none() => {
                        connection.as_mut().end();
                        ending = Some((CloseReason::Idle, Some(Instant::now() + self.limits.stall)));
                    }
                    Progress::Late(reason) => return ending.map_or(reason, |(reason, _)| reason),
                },
                () = shared.lifeline.drain.cancelled(), if !matches!(ending, Some((CloseReason::Drain, _))) => {
                    connection.as_mut().end();
                    ending = Some((CloseReason::Drain, None));
                }
            }
        }
    }

    fn poll(
        &self,
        connection: Pin<&mut impl Graceful>,
        mut timer: Pin<&mut tokio::time::Sleep>,
        gave_up: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<Progress> {
        if let Poll::Ready(ended) = connection.poll(cx) {
            return Poll::Ready(Progress::Ended(ended));
        }
        let (mut deadline, mut reason) = self.activity.deadline(&self.limits);
        if let Some(gave_up) = gave_up {
            (deadline, reason) = (gave_up, CloseReason::Idle);
        }
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.poll(cx).map(|()| Progress::Late(reason))
    }
}

enum Progress {
    Ended(hyper::Result<()>),
    Late(CloseReason),
}
