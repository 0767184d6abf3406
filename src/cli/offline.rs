//! The commands that read the configuration and its sources themselves.

use std::future::Future;
use std::time::Duration;

use super::remote::Asked;
use super::shell::{Shell, failed, say};
use super::{FAILED, MISUSED, OK, explain, import};
use crate::admin::socket::question;
use crate::app::offline;
use crate::config::Config;
use crate::wire::Name;

/// Threads of a command: one waits, one works.
const THREADS: usize = 2;

impl Shell<'_> {
    pub(super) fn explain_offline(&mut self, asked: &Asked, json: bool) -> u8 {
        let question = match question(&asked.name, Some(&asked.qtype), Some(asked.client)) {
            Ok(question) => question,
            Err(why) => return self.misused(&why),
        };
        let explanation =
            self.with_config(async move |config: Config| offline::explain(&config, &question).await);
        match explanation {
            Ok(explanation) if json => self.print(explain::json(&explanation)),
            Ok(explanation) => self.print(Some(explain::words(&explanation))),
            Err(code) => code,
        }
    }

    pub(super) fn export_offline(&mut self, zone: &str) -> u8 {
        let apex = match zone.parse::<Name>() {
            Ok(apex) => apex,
            Err(error) => return self.misused(&format!("{zone:?} is not a domain name: {error}")),
        };
        match self.with_config(async move |config: Config| offline::export(&config, &apex).await) {
            Ok(Ok(file)) => self.print(Some(file)),
            Ok(Err(why)) => {
                say(self.err, &format!("zonelet: {why}\n"));
                FAILED
            }
            Err(code) => code,
        }
    }

    pub(super) fn import(&mut self, zone: Option<&str>, seconds: u32, json: bool) -> u8 {
        let apex = match zone.map(str::parse::<Name>).transpose() {
            Ok(apex) => apex,
            Err(error) => return self.misused(&format!("--zone is not a domain name: {error}")),
        };
        let (wanted, limit) = (apex.clone(), Duration::from_secs(seconds.into()));
        let rehearsal =
            self.with_config(async move |config: Config| offline::rehearse(&config, wanted, limit).await);
        let report = match rehearsal {
            Ok(rehearsal) => import::Report::of(&rehearsal, apex.as_ref(), seconds),
            Err(code) => return code,
        };
        let code = self.print(if json { import::json(&report) } else { Some(import::words(&report)) });
        for problem in &report.problems {
            say(self.err, &format!("zonelet: {problem}\n"));
        }
        if report.problems.is_empty() { code } else { FAILED }
    }

    fn print(&mut self, text: Option<String>) -> u8 {
        match text {
            Some(text) => {
                say(self.out, &text);
                OK
            }
            None => FAILED,
        }
    }

    fn misused(&mut self, why: &str) -> u8 {
        say(self.err, &format!("zonelet: {why}\n"));
        MISUSED
    }

    /// Runs `work` on a runtime of its own.
    ///
    /// # Errors
    /// The exit code, what is wrong having been said.
    fn with_config<T, F: Future<Output = T>>(&mut self, work: impl FnOnce(Config) -> F) -> Result<T, u8> {
        let config = self.config()?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
        let runtime = runtime.map_err(|error| failed(&error, self.err))?;
        let done = runtime.block_on(work(config));
        // A call of an API that still runs is nobody's any more.
        runtime.shutdown_background();
        Ok(done)
    }
}
