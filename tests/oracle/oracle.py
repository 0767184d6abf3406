"""Says what Route 53 would answer from private hosted zones: a scenario in, answers out (see README.md).

Section numbers are those of the reference (route53.md) unless design.md is named.
"""

import json
import sys
from dataclasses import dataclass, replace
from fractions import Fraction

from health import Health, NeedState, states
from names import DECIMAL, name_text, parse_name, rdata_text
from policies import MAX_MULTIVALUE, candidates, choose
from zones import CUT, MISSING, Zones

MAX_RESTARTS = 16  # CNAMEs followed for one query (design.md §5)


@dataclass(frozen=True)
class Pick:
    """What one owner and type may give: the rdata of each set taken, or nothing (NODATA), or a failure."""
    probability: Fraction
    ttl: int = 0
    groups: tuple = ()
    is_failure: bool = False
    why: tuple = ()


@dataclass(frozen=True)
class Outcome:
    """One response that may be given. `options`, when not empty: any eight of these groups follow `records`."""
    probability: Fraction
    rcode: str = "NOERROR"
    is_authoritative: bool = True
    records: tuple = ()
    options: tuple = ()
    negative: str = None
    soa: tuple = None
    why: tuple = ()


def failure(probability, why):
    return Outcome(probability, rcode="SERVFAIL", is_authoritative=False, why=why)


class Evaluator:
    """Answers queries from one scenario under one view of health."""

    def __init__(self, scenario, zones, health):
        self.scenario, self.zones, self.health = scenario, zones, health
        self.external = {parse_name(name): types for name, types in scenario.get("external", {}).items()}

    # -- following CNAMEs: design.md §5 ------------------------------------------------------------

    def resolve(self, qname, qtype, path=()):
        """All outcomes for a question. `path` holds what is being evaluated, to find loops."""
        step = ("chain", qname)
        if step in path:
            return [failure(Fraction(1), ("CNAME loop",))]
        if sum(key[0] == "chain" for key in path) > MAX_RESTARTS:
            return [failure(Fraction(1), ("too many CNAMEs",))]
        path += (step,)
        zone = self.zones.most_specific(qname)
        found = zone.find(qname) if zone else None
        if found is None or found.kind == CUT:
            return self.ask_upstream(qname, qtype, path)
        if found.kind == MISSING:
            return [Outcome(Fraction(1), rcode="NXDOMAIN", negative="nxdomain", soa=zone.negative(), why=("no such name",))]
        rtype = qtype if qtype in found.types else "CNAME"
        if rtype not in found.types:
            return [Outcome(Fraction(1), negative="nodata", soa=zone.negative(), why=(f"{name_text(found.owner)} has no {qtype}",))]
        picks = self.pick(zone, qname, rtype, path)
        return [outcome for pick in picks for outcome in self.respond(zone, qname, qtype, rtype, pick, path)]

    def respond(self, zone, qname, qtype, rtype, pick, path):
        """Turns a pick into outcomes: owner = qname (§2.5), and a CNAME is followed unless asked for."""
        if pick.is_failure:
            return [failure(pick.probability, pick.why)]
        if not pick.groups:
            return [Outcome(pick.probability, negative="nodata", soa=zone.negative(), why=pick.why)]
        groups = tuple(tuple((name_text(qname), pick.ttl, rtype, value) for value in group) for group in pick.groups)
        if len(groups) > MAX_MULTIVALUE:
            return [Outcome(pick.probability, options=groups, why=pick.why)]
        records = tuple(sorted({record for group in groups for record in group}))
        if rtype == qtype:
            return [Outcome(pick.probability, records=records, why=pick.why)]
        return self.follow(records, pick.probability, pick.why, qtype, path, is_authoritative=True)

    def follow(self, cname_records, probability, why, qtype, path, is_authoritative):
        """The CNAME, then what its target gives; the rcode is the last name's (RFC 6604), never a partial chain."""
        if len(cname_records) != 1:
            raise ValueError(f"several CNAMEs: {cname_records}")
        target = parse_name(cname_records[0][3], DECIMAL)
        outcomes = []
        for tail in self.resolve(target, qtype, path):
            if tail.rcode == "SERVFAIL":
                outcomes.append(failure(probability * tail.probability, why + tail.why))
                continue
            outcomes.append(replace(
                tail, probability=probability * tail.probability, records=cname_records + tail.records,
                is_authoritative=is_authoritative, why=why + tail.why))
        return outcomes

    def ask_upstream(self, name, rtype, path):
        """What the upstreams say, with CNAMEs followed."""
        types = self.external.get(name)
        if types is None:
            return [Outcome(Fraction(1), rcode="NXDOMAIN", is_authoritative=False, negative="nxdomain", why=("upstream: no such name",))]
        given = rtype if rtype in types else "CNAME"
        if given not in types:
            return [Outcome(Fraction(1), is_authoritative=False, negative="nodata", why=(f"upstream: no {rtype}",))]
        rrset = types[given]
        records = tuple(sorted({(name_text(name), rrset["ttl"], given, rdata_text(given, value)) for value in rrset["values"]}))
        if given == rtype:
            return [Outcome(Fraction(1), is_authoritative=False, records=records, why=("upstream",))]
        return self.follow(records, Fraction(1), ("upstream CNAME",), rtype, path, is_authoritative=False)

    # -- record sets: policies §2.6, aliases §2.5 ----------------------------------------------------

    def pick(self, zone, name, rtype, path):
        """What `zone` may give for `name` and `rtype`, through policies and aliases."""
        step = (zone.id, name, rtype)
        if step in path:
            return [Pick(Fraction(1), is_failure=True, why=("alias loop",))]
        path += (step,)
        found = zone.find(name)
        if found.kind == CUT:
            return self.flatten(name, rtype, path)
        sets = found.types.get(rtype)
        if not sets:
            return [Pick(Fraction(1), why=("alias target has nothing",))]
        ways = choose(sets, lambda s: self.is_healthy(s, zone, path), self.scenario)
        picks = [pick for way in ways for pick in self.pick_way(way, zone, rtype, path)]
        return picks or [Pick(Fraction(1), why=("no location matches",))]

    def pick_way(self, way, zone, rtype, path):
        if "AliasTarget" not in way.sets[0]:
            groups = tuple(tuple(rdata_text(rtype, r["Value"]) for r in s["ResourceRecords"]) for s in way.sets)
            return [Pick(way.probability, min(s["TTL"] for s in way.sets), groups, why=(way.why,))]
        alias = way.sets[0]
        target = parse_name(alias["AliasTarget"]["DNSName"])
        target_zone = self.zones.alias_zone(alias)
        picks = self.pick(target_zone, target, rtype, path) if target_zone else self.flatten(target, rtype, path)
        return [replace(p, probability=way.probability * p.probability, why=(way.why, f"alias {name_text(target)}") + p.why) for p in picks]

    def flatten(self, target, rtype, path):
        """An alias target elsewhere: only the asked type, TTL = the least of the chain (§2.5)."""
        picks = []
        for outcome in self.ask_upstream(target, rtype, path):
            if outcome.rcode == "SERVFAIL":
                picks.append(Pick(outcome.probability, is_failure=True, why=outcome.why))
                continue
            wanted = outcome.options or ((tuple(r for r in outcome.records if r[2] == rtype)),)
            groups = () if outcome.negative else tuple(tuple(r[3] for r in group) for group in wanted)
            ttls = [r[1] for r in outcome.records] + [r[1] for group in outcome.options for r in group]
            picks.append(Pick(outcome.probability, min(ttls, default=0), groups, why=outcome.why))
        return picks

    # -- health of a record set: §2.6 "general" -------------------------------------------------------

    def is_healthy(self, record_set, zone, path):
        """No check: healthy. A check and EvaluateTargetHealth must both pass."""
        passes = True
        if "HealthCheckId" in record_set:
            passes = self.health.check_passes(record_set["HealthCheckId"])
        if record_set.get("AliasTarget", {}).get("EvaluateTargetHealth"):
            passes = self.is_branch_healthy(record_set, path) and passes
        return passes

    def is_branch_healthy(self, alias, path):
        """An alias that evaluates its target is unhealthy iff nothing it could lead to is healthy."""
        target = parse_name(alias["AliasTarget"]["DNSName"])
        zone = self.zones.alias_zone(alias)
        found = zone.find(target) if zone else None
        if found is None or found.kind == CUT:
            return self.health.target_passes(name_text(target))
        step = (zone.id, target, alias["Type"])
        sets = found.types.get(alias["Type"])
        if step in path or not sets:
            return False
        return any([self.is_healthy(s, zone, path + (step,)) for s in candidates(sets, self.scenario)])


def merge(outcomes):
    """Adds up equal outcomes; the reasons are kept side by side."""
    merged = {}
    for outcome in outcomes:
        key = replace(outcome, probability=Fraction(0), why=(), options=tuple(sorted(outcome.options)))
        probability, reasons = merged.get(key, (Fraction(0), []))
        reason = "; ".join(outcome.why)
        merged[key] = probability + outcome.probability, reasons + [reason] * (reason not in reasons)
    return {key: value for key, value in merged.items() if value[0] > 0}


def depends_on_unknown(scenario, zones, qname, qtype):
    """Whether what may be answered changes with states we do not know (design.md §4): tries them."""
    open_views, seen = [{}], None
    while open_views:
        assumed = open_views.pop()
        try:
            outcomes = Evaluator(scenario, zones, Health(scenario, assumed)).resolve(qname, qtype)
        except NeedState as need:
            open_views += [{**assumed, need.subject: state} for state in (True, False)]
            continue
        result = {key: value[0] for key, value in merge(outcomes).items()}
        if seen is not None and seen != result:
            return True
        seen = result
    return False


def outcome_json(outcome, probability, reasons):
    soa, negative_ttl = outcome.soa or (None, None)
    made = {
        "probability": float(probability), "rcode": outcome.rcode, "authoritative": outcome.is_authoritative,
        "answers": [list(r) for r in outcome.records], "negative": outcome.negative,
        "soa": soa, "negative_ttl": negative_ttl, "why": " | ".join(reasons),
    }
    if outcome.options:
        made["choose"] = MAX_MULTIVALUE
        made["of"] = [[list(r) for r in group] for group in outcome.options]
    return made


def answer_query(scenario, zones, query):
    """One answer of the interface."""
    qname, qtype = parse_name(query["name"]), query["type"]
    if qtype == "ANY":
        raise ValueError("ANY is not modelled (RFC 8482)")
    health = Health(scenario)
    merged = merge(Evaluator(scenario, zones, health).resolve(qname, qtype))
    possible = [outcome_json(outcome, *rest) for outcome, rest in merged.items()]
    return {
        "name": query["name"], "type": qtype,
        "possible": sorted(possible, key=lambda p: (-p["probability"], json.dumps(p, sort_keys=True))),
        "deferred": bool(health.unknown) and depends_on_unknown(scenario, zones, qname, qtype),
        "unknown": sorted(health.unknown),
    }


def answer_scenario(scenario):
    zones = Zones(scenario)
    return [answer_query(scenario, zones, query) for query in scenario["queries"]]


def main(arguments):
    if arguments not in ([], ["--lines"], ["--whole"]):
        sys.exit("usage: oracle.py [--lines | --whole] < scenarios > answers")
    if arguments:
        for line in filter(str.strip, sys.stdin):
            scenario = json.loads(line)
            answers = answer_scenario(scenario)
            whole = {"scenario": scenario, "states": states(scenario), "answers": answers}
            print(json.dumps(whole if arguments == ["--whole"] else answers))
    else:
        print(json.dumps(answer_scenario(json.load(sys.stdin)), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
