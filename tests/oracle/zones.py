"""The zones of a scenario and lookup in them (RFC 1034 §4.3.2, RFC 4592; route53.md §2.4, §2.8, traps 2, 15, 16, 19)."""

from collections import namedtuple

from names import name_text, parse_name

DEFAULT_SOA_TTL = 900
DEFAULT_SOA_MINIMUM = 86400

NODE, MISSING, CUT = "node", "missing", "cut"

# `kind`: NODE (`types` maps each type to its record sets; empty for an empty non-terminal), MISSING, or CUT
# (at or below a delegation: not ours). `owner` is the node in the zone: a wildcard when synthesised.
Found = namedtuple("Found", "kind owner types")


def bare_id(zone_id):
    """Zone ids come with and without `/hostedzone/` (§6)."""
    return zone_id.rsplit("/", 1)[-1]


class Zone:
    """One private hosted zone."""

    def __init__(self, name, zone_id, record_sets):
        self.apex = parse_name(name)
        self.id = bare_id(zone_id)
        self.sets = {}
        self.names = {self.apex}
        self.cuts = set()
        for record_set in record_sets:
            self._add(record_set)

    def _add(self, record_set):
        owner, rtype = parse_name(record_set["Name"]), record_set["Type"]
        if not self.covers(owner):
            raise ValueError(f"{record_set['Name']} is outside {name_text(self.apex)}")
        self.sets.setdefault(owner, {}).setdefault(rtype, []).append(record_set)
        if rtype == "NS" and owner != self.apex:
            self.cuts.add(owner)
        while owner != self.apex:  # every ancestor exists: empty non-terminals
            self.names.add(owner)
            owner = owner[1:]

    def covers(self, name):
        return len(name) >= len(self.apex) and name[len(name) - len(self.apex):] == self.apex

    def find(self, name):
        """Finds `name`, or the wildcard at its closest encloser."""
        depth = len(name) - len(self.apex)
        if any(name[i:] in self.cuts for i in range(depth)):
            return Found(CUT, name, {})
        if name in self.names:
            return Found(NODE, name, self.sets.get(name, {}))
        closest_encloser = next(name[i:] for i in range(1, depth + 1) if name[i:] in self.names)
        source_of_synthesis = (b"*",) + closest_encloser
        if source_of_synthesis in self.names:
            return Found(NODE, source_of_synthesis, self.sets.get(source_of_synthesis, {}))
        return Found(MISSING, name, {})

    def negative(self):
        """(SOA owner, negative TTL): min(SOA TTL, MINIMUM), before any cap of ours (trap 16)."""
        ttl, minimum = DEFAULT_SOA_TTL, DEFAULT_SOA_MINIMUM
        for record_set in self.sets.get(self.apex, {}).get("SOA", []):
            ttl, minimum = record_set["TTL"], int(record_set["ResourceRecords"][0]["Value"].split()[-1])
        return name_text(self.apex), min(ttl, minimum)


class Zones:
    """All zones; the longest match answers, with no fall-back (§2.4)."""

    def __init__(self, scenario):
        ids = {parse_name(name): zone_id for name, zone_id in scenario["zone_ids"].items()}
        self.all = [Zone(z["name"], ids[parse_name(z["name"])], z["record_sets"]) for z in scenario["zones"]]
        self.by_id = {zone.id: zone for zone in self.all}
        if len(self.by_id) != len(self.all) or len({zone.apex for zone in self.all}) != len(self.all):
            raise ValueError("two zones of one name or id")

    def most_specific(self, name):
        return max((z for z in self.all if z.covers(name)), key=lambda z: len(z.apex), default=None)

    def alias_zone(self, record_set):
        """The zone an alias points into by its HostedZoneId; None: a target elsewhere (§2.5)."""
        zone = self.by_id.get(bare_id(record_set["AliasTarget"]["HostedZoneId"]))
        inside = zone and zone.covers(parse_name(record_set["AliasTarget"]["DNSName"]))
        return zone if inside else None
