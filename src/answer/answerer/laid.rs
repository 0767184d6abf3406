//! Rules laid out anew when settings or hosts files change.

use std::sync::{Arc, PoisonError};

use super::{Answerer, Rules};
use crate::answer::Settings;
use crate::source::hosts::Hosts;
use crate::watch::{Sampling, Watch};

/// What the rules were made of.
pub(super) struct Laid {
    settings: Settings,
    hosts: Vec<Arc<Hosts>>,
    /// Rules that were swapped out: freeing those of a long hosts file takes longer than who answers may.
    old: Vec<Arc<Rules>>,
}

impl Laid {
    /// No hosts files yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, hosts: Vec::new(), old: Vec::new() }
    }

    fn sweep(&mut self) {
        self.old.retain(|rules| Arc::strong_count(rules) > 1);
    }
}

impl Answerer {
    /// Takes other settings from the next batch on.
    pub fn reload(&self, settings: Settings) {
        self.0.miss.reload(&settings);
        let mut is_protected_otherwise = false;
        self.lay(|laid| {
            is_protected_otherwise = laid.settings.rebinding != settings.rebinding;
            laid.settings = settings;
        });
        // What is learned is held against the protection, what was learned before has not been.
        if is_protected_otherwise {
            self.0.cache.flush();
        }
    }

    /// Takes the names of these hosts files, in place of those before, from the next batch on.
    pub fn set_hosts(&self, hosts: Vec<Arc<Hosts>>) {
        self.lay(|laid| laid.hosts = hosts);
    }

    fn lay(&self, change: impl FnOnce(&mut Laid)) {
        let mut laid = self.0.laid.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut laid);
        let sampling = self.0.watch.get().map_or(Sampling::NONE, Watch::sampling);
        let rules = Rules::of(&laid.settings, &laid.hosts, sampling, Some(&self.0.rules.load()));
        let old = self.0.rules.swap(Arc::new(rules));
        laid.old.push(old);
        laid.sweep();
    }

    /// Frees what was swapped out and is in nobody's hands any more; worth a call every few seconds.
    pub fn sweep(&self) {
        self.0.laid.lock().unwrap_or_else(PoisonError::into_inner).sweep();
    }
}
