//! RRsets that stand for another name's.

use super::*;

fn alias(owner: &str, rtype: Rtype, target: &str) -> RecordSet {
    let target = name(target);
    let is_inside = target.as_ref().is_at_or_below(name("corp.internal").as_ref());
    RecordSet {
        owner: name(owner),
        rtype,
        body: Body::Alias(Alias { target, is_inside, evaluates_health: false }),
    }
}

#[test]
fn an_alias_is_what_its_target_is() {
    let zone = build(vec![
        set("t.corp.internal", Rtype::A),
        alias("corp.internal", Rtype::A, "t.corp.internal"),
        alias("two.corp.internal", Rtype::A, "one.corp.internal"),
        alias("one.corp.internal", Rtype::A, "t.corp.internal"),
        alias("no-type.corp.internal", Rtype::AAAA, "t.corp.internal"),
        alias("out.corp.internal", Rtype::A, "lb.example"),
        alias("to-out.corp.internal", Rtype::A, "out.corp.internal"),
        RecordSet { body: Body::Deferred(DeferredReason::Choice), ..set("group.corp.internal", Rtype::A) },
        alias("to-group.corp.internal", Rtype::A, "group.corp.internal"),
        set("cut.corp.internal", Rtype::NS),
        alias("to-cut.corp.internal", Rtype::A, "x.cut.corp.internal"),
        alias("at-cut.corp.internal", Rtype::A, "cut.corp.internal"),
        set("name.corp.internal", Rtype::CNAME),
        alias("to-name.corp.internal", Rtype::A, "name.corp.internal"),
        alias("cname.corp.internal", Rtype::CNAME, "name.corp.internal"),
        set("new.corp.internal", Rtype::TXT),
        RecordSet { body: Body::Deferred(DeferredReason::Unknown), ..set("new.corp.internal", Rtype::ANY) },
        alias("to-new.corp.internal", Rtype::A, "new.corp.internal"),
    ]);
    for (owner, expected) in [
        ("", "answer"),
        ("one", "answer"),
        ("two", "answer"),
        ("no-type", "nodata"),
        ("out", "outside"),
        ("to-out", "outside"),
        ("to-group", "deferred"),
        ("to-cut", "outside"),
        ("at-cut", "outside"),
        ("to-name", "nodata"),
        ("cname", "cname"),
        ("to-new", "outside"),
    ] {
        let rtype = if owner == "no-type" { Rtype::AAAA } else { Rtype::A };
        let qname = format!("{owner}.corp.internal");
        assert_eq!(said(&zone, qname.trim_start_matches('.'), rtype), expected, "{owner}");
    }
    assert_eq!(said(&zone, "cname.corp.internal", Rtype::CNAME), "answer");
    assert_eq!((zone.counts().aliases, zone.counts().deferred), (12, 2));
}

#[test]
fn a_chain_of_aliases_ends_or_is_a_loop() {
    let long = |i: u32| alias(&format!("a{i}.corp.internal"), Rtype::A, &format!("a{}.corp.internal", i + 1));
    let mut sets: Vec<_> = (0..100).map(long).collect();
    sets.push(set("a100.corp.internal", Rtype::A));
    sets.push(alias("x.corp.internal", Rtype::A, "y.corp.internal"));
    sets.push(alias("y.corp.internal", Rtype::A, "x.corp.internal"));
    sets.push(alias("into.corp.internal", Rtype::A, "x.corp.internal"));
    sets.push(alias("*.wild.corp.internal", Rtype::A, "q.wild.corp.internal"));
    let zone = build(sets);
    assert_eq!(said(&zone, "a0.corp.internal", Rtype::A), "answer");
    for owner in ["x.corp.internal", "y.corp.internal", "into.corp.internal", "z.wild.corp.internal"] {
        assert_eq!(said(&zone, owner, Rtype::A), "loop", "{owner}");
    }
}
