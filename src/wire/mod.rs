//! Floor 0: DNS messages as bytes. Knows no clock, no socket and no other crate's DNS types.

pub mod ask;
mod domains;
pub mod finished;
mod hash;
pub mod learn;
pub mod learned;
pub mod name;
mod pattern;
pub mod present;
pub mod query;
mod rdata;
mod read;
pub mod response;
#[cfg(test)]
mod response_tests;
#[cfg(test)]
pub(crate) mod sample;
pub mod suffix;
pub mod types;

pub use domains::Domains;
pub use hash::{Prehashed, name_hash, name_hash_with};
pub use learn::learn;
pub use learned::{Learned, LearnedRef, Outcome, Sections};
pub use name::{Escapes, Name, NameError, NameRef};
pub use pattern::NamePattern;
pub use query::{Query, Unreadable};
pub use read::Malformed;
pub use response::{Response, Verdict};
pub use suffix::Suffixes;
pub use types::{CLASS_CH, CLASS_IN, EdeCode, Rcode, Rtype};
