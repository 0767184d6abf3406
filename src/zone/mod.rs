//! Floor 1: immutable zones, swapped whole. Does not know where a zone came from.

mod builder;
mod choice;
mod compiled;
pub mod data;
mod export;
mod layout;
mod links;
mod lookup;
mod node;
mod order;
pub mod rdata;
pub mod region;
mod rows;
mod settle;
mod slots;
mod table;
mod tell;

pub use builder::{Built, ZoneOptions};
pub use choice::{Choice, Chosen, EndTold, GroupTold, Health, Probe, ProbeRule, ProbeTarget, SetTold};
pub use choice::{Several, State, Subject};
pub use compiled::{Counts, Rrset, RrsetView, Zone};
pub use data::{Alias, Body, Content, DeferredReason, Location, Member, Place, Policy};
pub use data::{RecordSet, SkipReason, Skipped, ZoneData};
pub use lookup::Lookup;
pub use node::{AliasAt, AliasView};
pub use region::Region;
pub use table::{Asked, Authority, Part, SharedTable, WhenUnloaded, ZoneTable};
pub use tell::{AliasStep, PlaceTold, RrsetTold, ZoneTold};

/// What becomes of a query that a zone has no data for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// The zone is the truth: NXDOMAIN or NODATA.
    #[default]
    NxDomain,
    /// A name that does not exist in the zone is forwarded.
    ForwardNxDomain,
    /// Such a name, and a missing type of an existing name, are forwarded.
    ForwardNoData,
}

#[cfg(test)]
mod tests;
