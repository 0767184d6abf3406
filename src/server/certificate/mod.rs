//! The certificate that encrypted listeners show: read from files, and again whenever they change.
//!
//! Whoever issues certificates swaps files and links; so content is compared, not times. What cannot be
//! used never takes the place of what can; where there is nothing else, nothing is shown, and encrypted
//! connections are closed at once, until the files are good. Everything else is served meanwhile.
//! Connections that are open go on with what they began with.

mod load;
mod validity;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::settings::CertificateFiles;
use crate::metrics::ServerMetrics;

pub use load::{CertificateError, check};

use load::{Loaded, Pem};

/// How often the files are read, while there is a certificate to show and while there is none.
const POLL: Duration = Duration::from_secs(10);
const POLL_FOR_FIRST: Duration = Duration::from_secs(1);
/// A certificate that ends within this is warned of ...
const SOON: Duration = Duration::from_secs(3 * DAY);
/// ... once in this time.
const DAY: u64 = 24 * 3600;

/// What is shown to clients at the moment.
pub(super) struct Identity {
    /// `None` until the files have once been good.
    current: ArcSwapOption<CertifiedKey>,
    state: Mutex<State>,
    metrics: Arc<ServerMetrics>,
}

struct State {
    files: CertificateFiles,
    /// Of the content in force; 0 for none.
    taken: u64,
    /// Of the content that was refused last, and why: each is said once.
    refused: Option<(u64, String)>,
    not_after: Option<u64>,
    /// When its end was last warned of, in seconds since 1970.
    warned: Option<u64>,
}

impl Identity {
    /// Reads the files. Where they cannot be used that is said, and there is nothing to show until they can.
    pub fn load(files: CertificateFiles, metrics: Arc<ServerMetrics>) -> Self {
        let state = State { files, taken: 0, refused: None, not_after: None, warned: None };
        let identity = Self { current: ArcSwapOption::empty(), state: Mutex::new(state), metrics };
        identity.look(SystemTime::now());
        identity
    }

    /// Whether there is something to show.
    pub fn is_there(&self) -> bool {
        self.current.load().is_some()
    }

    /// Reads the files again, those of `files` from now on.
    pub fn reload(&self, files: &CertificateFiles) {
        self.state().files.clone_from(files);
        self.look(SystemTime::now());
    }

    /// Looks after the files until `end`.
    pub async fn run(self: Arc<Self>, end: CancellationToken) {
        let pause = || sleep(if self.is_there() { POLL } else { POLL_FOR_FIRST });
        while end.run_until_cancelled(pause()).await.is_some() {
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
        self.metrics.set_certificate(state.refused.is_none(), state.not_after);
        state.warn_of_end(now);
    }

    fn take(&self, state: &mut State, loaded: Loaded, fingerprint: u64) {
        let is_first = self.current.swap(Some(loaded.key)).is_none();
        state.taken = fingerprint;
        state.not_after = loaded.not_after;
        (state.refused, state.warned) = (None, None);
        let file = state.files.chain.display();
        if is_first {
            info!(%file, "encrypted connections are shown this certificate");
        } else {
            self.metrics.certificate_taken();
            info!(%file, "new connections are shown a new certificate");
        }
    }

    fn refuse(&self, state: &mut State, error: &CertificateError, fingerprint: u64) {
        let refused = (fingerprint, error.with_causes());
        if state.refused.as_ref() == Some(&refused) {
            return;
        }
        let (error, fix) = (&refused.1, error.remedy());
        if self.is_there() {
            error!(error, fix, "the new certificate is refused, the old one stays");
        } else {
            error!(
                error,
                fix, "no certificate: connections over TLS, HTTPS and QUIC are closed until there is one"
            );
        }
        self.metrics.certificate_refused();
        state.refused = Some(refused);
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
        self.current.load_full()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("files", &self.state().files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
