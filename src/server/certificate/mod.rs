//! The certificate that encrypted listeners show: read from files, and again whenever they change.
//!
//! Whoever issues certificates swaps files and links; so content is compared, not times. What cannot be
//! used never takes the place of what can. Connections that are open go on with what they began with.

mod load;
mod validity;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::settings::CertificateFiles;
use crate::metrics::ServerMetrics;

pub use load::{CertificateError, check};

use load::{Loaded, Pem};

/// How often the files are read.
const POLL: Duration = Duration::from_secs(10);
/// A certificate that ends within this is warned of ...
const SOON: Duration = Duration::from_secs(3 * DAY);
/// ... once in this time.
const DAY: u64 = 24 * 3600;

/// What is shown to clients at the moment.
pub(super) struct Identity {
    current: ArcSwap<CertifiedKey>,
    state: Mutex<State>,
    metrics: Arc<ServerMetrics>,
}

struct State {
    files: CertificateFiles,
    /// Of the content in force, and of what was refused last: each is said once.
    taken: u64,
    refused: Option<u64>,
    not_after: Option<u64>,
    /// When its end was last warned of, in seconds since 1970.
    warned: Option<u64>,
}

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub fn load(files: CertificateFiles, metrics: Arc<ServerMetrics>) -> Result<Self, CertificateError> {
        let pem = Pem::read(&files)?;
        let Loaded { key, not_after } = pem.parse(&files)?;
        let taken = pem.fingerprint();
        let state = State { files, taken, refused: None, not_after, warned: None };
        let identity = Self { current: ArcSwap::new(key), state: Mutex::new(state), metrics };
        identity.look(SystemTime::now());
        Ok(identity)
    }

    /// Reads the files again, those of `files` from now on.
    pub fn reload(&self, files: &CertificateFiles) {
        self.state().files.clone_from(files);
        self.look(SystemTime::now());
    }

    /// Looks after the files until `end`.
    pub async fn run(self: Arc<Self>, end: CancellationToken) {
        while end.run_until_cancelled(sleep(POLL)).await.is_some() {
            let identity = Arc::clone(&self);
            let look = move || identity.look(SystemTime::now());
            if let Err(error) = tokio::task::spawn_blocking(look).await {
                error!(%error, "looking at the certificate's files failed");
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what is new in the files, if it is good.
    fn look(&self, now: SystemTime) {
        let mut state = self.state();
        match Pem::read(&state.files) {
            Ok(pem) if pem.fingerprint() == state.taken => state.refused = None,
            Ok(pem) => {
                let fingerprint = pem.fingerprint();
                match pem.parse(&state.files) {
                    Ok(loaded) => self.take(&mut state, loaded, fingerprint),
                    Err(error) => self.refuse(&mut state, &error, fingerprint),
                }
            }
            // No content has this one: it is said once, until there is some again.
            Err(error) => self.refuse(&mut state, &error, 0),
        }
        self.metrics.set_certificate_expiry(state.not_after);
        state.warn_of_end(now);
    }

    fn take(&self, state: &mut State, loaded: Loaded, fingerprint: u64) {
        self.current.store(loaded.key);
        state.taken = fingerprint;
        state.not_after = loaded.not_after;
        (state.refused, state.warned) = (None, None);
        self.metrics.certificate_taken();
        info!(file = %state.files.chain.display(), "new connections are shown a new certificate");
    }

    fn refuse(&self, state: &mut State, error: &CertificateError, fingerprint: u64) {
        if state.refused.replace(fingerprint) != Some(fingerprint) {
            self.metrics.certificate_refused();
            error!(error = %error.with_causes(), "the new certificate is refused, the old one stays");
        }
    }
}

impl State {
    fn warn_of_end(&mut self, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let is_due = self.warned.is_none_or(|warned| now >= warned.saturating_add(DAY));
        let Some(left) = self.not_after.map(|end| end.saturating_sub(now)) else { return };
        if left >= SOON.as_secs() || !is_due {
            return;
        }
        self.warned = Some(now);
        let file = self.files.chain.display();
        if left == 0 {
            error!(%file, "the certificate has expired: clients that verify it are not served");
        } else {
            warn!(%file, hours_left = left / 3600, "the certificate expires soon");
        }
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("files", &self.state().files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
