//! Sources that are asked less than they could be: for a rehearsal of one zone, and for looking at what is here.

use std::sync::Arc;

use crate::source::{BoxFuture, Fetched, FoundZone, Origin, Progress, SourceError, ZoneId, ZoneSource};
use crate::wire::Name;

/// A source of which no more than this counts.
struct Limited {
    source: Arc<dyn ZoneSource>,
    limit: Limit,
}

enum Limit {
    /// The zones of one name.
    Zone(Name),
    /// Nothing: it is not asked.
    Silent,
}

/// The same source with no zones but those of this name.
pub fn only_zone(source: Arc<dyn ZoneSource>, apex: Name) -> Arc<dyn ZoneSource> {
    Arc::new(Limited { source, limit: Limit::Zone(apex) })
}

/// The same source, which is asked nothing: what its state files hold is all there is.
pub fn unasked(source: Arc<dyn ZoneSource>) -> Arc<dyn ZoneSource> {
    Arc::new(Limited { source, limit: Limit::Silent })
}

impl ZoneSource for Limited {
    fn kind(&self) -> &'static str {
        self.source.kind()
    }

    fn label(&self) -> &str {
        self.source.label()
    }

    fn origin(&self) -> Option<Origin> {
        self.source.origin()
    }

    fn origin_of(&self, zone: &ZoneId) -> Option<Origin> {
        self.source.origin_of(zone)
    }

    fn unseen(&self) -> Vec<String> {
        self.source.unseen()
    }

    fn region(&self) -> Option<String> {
        self.source.region()
    }

    fn discover(&self) -> BoxFuture<'_, Result<Vec<FoundZone>, SourceError>> {
        Box::pin(async {
            match &self.limit {
                Limit::Silent => Err(silent("its zones")),
                Limit::Zone(apex) => {
                    let found = self.source.discover().await?;
                    Ok(found.into_iter().filter(|zone| zone.apex == *apex).collect())
                }
            }
        })
    }

    fn fetch<'a>(
        &'a self,
        zone: &'a FoundZone,
        progress: &'a mut Progress,
    ) -> BoxFuture<'a, Result<Fetched, SourceError>> {
        match &self.limit {
            Limit::Silent => Box::pin(async { Err(silent("the zone")) }),
            Limit::Zone(_) => self.source.fetch(zone, progress),
        }
    }
}

fn silent(what: &str) -> SourceError {
    SourceError::Misconfigured(format!("the source is not asked for {what} offline"))
}
