//! Floor 0: DNS messages as bytes. Knows no clock, no socket and no other crate's DNS types.

pub mod ask;
pub mod learn;
pub mod learned;
pub mod name;
mod rdata;
mod read;
#[cfg(test)]
pub(crate) mod sample;
pub mod suffix;
pub mod types;

pub use learn::learn;
pub use learned::{Learned, Outcome, Sections};
pub use name::{Escapes, Name, NameError, NameRef};
pub use read::Malformed;
pub use suffix::Suffixes;
pub use types::{CLASS_IN, EdeCode, Rcode, Rtype};
