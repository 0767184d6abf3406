//! The queries that wait for replies on one socket, and the check that a datagram is one.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::ids::{Finished, fresh_id};
use super::pool::Link;
use crate::wire::ask::read_reply;
use crate::wire::{Name, Rtype};

/// What happened to a query that was sent.
#[derive(Debug)]
pub(super) struct Event {
    /// The number its sender gave it.
    pub(super) tag: usize,
    /// What happened.
    pub(super) what: What,
}

/// What happened to a query that was sent.
#[derive(Debug)]
pub enum What {
    /// A response to it, id and question checked.
    Reply(Vec<u8>),
    /// Something came to its socket that is not its reply; it still waits. Told once.
    Mismatch,
    /// The network says that nobody is there.
    Io(io::ErrorKind),
}

/// The queries waiting on one socket.
#[derive(Debug)]
pub(super) struct Pending {
    state: Mutex<State>,
    mismatched: metrics::Counter,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    finished: Finished,
}

#[derive(Debug)]
struct Waiting {
    id: u16,
    question: Arc<(Name, Rtype)>,
    tag: usize,
    told: Told,
    events: mpsc::Sender<Event>,
}

/// What a query has been told: each thing once, so that no flood fills its channel.
#[derive(Debug, Default)]
struct Told {
    mismatch: bool,
    io: bool,
    reply: bool,
}

impl Waiting {
    fn tell(&mut self, what: What) {
        let told = match what {
            What::Reply(_) => &mut self.told.reply,
            What::Mismatch => &mut self.told.mismatch,
            What::Io(_) => &mut self.told.io,
        };
        if !std::mem::replace(told, true) {
            let _ = self.events.try_send(Event { tag: self.tag, what });
        }
    }
}

/// A query's place among those waiting; given up when dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// The socket to send on.
    pub(super) link: Arc<Link>,
    /// The random id to send the query with.
    pub(super) id: u16,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.link.pending().forget(self.id);
    }
}

impl Pending {
    pub(super) fn new(mismatched: metrics::Counter) -> Self {
        Self { state: Mutex::default(), mismatched }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a query about to be sent on `link` under a random id that no other has there.
    /// `None`: the socket has too many waiting already.
    pub(super) fn join(
        link: &Arc<Link>,
        question: &Arc<(Name, Rtype)>,
        tag: usize,
        events: &mpsc::Sender<Event>,
    ) -> Option<Place> {
        let mut state = link.pending().lock();
        let id = fresh_id(state.waiting.len(), |id| state.waiting.iter().any(|w| w.id == id))?;
        state.finished.forget(id);
        let (question, events) = (Arc::clone(question), events.clone());
        state.waiting.push(Waiting { id, question, tag, told: Told::default(), events });
        Some(Place { link: Arc::clone(link), id })
    }

    fn forget(&self, id: u16) {
        let mut state = self.lock();
        state.waiting.retain(|w| w.id != id);
        state.finished.remember(id);
    }

    /// Hands a datagram to the query it answers. What answers none is counted, and those it may
    /// have been aimed at are warned.
    pub(super) fn deliver(&self, message: &[u8]) {
        let Some(id) = message.first_chunk().map(|&b| u16::from_be_bytes(b)) else {
            return self.mismatched.increment(1);
        };
        let mut state = self.lock();
        if let Some(waiting) = state.waiting.iter_mut().find(|w| w.id == id) {
            if read_reply(message, waiting.question.0.as_ref(), waiting.question.1).is_some() {
                waiting.tell(What::Reply(message.to_vec()));
            } else {
                waiting.tell(What::Mismatch);
                self.mismatched.increment(1);
            }
        } else if !state.finished.contains(id) {
            state.waiting.iter_mut().for_each(|w| w.tell(What::Mismatch));
            self.mismatched.increment(1);
        }
    }

    /// Tells every waiting query that the network cannot reach the upstream.
    pub(super) fn fail(&self, kind: io::ErrorKind) {
        self.lock().waiting.iter_mut().for_each(|w| w.tell(What::Io(kind)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::ids::MAX_WAITING;
    use crate::upstream::pool::Pool;
    use crate::wire::Rcode;
    use crate::wire::sample::{name, response};

    struct Bench {
        link: Arc<Link>,
        sender: mpsc::Sender<Event>,
        events: mpsc::Receiver<Event>,
    }

    fn bench() -> Bench {
        let pool = Pool::new("127.0.0.1:9".parse().unwrap(), 1, std::time::Duration::from_secs(60));
        let link = pool.draw(&metrics::Counter::noop()).unwrap();
        let (sender, events) = mpsc::channel(16);
        Bench { link, sender, events }
    }

    impl Bench {
        fn join(&self, tag: usize) -> Place {
            let question = Arc::new((name("a.test"), Rtype::A));
            Pending::join(&self.link, &question, tag, &self.sender).unwrap()
        }

        fn deliver(&self, id: u16) {
            let mut message = response("a.test", Rtype::A, Rcode::NOERROR, &[], &[]);
            message[..2].copy_from_slice(&id.to_be_bytes());
            self.link.pending().deliver(&message);
        }

        fn told(&mut self) -> Vec<(usize, &'static str)> {
            std::iter::from_fn(|| self.events.try_recv().ok())
                .map(|event| match event.what {
                    What::Reply(_) => (event.tag, "reply"),
                    What::Mismatch => (event.tag, "mismatch"),
                    What::Io(_) => (event.tag, "io"),
                })
                .collect()
        }
    }

    #[tokio::test]
    async fn a_reply_reaches_the_query_whose_id_it_has() {
        let mut bench = bench();
        let (one, two) = (bench.join(1), bench.join(2));
        assert_ne!(one.id, two.id);
        bench.deliver(two.id);
        bench.deliver(two.id);
        assert_eq!(bench.told(), [(2, "reply")]);
    }

    #[tokio::test]
    async fn a_guessed_id_warns_all_who_wait_on_the_socket_once() {
        let mut bench = bench();
        let (one, two) = (bench.join(1), bench.join(2));
        let guess = (0..=u16::MAX).find(|id| ![one.id, two.id].contains(id)).unwrap();
        for _ in 0..100 {
            bench.deliver(guess);
        }
        bench.link.pending().deliver(b"x");
        assert_eq!(bench.told(), [(1, "mismatch"), (2, "mismatch")]);
        bench.deliver(one.id);
        assert_eq!(bench.told(), [(1, "reply")], "the flood has not crowded it out");
    }

    #[tokio::test]
    async fn a_late_reply_to_a_finished_query_is_no_forgery() {
        let mut bench = bench();
        let finished = bench.join(1).id;
        let waiting = bench.join(2);
        bench.deliver(finished);
        assert!(bench.told().is_empty() || waiting.id == finished);
    }

    #[tokio::test]
    async fn an_unreachable_upstream_is_told_to_all_who_wait_once() {
        let mut bench = bench();
        let _places = (bench.join(1), bench.join(2));
        bench.link.pending().fail(io::ErrorKind::ConnectionRefused);
        bench.link.pending().fail(io::ErrorKind::ConnectionRefused);
        assert_eq!(bench.told(), [(1, "io"), (2, "io")]);
    }

    #[tokio::test]
    async fn a_socket_takes_so_many_queries_and_no_more() {
        let bench = bench();
        let _places: Vec<_> = (0..MAX_WAITING).map(|tag| bench.join(tag)).collect();
        let question = Arc::new((name("a.test"), Rtype::A));
        assert!(Pending::join(&bench.link, &question, 0, &bench.sender).is_none());
    }
}
