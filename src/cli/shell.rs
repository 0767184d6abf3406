//! What every command needs: the configuration, and where to say what.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;

use super::{FAILED, MISUSED};
use crate::app::lastgood;
use crate::config::{Config, Environment, Problems};

/// What a command has at hand.
pub(super) struct Shell<'a> {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// Somebody has named that file, on the command line or by `ZONELET_CONFIG`.
    pub is_named: bool,
    /// The socket of the zonelet that is usual here.
    pub usual_socket: PathBuf,
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

/// A configuration to serve with.
pub(super) struct Loaded {
    pub config: Config,
    /// The text of its file.
    pub text: Option<String>,
    /// What is wrong with the file, where this is the last good one in its place.
    pub problems: Option<Problems>,
}

impl Shell<'_> {
    /// The configuration to serve with: the last good one where the file has problems and one was kept.
    ///
    /// # Errors
    /// The exit code, its problems having been listed.
    pub fn config_to_serve(&mut self) -> Result<Loaded, u8> {
        self.config_or_last_good().map_err(|problems| refuse(&problems, self.err))
    }

    /// The configuration, or the last good one where the file has problems and one was kept.
    ///
    /// # Errors
    /// Its problems; nothing has been said of them.
    pub fn config_or_last_good(&self) -> Result<Loaded, Problems> {
        let problems = match Config::load_with_text(self.path.as_deref(), &self.environment) {
            Ok((config, text)) => return Ok(Loaded { config, text, problems: None }),
            Err(problems) => problems,
        };
        let last_good = self.path.as_deref().and_then(|path| lastgood::find(path, &self.environment));
        match last_good {
            Some((config, text)) => Ok(Loaded { config, text: Some(text), problems: Some(problems) }),
            None => Err(problems),
        }
    }
}

/// Lists problems; the exit code.
pub(super) fn refuse(problems: &Problems, err: &mut dyn Write) -> u8 {
    say(err, &format!("{problems}\nzonelet: {} in the configuration\n", count(problems)));
    MISUSED
}

/// How many there are.
pub(super) fn count(problems: &Problems) -> String {
    match problems.len() {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    }
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
