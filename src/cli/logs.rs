//! Where log lines go: to standard error, as text or JSON.

use std::io::{self, IsTerminal};

use tracing::warn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, reload};

use crate::config::{Log, LogFormat};

/// Takes over the level of a changed configuration; its format stays until a restart.
pub type SetLevel = Box<dyn Fn(&Log) + Send + Sync>;

/// Sends everything logged from now on to standard error. In a process that logs already, its
/// logging stays as it is.
pub fn init(log: &Log) -> SetLevel {
    let (filter, handle) = reload::Layer::new(log.filter());
    let lines = match log.format {
        LogFormat::Text => {
            let colour = io::stderr().is_terminal();
            fmt::layer().with_writer(io::stderr).with_ansi(colour).boxed()
        }
        LogFormat::Json => fmt::layer().with_writer(io::stderr).json().flatten_event(true).boxed(),
    };
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_err() {
        warn!("logging was set up before");
    }
    Box::new(move |log| {
        if let Err(error) = handle.reload(log.filter()) {
            warn!(%error, "log level not changed");
        }
    })
}
