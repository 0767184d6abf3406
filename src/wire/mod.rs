//! Floor 0: DNS messages as bytes. Knows no clock, no socket and no other crate's DNS types.

pub mod learned;
pub mod name;
pub mod suffix;
pub mod types;

pub use learned::Learned;
pub use name::{Escapes, Name, NameError, NameRef};
pub use suffix::Suffixes;
pub use types::{CLASS_IN, EdeCode, Rcode, Rtype};
