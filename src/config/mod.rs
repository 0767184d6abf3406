//! Floor 5: text to a checked, immutable configuration. Rooms get plain settings and never see it.
//!
//! Three layers, each over the one before: the defaults of the rooms, the file, the environment.
//! All problems of all layers are found in one go.

mod address;
mod encrypted;
mod environment;
mod forwards;
mod log;
mod problem;
#[cfg(test)]
mod properties;
mod quantity;
mod read;
mod sections;
mod sink;
mod sources;
#[cfg(test)]
mod tests;
mod tree;

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::import::settings::SourcePolicy;
use crate::source::settings::{FileSettings, Route53Settings};
use crate::{admin, answer, cache, import, server, upstream};

pub use environment::Environment;
pub use log::{Log, LogFormat};
pub use problem::{Place, Problem, Problems};

use read::Section;
use sink::Sink;
use tree::Table;

/// A configuration file is refused beyond this many bytes.
const MAX_FILE: u64 = 1 << 20;

/// Everything zonelet is told, checked: the settings of each room.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[server]` and the transports' part of `[limits]`.
    pub server: server::Settings,
    /// `[admin]`.
    pub admin: admin::Settings,
    /// `[[source]]`, in the order of the file; none by default.
    pub sources: Vec<Source>,
    /// `[[forward]]` and the upstreams' part of `[limits]`. `own` is left empty: only the bound
    /// sockets know the addresses.
    pub upstream: upstream::Settings,
    /// `server.access`, `[special]` and the answers' part of `[limits]`.
    pub answer: answer::Settings,
    /// `[cache]`.
    pub cache: cache::Settings,
    /// `[state]`.
    pub import: import::Settings,
    /// `[drain]`.
    pub drain: Drain,
    /// `[log]`.
    pub log: Log,
    /// What works but is unwise; for the log.
    pub warnings: Vec<Problem>,
}

/// One `[[source]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Where the zones come from.
    pub kind: SourceKind,
    /// How they are treated.
    pub policy: SourcePolicy,
}

/// Where a source's zones come from.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// `kind = "file"`.
    File(FileSettings),
    /// `kind = "route53"`.
    Route53(Route53Settings),
}

/// `[drain]`, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Queries are still answered for this long after readiness was taken back.
    pub delay: Duration,
    /// Pending queries get this long to finish after the sockets were closed.
    pub grace: Duration,
}

impl Drain {
    /// The default for these listeners: no delay where only this host can ask, since nobody has to
    /// notice first.
    pub fn for_listeners(listen: &[SocketAddr]) -> Self {
        let local = listen.iter().all(|address| address.ip().is_loopback());
        let delay = if local { Duration::ZERO } else { Duration::from_secs(5) };
        Self { delay, grace: Duration::from_secs(5) }
    }
}

impl Default for Config {
    fn default() -> Self {
        let server = server::Settings::default();
        Self {
            drain: Drain::for_listeners(&server.listen),
            server,
            admin: admin::Settings::default(),
            sources: Vec::new(),
            upstream: upstream::Settings::default(),
            answer: answer::Settings::default(),
            cache: cache::Settings::default(),
            import: import::Settings::default(),
            log: Log::default(),
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the file at `path`, if one is given, and the overrides of `environment`.
    ///
    /// Relative paths of the file start at its directory, those of variables at the working
    /// directory.
    ///
    /// # Errors
    /// Every problem there is, for the operator; nothing of the configuration may be used.
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, Problems> {
        let Some(path) = path else {
            return Self::read(
                Table::default(),
                Place::Defaults,
                Path::new(""),
                environment,
                Sink::default(),
            );
        };
        let file: Arc<str> = path.to_string_lossy().into();
        match read_file(path) {
            Ok(text) => Self::read_text(&text, file, path.parent().unwrap_or(Path::new("")), environment),
            Err(what) => {
                let problem = Problem { place: Place::File(file), key: String::new(), what, fix: None };
                let sink = Sink::default();
                sink.problem(problem);
                Self::read(Table::default(), Place::Defaults, Path::new(""), environment, sink)
            }
        }
    }

    /// Reads configuration text as if it stood in a file `name` in the working directory.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_text(text: &str, name: &str, environment: &Environment) -> Result<Self, Problems> {
        Self::read_text(text, name.into(), Path::new(""), environment)
    }

    fn read_text(
        text: &str,
        file: Arc<str>,
        base: &Path,
        environment: &Environment,
    ) -> Result<Self, Problems> {
        let (table, syntax) = tree::parse(text, &file);
        Self::read(table, Place::File(file), base, environment, Sink::with_syntax(syntax))
    }

    fn read(
        mut table: Table,
        place: Place,
        base: &Path,
        environment: &Environment,
        sink: Sink,
    ) -> Result<Self, Problems> {
        environment.overlay(&mut table, &sink);
        let config = Self::from_sections(&Section::root(&table, place, &sink), base, environment);
        environment.near_misses(&sink);
        let warnings = sink.finish()?;
        Ok(Self { warnings, ..config })
    }

    fn from_sections(root: &Section<'_>, base: &Path, environment: &Environment) -> Self {
        let [server, admin, limits] = ["server", "admin", "limits"].map(|key| root.section(key));
        let [special, cache, drain] = ["special", "cache", "drain"].map(|key| root.section(key));
        let [state, log] = ["state", "log"].map(|key| root.section(key));
        let transports = sections::server(&server, &limits, base);
        let domains = forwards::forwards(root, upstream::Settings::default().domains, &transports.listen);
        let config = Self {
            admin: sections::admin(&admin, base, environment),
            sources: sources::sources(root, base),
            upstream: sections::upstream(domains, &limits),
            answer: sections::answer(&server, &special, &limits),
            cache: sections::cache(&cache),
            import: sections::state(&state, base, environment),
            drain: sections::drain(&drain, &transports),
            log: sections::log(&log),
            server: transports,
            warnings: Vec::new(),
        };
        sections::exposure(&server, &admin, &config.server, config.admin.listen);
        for section in [&server, &admin, &limits, &special, &cache, &drain, &state, &log, root] {
            section.finish();
        }
        config
    }

    /// The keys whose values differ in `new` and cannot change while zonelet runs: what sockets were
    /// made with, and what their owners were started with. Everything else may be taken over.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let changed = [
            ("server.listen", self.server.listen != new.server.listen),
            ("server.tls", self.server.tls != new.server.tls),
            ("server.https", self.server.https != new.server.https),
            ("server.https_path", self.server.https_path != new.server.https_path),
            ("server.quic", self.server.quic != new.server.quic),
            ("server.workers", self.server.workers != new.server.workers),
            ("limits.receive_buffer", self.server.receive_buffer != new.server.receive_buffer),
            ("admin.listen", self.admin.listen != new.admin.listen),
            ("admin.socket", self.admin.socket != new.admin.socket),
            ("state.dir", self.import.state_dir != new.import.state_dir),
            ("log.format", self.log.format != new.log.format),
        ];
        changed.into_iter().filter(|&(_, differs)| differs).map(|(key, _)| key).collect()
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(len) if len as u64 > MAX_FILE => Err(format!("is larger than {}", quantity::size_text(MAX_FILE))),
        Ok(_) => String::from_utf8(bytes).map_err(|e| {
            let line =
                1 + e.as_bytes().iter().take(e.utf8_error().valid_up_to()).filter(|&&b| b == b'\n').count();
            format!("is not UTF-8 at line {line}")
        }),
    }
}
