//! What stands in the lines of an explanation.

use std::fmt::Write;

use crate::answer::explain::Known;
use crate::upstream::UpstreamTold;
use crate::zone::{EndTold, PlaceTold, SetTold};

pub(super) fn place(place: &PlaceTold) -> String {
    match place {
        PlaceTold::Exact => "the name itself".to_owned(),
        PlaceTold::EmptyNonTerminal => "an empty non-terminal: only names below it have data".to_owned(),
        PlaceTold::Wildcard { source_of_synthesis, closest_encloser } => {
            format!("the wildcard {source_of_synthesis}, the closest encloser being {closest_encloser}")
        }
        PlaceTold::Missing { closest_encloser } => {
            format!("nothing, and no wildcard below the closest encloser {closest_encloser}")
        }
        PlaceTold::BelowCut { cut } => format!("the name is at or below the delegation of {cut}"),
    }
}

/// What follows from what the zone says.
pub(super) fn decision(says: &str, asks_upstream: bool) -> String {
    let what = match says {
        "answer" => "answered with these records",
        "cname" => "answered with the CNAME and what it leads to",
        "any" => "ANY is answered with one made-up record (RFC 8482)",
        "no_data" if asks_upstream => "no records of this type: forwarded (source.on_missing)",
        "no_data" => "no records of this type: NODATA",
        "nx_domain" if asks_upstream => "the name does not exist here: forwarded (source.on_missing)",
        "nx_domain" => "the name does not exist: NXDOMAIN",
        "delegated" => "delegated: forwarded",
        "deferred" => "only the zone's origin can answer it: forwarded",
        "outside" => "answered with the records of the name that it leads to, which upstreams have",
        "loop" => "the alias leads back to itself: SERVFAIL",
        "choice" if asks_upstream => {
            "the upstream is asked first; if it does not know, the choice is made here"
        }
        "choice" => "chosen here",
        other => other,
    };
    what.to_owned()
}

pub(super) fn leads(leads_to: &str) -> String {
    match leads_to {
        "outside" => "a name elsewhere, which upstreams have",
        "elsewhere" => "a name of the zone that only its origin can answer for",
        "nothing" => "no records of this type",
        "loop" => "back to where it was before",
        other => other,
    }
    .to_owned()
}

pub(super) fn set(set: &SetTold) -> String {
    let mut text = format!("{:?}", set.identifier);
    for (key, value) in &set.terms {
        let _ = write!(text, ", {key} {value}");
    }
    for (check, state) in &set.health_checks {
        let what = if check.starts_with("probe ") { "" } else { "health check " };
        let _ = write!(text, ", {what}{check} {state}");
    }
    let _ = match &set.alias {
        Some(target) => write!(
            text,
            ": alias of {target}{}",
            if set.evaluates_health { " (evaluates health)" } else { "" }
        ),
        None => write!(text, ": {}, TTL {}", set.values.join(", "), set.ttl.unwrap_or_default()),
    };
    let standing = match (set.is_for_here, set.is_healthy) {
        (false, _) => "not for here",
        (true, false) => "not healthy",
        (true, true) => "eligible",
    };
    let _ = write!(text, "; {standing}, given to {}", percent(set.odds));
    text
}

pub(super) fn end(end: &EndTold) -> String {
    let what = match (end.end.as_str(), &end.target) {
        ("outside", Some(target)) => format!("what upstreams say of {target}"),
        ("nothing", _) => "NODATA".to_owned(),
        ("loop", _) => "SERVFAIL, an alias that leads back to itself".to_owned(),
        ("several", _) => format!("up to eight sets of: {}", end.values.join(", ")),
        _ => end.values.join(", "),
    };
    format!("{}: {what}", percent(end.odds))
}

pub(super) fn percent(odds: f64) -> String {
    format!("{:.1} %", odds * 100.0)
}

pub(super) fn state(upstream: &UpstreamTold) -> String {
    let mut text = upstream.upstream.clone();
    if upstream.is_isolated {
        text.push_str(": not asked, it sends this name back to us");
    }
    if let Some(micros) = upstream.smoothed_micros {
        let _ = write!(text, ": {:.1} ms", micros as f64 / 1000.0);
    }
    if upstream.is_open {
        let (failures, seconds) = (upstream.failures, upstream.trial_seconds);
        let _ = write!(text, ": it failed {failures} times in a row, tried again within {seconds} s");
    }
    if let Some(budget) = upstream.packet_budget {
        let _ = write!(text, "; {} % of {budget} packets/s used", upstream.budget_used_percent);
    }
    if upstream.is_without_edns {
        text.push_str("; asked without EDNS, which it refuses");
    }
    for isolated in &upstream.isolated {
        let _ = write!(text, "; {} is kept from it for {} s", isolated.domain, isolated.seconds);
    }
    text
}

pub(super) fn known(known: &Known) -> String {
    let Known { outcome, age_seconds, left_seconds, .. } = known;
    let disbelieved = if known.is_disbelieved { ", which is not believed" } else { "" };
    format!("{outcome}{disbelieved}, {age_seconds} s old, good for {left_seconds} s more")
}
