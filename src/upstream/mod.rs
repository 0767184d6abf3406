//! Floor 2: the resolvers we forward to. Knows neither zones nor clients' sockets.

mod ask;
mod bootstrap;
mod breaker;
mod budget;
mod candidate;
mod choice;
mod ease;
mod error;
mod exchange;
mod forwarder;
mod head;
mod hedge;
mod ids;
mod isolation;
mod judging;
mod lane;
mod loops;
mod marker;
mod pace;
mod pending;
mod pool;
mod question;
mod route;
mod secure;
mod sending;
mod server;
pub mod settings;
mod stream;
mod system;
mod tap;
mod tell;
mod verdict;
mod waiting;

pub use ask::{Ask, Signs};
pub use bootstrap::BootstrapResolver;
pub use budget::Packets;
pub use choice::Policy;
pub use ease::Ease;
pub use error::{ExchangeError, Memory};
pub use forwarder::{Forwarder, Health};
pub use head::{Head, Heard, Line};
pub use lane::{Desk, Errand, Lane, NotSent};
pub use marker::{MARKER_OPTION, MAX_HOPS, Stamps};
pub use pending::What;
pub use question::Question;
pub use route::Look;
pub use secure::{Place, Protocol, Secure};
pub use settings::{ForwardDomain, Settings, UpstreamSpec};
pub use tell::{IsolatedTold, RouteTold, UpstreamTold};

#[cfg(feature = "tls")]
pub(crate) use stream::check_ca;

use route::Route;
