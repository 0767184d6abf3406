//! Floor 1: responses learned from upstreams. Knows no zones.

pub mod settings;

pub use settings::Settings;
