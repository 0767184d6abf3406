//! One source: its zones, its schedule and what it pushes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{info, warn};

use super::SourcePolicy;
use super::discover::Discovery;
use super::entry::{Entry, Served, Standing};
use super::pace::Pace;
use super::schedule::Schedule;
use super::vitals::Vitals;
use crate::metrics::import::ImportMetrics;
use crate::source::{FoundZone, Origin, Push, ZoneId, ZoneSource};
use crate::wire::{Name, Rtype};
use crate::zone::{Asked, OnMissing, ProbeRule, Region, ZoneOptions};

/// One source and everything known of it.
pub(super) struct Desk {
    pub source: Arc<dyn ZoneSource>,
    pub policy: SourcePolicy,
    pub metrics: Arc<ImportMetrics>,
    pub zones: BTreeMap<ZoneId, Entry>,
    pub schedule: Schedule,
    pub pace: Pace,
    pub discovery: Discovery,
    /// Imports that run now.
    pub fetching: usize,
    /// When the changes were hinted at that the next table will have.
    pub hints: Vec<Instant>,
    /// Asked of the source when the importer runs, since a source may start a watch for it.
    pub pushes: Option<mpsc::Receiver<Push>>,
    /// The health that the zones' choices hang on.
    pub vitals: Vitals,
    /// Choices are being worked out anew.
    pub replanning: bool,
    on_missing: Arc<BTreeMap<Name, OnMissing>>,
    probes: Arc<[ProbeRule]>,
    /// Zone names known from configuration that no discovery has confirmed or denied yet.
    expected: BTreeMap<Name, Asked>,
    generations: u64,
    /// Calls of one round: a discovery and every zone.
    calls: u64,
}

/// What a change at a desk means for everybody else.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// The zone table is not what it should be.
    pub publish: bool,
    /// Zones whose listing changed.
    pub touched: BTreeSet<ZoneId>,
    /// Zones that are no more: their files go too.
    pub removed: Vec<ZoneId>,
    /// Zones that turned out to be unreadable: that is kept in place of their records.
    pub unread: Vec<ZoneId>,
    /// Owners and types of RRsets that changed.
    pub changed: Vec<(Name, Rtype)>,
}

impl Desk {
    pub fn new(source: Arc<dyn ZoneSource>, policy: SourcePolicy, metrics: Arc<ImportMetrics>) -> Self {
        let parsed = |(zone, what): (&String, &OnMissing)| Some((zone.parse().ok()?, *what));
        let probes = policy.probes.iter().map(|probe| probe.rule.clone()).collect();
        let on_missing = Arc::new(policy.on_missing_zones.iter().filter_map(parsed).collect());
        let expected = policy.expected.iter().map(|apex| (apex.clone(), Asked::default())).collect();
        Self {
            pushes: None,
            hints: Vec::new(),
            pace: Pace::new(&policy),
            vitals: Vitals::new(&policy),
            replanning: false,
            zones: BTreeMap::new(),
            schedule: Schedule::default(),
            discovery: Discovery::due(Instant::now()),
            fetching: 0,
            generations: 0,
            calls: 1,
            source,
            policy,
            metrics,
            on_missing,
            probes,
            expected,
        }
    }

    /// How zone `apex` is compiled.
    pub fn options(&self, apex: &Name) -> ZoneOptions {
        self.options_finder()(apex)
    }

    /// [`Desk::options`] for another thread.
    pub fn options_finder(&self) -> impl Fn(&Name) -> ZoneOptions + Send + use<> {
        let (zones, otherwise) = (Arc::clone(&self.on_missing), self.policy.on_missing);
        let negative_ttl_max = self.policy.negative_ttl_max;
        let drops_registry = self.policy.drops_registry;
        let region = self.source.region().and_then(|code| Region::find(&code));
        let probes = Arc::clone(&self.probes);
        move |apex| ZoneOptions {
            on_missing: zones.get(apex).copied().unwrap_or(otherwise),
            negative_ttl_max,
            drops_registry,
            region,
            probes: Arc::clone(&probes),
        }
    }

    /// How often each zone is really imported.
    pub fn effective(&self) -> Duration {
        self.pace.effective(self.calls)
    }

    /// Calls of one round of everything.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Zone names known from configuration that no discovery has confirmed or denied yet.
    pub fn expected(&self) -> &BTreeMap<Name, Asked> {
        &self.expected
    }

    /// Strikes what a discovery has told out of the names expected, and warns of what the source turns
    /// out not to have. While some of the source could not be `seen`, what is not there may be.
    /// True if it changes what is expected.
    pub fn strike_expected(&mut self, listed: &BTreeSet<ZoneId>, seen: bool) -> bool {
        let before = self.expected.len();
        for entry in listed.iter().filter_map(|id| self.zones.get(id)) {
            self.expected.remove(&entry.found.apex);
        }
        if seen {
            for apex in std::mem::take(&mut self.expected).into_keys() {
                warn!(source = self.source.label(), zone = %apex, "the source does not have this zone");
            }
        }
        self.expected.len() < before
    }

    /// Whether some names are neither answered nor known to be somebody else's.
    pub fn withholds_names(&self) -> bool {
        !self.expected().is_empty() || self.zones.values().any(|z| matches!(z.standing(), Standing::Unloaded))
    }

    /// Whether the first round is over: every zone loaded, carved out or failed once.
    pub fn is_settled(&self) -> bool {
        match self.discovery.rounds {
            0 => self.discovery.failures > 0,
            _ => self.zones.values().all(|z| z.tried || !z.is_readable()),
        }
    }

    /// Counts the calls of a round anew.
    pub fn recount(&mut self) {
        let readable = self.zones.values().filter(|z| z.is_readable());
        self.calls = 1 + readable.map(|z| u64::from(z.calls.max(1))).sum::<u64>();
    }

    /// Installs content that an earlier process or importer had, or that it could not read the zone. It is
    /// fetched once a discovery has listed the zone.
    pub fn restore(&mut self, found: FoundZone, served: Option<Served>, denied: bool, calls: u32) {
        let rank = (Reverse(0), self.zones.len());
        let mut entry = Entry::new(found.clone(), rank, self.next_generation());
        (entry.served, entry.denied, entry.calls) = (served, denied, calls);
        self.zones.insert(found.id, entry);
    }

    /// A number that no other entry of this desk has.
    pub fn next_generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }

    /// Withdraws restored zones that turn out to belong to another account or VPC; says how many.
    /// Their files stay: they are right for whoever has that origin.
    pub fn check_origin(&mut self, effects: &mut Effects) -> usize {
        let Some(origin) = self.source.origin() else { return 0 };
        let is_foreign = |id: &ZoneId, served: &Served| {
            let ours = self.source.origin_of(id).unwrap_or_else(|| origin.clone());
            !served.confirmed && served.origin.as_ref().is_none_or(|theirs| !theirs.agrees_with(&ours))
        };
        let foreign =
            self.zones.iter().filter(|(id, z)| z.served.as_ref().is_some_and(|s| is_foreign(id, s)));
        let withdrawn: Vec<ZoneId> = foreign.map(|(id, _)| id.clone()).collect();
        for id in &withdrawn {
            self.schedule.remove(id);
            if let Some(entry) = self.zones.remove(id) {
                let theirs = entry.served.and_then(|s| s.origin).unwrap_or_default();
                warn_foreign(&entry.found, &theirs, &origin);
            }
        }
        effects.publish |= !withdrawn.is_empty();
        effects.touched.extend(withdrawn.iter().cloned());
        withdrawn.len()
    }

    /// Forgets a zone. An import of it that still runs comes to nothing.
    pub fn remove(&mut self, id: &ZoneId, why: &str, effects: &mut Effects) {
        self.schedule.remove(id);
        if let Some(entry) = self.zones.remove(id) {
            info!(source = self.source.label(), zone = %entry.found.apex, %id, why, "zone removed");
            effects.publish = true;
            effects.removed.push(id.clone());
            effects.touched.insert(id.clone());
            self.recount();
        }
    }

    /// Imports zone `id` as soon as the source allows. False when there is nothing to import.
    pub fn hurry(&mut self, id: &ZoneId, now: Instant) -> bool {
        let Some(entry) = self.zones.get_mut(id).filter(|z| z.is_readable()) else {
            return false;
        };
        entry.said_changed.get_or_insert(now);
        if entry.running {
            (entry.again, entry.again_at) = (true, None);
        } else {
            self.schedule.set(id, entry.not_before.map_or(now, |at| at.max(now)));
        }
        true
    }

    /// Takes a pushed update. Pushes of a zone whose import runs wait for it, the latest wins.
    pub fn pushed(&mut self, push: Push, now: Instant) -> Effects {
        let mut effects = Effects::default();
        match push {
            Push::Rediscover => self.hint_discovery(now),
            Push::Changed(id) => {
                if !self.hint(&id, now) {
                    self.hint_discovery(now);
                }
            }
            Push::Removed(id) => self.remove(&id, "removed at the source", &mut effects),
            Push::Zone(found, fetched) => {
                let id = found.id.clone();
                self.list(found, self.zones.len(), now, &mut effects);
                self.recount();
                if let Some(entry) = self.zones.get_mut(&id) {
                    entry.pushed = Some(fetched);
                    entry.not_before = None;
                    self.hurry(&id, now);
                }
            }
        }
        effects
    }
}

fn warn_foreign(found: &FoundZone, theirs: &Origin, ours: &Origin) {
    warn!(
        zone = %found.apex, id = %found.id, account = theirs.account, vpc = theirs.vpc,
        our_account = ours.account, our_vpc = ours.vpc,
        "last good zone belongs elsewhere and is withdrawn"
    );
}
