//! Fetching on the thread that received the query.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::answerer::with_one_view;
use super::{Answerer, Lane, PendingQuery, Reply};
use crate::upstream;

/// A thread's answerer and its sockets to the upstreams.
pub(super) struct OwnLane {
    pub(super) answerer: Answerer,
    pub(super) lane: upstream::Lane,
}

impl Lane for OwnLane {
    fn watch(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.lane.watch(&socket)
    }

    fn unwatch(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.lane.unwatch(&socket)
    }

    fn is_idle(&self) -> bool {
        self.lane.is_idle()
    }

    fn begin(&mut self) {
        self.lane.refresh();
    }

    fn submit(&mut self, pending: Box<PendingQuery>, reply: Arc<dyn Reply>) {
        self.answerer.fetch(pending, reply, Some(&mut self.lane));
    }

    fn wait(&mut self) -> io::Result<bool> {
        with_one_view(|| self.lane.wait(self.answerer.miss()))
    }
}
