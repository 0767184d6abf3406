//! What a walk comes by, for those who want to be told.

use std::sync::Arc;

use crate::answer::local::Local;
use crate::answer::miss::Fetched;
use crate::answer::relief::Impossible;
use crate::answer::special::Special;
use crate::cache::{Entry, Failure};
use crate::wire::Name;
use crate::zone::{Chosen, Lookup, Part, Rrset};

/// One thing that a walk comes by.
#[derive(Debug)]
pub enum Event<'w> {
    /// It looks at this name: the question's, or the target of a CNAME.
    Name(Name),
    /// The name is special.
    Special(Special),
    /// An override or a hosts file has the name.
    Local(Local<'w>),
    /// No zone has the name, and it cannot exist.
    Impossible(Impossible),
    /// The name belongs to this entry of the zone table. Without this event it belongs to none.
    Zone(Part<'w>),
    /// The zone says this of it.
    Found(Lookup<'w>),
    /// A policy chooses this.
    Chosen(Chosen<'w>),
    /// It writes this CNAME, and goes on at its target.
    Cname(Rrset<'w>),
    /// The target of the CNAME before has these records, as the zone knows without looking.
    Linked(Rrset<'w>),
    /// It wants to know what upstreams say of a name.
    Consult {
        /// The name.
        name: Name,
        /// They may not deny it.
        must_exist: bool,
    },
    /// That was fetched for this query.
    Fetched(&'w Fetched),
    /// The cache knows.
    Cached {
        /// A copy.
        entry: Arc<Entry>,
        /// It is not a denial of a name that is known to exist.
        is_believed: bool,
    },
    /// What the cache knew before upstreams failed is given.
    Stale(Arc<Entry>),
    /// A failure is remembered.
    Failed(Arc<Failure>),
}

/// Who is told.
pub trait Trace<'w> {
    /// Takes the event that `event` makes, if it wants any.
    fn note(&mut self, event: impl FnOnce() -> Event<'w>);
}

/// Nobody: what would be told is not even made.
#[derive(Clone, Copy, Debug)]
pub struct Untraced;

impl<'w> Trace<'w> for Untraced {
    #[inline(always)]
    fn note(&mut self, _: impl FnOnce() -> Event<'w>) {}
}

/// All events in order.
#[derive(Debug, Default)]
pub struct Recorder<'w>(pub Vec<Event<'w>>);

impl<'w> Trace<'w> for Recorder<'w> {
    fn note(&mut self, event: impl FnOnce() -> Event<'w>) {
        self.0.push(event());
    }
}
