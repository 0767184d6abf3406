//! One entry for each fuzz target: bytes in, a panic where something that must hold does not.
//!
//! `fuzz_targets/` feeds them on nightly; `tests/corpus.rs` replays `corpus/` through them on stable.

mod answer;
mod message;
mod naive;
mod query;
#[path = "../../scene/mod.rs"]
mod scene;
mod stream;
mod text;
mod upstream;
mod zone;

pub use answer::{answer, relay};
pub use query::query;
pub use stream::{state_file, tcp_stream};
pub use text::{config_text, octal_name, record_value};
pub use upstream::upstream;
pub use zone::{api_json, zone_file, zone_lookup};

/// What takes the bytes of one target.
pub type Entry = fn(&[u8]);

/// Every target by its name, that of its folder in `corpus/` and of its file in `fuzz_targets/`.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("query", query),
    ("tcp_stream", tcp_stream),
    ("answer", answer),
    ("upstream", upstream),
    ("relay", relay),
    ("octal_name", octal_name),
    ("record_value", record_value),
    ("api_json", api_json),
    ("zone_file", zone_file),
    ("zone_lookup", zone_lookup),
    ("state_file", state_file),
    ("config_text", config_text),
];

/// Bytes taken from the front, zeros once there are none: whatever the input, something is decoded.
pub struct Feed<'a>(pub &'a [u8]);

impl<'a> Feed<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    /// The next two bytes as a number.
    pub fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
