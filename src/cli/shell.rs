//! What every command needs: the configuration, and where to say what.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use super::{FAILED, MISUSED};
use crate::config::{Config, Environment, Problems};

/// What a command has at hand.
pub(super) struct Shell<'a> {
    pub path: Option<PathBuf>,
    pub environment: Environment,
    pub out: &'a mut dyn Write,
    pub err: &'a mut dyn Write,
}

impl Shell<'_> {
    /// The configuration.
    ///
    /// # Errors
    /// The exit code, its problems having been listed.
    pub fn config(&mut self) -> Result<Config, u8> {
        Config::load(self.path.as_deref(), &self.environment).map_err(|problems| refuse(&problems, self.err))
    }
}

fn refuse(problems: &Problems, err: &mut dyn Write) -> u8 {
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    };
    say(err, &format!("{problems}\nzonelet: {count} in the configuration\n"));
    MISUSED
}

/// Says what failed, with its causes; the exit code.
pub(super) fn failed(error: &dyn Error, err: &mut dyn Write) -> u8 {
    let mut text = format!("zonelet: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    say(err, &format!("{text}\n"));
    FAILED
}

/// Nobody is left to tell when a pipe is closed.
pub(super) fn say(stream: &mut dyn Write, text: &str) {
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}
