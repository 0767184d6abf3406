//! `[log]`: what is logged, and how.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::problem::nearest;

/// `[log]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// A level, or directives `target=level` between commas; known to parse.
    pub level: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, in colour on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// It warns of each HTTP connection that a server ends, which we count and make good.
const QUIET: &str = "hickory_net::h2=error";

impl Log {
    /// The filter of `level`.
    pub fn filter(&self) -> EnvFilter {
        // Checked when it was read; a hand-made one that does not parse logs as the default does.
        let filter = builder()
            .parse(&self.level)
            .unwrap_or_else(|_| EnvFilter::default().add_directive(LevelFilter::INFO.into()));
        match QUIET.parse() {
            Ok(quiet) if !self.level.contains("hickory") => filter.add_directive(quiet),
            _ => filter,
        }
    }
}

fn builder() -> tracing_subscriber::filter::Builder {
    // No regular expressions in field values: nobody here needs their cost.
    EnvFilter::builder().with_regex(false).with_default_directive(LevelFilter::INFO.into())
}

/// Checks a filter; `Err` is what is wrong and what to write.
pub(super) fn check_filter(text: &str) -> Result<(), (String, String)> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let example = "write a level, or directives such as \"info,zonelet::import=debug\"".to_owned();
    for part in text.split(',').map(str::trim) {
        // A lone word that is no level would be taken for a target, and silence everything else.
        if !part.contains(['=', '[']) && !LEVELS.iter().any(|level| level.eq_ignore_ascii_case(part)) {
            let fix = nearest(part, LEVELS).map_or(example, |level| format!("did you mean \"{level}\"?"));
            return Err((format!("{part:?} is not a level"), fix));
        }
    }
    builder().parse(text).map(drop).map_err(|e| (format!("{text:?} is not a filter: {e}"), example))
}
