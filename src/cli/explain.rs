//! `zonelet explain`: an explanation in words, or as JSON.

mod sentences;

use std::fmt::Write;

use super::zones::{plain, span};
use crate::answer::explain::{Answer, Claim, Consulted, Explanation, Step, ZoneStep};
use crate::zone::{AliasStep, GroupTold, ZoneTold};

use sentences::{decision, leads, place, state};

/// The explanation as JSON, `None` if it cannot be written so.
pub fn json(explanation: &Explanation) -> Option<String> {
    serde_json::to_string_pretty(explanation).ok().map(|text| text + "\n")
}

/// The explanation in words: what decided, in the order in which it was decided, then the answer as dig shows it.
///
/// Control characters come out escaped: many of the texts are other people's.
pub fn words(explanation: &Explanation) -> String {
    let mut words = Words(String::new());
    let Explanation { qname, qtype, client, .. } = explanation;
    let mode = if explanation.is_offline { ", offline" } else { "" };
    words.line(0, &format!("{qname} {qtype} for {client}{mode}"));
    match &explanation.admitted_by {
        Some(network) => words.line(0, &format!("access: let in by {network}")),
        None => words.line(0, &format!("access: {}", turned_away(explanation.answer.as_ref()))),
    }
    for step in &explanation.steps {
        words.step(step, explanation);
    }
    for asked in &explanation.asked {
        let (name, rtype, outcome) = (&asked.name, &asked.rtype, &asked.outcome);
        words.line(0, &format!("asked: {name} {rtype}: {outcome}, after {} ms", asked.milliseconds));
    }
    if let Some(missing) = &explanation.missing {
        words.line(
            0,
            &format!(
                "unanswered: {} {} would be asked of the upstream: {}",
                missing.name, missing.rtype, missing.why
            ),
        );
    }
    if let Some(answer) = &explanation.answer {
        words.answer(answer, &explanation.from);
    }
    words.0
}

/// Why a client is not let in, by what it gets.
fn turned_away(answer: Option<&Answer>) -> String {
    let text = answer.map(|answer| answer.ede.as_ref().map_or("", |ede| &ede.text));
    match text {
        None => "dropped, by a rule of [[access]]".to_owned(),
        Some(text) if text.starts_with("an access rule") => format!("refused, {text} ([[access]])"),
        Some(_) => "refused, no entry of server.access has this client".to_owned(),
    }
}

struct Words(String);

impl Words {
    fn line(&mut self, indent: usize, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{:width$}{}", "", plain(text.trim_end()), width = indent * 2);
    }

    fn step(&mut self, step: &Step, explanation: &Explanation) {
        match step {
            Step::Name { name } if *name == explanation.qname => {}
            Step::Name { name } => self.line(0, &format!("then: {name}")),
            Step::Special { domain } => {
                self.line(
                    0,
                    &format!("special: {domain} is answered here and never forwarded (section [special])"),
                );
            }
            Step::Local { by, domain } => {
                let whose = if by == "hosts" { "a hosts file" } else { "an [[override]]" };
                self.line(0, &format!("local: {whose} says what {domain} is, before any zone"));
            }
            Step::Impossible { domain } => {
                self.line(
                    0,
                    &format!("relief: nothing of this shape can be in {domain}: denied here ([[relief]])"),
                );
            }
            Step::NoZone => self.line(0, "zone: none has this name"),
            Step::Zone(zone) => self.zone(zone, &explanation.zones),
            Step::Found { says, asks_upstream, told } => self.found(says, *asks_upstream, told),
            Step::Chosen { end, values, target } => {
                let what = target.clone().unwrap_or_else(|| values.join(", "));
                self.line(0, &format!("chosen for this query: {end} {what}"));
            }
            Step::Cname { target, ttl } => self.line(0, &format!("cname: to {target}, TTL {ttl}")),
            Step::Linked { ttl, values } => {
                self.line(1, &format!("in the same zone: {}, TTL {ttl}", values.join(", ")));
            }
            Step::Upstream(consulted) => self.upstream(consulted),
        }
    }

    fn zone(&mut self, step: &ZoneStep, claims: &[Claim]) {
        let apex = &step.apex;
        match (step.authority.as_str(), step.on_unloaded.as_deref()) {
            ("loaded", _) => {
                let serial = step.serial.unwrap_or_default();
                let missing = step.on_missing.as_deref().filter(|what| *what != "nxdomain");
                let missing = missing.map_or_else(String::new, |what| format!(", on_missing {what}"));
                self.line(0, &format!("zone: {apex} is the most specific one, serial {serial}{missing}"));
            }
            ("carved_out", _) => {
                self.line(0, &format!("zone: {apex} is not answered here, its names are forwarded"));
            }
            (_, Some("forward")) => self.line(
                0,
                &format!("zone: {apex} has not been loaded; its names are forwarded (source.on_unloaded)"),
            ),
            _ => self
                .line(0, &format!("zone: {apex} has not been loaded; its names fail (source.on_unloaded)")),
        }
        for claim in claims {
            self.claim(claim);
        }
    }

    fn claim(&mut self, claim: &Claim) {
        let verdict = match claim.verdict.as_str() {
            "less_specific" => "not asked, less specific",
            "shadowed" => "not asked, another zone of its name goes before",
            other => other,
        };
        let age = claim.age_seconds.map_or_else(String::new, |age| format!(", imported {} ago", span(age)));
        let disk = if claim.from_state_file { ", from its state file" } else { "" };
        let Claim { zone, kind, source, id, state, .. } = claim;
        self.line(1, &format!("{zone} of {kind} {source} ({id}), {state}{age}{disk}: {verdict}"));
        for text in claim.error.iter().chain(&claim.notes) {
            self.line(2, text);
        }
    }

    fn found(&mut self, says: &str, asks_upstream: bool, told: &ZoneTold) {
        self.line(0, &format!("found: {}", place(&told.place)));
        for rrset in &told.rrsets {
            let ttl = rrset.ttl.map_or_else(String::new, |ttl| format!(" TTL {ttl}"));
            self.line(1, &format!("{} {}{ttl} {}", rrset.rtype, rrset.kind, rrset.values.join(", ")));
        }
        for AliasStep { owner, target, leads_to, .. } in &told.aliases {
            self.line(1, &format!("alias of {owner} to {target}: {}", leads(leads_to)));
        }
        if let Some(group) = &told.group {
            self.group(group);
        }
        self.line(1, &decision(says, asks_upstream));
    }

    fn group(&mut self, group: &GroupTold) {
        let GroupTold { owner, rtype, policy, .. } = group;
        let region = group.region.as_ref().map_or_else(String::new, |region| format!(", seen from {region}"));
        self.line(1, &format!("policy: {policy} of {owner} {rtype}, {} sets{region}", group.sets.len()));
        for set in &group.sets {
            self.line(2, &sentences::set(set));
        }
        let mut here = group.sets.iter().filter(|set| set.is_for_here).peekable();
        if here.peek().is_some() && here.all(|set| !set.is_healthy) {
            self.line(2, "none of them is healthy, so all count as if they were");
        }
        match group.ends.is_empty() {
            true if group.region.is_none() && group.sets.iter().all(|set| !set.is_for_here) => {
                self.line(2, "only the zone's origin can choose among them; places need source.region");
            }
            true => self.line(2, "only the zone's origin can choose among them"),
            false => self.line(2, "comes to:"),
        }
        for end in &group.ends {
            self.line(3, &sentences::end(end));
        }
        if group.is_uncertain {
            self.line(2, "the choice is uncertain: it hangs on health that is not known");
        }
        if group.is_approximate {
            self.line(2, "the choice is approximate: how a bias counts is Route 53's to say");
        }
    }

    fn upstream(&mut self, consulted: &Consulted) {
        let denial =
            if consulted.must_exist { "; a denial would not be believed, the name exists" } else { "" };
        self.line(0, &format!("upstream: has the word on {}{denial}", consulted.name));
        match &consulted.route {
            Some(route) => {
                // Of one there is nothing to choose.
                let policy =
                    if route.upstreams.len() > 1 { format!(", {}", route.policy) } else { String::new() };
                self.line(1, &format!("[[forward]] domain {}{policy}", route.domain));
                route.upstreams.iter().for_each(|upstream| self.line(2, &state(upstream)));
            }
            None => self.line(1, "no [[forward]] domain has it"),
        }
        match (&consulted.cached, &consulted.fetched) {
            (Some(known), _) => self.line(1, &format!("cache: {}", sentences::known(known))),
            (None, Some(known)) => {
                self.line(1, &format!("cache: nothing, so it was fetched: {}", sentences::known(known)))
            }
            (None, None) => self.line(1, "cache: nothing"),
        }
        if let Some(failure) = &consulted.failure {
            self.line(1, &format!("failed: {failure}"));
        }
        if let Some(stale) = &consulted.stale {
            let (outcome, age) = (&stale.outcome, stale.age_seconds);
            self.line(1, &format!("what was known before is given: {outcome}, {age} s old"));
        }
    }

    fn answer(&mut self, answer: &Answer, from: &str) {
        let flags = [(answer.authoritative, " aa"), (answer.authentic, " ad")];
        let flags: String = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).collect();
        self.line(0, &format!("answer: {}{flags}, from {from}", answer.rcode));
        if answer.is_truncated_over_udp {
            self.line(1, "truncated over UDP; clients ask again over TCP");
        }
        for (records, mark) in [(&answer.answers, ""), (&answer.authorities, "; ")] {
            for r in records {
                self.line(1, &format!("{mark}{} {} IN {} {}", r.owner, r.ttl, r.rtype, r.data));
            }
        }
        if let Some(ede) = &answer.ede {
            self.line(1, &format!("EDE {}: {}", ede.code, ede.text));
        }
    }
}
