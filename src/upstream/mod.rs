//! Floor 2: the resolvers we forward to. Knows neither zones nor clients' sockets.

pub mod settings;

pub use settings::{ForwardDomain, Settings, UpstreamSpec};
