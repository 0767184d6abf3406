//! Floor 2: the resolvers we forward to. Knows neither zones nor clients' sockets.

mod ask;
mod bootstrap;
mod candidate;
mod error;
mod exchange;
mod forwarder;
mod isolation;
mod loops;
mod marker;
mod pending;
mod pool;
mod sending;
mod server;
pub mod settings;
mod system;
mod tcp;
mod verdict;

pub use ask::{Ask, Signs};
pub use bootstrap::BootstrapResolver;
pub use error::ExchangeError;
pub use forwarder::{Forwarder, Health};
pub use marker::{MARKER_OPTION, MAX_HOPS, Stamps};
pub use settings::{ForwardDomain, Settings, UpstreamSpec};

use forwarder::Route;
