//! One request of HTTPS: whether it is a query, and the response with its status (RFC 8484 §4).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::activity::Activity;
use crate::answer::{Asker, Responder, Transport};
use crate::server::outbox::Piece;
use crate::server::single::{self, Unanswered};
use crate::server::tcp::Shared;
use crate::sys::QUERY_MAX;
use crate::wire::finished::freshness;

/// The media type of DNS messages (RFC 8484 §6).
const DNS_MESSAGE: &str = "application/dns-message";

/// A rule has the query dropped.
#[derive(Debug, thiserror::Error)]
#[error("the query is dropped")]
pub(super) struct Dropped;

/// What answers the requests of one connection.
pub(super) struct Desk<R> {
    shared: Arc<Shared<R>>,
    client: SocketAddr,
    path: Arc<str>,
    activity: Arc<Activity>,
    /// For a body to arrive.
    patience: Duration,
}

impl<R: Responder> Desk<R> {
    pub fn new(
        shared: Arc<Shared<R>>,
        client: SocketAddr,
        path: Arc<str>,
        activity: Arc<Activity>,
        patience: Duration,
    ) -> Self {
        Self { shared, client, path, activity, patience }
    }

    /// Answers one request.
    ///
    /// # Errors
    /// It is not to be answered: over HTTP/2 its stream is reset, over HTTP/1.1, where the next response would pass for
    /// its own, the connection is closed.
    pub async fn serve(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
        let _under_way = self.activity.request();
        let response = match self.query(request).await {
            Ok(query) => self.answer(&query).await?,
            Err(status) => empty(status),
        };
        self.shared.metrics.https_response(response.status().as_u16());
        Ok(response)
    }

    async fn answer(&self, query: &[u8]) -> Result<Response<Full<Bytes>>, Dropped> {
        let asker = Asker::new(self.client, Transport::Https);
        Ok(match single::answer(&self.shared, query, asker).await {
            Ok(piece) => self.message(piece),
            Err(Unanswered::Dropped) => return Err(Dropped),
            Err(Unanswered::NotAQuery) => empty(StatusCode::BAD_REQUEST),
            Err(Unanswered::NoRoom) => empty(StatusCode::SERVICE_UNAVAILABLE),
            Err(Unanswered::Nothing) => empty(StatusCode::INTERNAL_SERVER_ERROR),
        })
    }

    /// The response with its message, whatever its code says: HTTP has worked (RFC 8484 §4.2.1).
    fn message(&self, piece: Piece) -> Response<Full<Bytes>> {
        let max_age = format!("max-age={}", freshness(piece.as_ref()));
        let body = Bytes::from_owner(self.activity.response(piece));
        let mut response = Response::new(Full::new(body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(DNS_MESSAGE));
        if let Ok(max_age) = HeaderValue::try_from(max_age) {
            headers.insert(CACHE_CONTROL, max_age);
        }
        response
    }

    /// The query in a request, or the status that says why there is none.
    async fn query(&self, request: Request<Incoming>) -> Result<Bytes, StatusCode> {
        if request.uri().path() != &*self.path {
            return Err(StatusCode::NOT_FOUND);
        }
        match *request.method() {
            Method::GET => in_url(request.uri().query()),
            Method::POST => self.in_body(request).await,
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    async fn in_body(&self, request: Request<Incoming>) -> Result<Bytes, StatusCode> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        // Parameters of the type would mean nothing.
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case(DNS_MESSAGE) {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let body = request.into_body();
        if body.size_hint().lower() > QUERY_MAX as u64 {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        match timeout(self.patience, Limited::new(body, QUERY_MAX).collect()).await {
            Ok(Ok(query)) => Ok(query.to_bytes()),
            Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
            Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        }
    }
}

/// The query in the variable `dns` of a URL (RFC 8484 §6), base64url without padding.
fn in_url(variables: Option<&str>) -> Result<Bytes, StatusCode> {
    let mut values = variables.unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("dns="));
    let text = values.next().ok_or(StatusCode::BAD_REQUEST)?;
    if values.next().is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    let query = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| StatusCode::BAD_REQUEST)?;
    if query.len() > QUERY_MAX { Err(StatusCode::URI_TOO_LONG) } else { Ok(query.into()) }
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_found_among_other_variables() {
        // RFC 8484 §4.1.1: a query for www.example.com.
        let text = "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB";
        let query = in_url(Some(&format!("ct=1&dns={text}&x"))).unwrap();
        assert_eq!(query[12..17], *b"\x03www\x07");
        assert_eq!(query.len(), 33);
    }

    #[test]
    fn a_url_without_one_good_query_is_a_bad_request() {
        for url in [
            None,
            Some(""),
            Some("dns"),
            Some("DNS=AAAA"),
            Some("dns=AAAA&dns=AAAA"),
            Some("dns=AAA="),
            Some("dns=A+/A"),
            Some("dns=A"),
        ] {
            assert_eq!(in_url(url), Err(StatusCode::BAD_REQUEST), "{url:?}");
        }
        let long = BASE64URL_NOPAD.encode(&[0; QUERY_MAX + 1]);
        assert_eq!(in_url(Some(&format!("dns={long}"))), Err(StatusCode::URI_TOO_LONG));
    }
}
