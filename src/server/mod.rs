//! Floor 4: transports. Bytes in, bytes out; no zones and no cache.

pub mod settings;

pub use settings::Settings;
