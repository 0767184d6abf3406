//! Floor 3: keeps the zone table equal to its sources. The only room that publishes.

pub mod settings;

pub use settings::{OnUnloaded, Settings, SourcePolicy};
