//! A listing of zones being put together.

use std::collections::HashSet;

use tracing::warn;

use crate::source::{Access, FoundZone, SourceError, ZoneId};
use crate::wire::{Escapes, Name, Suffixes};

use super::select::{Wanted, bare_id};

/// The most zones that are followed: the account's limit is 500 unless raised, and a listing that
/// does not end must end here.
const MAX_ZONES: usize = 20_000;

/// Zones found, and what could not be found out.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that are wanted, in the order they were found.
    pub zones: Vec<Found>,
    /// Those that are there, and not wanted.
    unwanted: Vec<FoundZone>,
    ids: HashSet<String>,
    /// The accounts that the zones belong to.
    pub owners: HashSet<String>,
    /// Accounts that could not be listed; empty for that of the credentials found.
    pub unseen: HashSet<String>,
}

/// A zone found, and how.
#[derive(Debug)]
pub struct Found {
    /// The zone.
    pub zone: FoundZone,
    /// The account it is read through, by number.
    pub account: usize,
    /// The account it belongs to; empty where that is not known.
    pub owner: String,
}

/// What one reply says of a zone.
pub struct Seen<'a> {
    /// With or without `/hostedzone/`.
    pub id: &'a str,
    /// As the API writes it.
    pub name: &'a str,
    /// Whether it can be read.
    pub access: Access,
    /// How many record sets it has.
    pub records: Option<u64>,
    /// See [`Found::account`].
    pub account: usize,
    /// See [`Found::owner`].
    pub owner: &'a str,
}

impl Listing {
    /// Takes a zone in; of several with one id the first counts.
    pub fn add(&mut self, seen: Seen<'_>, wanted: &Wanted) {
        let Seen { name, access, records, account, owner, .. } = seen;
        let id = bare_id(seen.id);
        if !self.ids.insert(id.to_owned()) {
            return;
        }
        if !owner.is_empty() {
            self.owners.insert(owner.to_owned());
        }
        match Name::from_text(name, Escapes::Octal) {
            Ok(apex) => {
                let is_wanted = wanted.matches(id, apex.as_ref());
                let zone = FoundZone { id: ZoneId(id.into()), apex, access, records };
                if is_wanted {
                    self.zones.push(Found { zone, account, owner: owner.to_owned() });
                } else {
                    self.unwanted.push(zone);
                }
            }
            Err(error) => warn!(id, name, %error, "hosted zone left out: its name cannot be read"),
        }
    }

    /// Whether a zone of this id was taken in.
    pub fn has(&self, id: &str) -> bool {
        self.ids.contains(bare_id(id))
    }

    /// All zones seen, wanted or not.
    pub fn seen(&self) -> impl Iterator<Item = &FoundZone> {
        self.zones.iter().map(|found| &found.zone).chain(&self.unwanted)
    }

    /// How many zones were seen.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Takes in the zones of another listing that are not in this one.
    pub fn join(&mut self, other: Self) {
        for found in other.zones {
            if self.ids.insert(found.zone.id.0.to_string()) {
                self.zones.push(found);
            }
        }
        self.ids.extend(other.ids);
        self.unwanted.extend(other.unwanted);
        self.owners.extend(other.owners);
        self.unseen.extend(other.unseen);
    }

    /// Of the zones behind the first `own`, drops those whose name an earlier one has.
    pub fn yield_names(&mut self, own: usize) {
        let mut names: HashSet<Name> = HashSet::new();
        let mut at = 0;
        self.zones.retain(|found| {
            let is_new = names.insert(found.zone.apex.clone());
            at += 1;
            is_new || at <= own
        });
    }

    /// Keeps the zones for which `keep` says so; the others are there, and not wanted.
    pub fn keep(&mut self, keep: impl Fn(&Found) -> bool) {
        let (kept, dropped): (Vec<Found>, Vec<Found>) = self.zones.drain(..).partition(|f| keep(f));
        self.zones = kept;
        self.unwanted.extend(dropped.into_iter().map(|found| found.zone));
    }

    /// Carves zones that are not wanted out of wanted ones above them: the VPC answers their names
    /// from them, so the zone above must not deny those.
    pub fn carve_unwanted(&mut self) {
        let readable = Apexes::of(self.readable());
        let is_below = |zone: &&FoundZone| !readable.has(&zone.apex) && readable.covers(&zone.apex);
        let below: Vec<FoundZone> = self.unwanted.iter().filter(is_below).cloned().collect();
        for mut zone in below {
            zone.access = Access::CarvedOut("the VPC has it, and it is not selected".to_owned());
            self.zones.push(Found { zone, account: 0, owner: String::new() });
        }
    }

    /// The zones that will be fetched.
    pub fn readable(&self) -> impl Iterator<Item = &FoundZone> {
        self.zones.iter().map(|found| &found.zone).filter(|zone| zone.access == Access::Readable)
    }
}

/// The names of some zones.
pub struct Apexes(HashSet<Name>);

impl Apexes {
    /// Those of `zones`.
    pub fn of<'a>(zones: impl Iterator<Item = &'a FoundZone>) -> Self {
        Self(zones.map(|zone| zone.apex.clone()).collect())
    }

    /// Whether `name` is one of them.
    pub fn has(&self, name: &Name) -> bool {
        self.0.contains(name)
    }

    /// Whether `name` is one of them or below one.
    pub fn covers(&self, name: &Name) -> bool {
        let above = Suffixes::of(name.as_ref());
        (0..=above.depth()).any(|depth| self.has(&above.suffix(depth).to_owned()))
    }
}

/// The pages of one listing.
#[derive(Debug, Default)]
pub struct Pages {
    /// The cursors used so far: one that comes again would go round for ever.
    cursors: HashSet<String>,
}

impl Pages {
    /// The next page's cursor, where `items` are known so far.
    ///
    /// # Errors
    /// [`SourceError::Damaged`] for a listing that cannot end.
    pub fn turn(&mut self, what: &str, items: usize, cursor: Option<&str>) -> Result<String, SourceError> {
        let damaged = |problem: &str| SourceError::Damaged { what: what.into(), problem: problem.into() };
        let cursor = cursor.ok_or_else(|| damaged("it goes on but does not say where"))?;
        if items > MAX_ZONES || self.cursors.len() > MAX_ZONES {
            return Err(damaged("it does not end"));
        }
        if !self.cursors.insert(cursor.to_owned()) {
            return Err(damaged("its cursor stands still"));
        }
        Ok(cursor.to_owned())
    }
}
