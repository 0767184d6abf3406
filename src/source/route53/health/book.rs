//! The settings of checks, remembered: they change rarely, and each look at them costs calls.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::rules::{Check, Reading};
use super::{MAX_CHECKS, PAGE};

/// Settings older than this are read again.
const LOOK_AGAIN: Duration = Duration::from_secs(600);
/// Checks that nobody asked for in so long are forgotten.
const FORGET: Duration = Duration::from_secs(1800);
/// Pages that a listing is expected to take before there was one: an account has at most 200
/// checks unless that is raised.
const PAGES_EXPECTED: usize = 200 / PAGE as usize;

/// How the settings that are missing are read with the fewest calls.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// None is missing.
    Nothing,
    /// Check by check.
    Get(Vec<Box<str>>),
    /// All checks of the account; these are the missing ones.
    List(Vec<Box<str>>),
}

/// One check's settings.
#[derive(Debug)]
struct Page {
    /// `None` for a check that is not in the account.
    check: Option<Check>,
    read: Instant,
}

/// What is known of checks' settings: those of the last listing, and at most [`MAX_CHECKS`] that
/// were asked for.
#[derive(Debug, Default)]
pub struct Book {
    pages: HashMap<Box<str>, Page>,
    /// Calls that the last listing took.
    listing: Option<usize>,
    /// When we were last told that we may not read settings.
    denied: Option<Instant>,
    /// Its words, until they have been passed on.
    refusal: Option<String>,
}

impl Book {
    /// What is to be read before these checks can be judged.
    pub fn plan(&self, ids: &[Box<str>], now: Instant) -> Plan {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < LOOK_AGAIN;
        if self.denied.is_some_and(is_recent) {
            return Plan::Nothing;
        }
        let is_due = |id: &str| !self.pages.get(id).is_some_and(|page| is_recent(page.read));
        let due: Vec<Box<str>> = ids.iter().filter(|id| is_due(id)).cloned().collect();
        match due.len() {
            0 => Plan::Nothing,
            few if few <= self.listing.unwrap_or(PAGES_EXPECTED) => Plan::Get(due),
            _ => Plan::List(due),
        }
    }

    /// Notes one check's settings; `None` says that there is no such check.
    pub fn note(&mut self, id: &str, check: Option<Check>, now: Instant) {
        self.forget(now);
        if self.pages.len() < MAX_CHECKS || self.pages.contains_key(id) {
            self.pages.insert(id.into(), Page { check, read: now });
        }
    }

    /// Takes over a whole listing, which took `calls` calls; those of `due` that are not in it are
    /// known to be nowhere.
    pub fn replace(
        &mut self,
        found: HashMap<Box<str>, Option<Check>>,
        due: &[Box<str>],
        calls: usize,
        now: Instant,
    ) {
        self.listing = Some(calls);
        self.pages = due.iter().map(|id| (id.clone(), Page { check: None, read: now })).collect();
        self.pages.extend(found.into_iter().map(|(id, check)| (id, Page { check, read: now })));
    }

    fn forget(&mut self, now: Instant) {
        self.pages.retain(|_, page| now.saturating_duration_since(page.read) < FORGET);
    }

    /// Notes that settings may not be read, and what was said about it the first time.
    pub fn denied(&mut self, words: String, now: Instant) {
        if self.denied.replace(now).is_none() {
            self.refusal = Some(words);
        }
    }

    /// What was said when settings were first refused, once.
    pub fn take_refusal(&mut self) -> Option<String> {
        self.refusal.take()
    }

    /// Notes that settings could be read; whether that is news.
    pub fn allowed(&mut self) -> bool {
        self.denied.take().is_some()
    }

    /// The settings of a check, as far as they are known.
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.pages.get(id)?.check.as_ref()
    }

    /// Whether a check can be judged: by its settings, or because they are not to be had.
    pub fn knows(&self, id: &str) -> bool {
        self.denied.is_some() || self.pages.contains_key(id)
    }

    /// Those of `ids` whose metric is needed.
    pub fn measured(&self, ids: &[Box<str>]) -> Vec<Box<str>> {
        let is_open = |id: &str| self.knows(id) && self.check(id).is_none_or(|c| c.fixed().is_none());
        ids.iter().filter(|id| is_open(id)).cloned().collect()
    }

    /// The children of those of `ids` that are calculated and without a reading, but for those
    /// `seen` already; sorted, so that equal looks make equal calls.
    pub fn children(
        &self,
        ids: &[Box<str>],
        readings: &HashMap<Box<str>, Reading>,
        seen: &HashSet<Box<str>>,
    ) -> Vec<Box<str>> {
        let without = ids.iter().filter(|id| !readings.contains_key(*id)).filter_map(|id| self.check(id));
        let open = without.filter(|check| check.fixed().is_none());
        let children = open.filter_map(|check| check.calculation.as_ref()).flat_map(|c| &c.children);
        let new: HashSet<&Box<str>> = children.filter(|id| !seen.contains(*id)).collect();
        let mut new: Vec<Box<str>> = new.into_iter().cloned().collect();
        new.sort_unstable();
        super::usable(&new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<Box<str>> {
        (0..count).map(|n| format!("c{n}").into()).collect()
    }

    #[test]
    fn few_checks_are_read_one_by_one_and_many_in_a_listing() {
        let now = Instant::now();
        let mut book = Book::default();
        assert_eq!(book.plan(&ids(2), now), Plan::Get(ids(2)));
        assert_eq!(book.plan(&ids(3), now), Plan::List(ids(3)));
        book.replace(HashMap::new(), &[], 5, now);
        assert_eq!(book.plan(&ids(5), now), Plan::Get(ids(5)), "a listing is known to take five calls");
        assert_eq!(book.plan(&ids(6), now), Plan::List(ids(6)));
    }

    #[test]
    fn settings_are_read_again_after_ten_minutes_and_for_new_checks() {
        let now = Instant::now();
        let mut book = Book::default();
        book.note("c0", Some(Check::default()), now);
        book.note("c1", None, now);
        assert_eq!(book.plan(&ids(2), now + LOOK_AGAIN / 2), Plan::Nothing);
        assert_eq!(book.plan(&ids(3), now + LOOK_AGAIN / 2), Plan::Get(vec!["c2".into()]));
        assert_eq!(book.plan(&ids(2), now + LOOK_AGAIN), Plan::Get(ids(2)));
        assert!(book.knows("c0"), "what is old is better than nothing");
        book.note("c2", None, now + FORGET);
        assert!(!book.knows("c0") && book.knows("c2"));
    }

    #[test]
    fn a_listing_tells_which_checks_there_are_not() {
        let now = Instant::now();
        let mut book = Book::default();
        book.note("c1", Some(Check::default()), now);
        let later = now + LOOK_AGAIN;
        book.replace(HashMap::from([("c0".into(), Some(Check::default()))]), &ids(2), 1, later);
        assert!(book.check("c0").is_some());
        assert!(book.check("c1").is_none() && book.knows("c1"), "it was deleted");
        assert_eq!(book.plan(&ids(2), later), Plan::Nothing);
    }

    #[test]
    fn a_refusal_is_news_once_and_rests() {
        let now = Instant::now();
        let mut book = Book::default();
        book.denied("no".to_owned(), now);
        assert_eq!(book.take_refusal().as_deref(), Some("no"));
        assert_eq!(book.plan(&ids(1), now), Plan::Nothing);
        assert!(book.knows("c0"));
        assert_eq!(book.plan(&ids(1), now + LOOK_AGAIN), Plan::Get(ids(1)));
        book.denied("still no".to_owned(), now + LOOK_AGAIN);
        assert_eq!(book.take_refusal(), None);
        assert!(book.allowed() && !book.allowed());
    }
}
