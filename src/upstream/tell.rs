//! Where a name goes, for people: the forwarded domain, and how its upstreams do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::server::Upstream;
use super::{Forwarder, Route};
use crate::clock::Moment;
use crate::wire::NameRef;

/// Where a name goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTold {
    /// The longest forwarded domain that covers it.
    pub domain: String,
    /// Its upstreams, in order of preference.
    pub upstreams: Vec<UpstreamTold>,
}

/// How an upstream does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTold {
    /// Its address.
    pub upstream: String,
    /// How often it has failed in a row.
    pub failures: u32,
    /// For how many more seconds the others are asked first; zero for one that is asked in its turn.
    pub set_back_seconds: u64,
    /// Whether the name is not put to it, since it sends it back to us.
    pub is_isolated: bool,
    /// The domains that it sends back to us.
    pub isolated: Vec<IsolatedTold>,
}

/// A domain that an upstream sends back to us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolatedTold {
    /// The domain.
    pub domain: String,
    /// For how many more seconds it is kept from that upstream.
    pub seconds: u64,
}

impl Forwarder {
    /// Tells where `qname` goes; `None` for a name that no forwarded domain covers. Asks nobody.
    pub fn tell(&self, qname: NameRef<'_>) -> Option<RouteTold> {
        let (route, now) = (self.route(qname)?, self.clock.now());
        let upstreams = route.upstreams.iter().map(|upstream| told(upstream, qname, now)).collect();
        Some(RouteTold { domain: route.domain.to_string(), upstreams })
    }

    /// Tells every forwarded domain with its upstreams.
    pub fn tell_all(&self) -> Vec<RouteTold> {
        let (routes, now) = (self.routes.load_full(), self.clock.now());
        let one = |route: &Arc<Route>| {
            let apex = route.domain.as_ref();
            let upstreams = route.upstreams.iter().map(|upstream| told(upstream, apex, now)).collect();
            RouteTold { domain: route.domain.to_string(), upstreams }
        };
        routes.by_domain.values().map(one).collect()
    }
}

fn told(upstream: &Upstream, qname: NameRef<'_>, now: Moment) -> UpstreamTold {
    let (failures, set_back) = upstream.standing(now);
    let kept = upstream.isolation.kept(now).into_iter();
    UpstreamTold {
        upstream: upstream.to_string(),
        failures,
        set_back_seconds: set_back.as_millis().div_ceil(1000) as u64,
        is_isolated: upstream.isolation.covers(qname, now),
        isolated: kept
            .map(|(domain, left)| IsolatedTold { domain: domain.to_string(), seconds: left.as_secs() })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use crate::clock::Clock;
    use crate::metrics::UpstreamFault;
    use crate::upstream::{ForwardDomain, Settings, UpstreamSpec};
    use crate::wire::Name;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_name_is_told_with_its_domain_and_what_its_upstreams_are_held_to() {
        let forward = |domain: &str, upstream: &str| ForwardDomain {
            domain: name(domain),
            upstreams: vec![UpstreamSpec::Plain(upstream.parse().unwrap())],
        };
        let domains = vec![forward("corp.test", "10.0.0.2:53"), forward("test", "10.0.0.3:5353")];
        let (clock, runtime) = (Clock::manual(), tokio::runtime::Handle::current());
        let forwarder = Forwarder::new(Settings { domains, ..Settings::default() }, clock.clone(), runtime);
        let told = forwarder.tell(name("a.corp.test").as_ref()).unwrap();
        assert_eq!((told.domain.as_str(), told.upstreams[0].upstream.as_str()), ("corp.test.", "10.0.0.2"));
        assert_eq!((told.upstreams[0].failures, told.upstreams[0].set_back_seconds), (0, 0));
        assert_eq!(forwarder.tell(name("b.test").as_ref()).unwrap().upstreams[0].upstream, "10.0.0.3:5353");
        assert_eq!(forwarder.tell(name("elsewhere").as_ref()), None);
        let all = forwarder.tell_all();
        let mut domains: Vec<&str> = all.iter().map(|route| route.domain.as_str()).collect();
        domains.sort_unstable();
        assert_eq!(domains, ["corp.test.", "test."]);

        let route = forwarder.route(name("a.corp.test").as_ref()).unwrap();
        let now = clock.now();
        (0..3).for_each(|_| route.upstreams[0].note_failure(UpstreamFault::Timeout, true, now));
        let until = now.after(std::time::Duration::from_secs(30));
        route.upstreams[0].isolation.isolate(name("corp.test").as_ref(), now, until);
        let told = &forwarder.tell(name("a.corp.test").as_ref()).unwrap().upstreams[0];
        assert_eq!((told.failures, told.set_back_seconds, told.is_isolated), (3, 10, true));
        assert_eq!(told.isolated, [IsolatedTold { domain: "corp.test.".into(), seconds: 30 }]);
    }
}
