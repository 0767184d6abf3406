//! Which sources have a zone that a name is in: what an explanation says beside the zone table.

use crate::answer::explain::{Claim, Explanation, Step};
use crate::import::{ZoneState, ZoneStatus};
use crate::wire::{Escapes, Name, Rtype};

/// Adds to an explanation all zones that the names on its way are in, by the importer's listing.
pub fn add(explanation: &mut Explanation, zones: Vec<ZoneStatus>) {
    let (mut names, mut chosen) = (Vec::<Name>::new(), Vec::new());
    for step in &explanation.steps {
        match step {
            Step::Name { name } => names.extend(name.parse::<Name>()),
            Step::Zone(zone) => chosen.push((zone.apex.clone(), zone.authority == "unloaded")),
            _ => {}
        }
    }
    let rtype = Rtype::from_text(&explanation.qtype);
    for zone in zones {
        let Ok(apex) = zone.zone.parse::<Name>() else { continue };
        let is_inside = |name: &&Name| name.as_ref().is_at_or_below(apex.as_ref());
        let inside: Vec<&Name> = names.iter().filter(is_inside).collect();
        if inside.is_empty() {
            continue;
        }
        let of_its_name = chosen.iter().find(|(apex, _)| *apex == zone.zone);
        let is_unloaded = zone.state == ZoneState::Unloaded;
        let verdict = match of_its_name {
            None => "less_specific",
            Some(_) if zone.state == ZoneState::Shadowed => "shadowed",
            Some((_, unloaded)) if *unloaded != is_unloaded => "shadowed",
            Some(_) => "chosen",
        };
        let notes = if verdict == "chosen" { notes(&zone, &inside, rtype) } else { Vec::new() };
        explanation.zones.push(claim(zone, verdict, notes));
    }
    // The most specific first, and before others of its name the one that was chosen.
    explanation.zones.sort_by_key(|claim| (std::cmp::Reverse(labels(&claim.zone)), claim.verdict.clone()));
}

fn labels(zone: &str) -> usize {
    zone.parse::<Name>().map_or(0, |name| name.as_ref().label_count())
}

fn claim(zone: ZoneStatus, verdict: &str, notes: Vec<String>) -> Claim {
    Claim {
        zone: zone.zone,
        kind: zone.kind.to_owned(),
        source: zone.source,
        id: zone.id,
        state: zone.state.label().to_owned(),
        verdict: verdict.to_owned(),
        age_seconds: zone.age_seconds,
        from_state_file: zone.from_state_file,
        error: zone.error,
        notes,
    }
}

/// What the source has at these names that is not served as it stands.
fn notes(zone: &ZoneStatus, names: &[&Name], rtype: Option<Rtype>) -> Vec<String> {
    // Sources write owners as they have them.
    let is_at = |text: &str| {
        let owner = [Escapes::Octal, Escapes::Decimal].map(|escapes| Name::from_text(text, escapes).ok());
        names.iter().any(|name| owner.iter().flatten().any(|owner| covers(owner, name)))
    };
    let is_type = |text: &str| rtype.is_none_or(|rtype| Rtype::from_text(text).is_none_or(|t| t == rtype));
    let skipped = zone.skipped.iter().filter(|s| is_at(&s.owner) && is_type(&s.rtype));
    skipped.map(|s| format!("{} {}: {}: {}", s.owner, s.rtype, s.reason, s.detail)).collect()
}

/// Whether an owner is the name, or a wildcard that could answer for it.
fn covers(owner: &Name, name: &Name) -> bool {
    let parent = owner.as_ref().parent().filter(|_| owner.as_ref().is_wildcard());
    owner == name || parent.is_some_and(|parent| name.as_ref().is_at_or_below(parent))
}
