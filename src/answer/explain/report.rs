//! The shape of an explanation: what `zonelet explain` prints, in words or as JSON.

use serde::{Deserialize, Serialize};

use crate::upstream::RouteTold;
use crate::zone::ZoneTold;

/// Why a name got its answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The name asked for.
    pub qname: String,
    /// The type asked for.
    pub qtype: String,
    /// Who asks.
    pub client: String,
    /// No upstream was asked, nor a running zonelet.
    pub is_offline: bool,
    /// The entry of the access list, or the access rule, that lets the client in; without one it is refused.
    pub admitted_by: Option<String>,
    /// All zones that the names on the way are in, with what became of their claim.
    pub zones: Vec<Claim>,
    /// The way to the answer, as it was gone.
    pub steps: Vec<Step>,
    /// What was asked of upstreams for this answer.
    pub asked: Vec<Asked>,
    /// What would have to be asked next: there is no answer yet.
    pub missing: Option<Missing>,
    /// Where the answer comes from: `zone`, `assumed` (of a zone, without knowing all health), `special`, `cache`,
    /// `stale`, `upstream`, `override`, `hosts`, `relief`, or `local` for a refusal.
    pub from: String,
    /// The answer.
    pub answer: Option<Answer>,
}

/// A zone that a name on the way is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its name.
    pub zone: String,
    /// The kind of its source.
    pub kind: String,
    /// The label of its source.
    pub source: String,
    /// Its id within the source.
    pub id: String,
    /// As `zonelet zones` has it.
    pub state: String,
    /// `chosen`, `less_specific` (another zone lies between it and the name), or `shadowed` (another zone of its
    /// name goes before).
    pub verdict: String,
    /// Seconds since its last successful import.
    pub age_seconds: Option<u64>,
    /// What is served comes from a state file that its source has not confirmed yet.
    pub from_state_file: bool,
    /// The last error, or why it is carved out.
    pub error: Option<String>,
    /// What of the names on the way its source has that is not served as it stands, and why.
    pub notes: Vec<String>,
}

/// One step on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// A name is looked at: the one asked for, or the target of a CNAME.
    Name {
        /// The name.
        name: String,
    },
    /// It is answered here whatever zones say.
    Special {
        /// The special domain that it is in.
        domain: String,
    },
    /// An override or a hosts file has it, which zones are not asked about.
    Local {
        /// `override` or `hosts`.
        by: String,
        /// The name, or the domain, that it was said of.
        domain: String,
    },
    /// It cannot exist, and is denied here.
    Impossible {
        /// The domain whose structure has no place for it.
        domain: String,
    },
    /// No zone has it.
    NoZone,
    /// A zone has it: the most specific one.
    Zone(ZoneStep),
    /// What the zone says.
    Found {
        /// `answer`, `cname`, `any`, `no_data`, `nx_domain`, `delegated`, `deferred`, `outside` (an alias of a
        /// name elsewhere), `loop`, `choice`.
        says: String,
        /// Whether upstreams are asked next: for the name, or for where its alias leads to.
        asks_upstream: bool,
        /// Where it stands and what it leads to.
        told: ZoneTold,
    },
    /// A policy's choice fell, for this query.
    Chosen {
        /// `records`, `several`, `outside`, `nothing`, `loop`.
        end: String,
        /// The data.
        values: Vec<String>,
        /// The name that upstreams are asked for.
        target: Option<String>,
    },
    /// The answer goes on at a CNAME's target.
    Cname {
        /// The target.
        target: String,
        /// Seconds.
        ttl: u32,
    },
    /// The target's records are in the same zone.
    Linked {
        /// Seconds.
        ttl: u32,
        /// The data.
        values: Vec<String>,
    },
    /// Upstreams have the word.
    Upstream(Consulted),
}

/// The zone that a name is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneStep {
    /// Its name.
    pub apex: String,
    /// `loaded`, `carved_out` (its names are forwarded), `unloaded`.
    pub authority: String,
    /// Of one that is not loaded: `forward` or `fail`.
    pub on_unloaded: Option<String>,
    /// Of a loaded one: `nxdomain`, `forward-nxdomain` or `forward-nodata`.
    pub on_missing: Option<String>,
    /// Of a loaded one: the serial of its SOA.
    pub serial: Option<u32>,
    /// The upstream for its names counts as the VPC's resolver, and is asked what hangs on unknown health.
    pub asks_origin: bool,
}

/// What is known of a name that upstreams have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consulted {
    /// The name.
    pub name: String,
    /// A zone has it, so that a denial is not believed.
    pub must_exist: bool,
    /// Where it goes.
    pub route: Option<RouteTold>,
    /// What the cache held of it.
    pub cached: Option<Known>,
    /// What was fetched for this answer.
    pub fetched: Option<Known>,
    /// What the cache held of it before, which is given since upstreams fail.
    pub stale: Option<Known>,
    /// Why there is nothing: the failure that is remembered, or that came.
    pub failure: Option<String>,
}

/// An upstream's answer, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// `answer`, `open_chain`, `no_data`, `nx_domain`, `error`.
    pub outcome: String,
    /// Seconds since it came.
    pub age_seconds: u32,
    /// Seconds for which it may still be given.
    pub left_seconds: u32,
    /// It denies a name that is known to exist, and does not count.
    pub is_disbelieved: bool,
}

/// A question that was put to upstreams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The name.
    pub name: String,
    /// The type.
    pub rtype: String,
    /// How long it took, milliseconds.
    pub milliseconds: u64,
    /// What came: as [`Known::outcome`], or the failure's text.
    pub outcome: String,
}

/// A question that would have to be put to upstreams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The name.
    pub name: String,
    /// The type.
    pub rtype: String,
    /// Why it was not asked, or not answered.
    pub why: String,
}

/// The answer as the client gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The response code.
    pub rcode: String,
    /// AA.
    pub authoritative: bool,
    /// AD.
    pub authentic: bool,
    /// Over UDP it does not fit, and the client asks again over TCP.
    pub is_truncated_over_udp: bool,
    /// The answer section.
    pub answers: Vec<Record>,
    /// The authority section.
    pub authorities: Vec<Record>,
    /// The extended error.
    pub ede: Option<ExtendedError>,
}

/// One record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its owner.
    pub owner: String,
    /// Seconds.
    pub ttl: u32,
    /// Its type.
    pub rtype: String,
    /// Its data.
    pub data: String,
}

/// An extended error (RFC 8914).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtendedError {
    /// Its number.
    pub code: u16,
    /// Its text.
    pub text: String,
}
