//! Selection by tag. Tags change rarely and asking for them costs calls, so an answer holds for a while.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_route53::Client;
use aws_sdk_route53::operation::list_tags_for_resources::ListTagsForResourcesOutput;
use aws_sdk_route53::types::TagResourceType;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::metrics::source::ApiCall;
use crate::source::{Access, SourceError, chain};

use super::Route53Source;
use super::error::is_role_refused;
use super::listing::Listing;
use super::select::Wanted;

/// The tags of a known zone are looked at again after this long.
const HOLDS: Duration = Duration::from_secs(600);
/// The most zones that one call may ask for.
const BATCH: usize = 10;

/// What was seen of a zone's tags.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    /// When.
    at: Instant,
    /// Whether they are the wanted ones; no, where they cannot be read.
    matches: bool,
}

impl Looked {
    fn is_due(self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= HOLDS
    }
}

impl Route53Source {
    /// Drops the zones whose tags are not those wanted, or cannot be read. New zones are looked at
    /// at once, known ones now and then; zones that cannot be read stay, to be carved out.
    pub(super) async fn keep_tagged(
        &self,
        wanted: &Wanted,
        listing: &mut Listing,
    ) -> Result<(), SourceError> {
        if !wanted.asks_tags() {
            return Ok(());
        }
        let now = Instant::now();
        for (at, ids) in self.untold(listing, now) {
            let (new, known): (Vec<_>, Vec<_>) = ids.into_iter().partition(|(_, is_new)| *is_new);
            let ids: Vec<String> = new.into_iter().chain(known).map(|(id, _)| id).collect();
            for batch in ids.chunks(BATCH) {
                if let Err(failure) = self.look_at_tags(at, batch, wanted, now).await {
                    self.do_without(at, batch, failure, listing)?;
                }
            }
        }
        let memory = self.memory();
        listing.keep(|found| {
            found.zone.access != Access::Readable
                || memory.tags.get(&*found.zone.id.0).is_some_and(|looked| looked.matches)
        });
        Ok(())
    }

    /// The zones to ask for, by account, and whether nothing is known of them yet.
    fn untold(&self, listing: &Listing, now: Instant) -> BTreeMap<usize, Vec<(String, bool)>> {
        let mut memory = self.memory();
        // Zones that are no longer listed.
        memory.tags.retain(|_, looked| now.saturating_duration_since(looked.at) < HOLDS * 3);
        let mut untold: BTreeMap<usize, Vec<(String, bool)>> = BTreeMap::new();
        for found in listing.zones.iter().filter(|found| found.zone.access == Access::Readable) {
            let id = &*found.zone.id.0;
            let looked = memory.tags.get(id);
            if looked.is_none_or(|looked| looked.is_due(now)) {
                untold.entry(found.account).or_default().push((id.to_owned(), looked.is_none()));
            }
        }
        untold
    }

    /// Asks for the tags of up to ten zones. Where one may not be read, none of them is told: then
    /// each is asked for alone.
    async fn look_at_tags(
        &self,
        at: usize,
        ids: &[String],
        wanted: &Wanted,
        now: Instant,
    ) -> Result<(), SourceError> {
        let client = self.session().await?.client_of(at);
        match self.tags_of(client, ids).await {
            Ok(reply) => self.take_tags(&reply, ids, wanted, now),
            Err(SourceError::Denied { .. } | SourceError::Gone { .. }) if ids.len() > 1 => {
                for id in ids {
                    Box::pin(self.look_at_tags(at, std::slice::from_ref(id), wanted, now)).await?;
                }
                Ok(())
            }
            Err(denied @ SourceError::Denied { .. }) if !is_role_refused(&denied) => {
                self.tags_denied(ids, &denied, now);
                Ok(())
            }
            Err(SourceError::Gone { .. }) => {
                self.remember_tags(ids, now, |_| false);
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn tags_of(
        &self,
        client: &Client,
        ids: &[String],
    ) -> Result<ListTagsForResourcesOutput, SourceError> {
        let what = format!("the tags of {} hosted zones", ids.len());
        let request = client
            .list_tags_for_resources()
            .resource_type(TagResourceType::Hostedzone)
            .set_resource_ids(Some(ids.to_vec()));
        self.call(ApiCall::ListTagsForResources, &what, request.send()).await
    }

    fn take_tags(
        &self,
        reply: &ListTagsForResourcesOutput,
        ids: &[String],
        wanted: &Wanted,
        now: Instant,
    ) -> Result<(), SourceError> {
        let mut told: HashMap<&str, HashMap<&str, &str>> = HashMap::new();
        for set in reply.resource_tag_sets() {
            let tags =
                set.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())));
            told.insert(set.resource_id().unwrap_or_default(), tags.collect());
        }
        if let Some(id) = ids.iter().find(|id| !told.contains_key(id.as_str())) {
            let what = format!("the tags of hosted zone {id}");
            return Err(SourceError::Damaged { what, problem: "they are not in the reply".into() });
        }
        self.remember_tags(ids, now, |id| told.get(id).is_some_and(|tags| wanted.matches_tags(tags)));
        Ok(())
    }

    fn remember_tags(&self, ids: &[String], at: Instant, matches: impl Fn(&str) -> bool) {
        let mut memory = self.memory();
        for id in ids {
            memory.tags.insert(id.clone(), Looked { at, matches: matches(id) });
        }
    }

    /// A zone whose tags may not be read is not imported; of one that was, the tags known stand.
    fn tags_denied(&self, ids: &[String], denied: &SourceError, at: Instant) {
        let mut memory = self.memory();
        for id in ids {
            let matches = memory.tags.get(id).is_some_and(|looked| looked.matches);
            memory.tags.insert(id.clone(), Looked { at, matches });
        }
        if memory.is_news("route53:ListTagsForResources") {
            warn!(
                id = ids.first(),
                error = chain(denied),
                "tags of hosted zones cannot be read (route53:ListTagsForResources), such zones are left out"
            );
        }
    }

    /// Goes on with the tags known, if that can be done: zones of an account whose role cannot be
    /// assumed are not told; of other zones something must be known.
    fn do_without(
        &self,
        at: usize,
        ids: &[String],
        failure: SourceError,
        listing: &mut Listing,
    ) -> Result<(), SourceError> {
        let all_known = ids.iter().all(|id| self.memory().tags.contains_key(id));
        if all_known {
            debug!(error = chain(&failure), "tags were not looked at again");
            return Ok(());
        }
        let account = self.session.get().and_then(|session| session.accounts.get(at));
        match account {
            Some(account) if account.role.is_some() && is_role_refused(&failure) => {
                self.note_unseen(at, account, &failure, listing);
                Ok(())
            }
            _ => Err(failure),
        }
    }
}
