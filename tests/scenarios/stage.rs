//! What a scenario is played on: the real answerer over a cache, a miss path and a forwarder.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arc_swap::ArcSwap;
use tempfile::TempDir;
use tokio::runtime::Handle;
use zonelet::answer::Answerer;
use zonelet::answer::miss::MissPath;
use zonelet::cache::Cache;
use zonelet::clock::Clock;
use zonelet::config::{Config, Environment, Source, SourceKind};
use zonelet::import::settings::OnUnloaded;
use zonelet::metrics::{Board, CacheMetrics};
use zonelet::source::file::FileSource;
use zonelet::source::settings::FileSettings;
use zonelet::source::{Progress, SourceError, ZoneSource};
use zonelet::upstream::settings::UpstreamSpec;
use zonelet::upstream::{Forwarder, Settings};
use zonelet::wire::Name;
use zonelet::zone::{Asked, Authority, SharedTable, WhenUnloaded, Zone, ZoneData, ZoneOptions, ZoneTable};

use crate::model::{Failure, Scenario, ZoneText};
use crate::upstream::{Script, Upstream};

/// The stage, set.
pub struct Stage {
    pub answerer: Answerer,
    pub clock: Clock,
    pub script: Arc<Script>,
    pub upstreams: Vec<Upstream>,
    sources: Vec<Source>,
    table: SharedTable,
    /// The upstreams under their addresses in the scenario, for `on_unloaded = "auto"`.
    told: Arc<Forwarder>,
    dir: TempDir,
}

impl Stage {
    /// Sets the stage as the scenario's header says, and imports its zones.
    pub async fn set(scenario: Scenario) -> Result<Self, Failure> {
        let dir = TempDir::new().unwrap();
        for zone in &scenario.zones {
            write(&dir, zone);
        }
        let config = load(&scenario, &dir)?;
        let script = Arc::new(Script { scenario, step: AtomicU32::new(0) });
        let upstreams = start_upstreams(&config.upstream, &script).await?;
        let (clock, runtime) = (Clock::manual(), Handle::current());
        let told = Forwarder::new(config.upstream.clone(), clock.clone(), runtime.clone());
        let forwarder =
            Forwarder::new(on_loopback(config.upstream, &upstreams), clock.clone(), runtime.clone());
        let cache = Arc::new(Cache::new(&config.cache, CacheMetrics::register()));
        let miss = MissPath::new(&config.answer, Arc::clone(&cache), forwarder, clock.clone(), runtime);
        let table: SharedTable = Arc::new(ArcSwap::from_pointee(ZoneTable::default()));
        let board = Board::default();
        let answerer = Answerer::new(Arc::clone(&table), cache, miss, config.answer, clock.clone(), &board);
        let sources = config.sources;
        let stage = Self { answerer, clock, script, upstreams, sources, table, told, dir };
        stage.import_all().await?;
        Ok(stage)
    }

    /// Replaces one zone file, and publishes what all say now.
    pub async fn import(&self, zone: &ZoneText) -> Result<(), Failure> {
        write(&self.dir, zone);
        self.import_all().await
    }

    async fn import_all(&self) -> Result<(), Failure> {
        let mut entries = Vec::new();
        for source in &self.sources {
            entries.push(self.authority(source).await?);
        }
        let carved_out = self.script.scenario.carved_out.iter();
        entries.extend(carved_out.map(|apex| (apex.clone(), Authority::CarvedOut)));
        self.table.store(Arc::new(ZoneTable::new(entries)));
        Ok(())
    }

    /// The zone of a source: loaded, or not loaded while its file is missing.
    async fn authority(&self, source: &Source) -> Result<(Name, Authority), Failure> {
        let SourceKind::File(file) = &source.kind else {
            return Err(self.script.scenario.failure(1, "scenarios take zones from files only"));
        };
        match (fetch(file).await, &file.zone) {
            (Ok(data), _) => {
                let options = ZoneOptions {
                    drops_registry: source.policy.drops_registry,
                    on_missing: source.policy.on_missing,
                    negative_ttl_max: source.policy.negative_ttl_max,
                    ..ZoneOptions::default()
                };
                let built = Zone::build(&data, &options);
                match built.skipped.iter().find(|skipped| skipped.reason.is_fault()) {
                    Some(skipped) => {
                        let what = format!("zone {}: {} {}", data.apex, skipped.owner, skipped.detail);
                        Err(self.script.scenario.failure(1, what))
                    }
                    None => Ok((data.apex, Authority::Loaded(Arc::new(built.zone)))),
                }
            }
            (Err(SourceError::Failed { .. }), Some(apex)) => {
                let forward = match source.policy.on_unloaded {
                    OnUnloaded::Forward => true,
                    OnUnloaded::Fail => false,
                    OnUnloaded::Auto => self.told.is_vpc_resolver(apex.as_ref()),
                };
                let when = if forward { WhenUnloaded::Forward } else { WhenUnloaded::Fail };
                Ok((apex.clone(), Authority::Unloaded(when, Asked::default())))
            }
            (Err(error), _) => Err(self.script.scenario.failure(1, error.to_string())),
        }
    }
}

async fn fetch(file: &FileSettings) -> Result<ZoneData, SourceError> {
    let source = FileSource::new(file.clone());
    let found = source.discover().await?;
    let zone = found.first().ok_or_else(|| SourceError::Gone { what: source.label().to_owned() })?;
    Ok(source.fetch(zone, &mut Progress::default()).await?.data)
}

fn write(dir: &TempDir, zone: &ZoneText) {
    fs::write(dir.path().join(&zone.file), &zone.text).unwrap();
}

/// The header, read as zonelet reads its configuration.
fn load(scenario: &Scenario, dir: &TempDir) -> Result<Config, Failure> {
    let path = dir.path().join("config.toml");
    fs::write(&path, &scenario.config).unwrap();
    let mut config = Config::load(Some(&path), &Environment::default())
        .map_err(|problems| scenario.failure(1, problems.to_string()))?;
    if !scenario.config.contains("[[forward]]") {
        config.upstream.domains.clear();
    }
    Ok(config)
}

/// A server for each address that is forwarded to. A range of another address is an error.
async fn start_upstreams(settings: &Settings, script: &Arc<Script>) -> Result<Vec<Upstream>, Failure> {
    let mut addresses = BTreeSet::new();
    for spec in settings.domains.iter().flat_map(|domain| &domain.upstreams) {
        match spec {
            UpstreamSpec::Plain(address) | UpstreamSpec::Tcp(address) => addresses.insert(address.ip()),
            UpstreamSpec::System | UpstreamSpec::Secure(_) => {
                return Err(script.scenario.failure(1, "scenarios must name their upstreams"));
            }
        };
    }
    if let Some(range) = script.scenario.ranges.iter().find(|range| !addresses.contains(&range.address)) {
        let line = range.entries.first().map_or(1, |entry| entry.line);
        return Err(script.scenario.failure(line, format!("{} is no upstream", range.address)));
    }
    let mut upstreams = Vec::new();
    for address in addresses {
        upstreams.push(Upstream::start(address, Arc::clone(script)).await);
    }
    Ok(upstreams)
}

/// The settings with each upstream where it really listens.
fn on_loopback(mut settings: Settings, upstreams: &[Upstream]) -> Settings {
    for spec in settings.domains.iter_mut().flat_map(|domain| &mut domain.upstreams) {
        if let UpstreamSpec::Plain(address) | UpstreamSpec::Tcp(address) = spec
            && let Some(upstream) = upstreams.iter().find(|upstream| upstream.address == address.ip())
        {
            *address = upstream.addr;
        }
    }
    settings
}
