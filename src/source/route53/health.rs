//! States of health checks: what CloudWatch measured, under what the checks' settings say.
//!
//! GetHealthCheckStatus is never asked: AWS does not mean it for production, and it refuses
//! calculated checks. The metric `HealthCheckStatus` has every kind of check, 500 in one call.

mod book;
mod metric;
mod rules;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_route53::Client;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::metrics::source::{ApiCall, SourceMetrics};
use crate::source::{BoxError, Sighting, SourceError};

use super::Route53Source;
use super::partition::Partition;
use book::{Book, Plan};
use metric::CloudWatch;
use rules::{Check, MAX_DEPTH, Picture, Reading};

/// The most checks that are followed, children included: an account has 200 unless that is raised.
const MAX_CHECKS: usize = 10_000;
/// The longest id that the API accepts.
const MAX_ID: usize = 64;
/// A look at one account's checks takes no longer.
const ACCOUNT_LIMIT: Duration = Duration::from_secs(300);
/// The most checks that one call lists.
const PAGE: i32 = 100;

/// Asks once for the state of a check that nobody has, to see whether states may be read.
pub(super) async fn try_states(
    sdk: &SdkConfig,
    partition: Partition,
    metrics: &SourceMetrics,
) -> Result<(), SourceError> {
    let nobodys = Box::from("00000000-0000-0000-0000-000000000000");
    metric::newest(&metric::client(sdk, partition), metrics, &[nobodys], SystemTime::now()).await.map(drop)
}

/// What is kept between two looks.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// For each account of the session.
    accounts: OnceLock<Vec<Known>>,
    /// The account in which each check was found.
    homes: Mutex<HashMap<Box<str>, usize>>,
    /// Accounts that were warned about.
    warned: Mutex<HashSet<usize>>,
}

/// What is kept of one account.
#[derive(Debug)]
struct Known {
    cloudwatch: CloudWatch,
    book: Mutex<Book>,
}

/// One account's clients and memory: checks live in the account that made them, and its CloudWatch
/// alone has their metrics.
struct Account<'a> {
    source: &'a Route53Source,
    name: String,
    route53: &'a Client,
    known: &'a Known,
}

impl Route53Source {
    /// Looks once at the checks of these ids. A check that nobody knows anything of is not in the
    /// answer.
    ///
    /// Cost: a call of CloudWatch for each 500 checks; every ten minutes, and for new ids, calls of
    /// Route 53 for the settings, within the budget.
    pub(super) async fn look_at_health(&self, checks: &[Box<str>]) -> Result<Vec<Sighting>, SourceError> {
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.session().await?;
        let known = |account: &super::accounts::Account| Known {
            cloudwatch: metric::client(&account.sdk, session.partition),
            book: Mutex::default(),
        };
        let all = self.health.accounts.get_or_init(|| session.accounts.iter().map(known).collect());
        let (ids, mut sightings, mut failure) = (usable(checks), Vec::new(), None);
        for (at, (account, known)) in session.accounts.iter().zip(all).enumerate() {
            let asked = self.health.asked_of(at, &ids);
            if asked.is_empty() {
                continue;
            }
            let account = Account { source: self, name: account.name(), route53: &account.client, known };
            // What one account refuses, or never answers, holds no other up.
            let looked = timeout(ACCOUNT_LIMIT, account.look(&asked)).await;
            match looked.unwrap_or_else(|elapsed| Err(too_long(elapsed.into()))) {
                Ok(seen) => {
                    self.health.found(at, &seen, &ids);
                    sightings.extend(seen);
                }
                Err(error) => failure = Some((at, error)),
            }
        }
        match failure {
            Some((_, error)) if sightings.is_empty() => Err(error),
            Some((at, error)) => {
                self.health.warn_once(at, session.accounts.get(at).map(|a| a.name()), &error);
                Ok(sightings)
            }
            None => Ok(sightings),
        }
    }
}

fn too_long(cause: BoxError) -> SourceError {
    SourceError::Failed { what: "a look at health checks".to_owned(), source: cause }
}

impl Memory {
    /// Those of `ids` that account `at` has, or that no account is known to have.
    fn asked_of(&self, at: usize, ids: &[Box<str>]) -> Vec<Box<str>> {
        let homes = self.homes();
        ids.iter().filter(|id| homes.get(*id).is_none_or(|home| *home == at)).cloned().collect()
    }

    /// Notes what account `at` has. Only `ids` are remembered.
    fn found(&self, at: usize, seen: &[Sighting], ids: &[Box<str>]) {
        let mut homes = self.homes();
        if homes.len() > ids.len() {
            let ids: HashSet<&Box<str>> = ids.iter().collect();
            homes.retain(|id, _| ids.contains(id));
        }
        homes.extend(seen.iter().map(|sighting| (sighting.check.clone(), at)));
    }

    fn warn_once(&self, at: usize, account: Option<String>, error: &SourceError) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(at) {
            warn!(account, %error, "health checks of this account cannot be looked at, they stay unknown");
        }
    }

    fn homes(&self) -> MutexGuard<'_, HashMap<Box<str>, usize>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account<'_> {
    async fn look(&self, ids: &[Box<str>]) -> Result<Vec<Sighting>, SourceError> {
        let (mut readings, mut seen) = (HashMap::new(), HashSet::new());
        let (mut failure, mut wave) = (None, ids.to_vec());
        for depth in 0..MAX_DEPTH {
            if let Err(error) = self.learn(&wave).await {
                debug!(error = %error, "settings of health checks were not read");
                failure = Some(error);
            }
            let asked = self.book().measured(&wave);
            match self.measure(&asked).await {
                Ok(found) => readings.extend(found),
                Err(error) if depth == 0 => return Err(error),
                Err(error) => {
                    debug!(error = %error, "children of calculated health checks were not read");
                    break;
                }
            }
            seen.extend(wave.iter().cloned());
            wave = self.book().children(&wave, &readings, &seen);
            wave.truncate(MAX_CHECKS.saturating_sub(seen.len()));
            if wave.is_empty() {
                break;
            }
        }
        let sightings = self.sightings(ids, &readings);
        // An account that has none of the checks may keep its settings to itself.
        let refusal = if sightings.is_empty() { None } else { self.book().take_refusal() };
        if let Some(error) = refusal {
            warn!(
                account = self.name,
                error,
                "health checks are judged by their metric alone, as if none were disabled, inverted or \
                 calculated: allow route53:GetHealthCheck and route53:ListHealthChecks"
            );
        }
        match failure {
            Some(error) if sightings.is_empty() => Err(error),
            _ => Ok(sightings),
        }
    }

    /// Checks whose settings are not known are left out: one that is disabled would be called ill.
    fn sightings(&self, ids: &[Box<str>], readings: &HashMap<Box<str>, Reading>) -> Vec<Sighting> {
        let book = self.book();
        let mut picture = Picture::new(|id| book.check(id), readings);
        let known = ids.iter().filter(|id| book.knows(id));
        let sighted = known.filter_map(|id| {
            let Reading { state, age } = picture.state(id)?;
            Some(Sighting { check: id.clone(), state, age })
        });
        sighted.collect()
    }

    /// Reads the settings that are not known or were read too long ago.
    async fn learn(&self, ids: &[Box<str>]) -> Result<(), SourceError> {
        let plan = self.book().plan(ids, Instant::now());
        let learned = match plan {
            Plan::Nothing => return Ok(()),
            Plan::Get(due) => self.get(&due).await,
            Plan::List(due) => self.list(&due).await,
        };
        match learned {
            Ok(()) => {
                if self.book().allowed() {
                    info!("settings of health checks can be read again");
                }
                Ok(())
            }
            Err(SourceError::Denied { source, .. }) => {
                self.book().denied(source.to_string(), Instant::now());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn get(&self, ids: &[Box<str>]) -> Result<(), SourceError> {
        for id in ids {
            let what = format!("health check {id}");
            let request = self.route53.get_health_check().health_check_id(&**id);
            let check = match self.source.call(ApiCall::GetHealthCheck, &what, request.send()).await {
                Ok(reply) => {
                    reply.health_check().and_then(|check| check.health_check_config()).map(Check::of)
                }
                Err(SourceError::Gone { .. }) => None,
                Err(error) => return Err(error),
            };
            self.book().note(id, check, Instant::now());
        }
        Ok(())
    }

    async fn list(&self, due: &[Box<str>]) -> Result<(), SourceError> {
        let what = "listing of the health checks";
        let damaged = |problem: &str| SourceError::Damaged { what: what.into(), problem: problem.into() };
        let (mut found, mut cursors) = (HashMap::new(), HashSet::new());
        let mut marker: Option<String> = None;
        let mut pages = 0;
        loop {
            let request = self.route53.list_health_checks().max_items(PAGE).set_marker(marker.take());
            let page = self.source.call(ApiCall::ListHealthChecks, what, request.send()).await?;
            pages += 1;
            for check in page.health_checks() {
                found.insert(Box::from(check.id()), check.health_check_config().map(Check::of));
            }
            if !page.is_truncated() {
                break;
            }
            let next = page.next_marker().ok_or_else(|| damaged("it goes on but does not say where"))?;
            if found.len() > MAX_CHECKS {
                return Err(damaged("it does not end"));
            }
            if !cursors.insert(next.to_owned()) {
                return Err(damaged("its cursor stands still"));
            }
            marker = Some(next.to_owned());
        }
        self.book().replace(found, due, pages, Instant::now());
        Ok(())
    }

    async fn measure(&self, ids: &[Box<str>]) -> Result<HashMap<Box<str>, Reading>, SourceError> {
        metric::newest(&self.known.cloudwatch, &self.source.metrics, ids, SystemTime::now()).await
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.known.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ids that can be asked for, each once: a single odd one would have the whole call refused.
fn usable(checks: &[Box<str>]) -> Vec<Box<str>> {
    let mut seen = HashSet::new();
    let is_plain = |id: &str| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let fits = |id: &str| (1..=MAX_ID).contains(&id.len()) && is_plain(id);
    let new = checks.iter().filter(|id| fits(id) && seen.insert(&***id));
    new.take(MAX_CHECKS).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_would_spoil_a_call_are_left_out() {
        let ids = ["a-1", "", "a b", "a-1", "b_2", "é", &"x".repeat(65), "../x"].map(Box::from);
        assert_eq!(usable(&ids), ["a-1", "b_2"].map(Box::from));
    }
}
