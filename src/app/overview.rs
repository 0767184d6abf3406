//! What `zonelet top` is told, put together from what the rooms say of themselves.

use std::sync::Arc;

use super::imports::SharedBoard;
use crate::admin::TopReport;
use crate::admin::top::{CacheReport, ProcessReport, ResponseCount, UpstreamReport, ZoneBrief};
use crate::answer::miss::MissPath;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::import::ZoneStatus;
use crate::metrics::tally::RCODES;
use crate::metrics::{AnswerSource, Board, DropReason, Latency, Proto, process, upstream::UPSTREAM_SECONDS};
use crate::upstream::Forwarder;
use crate::watch::Watch;

/// Zones that are told at most; a listing of all is `zonelet zones`.
const ZONES: usize = 200;
/// Upstreams that are told at most.
const UPSTREAMS: usize = 200;

/// Who is asked.
pub struct Overview {
    /// For the time.
    pub clock: Clock,
    /// The threads' cells.
    pub board: Arc<Board>,
    /// For its size.
    pub cache: Arc<Cache>,
    /// For what waits.
    pub miss: MissPath,
    /// For how upstreams do.
    pub forwarder: Arc<Forwarder>,
    /// For zones.
    pub imports: SharedBoard,
    /// For clients and names.
    pub watch: Watch,
}

impl Overview {
    /// How everything does. Cost: milliseconds at worst, none of them on a thread that answers.
    pub fn report(&self) -> TopReport {
        let sum = self.board.totals();
        let (entries, bytes) = self.cache.size();
        let (resident_bytes, open_fds) = process::size();
        let count = |label: &str, count| (label.to_owned(), count);
        let (upstreams, upstreams_left_off) = first(self.upstreams(), UPSTREAMS);
        let (zones, zones_left_off) = first(self.zones(), ZONES);
        let codes = |source: AnswerSource| {
            let sum = &sum;
            RCODES.iter().enumerate().map(move |(column, rcode)| ResponseCount {
                source: source.label().to_owned(),
                rcode: rcode.label().to_owned(),
                count: sum.responses(source, column),
            })
        };
        TopReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_milliseconds: u64::try_from(self.clock.running().as_millis()).unwrap_or(u64::MAX),
            queries: Proto::ALL.iter().map(|&proto| count(proto.label(), sum.queries(proto))).collect(),
            responses: AnswerSource::ALL
                .iter()
                .copied()
                .flat_map(codes)
                .filter(|made| made.count > 0)
                .collect(),
            drops: DropReason::ALL.iter().map(|&reason| count(reason.label(), sum.drops(reason))).collect(),
            truncated: sum.truncations(),
            waiting: self.miss.waiting() as u64,
            cache: CacheReport { entries: entries as u64, bytes },
            process: ProcessReport { resident_bytes, open_fds },
            upstreams,
            upstreams_left_off,
            zones,
            zones_left_off,
            top: self.watch.told(),
        }
    }

    fn upstreams(&self) -> Vec<UpstreamReport> {
        let routes = self.forwarder.tell_all().into_iter();
        let all = routes
            .flat_map(|route| route.upstreams.into_iter().map(move |told| (route.domain.clone(), told)));
        let one = |(domain, upstream): (String, crate::upstream::UpstreamTold)| {
            let latency = Latency::find(UPSTREAM_SECONDS, "upstream", &upstream.upstream);
            let buckets = latency.map(|latency| latency.buckets()).unwrap_or_default();
            UpstreamReport { domain, upstream, buckets, bounds: Latency::BOUNDS.to_vec() }
        };
        let mut told: Vec<UpstreamReport> = all.map(one).collect();
        told.sort_by_key(|report| (report.upstream.failures == 0, report.domain.clone()));
        told
    }

    fn zones(&self) -> Vec<ZoneBrief> {
        let mut zones: Vec<ZoneBrief> = self.imports.load().snapshot().into_iter().map(brief).collect();
        zones.sort_by(|a, b| (a.error.is_none(), &a.zone).cmp(&(b.error.is_none(), &b.zone)));
        zones
    }
}

fn brief(zone: ZoneStatus) -> ZoneBrief {
    ZoneBrief {
        zone: zone.zone,
        kind: zone.kind.to_owned(),
        state: zone.state.label().to_owned(),
        records: zone.counts.records as u64,
        serial: zone.serial,
        age_seconds: zone.age_seconds,
        error: zone.error,
    }
}

/// The first `most`, and how many are left off.
fn first<T>(mut all: Vec<T>, most: usize) -> (Vec<T>, u64) {
    let left_off = all.len().saturating_sub(most) as u64;
    all.truncate(most);
    (all, left_off)
}
