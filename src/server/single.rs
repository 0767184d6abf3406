//! Queries that each have a stream or request of their own, over HTTPS and QUIC: one in, one response out.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::outbox::{Budget, Piece};
use super::tcp::Shared;
use crate::answer::{Asker, Disposition, PendingQuery, Reply, Responder};
use crate::wire::finished::{Asked, Extras};
use crate::wire::query::HEADER;
use crate::wire::response::MAX_MESSAGE;

thread_local! {
    static OUT: RefCell<Box<[u8]>> = RefCell::new(vec![0; MAX_MESSAGE].into_boxed_slice());
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// No query: too short for a header, or a response.
    NotAQuery,
    /// A rule has it dropped: nothing is to be said.
    Dropped,
    /// Too many bytes wait for slow clients.
    NoRoom,
    /// There will be none.
    Nothing,
}

enum Begun {
    Done(Result<Piece, Unanswered>),
    Submit(Box<PendingQuery>),
}

/// Answers `query`. Whoever stops waiting is forgotten: the response then goes nowhere.
pub(super) async fn answer<R: Responder>(
    shared: &Shared<R>,
    query: &[u8],
    asker: Asker,
) -> Result<Piece, Unanswered> {
    // How long a connection may be idle is a matter of HTTP and QUIC themselves (RFC 9250 §5.5.2).
    let extras = Extras { pads: Asked::of(query).padding, keepalive: None };
    let pending = match begin(shared, query, asker, extras) {
        Begun::Done(done) => return done,
        Begun::Submit(pending) => pending,
    };
    let (to, response) = oneshot::channel();
    let reply = SingleReply { to: Mutex::new(Some(to)), budget: shared.budget.clone(), extras };
    shared.responder.submit(pending, Arc::new(reply));
    response.await.unwrap_or(Err(Unanswered::Nothing))
}

/// What can be done at once.
fn begin<R: Responder>(shared: &Shared<R>, query: &[u8], asker: Asker, extras: Extras) -> Begun {
    OUT.with_borrow_mut(|out| {
        let view = shared.responder.view();
        match shared.responder.answer(&view, query, asker, out, &shared.tally) {
            Disposition::Respond(len) => {
                let len = extras.add(out, len);
                let response = out.get(..len).filter(|response| !response.is_empty());
                let Some(response) = response else { return Begun::Done(Err(Unanswered::Nothing)) };
                Begun::Done(Piece::new(&[response], &shared.budget).ok_or(Unanswered::NoRoom))
            }
            Disposition::Forward(pending) => Begun::Submit(pending),
            Disposition::Drop if is_query(query) => Begun::Done(Err(Unanswered::Dropped)),
            Disposition::Drop => Begun::Done(Err(Unanswered::NotAQuery)),
        }
    })
}

/// Whether there is a header, and it is not that of a response.
fn is_query(message: &[u8]) -> bool {
    message.len() >= HEADER && message.get(2).is_some_and(|flags| flags & 0x80 == 0)
}

/// The way back to one request.
struct SingleReply {
    to: Mutex<Option<oneshot::Sender<Result<Piece, Unanswered>>>>,
    budget: Budget,
    extras: Extras,
}

impl Reply for SingleReply {
    fn send(&self, _: &Asker, response: &[u8]) {
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(to) = to.filter(|to| !to.is_closed()) else { return };
        let response = self.extras.added(response);
        let is_message = (1..=MAX_MESSAGE).contains(&response.len());
        let piece = match Piece::new(&[&response], &self.budget) {
            _ if !is_message => Err(Unanswered::Nothing),
            Some(piece) => Ok(piece),
            None => Err(Unanswered::NoRoom),
        };
        // Fails only when nobody waits any more.
        let _ = to.send(piece);
    }
}
