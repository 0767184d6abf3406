//! What a source hands over: the record sets of one zone, RDATA already on the wire.

use super::node;
use crate::wire::{Name, Rtype};

/// Everything a source knows of one zone, complete: what is not in here does not exist in the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneData {
    /// The zone's own name.
    pub apex: Name,
    /// The record sets in any order. Two with the same owner and type are one RRset's records
    /// (a zone file) unless one of them is deferred, which makes the whole RRset deferred.
    pub sets: Vec<RecordSet>,
    /// What the source could not express, each by itself.
    pub skipped: Vec<Skipped>,
}

/// The records of one owner and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSet {
    /// The owner, at or below the apex. A wildcard only if its leftmost label is exactly `*`.
    pub owner: Name,
    /// The type of every record in the set. ANY, on a deferred set only, stands for every type that
    /// has no set of its own: something is there that cannot be named here.
    pub rtype: Rtype,
    /// The records, or that only the origin can choose them.
    pub body: Body,
}

/// What a record set holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Plain records.
    Records {
        /// Seconds.
        ttl: u32,
        /// RDATA in wire form, names inside uncompressed; at least one.
        rdata: Vec<Box<[u8]>>,
    },
    /// The records of another name, answered under this owner.
    Alias(Alias),
    /// One of several sets of this owner and type, among which a routing policy chooses.
    Member(Box<Member>),
    /// The answer is decided at the origin: such a query is forwarded, and its name exists.
    Deferred(DeferredReason),
}

/// One of the sets that a routing policy chooses among.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// What tells it from the others.
    pub identifier: Box<str>,
    /// When it is chosen.
    pub policy: Policy,
    /// The health check that must pass for it to count as healthy.
    pub health_check: Option<Box<str>>,
    /// What is answered.
    pub content: Content,
}

/// What a set holds that a policy may choose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Records of its own.
    Records {
        /// Seconds.
        ttl: u32,
        /// RDATA in wire form, names inside uncompressed; at least one.
        rdata: Vec<Box<[u8]>>,
    },
    /// Another name's.
    Alias(Alias),
}

impl Content {
    /// Bytes of its block of records.
    pub(super) fn size_of_block(&self) -> usize {
        match self {
            Self::Records { rdata, .. } => node::size_of_block(rdata.iter().map(|value| &**value)),
            Self::Alias(_) => 0,
        }
    }
}

/// When a set is chosen. All sets of one owner and type have the same policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Always: it is the only one, and its health matters to aliases of it alone.
    Simple,
    /// As often as its share of all weights.
    Weighted(u16),
    /// While it is healthy; of the two, the one that is set comes first.
    Failover {
        /// Whether it comes first.
        is_primary: bool,
    },
    /// Together with up to seven others.
    Multivalue,
    /// When this Region is nearest.
    Latency(Box<str>),
    /// For those who are there.
    Geolocation(Location),
    /// When this place is nearest, by distances that are shortened or, below zero, lengthened.
    Geoproximity {
        /// Where it is.
        place: Place,
        /// Percent, -99 to 99.
        bias: i8,
    },
}

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a Region, by its code.
    Region(Box<str>),
    /// Hundredths of a degree.
    Point {
        /// North.
        latitude: i32,
        /// East.
        longitude: i32,
    },
}

/// Where those are whom a geolocation set is for; codes as Route 53 has them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// Anywhere.
    Default,
    /// On a continent.
    Continent(Box<str>),
    /// In a country.
    Country(Box<str>),
    /// In a part of a country.
    Subdivision(Box<str>, Box<str>),
}

/// Whose records of the set's type are answered under its owner, with no CNAME to be seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alias {
    /// The name.
    pub target: Name,
    /// Whether it is looked up in the same zone; else upstreams are asked for it.
    pub is_inside: bool,
    /// Whether it counts as healthy only while something it may lead to does.
    pub evaluates_health: bool,
}

/// Why an RRset's answer is decided elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeferredReason {
    /// The records of another name are answered under this owner, but of which cannot be told here.
    Flattened,
    /// One of several sets is chosen by a routing policy.
    Choice,
    /// It could not be read, or is of a kind this version does not know. Yields to plain records of
    /// the same owner and type.
    Unknown,
}

impl DeferredReason {
    /// The metric label and the word in logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Flattened => "flattened",
            Self::Choice => "choice",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing of a zone that is not served, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The owner as the source wrote it.
    pub owner: String,
    /// The type as the source wrote it.
    pub rtype: String,
    /// The class of reason, a metric label.
    pub reason: SkipReason,
    /// What exactly is wrong, naming the value.
    pub detail: String,
}

/// Why something was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SkipReason {
    /// The owner is not a domain name.
    BadOwner,
    /// The owner is not at or below the apex.
    OutOfZone,
    /// A value does not parse as its type.
    BadValue,
    /// The type cannot be served here (meta types, a type this version cannot encode).
    UnsupportedType,
    /// The TTL is missing or out of range (RFC 2181 §8).
    BadTtl,
    /// The set has no value.
    Empty,
    /// Another set forbids this one (data beside a CNAME, a second SOA).
    Conflict,
    /// The RRset does not fit in one message.
    TooLarge,
    /// Nothing is wrong with it, but only the origin can answer it: it is forwarded.
    Forwarded,
}

impl SkipReason {
    /// Every reason, for metrics that start at zero.
    pub const ALL: [SkipReason; 9] = [
        Self::BadOwner,
        Self::OutOfZone,
        Self::BadValue,
        Self::UnsupportedType,
        Self::BadTtl,
        Self::Empty,
        Self::Conflict,
        Self::TooLarge,
        Self::Forwarded,
    ];

    /// Whether somebody should mend it at the source.
    pub fn is_fault(self) -> bool {
        self != Self::Forwarded
    }

    /// The metric label and the word in listings.
    pub fn label(self) -> &'static str {
        match self {
            Self::BadOwner => "bad_owner",
            Self::OutOfZone => "out_of_zone",
            Self::BadValue => "bad_value",
            Self::UnsupportedType => "unsupported_type",
            Self::BadTtl => "bad_ttl",
            Self::Empty => "empty",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::Forwarded => "forwarded",
        }
    }
}
