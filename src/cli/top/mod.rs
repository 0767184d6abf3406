//! `zonelet top`: how the running zonelet does, live in a terminal, once as text, or as JSON.

#[cfg(feature = "top")]
mod draw;
#[cfg(feature = "top")]
mod figures;
#[cfg(feature = "top")]
mod pages;
#[cfg(feature = "top")]
mod screen;

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::OK;
use super::remote::Target;
use super::shell::{Shell, failed, say};
use crate::admin::client::{AskError, ask};
use crate::admin::{Request, Response, TopReport};

/// How it is shown.
#[derive(Args)]
pub(super) struct Look {
    /// Print what there is, and end
    #[arg(long, conflicts_with = "json")]
    once: bool,
    /// Print one report as JSON: counts since the start
    #[arg(long)]
    json: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    interval: u64,
}

impl Shell<'_> {
    pub(super) fn top(&mut self, target: Target, look: &Look) -> u8 {
        let socket = match self.socket(target, &Request::Top {}) {
            Ok(socket) => socket,
            Err(code) => return code,
        };
        let first = match report(&socket) {
            Ok(first) => first,
            Err(error) => return self.show(&socket, Err(error), |_| None),
        };
        if look.json {
            return match serde_json::to_string_pretty(&first) {
                Ok(text) => {
                    say(self.out, &(text + "\n"));
                    OK
                }
                Err(error) => failed(&error, self.err),
            };
        }
        self.show_top(&socket, first, look.once, Duration::from_secs(look.interval))
    }

    #[cfg(feature = "top")]
    fn show_top(&mut self, socket: &Path, first: TopReport, once: bool, interval: Duration) -> u8 {
        if once {
            std::thread::sleep(interval);
            return match report(socket) {
                Ok(second) => {
                    say(self.out, &draw::text(&figures::Figures::new(second, Some(&first))));
                    OK
                }
                Err(error) => self.show(socket, Err(error), |_| None),
            };
        }
        if let Err(why) = screen::fits() {
            say(
                self.err,
                &format!("zonelet: {why}; --once prints everything, --json does so for programs\n"),
            );
            return super::FAILED;
        }
        match screen::run(socket, first, interval) {
            Ok(()) => OK,
            Err(error) => failed(&error, self.err),
        }
    }

    #[cfg(not(feature = "top"))]
    fn show_top(&mut self, _: &Path, _: TopReport, _: bool, _: Duration) -> u8 {
        say(self.err, "zonelet: built without the feature `top`; --json works\n");
        super::FAILED
    }
}

#[cfg(feature = "top")]
/// An error with its causes.
fn error_text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Asks once.
fn report(socket: &Path) -> Result<TopReport, AskError> {
    match ask(socket, &Request::Top {})? {
        Response::Top(report) => Ok(*report),
        _ => Err(AskError::Refused("the answer is to another question".to_owned())),
    }
}
