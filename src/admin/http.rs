//! `admin.listen`: GET /metrics, /livez and /readyz.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::BindError;
use super::connections::{Limits, serve};
use crate::metrics::AdminMetrics;
use crate::sys::{self, Estate, SocketName};

const LIMITS: Limits = Limits { connections: 64, lifetime: Duration::from_secs(10) };
/// A request must have come whole by then.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Request line and headers together; beyond it the answer is 431.
const MAX_HEAD: usize = 16 << 10;

/// Whether the process is well. The text says what is wrong, for people and logs.
pub trait Health: Send + Sync + 'static {
    /// `Err` asks for a restart: nothing but a new process can help.
    ///
    /// # Errors
    /// What is broken.
    fn live(&self) -> Result<(), String>;

    /// `Err` asks for no queries to be sent here, for now.
    ///
    /// # Errors
    /// What is waited for.
    fn ready(&self) -> Result<(), String>;
}

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// /livez and /readyz.
    pub health: Arc<dyn Health>,
    /// The body of /metrics; called for each scrape, on the listener's thread.
    pub render: Arc<dyn Fn() -> String + Send + Sync>,
}

/// The bound listener. Nothing is accepted before [`HttpListener::run`].
pub struct HttpListener {
    listener: TcpListener,
    asked: SocketAddr,
    address: SocketAddr,
}

/// What the listener is called when it is handed over.
const KIND: &str = "http";

impl HttpListener {
    /// Binds `address`. Must be called within a runtime.
    ///
    /// # Errors
    /// [`BindError::Http`] names the address.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let error = |source| BindError::Http { address, source };
        let listener = TcpListener::bind(address).await.map_err(error)?;
        let (asked, address) = (address, listener.local_addr().map_err(error)?);
        Ok(Self { listener, asked, address })
    }

    /// [`HttpListener::bind`] with the listener of another process, if that had one for `address`.
    ///
    /// # Errors
    /// As there.
    pub async fn succeed(address: SocketAddr, estate: &mut Estate) -> Result<Self, BindError> {
        let real = estate.addr_of(KIND, address);
        let Some((real, taken)) = real.and_then(|real| Some((real, estate.take(KIND, real, true)?))) else {
            return Self::bind(address).await;
        };
        let error = |source| BindError::Http { address, source };
        let listener = TcpListener::from_std(taken.into()).map_err(error)?;
        Ok(Self { listener, asked: address, address: real })
    }

    /// A second descriptor of the listener, with its name.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn duplicate(&self) -> io::Result<(SocketName, OwnedFd)> {
        Ok((SocketName::new(KIND, self.asked, self.address, 0), sys::duplicate(&self.listener)?))
    }

    /// Where it listens, with the port the system chose for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves `pages` until `shutdown`: at most 64 connections at a time, one request and at most
    /// 10 seconds each.
    pub async fn run(self, pages: Pages, shutdown: CancellationToken) {
        let metrics = AdminMetrics::register("http");
        let handle = move |stream| connection(stream, pages.clone());
        serve(self.listener, LIMITS, metrics, shutdown, handle).await;
    }
}

async fn connection(stream: TcpStream, pages: Pages) {
    let service = service_fn(move |request| {
        let response = respond(&request, &pages);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!(%error, "admin connection failed");
    }
}

/// The body of a request is never read: no page takes one.
fn respond(request: &Request<Incoming>, pages: &Pages) -> Response<Full<Bytes>> {
    let page: fn(&Pages) -> Response<Full<Bytes>> = match request.uri().path() {
        "/metrics" => |pages| {
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            page(StatusCode::OK, kind, (pages.render)())
        },
        "/livez" => |pages| state(pages.health.live()),
        "/readyz" => |pages| state(pages.health.ready()),
        _ => return text(StatusCode::NOT_FOUND, "not found\n"),
    };
    if request.method() != Method::GET {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    page(pages)
}

fn state(state: Result<(), String>) -> Response<Full<Bytes>> {
    match state {
        Ok(()) => text(StatusCode::OK, "ok\n"),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

fn text(status: StatusCode, body: impl Into<String>) -> Response<Full<Bytes>> {
    page(status, HeaderValue::from_static("text/plain; charset=utf-8"), body.into())
}

fn page(status: StatusCode, kind: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
