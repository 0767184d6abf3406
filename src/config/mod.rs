//! Floor 5: text to a checked, immutable configuration. Rooms get plain settings and never see it.
//!
//! Three layers, each over the one before: the defaults of the rooms, the file, the environment.
//! All problems of all layers are found in one go.

mod address;
mod answers;
mod continuity;
mod encrypted;
mod environment;
mod forwards;
mod log;
mod observe;
mod problem;
#[cfg(test)]
mod properties;
mod quantity;
mod read;
mod sections;
mod secure;
mod sink;
mod sources;
#[cfg(test)]
mod tests;
mod tree;

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::answer::settings::Keeping;
use crate::import::settings::SourcePolicy;
use crate::source::settings::{FileSettings, HostsSettings, Route53Settings};
use crate::{admin, answer, cache, import, server, upstream, watch};

pub use continuity::{Handover, Keep, Watchdog};
pub use environment::Environment;
pub use log::{Log, LogFormat};
pub use problem::{Place, Problem, Problems};

use read::Section;
use sink::{Findings, Sink};
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
    /// `server.access`, `[[access]]`, `[[override]]`, `[[relief]]`, `[rebinding]`, `[special]` and the answers'
    /// part of `[limits]`.
    pub answer: answer::Settings,
    /// `[cache]`.
    pub cache: cache::Settings,
    /// `[state]`.
    pub import: import::Settings,
    /// The rest of `[state]`.
    pub keep: Keep,
    /// `[handover]`.
    pub handover: Handover,
    /// `[watchdog]`; `None` where it is switched off.
    pub watchdog: Option<Watchdog>,
    /// `[drain]`.
    pub drain: Drain,
    /// `[log]`.
    pub log: Log,
    /// `[dnstap]`, `[query_log]` and `[top]`.
    pub watch: watch::Settings,
    /// What works but is unwise; for the log.
    pub warnings: Vec<Problem>,
    /// What lies outside of the text, and keeps a part from being served until it is mended: a certificate that cannot
    /// be used. The rest is served; to `zonelet check` it is an error.
    pub faults: Vec<Problem>,
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
    /// `kind = "hosts"`: no zones, so its policy means nothing.
    Hosts(HostsSettings),
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
            keep: Keep::default(),
            handover: Handover::default(),
            watchdog: Some(Watchdog::default()),
            log: Log::default(),
            watch: watch::Settings::default(),
            warnings: Vec::new(),
            faults: Vec::new(),
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
        Self::load_with_text(path, environment).map(|(config, _)| config)
    }

    /// [`Config::load`] with the text it was read from, if there is a file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with_text(
        path: Option<&Path>,
        environment: &Environment,
    ) -> Result<(Self, Option<String>), Problems> {
        let Some(path) = path else {
            let (table, sink) = (Table::default(), Sink::default());
            let config = Self::read(table, Place::Defaults, Path::new(""), environment, sink)?;
            return Ok((config, None));
        };
        let file: Arc<str> = path.to_string_lossy().into();
        match read_file(path) {
            Ok(text) => {
                Self::from_text_of(&text, path, &file, environment).map(|config| (config, Some(text)))
            }
            Err(what) => {
                let problem = Problem { place: Place::File(file), key: String::new(), what, fix: None };
                let sink = Sink::default();
                sink.problem(problem);
                Self::read(Table::default(), Place::Defaults, Path::new(""), environment, sink)
                    .map(|config| (config, None))
            }
        }
    }

    /// Reads configuration text as if it stood in the file at `path`, from whose directory relative paths start, but
    /// calls it `name` where something is wrong with it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_text_of(
        text: &str,
        path: &Path,
        name: &str,
        environment: &Environment,
    ) -> Result<Self, Problems> {
        Self::read_text(text, name.into(), path.parent().unwrap_or(Path::new("")), environment)
    }

    /// Where the last good configuration is kept, as far as a file with problems and the environment say: `None` if
    /// they name no directory, do not want it, or there is no file that could be read.
    pub fn last_good_dir(path: &Path, environment: &Environment) -> Option<PathBuf> {
        let name: Arc<str> = path.to_string_lossy().into();
        let (mut table, _) = tree::parse(&read_file(path).ok()?, &name);
        let sink = Sink::default();
        environment.overlay(&mut table, &sink);
        let state = Section::root(&table, Place::File(name), &sink).section("state");
        let base = path.parent().unwrap_or(Path::new(""));
        let dir = sections::state(&state, base, environment).state_dir;
        dir.filter(|_| continuity::keep(&state).last_good_config)
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
        let Findings { warnings, faults } = sink.finish()?;
        Ok(Self { warnings, faults, ..config })
    }

    fn from_sections(root: &Section<'_>, base: &Path, environment: &Environment) -> Self {
        let [server, admin, limits] = ["server", "admin", "limits"].map(|key| root.section(key));
        let [special, cache, drain] = ["special", "cache", "drain"].map(|key| root.section(key));
        let [state, log, rebinding] = ["state", "log", "rebinding"].map(|key| root.section(key));
        let [handover, watchdog] = ["handover", "watchdog"].map(|key| root.section(key));
        let import = sections::state(&state, base, environment);
        let transports = sections::server(&server, &limits, base);
        let keeping = sections::keeping(&cache, &Keeping::default());
        let forwards = forwards::forwards(root, &keeping, &transports.listen, base);
        let answering = answers::Sections {
            root,
            server: &server,
            special: &special,
            limits: &limits,
            rebinding: &rebinding,
        };
        let config = Self {
            answer: answers::answer(&answering, &forwards),
            admin: sections::admin(&admin, base, environment),
            sources: sources::sources(root, base),
            upstream: sections::upstream(forwards.domains, &limits),
            cache: sections::cache(&cache),
            keep: continuity::keep(&state),
            handover: continuity::handover(&handover, base, import.state_dir.as_deref()),
            watchdog: continuity::watchdog(&watchdog),
            import,
            drain: sections::drain(&drain, &transports),
            log: sections::log(&log),
            watch: observe::watch(root, base),
            server: transports,
            warnings: Vec::new(),
            faults: Vec::new(),
        };
        let has_rules = !config.answer.access_rules.is_empty();
        sections::exposure(&server, has_rules, &admin, &config.server, config.admin.listen);
        for section in [&server, &admin, &limits, &special, &cache, &drain, &state, &log] {
            section.finish();
        }
        for section in [&handover, &watchdog, &rebinding, root] {
            section.finish();
        }
        config
    }

    /// The keys whose values differ in `new` and cannot change while zonelet runs: what sockets were
    /// made with, and what their owners were started with. Everything else may be taken over.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        // What lies in the state directory moves with it.
        let has_moved = self.import.state_dir != new.import.state_dir;
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
            ("state.dir", has_moved),
            ("state.snapshot", self.keep.snapshot != new.keep.snapshot),
            ("handover.socket", !has_moved && self.handover.socket != new.handover.socket),
            ("watchdog", self.watchdog != new.watchdog),
            ("log.format", self.log.format != new.log.format),
            ("dnstap.to", self.watch.dnstap.to != new.watch.dnstap.to),
            ("dnstap.identity", self.watch.dnstap.identity != new.watch.dnstap.identity),
            ("dnstap.buffer", self.watch.dnstap.buffer != new.watch.dnstap.buffer),
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
