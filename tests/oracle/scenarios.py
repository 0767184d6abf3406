"""Random scenarios, the same for the same seed: `scenarios.py SEED COUNT [--weird]` prints one a line.

All are zones that Route 53's API would accept; `--weird` adds those nobody wants. See README.md.
"""

import json
import random
import sys

from shapes import ODD_LABELS, REGIONS, ZoneBuilder, costs_from, separated_regions
from weird import add_weird_shapes

QUERY_TYPES = ("A", "AAAA", "TXT", "MX", "SRV", "CNAME", "HTTPS", "NS", "SOA")


def health_section(rng):
    """States of the checks, after inversion; a third of the scenarios holds unknown ones."""
    mood = rng.choice(("all healthy", "all unhealthy", "mixed", "mixed", "mixed", "unknown", "unknown"))
    weights = {"all healthy": (1, 0, 0), "all unhealthy": (0, 1, 0), "mixed": (5, 4, 0), "unknown": (4, 3, 2)}[mood]
    leaves = [f"hc-{i}" for i in range(1, rng.randint(4, 9))]
    health = {leaf: rng.choices(("healthy", "unhealthy", "unknown"), weights)[0] for leaf in leaves}
    definitions = {}
    if rng.random() < 0.4:
        for i in range(rng.randint(1, 2)):
            children = rng.sample(leaves, rng.randint(1, 3))
            definitions[f"hc-calc-{i}"] = {
                "Type": "CALCULATED", "ChildHealthChecks": children, "HealthThreshold": rng.randint(0, len(children) + 1),
                "Inverted": rng.random() < 0.3, "Disabled": rng.random() < 0.1}
        for leaf in leaves:
            if rng.random() < 0.3:
                definitions[leaf] = leaf_definition(rng, health[leaf])
    for check_id, definition in definitions.items():
        if definition["Inverted"] and definition["Disabled"]:
            definition["Disabled"] = False  # what both together mean is open: README.md, choice 12
        if check_id in health:  # `health` stays what the check finally shows
            if definition["Disabled"]:
                health[check_id] = "healthy"
            elif definition["Observed"] == "new":
                health[check_id] = "unhealthy" if definition["Inverted"] else "healthy"
    return health, definitions


def leaf_definition(rng, state):
    """A check with its state as observed, before inversion, consistent with `state` when it is known."""
    inverted = rng.random() < 0.5
    observed = {"healthy": "unhealthy", "unhealthy": "healthy"}.get(state, state) if inverted else state
    if rng.random() < 0.15:
        observed = "new"
    return {"Type": "CLOUDWATCH_METRIC", "Inverted": inverted, "Disabled": rng.random() < 0.1, "Observed": observed}


def external_section(rng, region):
    """What upstreams say of names outside the zones."""
    def addresses(count):
        return [f"10.1.{rng.randrange(256)}.{rng.randrange(1, 255)}" for _ in range(count)]
    return {
        f"lb-1.{region}.elb.amazonaws.com.": {"A": {"ttl": 60, "values": addresses(2)}},
        f"dualstack.lb-2.{region}.elb.amazonaws.com.": {
            "A": {"ttl": 60, "values": addresses(1)}, "AAAA": {"ttl": 45, "values": ["2001:db8::a"]}},
        f"vpce-1.{region}.vpce.amazonaws.com.": {"CNAME": {"ttl": 20, "values": [f"vpce-1-a.{region}.vpce.amazonaws.com."]}},
        f"vpce-1-a.{region}.vpce.amazonaws.com.": {"A": {"ttl": 60, "values": addresses(1)}},
        "www.example.org.": {"A": {"ttl": 300, "values": ["192.0.2.1"]}, "TXT": {"ttl": 30, "values": ['"from outside"']}},
        "cdn.example.org.": {"CNAME": {"ttl": 100, "values": ["www.example.org."]}},
    }


def queries_for(rng, builders, external):
    """Questions: first what exists and what wildcards match, then relatives and strangers, up to 45."""
    direct, relatives = set(), {("nowhere.example.org.", "A"), *((name, "A") for name in rng.sample(sorted(external), 2))}
    for builder in builders:
        relatives |= stranger_queries(rng, builder.apex)
        for name, rtype in builder.built:
            parent = name.partition(".")[2]
            relatives.add((name, rng.choice(QUERY_TYPES)))
            if name.startswith("\\052."):  # matched at one level and at several, but never the parent
                direct |= {(f"w{rng.randrange(9)}.{parent}", rtype), (f"x.y.{parent}", rtype)}
                relatives |= {(name, rtype), (f"w.{parent}", "MX"), (parent, rtype)}
            else:
                direct.add((name, rtype))
            if rtype == "CNAME":
                direct.add((name.replace("\\052.", "v.", 1) if name.startswith("\\052.") else name, "A"))
            if parent.endswith("." + builder.apex):  # often an empty non-terminal; beside the name, and below it
                relatives |= {(parent, "A"), (f"beside.{parent}", rtype), (f"below.{name}", rtype)}
    asked = sorted(direct) + rng.sample(sorted(relatives - direct), min(len(relatives - direct), 15))
    rng.shuffle(asked)
    return [{"name": name.upper() if rng.random() < 0.05 else name, "type": rtype} for name, rtype in asked[:45]]


def stranger_queries(rng, apex):
    return {(apex, rng.choice(("A", "AAAA", "SOA", "NS"))), (f"gone.{apex}", "A"), (f"a.gone.{apex}", "TXT"),
            (f"{rng.choice(ODD_LABELS)}.{apex}", rng.choice(("TXT", "A"))), (f"host.sub.{apex}", "A"), (f"sub.{apex}", "A")}


def scenario(seed, weird=False):
    """One scenario; `seed` is any text or integer."""
    rng = random.Random(f"{seed} {weird}")
    region = rng.choice(sorted(REGIONS))
    _, _, country, continent, subdivision = REGIONS[region]
    external = external_section(rng, region)
    health, definitions = health_section(rng)
    apexes = ["corp.internal."]
    if rng.random() < 0.5:
        apexes.insert(0, "a.corp.internal.")
    if rng.random() < 0.3:
        apexes.insert(0, "example.net.")
    builders = []
    for number, apex in enumerate(apexes, 1):
        builder = ZoneBuilder(rng, apex, f"Z{number}", separated_regions(rng, region), sorted(health) + sorted(definitions),
                              sorted(external), earlier=[b for other in builders for b in other.built], place=(country, continent, subdivision))
        builder.build()
        if weird:
            add_weird_shapes(rng, builder)
        builders.append(builder)
        for name in builder.delegated:
            external[name] = {"A": {"ttl": 50, "values": ["10.77.0.1"]}}
    if weird:
        definitions["hc-odd"] = {"Type": "CLOUDWATCH_METRIC", "Inverted": True, "Disabled": True}
        health["hc-odd"] = "unknown"
    return {
        "seed": str(seed), "vpc_region": region, "country": country, "continent": continent, "subdivision": subdivision,
        "latency": costs_from(region),
        "zones": [{"name": b.apex, "record_sets": b.record_sets} for b in builders],
        "zone_ids": {b.apex: b.zone_id for b in builders},
        "health": health, "health_checks": definitions, "external": external,
        "queries": queries_for(rng, builders, external),
    }


def main(arguments):
    weird = "--weird" in arguments
    numbers = [a for a in arguments if a != "--weird"]
    if len(numbers) != 2:
        sys.exit("usage: scenarios.py SEED COUNT [--weird]")
    for number in range(int(numbers[1])):
        print(json.dumps(scenario(f"{int(numbers[0])}/{number}", weird)))


if __name__ == "__main__":
    main(sys.argv[1:])
