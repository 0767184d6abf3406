//! Floor 0: every metric's name, and the handles and cells rooms count with.

pub mod tally;

pub use tally::{AnswerSource, Board, DropReason, Proto, Tally};
