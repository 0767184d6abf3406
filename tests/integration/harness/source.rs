//! A zone source that does what a test tells it, page by page, and remembers what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use zonelet::source::{
    Access, BoxFuture, Fetched, FoundZone, Origin, Progress, Push, Sighting, SourceError, ZoneId, ZoneSource,
};
use zonelet::wire::Rtype;
use zonelet::zone::{Body, RecordSet, State, ZoneData};

/// What a call comes to instead of an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    Throttled(Duration),
    Denied,
    Gone,
    Damaged,
    Failed,
    Misconfigured,
    /// Never ends.
    Stall,
    Panic,
}

/// The source; clones share the script.
#[derive(Clone)]
pub struct Scripted(Arc<Mutex<Script>>, Arc<str>);

#[derive(Default)]
struct Script {
    origin: Option<Origin>,
    /// Of zones that belong elsewhere than the source as a whole.
    origins: BTreeMap<ZoneId, Origin>,
    unseen: Vec<String>,
    budget: Option<Budget>,
    listing: Vec<FoundZone>,
    listing_fault: Option<Fault>,
    listings: usize,
    zones: BTreeMap<String, ZoneScript>,
    /// `Z1/3`: the third page of zone Z1 was asked for.
    pages: Vec<String>,
    pushes: Option<mpsc::Receiver<Push>>,
    /// What is said of health checks; `None` for nothing at all.
    health: Option<Vec<Sighting>>,
    health_fault: Option<Fault>,
    /// The checks that were asked for, each time.
    looks: Vec<Vec<Box<str>>>,
}

/// Calls that may be made at once, and the time until there is another; on tokio's clock.
struct Budget {
    left: u32,
    gap: Duration,
    next: Instant,
}

struct ZoneScript {
    data: ZoneData,
    pages: u32,
    /// Used up one by one, each at its page.
    faults: VecDeque<(u32, Fault)>,
    always: Option<Fault>,
}

impl Scripted {
    pub fn new(label: &str) -> Self {
        Self(Arc::default(), label.into())
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }

    /// Lists zone `id` with `hosts`, from the next discovery and fetch on.
    pub fn zone(&self, id: &str, apex: &str, hosts: &[(&str, u8)]) -> &Self {
        self.content(id, apex, hosts);
        let mut script = self.script();
        script.listing.retain(|z| &*z.id.0 != id);
        script.listing.push(found(id, apex, Access::Readable));
        drop(script);
        self
    }

    /// What fetches of `id` bring, whether it is listed or not.
    pub fn content(&self, id: &str, apex: &str, hosts: &[(&str, u8)]) {
        let zone = ZoneScript { data: data(apex, hosts), pages: 1, faults: VecDeque::new(), always: None };
        self.script().zones.insert(id.to_owned(), zone);
    }

    /// Lists a zone that cannot be read.
    pub fn carved(&self, id: &str, apex: &str) -> &Self {
        self.script().listing.push(found(id, apex, Access::CarvedOut("owned by a service".into())));
        self
    }

    /// Takes a zone off the listing.
    pub fn unlist(&self, id: &str) {
        self.script().listing.retain(|z| &*z.id.0 != id);
    }

    pub fn set_pages(&self, id: &str, pages: u32) {
        self.script().zones.get_mut(id).unwrap().pages = pages;
    }

    /// The next fetch of `id` that comes to `page` meets `fault`.
    pub fn fault(&self, id: &str, page: u32, fault: Fault) {
        self.script().zones.get_mut(id).unwrap().faults.push_back((page, fault));
    }

    /// Every fetch of `id` meets `fault` on its first page, or none does.
    pub fn always(&self, id: &str, fault: Option<Fault>) {
        self.script().zones.get_mut(id).unwrap().always = fault;
    }

    pub fn listing_fault(&self, fault: Option<Fault>) {
        self.script().listing_fault = fault;
    }

    /// The states that are seen from now on.
    pub fn sees(&self, states: &[(&str, State)]) {
        let sighting =
            |&(id, state): &(&str, State)| Sighting { check: id.into(), state, age: Duration::ZERO };
        self.script().health = Some(states.iter().map(sighting).collect());
    }

    /// Every look at health checks meets `fault`, or none does.
    pub fn health_fault(&self, fault: Option<Fault>) {
        self.script().health_fault = fault;
    }

    /// The checks that were asked for since the last call, each time.
    pub fn take_looks(&self) -> Vec<Vec<Box<str>>> {
        std::mem::take(&mut self.script().looks)
    }

    /// What fetches of `id` bring.
    pub fn sets(&self, id: &str, apex: &str, sets: Vec<RecordSet>) -> &Self {
        self.zone(id, apex, &[]);
        self.script().zones.get_mut(id).unwrap().data.sets = sets;
        self
    }

    pub fn origin(&self, account: &str, vpc: &str) -> &Self {
        self.script().origin = Some(Origin { account: account.into(), vpc: vpc.into() });
        self
    }

    /// What zone `id` belongs to.
    pub fn origin_of_zone(&self, id: &str, account: &str) -> &Self {
        let origin = Origin { account: account.into(), vpc: String::new() };
        self.script().origins.insert(ZoneId(id.into()), origin);
        self
    }

    /// The accounts that discoveries cannot list from now on.
    pub fn unseen(&self, accounts: &[&str]) {
        self.script().unseen = accounts.iter().map(|a| (*a).to_owned()).collect();
    }

    /// How many record sets listings say that `id` has.
    pub fn counted(&self, id: &str, records: u64) {
        let mut script = self.script();
        script.listing.iter_mut().find(|z| &*z.id.0 == id).expect("it is listed").records = Some(records);
    }

    /// Calls wait for a budget of `burst` at once and `rate` a second.
    pub fn budget(&self, burst: u32, rate: u32) {
        let gap = Duration::from_secs(1) / rate;
        self.script().budget = Some(Budget { left: burst, gap, next: Instant::now() });
    }

    async fn afford(&self) {
        let until = {
            let mut script = self.script();
            let Some(budget) = &mut script.budget else { return };
            if budget.left > 0 {
                budget.left -= 1;
                return;
            }
            budget.next = budget.next.max(Instant::now()) + budget.gap;
            budget.next
        };
        tokio::time::sleep_until(until).await;
    }

    /// A sender for pushes; before the source is given away.
    pub fn pushing(&self) -> mpsc::Sender<Push> {
        let (sender, receiver) = mpsc::channel(8);
        self.script().pushes = Some(receiver);
        sender
    }

    /// The pages asked for since the last call.
    pub fn take_pages(&self) -> Vec<String> {
        std::mem::take(&mut self.script().pages)
    }

    pub fn listings(&self) -> usize {
        self.script().listings
    }

    /// How often the first page of `id` was asked for.
    pub fn fetches(&self, id: &str) -> usize {
        let first = format!("{id}/1");
        self.script().pages.iter().filter(|p| **p == first).count()
    }
}

impl ZoneSource for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn label(&self) -> &str {
        &self.1
    }

    fn origin(&self) -> Option<Origin> {
        self.script().origin.clone()
    }

    fn origin_of(&self, zone: &ZoneId) -> Option<Origin> {
        let script = self.script();
        script.origins.get(zone).cloned().or_else(|| script.origin.clone())
    }

    fn unseen(&self) -> Vec<String> {
        self.script().unseen.clone()
    }

    fn discover(&self) -> BoxFuture<'_, Result<Vec<FoundZone>, SourceError>> {
        Box::pin(async {
            self.afford().await;
            let (listing, fault) = {
                let mut script = self.script();
                script.listings += 1;
                (script.listing.clone(), script.listing_fault.clone())
            };
            match fault {
                Some(fault) => Err(meet("the listing", fault).await),
                None => Ok(listing),
            }
        })
    }

    fn fetch<'a>(
        &'a self,
        zone: &'a FoundZone,
        progress: &'a mut Progress,
    ) -> BoxFuture<'a, Result<Fetched, SourceError>> {
        Box::pin(async move {
            let mut page = progress.0.as_ref().and_then(|p| p.downcast_ref()).copied().unwrap_or(1u32);
            loop {
                self.afford().await;
                progress.0 = Some(Box::new(page));
                if let Some(fault) = self.page(&zone.id.0, page) {
                    return Err(meet(&zone.id.0, fault).await);
                }
                let (data, pages) = {
                    let script = self.script();
                    let zone = &script.zones[&*zone.id.0];
                    (zone.data.clone(), zone.pages)
                };
                if page >= pages {
                    progress.0 = None;
                    return Ok(Fetched { data, calls: pages });
                }
                page += 1;
            }
        })
    }

    fn health<'a>(
        &'a self,
        checks: &'a [Box<str>],
    ) -> Option<BoxFuture<'a, Result<Vec<Sighting>, SourceError>>> {
        let mut script = self.script();
        script.looks.push(checks.to_vec());
        let (seen, fault) = (script.health.clone()?, script.health_fault.clone());
        Some(Box::pin(async move {
            match fault {
                Some(fault) => Err(meet("health checks", fault).await),
                None => Ok(seen),
            }
        }))
    }

    fn pushes(&self) -> Option<mpsc::Receiver<Push>> {
        self.script().pushes.take()
    }
}

impl Scripted {
    fn page(&self, id: &str, page: u32) -> Option<Fault> {
        let mut script = self.script();
        script.pages.push(format!("{id}/{page}"));
        let zone = script.zones.get_mut(id).expect("a zone without a script was fetched");
        if zone.faults.front().is_some_and(|(at, _)| *at == page) {
            return zone.faults.pop_front().map(|(_, fault)| fault);
        }
        zone.always.clone()
    }
}

async fn meet(what: &str, fault: Fault) -> SourceError {
    let what = what.to_owned();
    match fault {
        Fault::Throttled(retry_after) => SourceError::Throttled { what, retry_after },
        Fault::Denied => SourceError::Denied { what, source: "AccessDenied".into() },
        Fault::Gone => SourceError::Gone { what },
        Fault::Damaged => SourceError::Damaged { what, problem: "no closing tag".into() },
        Fault::Failed => SourceError::Failed { what, source: "connection refused".into() },
        Fault::Misconfigured => SourceError::Misconfigured("source.zones.vpc: no metadata service".into()),
        Fault::Stall => pending().await,
        Fault::Panic => panic!("the source panics, as the test asked"),
    }
}

/// A found zone.
pub fn found(id: &str, apex: &str, access: Access) -> FoundZone {
    FoundZone { id: ZoneId(id.into()), apex: apex.parse().unwrap(), access, records: None }
}

/// A zone with one A record 10.0.0.n for each host.
pub fn data(apex: &str, hosts: &[(&str, u8)]) -> ZoneData {
    let set = |&(owner, last): &(&str, u8)| RecordSet {
        owner: format!("{owner}.{apex}").parse().unwrap(),
        rtype: Rtype::A,
        body: Body::Records { ttl: 60, rdata: vec![[10, 0, 0, last].into()] },
    };
    ZoneData { apex: apex.parse().unwrap(), sets: hosts.iter().map(set).collect(), skipped: Vec::new() }
}
