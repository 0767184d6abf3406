//! Where log lines go: to standard error, as text or JSON.

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata, Subscriber, warn};
use tracing_subscriber::layer::{Context, SubscriberExt};
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
    if tracing_subscriber::registry().with(filter).with(Discreet).with(lines).try_init().is_err() {
        warn!("logging was set up before");
    }
    Box::new(move |log| {
        if let Err(error) = handle.reload(log.filter()) {
            warn!(%error, "log level not changed");
        }
    })
}

/// Keeps out what the AWS SDK says of secrets, whatever level is set: its profiles tell external
/// ids even in warnings (whose substance is in our own), and its most talkative level shows
/// requests, whose bodies may hold tokens.
struct Discreet;

impl<S: Subscriber> Layer<S> for Discreet {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_discreet(metadata.target(), *metadata.level())
    }
}

fn is_discreet(target: &str, level: Level) -> bool {
    if target.starts_with("aws_config::profile") {
        level <= Level::ERROR
    } else {
        !target.starts_with("aws_") || level <= Level::DEBUG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_is_heard_as_far_as_it_keeps_secrets() {
        for (target, most) in [
            ("aws_config::profile::credentials", Level::ERROR),
            ("aws_smithy_runtime::client::orchestrator", Level::DEBUG),
            ("aws_config::ecs", Level::DEBUG),
            ("zonelet::source::route53", Level::TRACE),
        ] {
            for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
                assert_eq!(is_discreet(target, level), level <= most, "{target} {level}");
            }
        }
    }
}
