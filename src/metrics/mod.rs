//! Floor 0: every metric's name, and the handles and cells rooms count with.

pub mod admin;
pub mod answer;
pub mod app;
pub mod cache;
#[cfg(test)]
mod catalogue;
pub mod continuity;
pub mod export;
pub mod health;
pub mod hosts;
pub mod import;
pub mod latency;
pub mod node;
pub mod process;
pub mod server;
pub mod source;
pub mod tally;
pub mod upstream;
pub mod watch;
pub mod zones;

pub use admin::AdminMetrics;
pub use answer::AnswerMetrics;
pub use app::{READY, ReloadMetrics};
pub use cache::CacheMetrics;
pub use continuity::{HandoverMetrics, HeritageMetrics, SnapshotMetrics, WatchdogMetrics};
pub use export::Exporter;
pub use hosts::HostsMetrics;
pub use import::ImportMetrics;
pub use latency::Latency;
pub use server::{CloseReason, Losses, ServerMetrics};
pub use source::SourceMetrics;
pub use tally::{AnswerSource, Board, Bound, DropReason, OwnTally, Proto, Tally};
pub use upstream::{ForwarderMetrics, HedgeOutcome, MissMetrics, Refusal, UpstreamFault, UpstreamMetrics};
pub use watch::{DnstapMetrics, FeedMetrics, QueryLogMetrics};
pub use zones::{ZoneFigures, ZoneTally};
