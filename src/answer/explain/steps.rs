//! What a walk came by, as the steps of an explanation.

use super::report::{Consulted, Known, Step, ZoneStep};
use crate::answer::Answerer;
use crate::answer::miss::Fetched;
use crate::answer::walk::trace::Event;
use crate::cache::Entry;
use crate::clock::Moment;
use crate::wire::{Name, NameRef, Outcome, Rtype, Suffixes, present};
use crate::zone::{Authority, Chosen, Lookup, OnMissing, Part, Rrset, WhenUnloaded, Zone};

/// Turns events into steps.
pub(super) struct Telling<'a> {
    pub answerer: &'a Answerer,
    pub qtype: Rtype,
    pub now: Moment,
}

impl Telling<'_> {
    /// The steps, in order.
    pub fn steps(&self, events: &[Event<'_>]) -> Vec<Step> {
        let mut steps = Vec::with_capacity(events.len());
        let (mut name, mut zone): (Option<&Name>, Option<&Zone>) = (None, None);
        for (at, event) in events.iter().enumerate() {
            let next = events.get(at + 1);
            match event {
                Event::Name(looked_at) => {
                    (name, zone) = (Some(looked_at), None);
                    steps.push(Step::Name { name: looked_at.to_string() });
                    if !matches!(next, Some(Event::Special(_) | Event::Local(_) | Event::Zone(_))) {
                        steps.push(Step::NoZone);
                    }
                }
                Event::Special(special) => {
                    let domain = name.and_then(|name| suffix(name.as_ref(), special.zone_len));
                    steps.push(Step::Special { domain: domain.unwrap_or_default() });
                }
                Event::Local(local) => {
                    let domain = name.and_then(|name| suffix(name.as_ref(), local.zone_len));
                    let by = local.pin.source.label().to_owned();
                    steps.push(Step::Local { by, domain: domain.unwrap_or_default() });
                }
                Event::Impossible(impossible) => {
                    let domain = name.and_then(|name| suffix(name.as_ref(), impossible.zone_len));
                    steps.push(Step::Impossible { domain: domain.unwrap_or_default() });
                }
                Event::Zone(part) => {
                    if let Authority::Loaded(loaded) = part.authority {
                        zone = Some(loaded);
                    }
                    steps.push(Step::Zone(zone_step(part)));
                }
                Event::Found(lookup) => {
                    let (Some(zone), Some(name)) = (zone, name) else { continue };
                    let told = zone.tell(&Suffixes::of(name.as_ref()), self.qtype);
                    let asks_upstream = matches!(next, Some(Event::Consult { .. }));
                    steps.push(Step::Found { says: says(lookup).to_owned(), asks_upstream, told });
                }
                Event::Chosen(chosen) => steps.push(chosen_step(chosen)),
                Event::Cname(rrset) => {
                    let target = rrset.rdata().next().map(present::name).unwrap_or_default();
                    steps.push(Step::Cname { target, ttl: rrset.ttl() });
                }
                Event::Linked(rrset) => {
                    steps.push(Step::Linked { ttl: rrset.ttl(), values: rrset.told_values() })
                }
                Event::Consult { name, must_exist } => steps.push(Step::Upstream(Consulted {
                    name: name.to_string(),
                    must_exist: *must_exist,
                    route: self.answerer.miss().tell(name.as_ref()),
                    ..Consulted::default()
                })),
                Event::Fetched(_) | Event::Cached { .. } | Event::Stale(_) | Event::Failed(_) => {
                    if let Some(Step::Upstream(consulted)) = steps.last_mut() {
                        self.note(consulted, event);
                    }
                }
            }
        }
        steps
    }

    /// Adds what came of asking about a name.
    fn note(&self, consulted: &mut Consulted, event: &Event<'_>) {
        match event {
            Event::Fetched(Fetched::Entry(entry)) => consulted.fetched = Some(self.known(entry, true)),
            Event::Fetched(Fetched::Stale(_, failure) | Fetched::Failed(failure)) => {
                consulted.failure = Some(failure.text.to_string())
            }
            Event::Cached { entry, is_believed } => {
                consulted.cached = Some(self.known(entry, *is_believed));
            }
            Event::Stale(entry) => consulted.stale = Some(self.known(entry, true)),
            Event::Failed(failure) => consulted.failure = Some(failure.text.to_string()),
            _ => {}
        }
    }

    fn known(&self, entry: &Entry, is_believed: bool) -> Known {
        Known {
            outcome: outcome(entry.learned.outcome).to_owned(),
            age_seconds: entry.age(self.now),
            left_seconds: entry.expires.secs_since(self.now),
            is_disbelieved: !is_believed,
        }
    }
}

/// The suffix of a name that takes so many bytes.
fn suffix(name: NameRef<'_>, len: usize) -> Option<String> {
    name.suffixes().find(|suffix| suffix.as_bytes().len() == len).map(|suffix| suffix.to_string())
}

fn zone_step(part: &Part<'_>) -> ZoneStep {
    let step = ZoneStep { apex: part.apex.to_string(), asks_origin: part.asks_origin, ..ZoneStep::default() };
    match part.authority {
        Authority::Loaded(zone) => ZoneStep {
            authority: "loaded".to_owned(),
            on_missing: Some(on_missing(zone.on_missing()).to_owned()),
            serial: Some(zone.serial()),
            ..step
        },
        Authority::CarvedOut => ZoneStep { authority: "carved_out".to_owned(), ..step },
        Authority::Unloaded(what, _) => {
            let what = match what {
                WhenUnloaded::Forward => "forward",
                WhenUnloaded::Fail => "fail",
            };
            ZoneStep { authority: "unloaded".to_owned(), on_unloaded: Some(what.to_owned()), ..step }
        }
    }
}

/// The word of the configuration.
fn on_missing(on_missing: OnMissing) -> &'static str {
    match on_missing {
        OnMissing::NxDomain => "nxdomain",
        OnMissing::ForwardNxDomain => "forward-nxdomain",
        OnMissing::ForwardNoData => "forward-nodata",
    }
}

fn says(lookup: &Lookup<'_>) -> &'static str {
    match lookup {
        Lookup::Answer(_) => "answer",
        Lookup::Cname(_) => "cname",
        Lookup::Any => "any",
        Lookup::NoData => "no_data",
        Lookup::NxDomain => "nx_domain",
        Lookup::Delegated => "delegated",
        Lookup::Deferred(_) => "deferred",
        Lookup::Outside(_) => "outside",
        Lookup::Loop => "loop",
        Lookup::Choice(_) => "choice",
    }
}

fn chosen_step(chosen: &Chosen<'_>) -> Step {
    let (end, values, target) = match chosen {
        Chosen::Records(rrset) => ("records", rrset.told_values(), None),
        Chosen::Several(several) => {
            ("several", several.rrsets().flat_map(Rrset::told_values).collect(), None)
        }
        Chosen::Outside(target) => ("outside", Vec::new(), Some(target.to_string())),
        Chosen::Nothing => ("nothing", Vec::new(), None),
        Chosen::Loop => ("loop", Vec::new(), None),
    };
    Step::Chosen { end: end.to_owned(), values, target }
}

/// The word for what an upstream's answer says.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answer => "answer",
        Outcome::OpenChain => "open_chain",
        Outcome::NoData => "no_data",
        Outcome::NxDomain => "nx_domain",
        Outcome::Error => "error",
    }
}
