//! Floor 0: every metric's name, and the handles and cells rooms count with.

pub mod cache;
pub mod source;
pub mod tally;

pub use cache::CacheMetrics;
pub use tally::{AnswerSource, Board, DropReason, Proto, Tally};
