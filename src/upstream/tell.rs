//! Where a name goes, for people: the forwarded domain, and how its upstreams do.

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
    /// How one of its upstreams is chosen: `fastest`, `sequential` or `random`.
    #[serde(default)]
    pub policy: String,
    /// Its upstreams, in the order of the configuration.
    pub upstreams: Vec<UpstreamTold>,
}

/// How an upstream does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTold {
    /// Its address.
    pub upstream: String,
    /// How often it has failed in a row.
    pub failures: u32,
    /// Whether it has failed so often that it is only tried now and then.
    #[serde(default)]
    pub is_open: bool,
    /// When it is tried next, if it is open; sooner where no other is left.
    #[serde(default)]
    pub trial_seconds: u64,
    /// Its smoothed latency; `None` before its first answer.
    #[serde(default)]
    pub smoothed_micros: Option<u64>,
    /// The packets a second that it may be sent; `None` for no limit.
    #[serde(default)]
    pub packet_budget: Option<u32>,
    /// What part of them is used, in percent.
    #[serde(default)]
    pub budget_used_percent: u32,
    /// Whether it is asked without EDNS, which it refuses.
    #[serde(default)]
    pub is_without_edns: bool,
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
        Some(told_route(&*self.route(qname)?, qname, self.clock.now()))
    }

    /// Tells every forwarded domain with its upstreams.
    pub fn tell_all(&self) -> Vec<RouteTold> {
        let (routes, now) = (self.routes.load_full(), self.clock.now());
        let routes = routes.by_domain.values();
        routes.map(|route| told_route(route, route.domain.as_ref(), now)).collect()
    }
}

fn told_route(route: &Route, qname: NameRef<'_>, now: Moment) -> RouteTold {
    let upstreams = route.upstreams.iter().map(|upstream| told(upstream, qname, now)).collect();
    let (domain, policy) = (route.domain.to_string(), route.order.label().to_owned());
    RouteTold { domain, policy, upstreams }
}

fn told(upstream: &Upstream, qname: NameRef<'_>, now: Moment) -> UpstreamTold {
    let trial = upstream.breaker.trial_in(now);
    let kept = upstream.isolation.kept(now).into_iter();
    UpstreamTold {
        upstream: upstream.to_string(),
        failures: upstream.breaker.failures(),
        is_open: trial.is_some(),
        trial_seconds: trial.unwrap_or_default().as_millis().div_ceil(1000) as u64,
        smoothed_micros: upstream.pace.smoothed().map(|span| span.as_micros() as u64),
        packet_budget: upstream.budget.limit(),
        budget_used_percent: upstream.budget.used(now),
        is_without_edns: !upstream.takes_edns(now),
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
    use crate::upstream::breaker::Weight;
    use crate::upstream::{ForwardDomain, Settings, UpstreamSpec};
    use crate::wire::Name;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_name_is_told_with_its_domain_and_what_its_upstreams_are_held_to() {
        let forward = |domain: &str, upstream: &str| {
            ForwardDomain::new(name(domain), vec![UpstreamSpec::Plain(upstream.parse().unwrap())])
        };
        let domains = vec![forward("corp.test", "10.0.0.2:53"), forward("test", "10.0.0.3:5353")];
        let (clock, runtime) = (Clock::manual(), tokio::runtime::Handle::current());
        let forwarder = Forwarder::new(Settings { domains, ..Settings::default() }, clock.clone(), runtime);
        let told = forwarder.tell(name("a.corp.test").as_ref()).unwrap();
        assert_eq!((told.domain.as_str(), told.upstreams[0].upstream.as_str()), ("corp.test.", "10.0.0.2"));
        assert_eq!(
            (told.policy.as_str(), told.upstreams[0].failures, told.upstreams[0].is_open),
            ("fastest", 0, false)
        );
        assert_eq!((told.upstreams[0].smoothed_micros, told.upstreams[0].packet_budget), (None, None));
        assert_eq!(forwarder.tell(name("b.test").as_ref()).unwrap().upstreams[0].upstream, "10.0.0.3:5353");
        assert_eq!(forwarder.tell(name("elsewhere").as_ref()), None);
        let all = forwarder.tell_all();
        let mut domains: Vec<&str> = all.iter().map(|route| route.domain.as_str()).collect();
        domains.sort_unstable();
        assert_eq!(domains, ["corp.test.", "test."]);

        let route = forwarder.route(name("a.corp.test").as_ref()).unwrap();
        let now = clock.now();
        let upstream = &route.upstreams[0];
        upstream.note_success(std::time::Duration::from_millis(3), now);
        upstream.note_refuses_edns(now);
        upstream.budget.set_limit(900);
        (0..3).for_each(|_| upstream.note_failure(UpstreamFault::Rcode, Weight::Reply, now));
        let until = now.after(std::time::Duration::from_secs(30));
        route.upstreams[0].isolation.isolate(name("corp.test").as_ref(), now, until);
        let told = &forwarder.tell(name("a.corp.test").as_ref()).unwrap().upstreams[0];
        assert_eq!((told.failures, told.is_open, told.trial_seconds), (3, true, 1));
        assert_eq!((told.is_isolated, told.is_without_edns, told.packet_budget), (true, true, Some(900)));
        assert!(told.smoothed_micros > Some(3_000), "failures weigh");
        assert_eq!(told.isolated, [IsolatedTold { domain: "corp.test.".into(), seconds: 30 }]);
    }
}
