//! Floor 3: keeps the zone table equal to its sources. The only room that publishes.
//!
//! One task owns everything known of every zone; discoveries, fetches and file writes run beside
//! it and report back. So nothing here is locked but the listing, and one slow or broken zone
//! costs no other anything but its turn.

mod board;
mod crew;
mod desk;
mod diff;
mod discover;
mod entry;
mod fetch;
mod hint;
mod job;
mod limited;
mod pace;
mod publish;
mod rehearse;
mod replan;
mod reports;
mod restore;
mod run;
mod schedule;
pub mod settings;
pub mod state;
mod status;
mod store;
mod vitals;

pub use board::StatusBoard;
pub use diff::{Change, ChangeKind};
pub use limited::{only_zone, unasked};
pub use rehearse::{Changes, Rehearsal, Rehearsed, Vanished};
pub use restore::Kept;
pub use run::{Importer, Upstreams};
pub use settings::{HealthPolicy, OnUnloaded, ProbePolicy, Settings, SourcePolicy};
pub use status::{RefreshRequest, RequestError, SkippedStatus, SourceStatus, ZoneState, ZoneStatus};
