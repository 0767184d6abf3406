//! What the importer does when a job beside it has ended, and when somebody asks for a refresh.

use std::io;
use std::path::Path;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::crew::Report;
use super::desk::Effects;
use super::fetch::Ticket;
use super::job::JobDone;
use super::run::Importer;
use super::store::Op;
use super::{RefreshRequest, state};
use crate::metrics::import::StateProblem;
use crate::source::{FoundZone, SourceError, ZoneId};

impl Importer {
    pub(super) fn take(&mut self, report: Report) {
        let now = Instant::now();
        match report {
            Report::Discovered(at, result) => self.discovered(at, result, now),
            Report::Imported(at, ticket, done) => self.imported(at, ticket, *done, now),
            Report::Stored(path, result) => self.stored(&path, result),
            Report::Looked(at, result) => {
                let Some(desk) = self.desks.get_mut(at) else { return };
                match result {
                    Some(result) => desk.vitals.looked(result, &self.metrics.health, now),
                    None => desk.vitals.knows_nothing(),
                }
            }
            Report::Probed(at, number, results) => {
                let Some(desk) = self.desks.get_mut(at) else { return };
                desk.vitals.probed(number, results, &self.metrics.health, now);
            }
            Report::Replanned(at, replanned) => {
                let Some(desk) = self.desks.get_mut(at) else { return };
                let effects = desk.replanned(replanned);
                self.apply(at, effects);
            }
            Report::Freed => {}
        }
    }

    fn discovered(&mut self, at: usize, result: Result<Vec<FoundZone>, SourceError>, now: Instant) {
        self.check_origin(at);
        let Some(desk) = self.desks.get_mut(at) else { return };
        desk.discovery.running = false;
        let effects = match result {
            Ok(found) => desk.discovered(found, now),
            Err(error) => {
                desk.discovery_failed(&error, now);
                Effects::default()
            }
        };
        // Whether withheld names are forwarded hangs on the upstreams, which may have changed.
        self.dirty |= desk.withholds_names();
        self.apply(at, effects);
    }

    fn imported(&mut self, at: usize, ticket: Ticket, mut done: JobDone, now: Instant) {
        if let Ok(imported) = &mut done.result {
            self.spent.extend(imported.spent.take());
        }
        let withdrawn = self.check_origin(at);
        let id = ticket.id.clone();
        let Some(desk) = self.desks.get_mut(at) else { return };
        if withdrawn > 0 {
            desk.rediscover(now);
        }
        let (effects, file) = desk.imported(ticket, done, now);
        self.apply(at, effects);
        if let Some(bytes) = file {
            self.put_file(at, &id, Op::Write(bytes));
        }
    }

    fn check_origin(&mut self, at: usize) -> usize {
        let mut effects = Effects::default();
        let withdrawn = self.desks.get_mut(at).map_or(0, |desk| desk.check_origin(&mut effects));
        for _ in 0..withdrawn {
            self.metrics.state_error(StateProblem::Foreign);
        }
        self.apply(at, effects);
        withdrawn
    }

    pub(super) fn stored(&mut self, path: &Path, result: io::Result<()>) {
        if let Some(store) = &mut self.store {
            store.done();
        }
        let failed_before = std::mem::replace(&mut self.cannot_write, result.is_err());
        let file = path.display();
        match result {
            Ok(()) if failed_before => info!(%file, "last good zones are written again"),
            Ok(()) => debug!(%file, "state file is up to date"),
            Err(error) => {
                self.metrics.state_error(StateProblem::Unwritten);
                if failed_before {
                    debug!(%file, %error, "last good zone was not written either");
                } else {
                    warn!(%file, %error, "last good zone was not written");
                }
            }
        }
    }

    /// Lets everybody know of a change at desk `at`.
    pub(super) fn apply(&mut self, at: usize, effects: Effects) {
        self.dirty |= effects.publish;
        self.changed.extend(effects.changed);
        for id in &effects.removed {
            self.put_file(at, id, Op::Delete);
        }
        for id in &effects.unread {
            self.keep_unread(at, id);
        }
        if let Some(desk) = self.desks.get(at) {
            self.board.note(at, desk, effects.touched.iter());
        }
    }

    /// Keeps that a zone cannot be read: without it the next process would deny its names in the name of a
    /// zone above it.
    fn keep_unread(&mut self, at: usize, id: &ZoneId) {
        let Some(desk) = self.desks.get(at).filter(|_| self.store.is_some()) else { return };
        let Some(file) = desk.zones.get(id).and_then(|entry| desk.unread_file(id, entry, &self.clock)) else {
            return;
        };
        match state::encode_state(&file) {
            Ok(bytes) => self.put_file(at, id, Op::Write(bytes)),
            Err(error) => {
                warn!(zone = %file.data.apex, %id, %error, "that a zone cannot be read is not kept")
            }
        }
    }

    fn put_file(&mut self, at: usize, id: &ZoneId, op: Op) {
        if let (Some(store), Some(desk)) = (&mut self.store, self.desks.get(at)) {
            store.put(state::file_name(desk.source.kind(), desk.source.label(), id), op);
        }
    }

    pub(super) fn refresh(&mut self, request: &RefreshRequest) -> usize {
        let now = Instant::now();
        let mut hurried = 0;
        for (at, desk) in self.desks.iter_mut().enumerate() {
            if request.zone.is_none() {
                desk.rediscover(now);
            }
            let wanted = |apex| request.zone.as_ref().is_none_or(|zone| zone == apex);
            let ids: Vec<ZoneId> =
                desk.zones.iter().filter(|(_, z)| wanted(&z.found.apex)).map(|(id, _)| id.clone()).collect();
            hurried += ids.iter().filter(|id| desk.hurry(id, now)).count();
            self.board.note(at, desk, ids.iter());
        }
        hurried
    }
}
