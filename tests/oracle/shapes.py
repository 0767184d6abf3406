"""Builds one random hosted zone of shapes that Route 53's API accepts (route53.md §2.5, §2.6, §2.8).

References point only to what was built before, so a plain zone holds no loops.
"""

from math import asin, cos, radians, sin, sqrt

# Region: latitude, longitude, country, continent, subdivision of where it is.
REGIONS = {
    "us-east-1": (38.9, -77.4, "US", "NA", "VA"), "us-west-2": (45.8, -119.7, "US", "NA", "OR"),
    "ca-central-1": (45.5, -73.6, "CA", "NA", None), "sa-east-1": (-23.5, -46.6, "BR", "SA", None),
    "eu-west-1": (53.3, -6.3, "IE", "EU", None), "eu-central-1": (50.1, 8.7, "DE", "EU", None),
    "eu-north-1": (59.3, 18.1, "SE", "EU", None), "ap-south-1": (19.1, 72.9, "IN", "AS", None),
    "ap-southeast-1": (1.35, 103.8, "SG", "AS", None), "ap-northeast-1": (35.7, 139.7, "JP", "AS", None),
    "ap-southeast-2": (-33.9, 151.2, "AU", "OC", None),
}
LABELS = ("www", "api", "db", "x.b", "y.z.b", "a-\\052", "prod.\\052.lit", "\\100", "o\\056dot", "_ldap._tcp",
          "k\\057v", "www.a", "db.a", "\\303\\251t", "sp\\040ace", "h", "q.apps", "deep.er.apps")
WILDCARDS = ("\\052", "\\052.apps", "\\052.b", "\\052.a")
ODD_LABELS = ("a-foo", "foo.lit", "x.foo.lit", "\\052", "4", "a-4", "o.dot", "foo.b", "foo.apps", "foo.z.b")
GROUP_TYPES = ("A", "A", "A", "A", "AAAA", "TXT", "SRV", "CNAME")
POLICY_KINDS = ("Weight", "Weight", "Failover", "Failover", "MultiValueAnswer", "Region", "GeoLocation")
WEIGHTS = (0, 0, 1, 1, 3, 10, 255)
ELB_ZONE = "Z32O12XQLNTSW2"
APEX_NS = ("ns-0.awsdns-00.com.", "ns-512.awsdns-00.net.", "ns-1024.awsdns-00.org.", "ns-1536.awsdns-00.co.uk.")


def costs_from(origin):
    """Great-circle kilometres from a Region to every other."""
    def kilometres(there):
        (lat1, lon1), (lat2, lon2) = REGIONS[origin][:2], REGIONS[there][:2]
        half = sin(radians(lat2 - lat1) / 2) ** 2 + cos(radians(lat1)) * cos(radians(lat2)) * sin(radians(lon2 - lon1) / 2) ** 2
        return round(12742 * asin(sqrt(half)))
    return {region: kilometres(region) for region in sorted(REGIONS)}


def separated_regions(rng, origin):
    """Regions whose distances differ so clearly that no table of coordinates orders them otherwise."""
    costs, chosen = costs_from(origin), []
    for region in rng.sample(sorted(REGIONS), len(REGIONS)):
        if all(abs(costs[region] - costs[other]) > max(300, 0.15 * costs[other]) for other in chosen):
            chosen.append(region)
    return chosen


class ZoneBuilder:
    """A zone in the making: `built` lists (name, type) pairs that may be referred to."""

    def __init__(self, rng, apex, zone_id, regions, checks, external, earlier, place):
        self.rng, self.apex, self.zone_id, self.regions = rng, apex, zone_id, regions
        self.checks, self.external, self.earlier, self.place = checks, external, earlier, place
        self.record_sets, self.built, self.delegated, self.count = [], [], [], 0

    def build(self):
        self.add_apex()
        for label in self.rng.sample(WILDCARDS, self.rng.randint(0, 3)):
            self.add_random(f"{label}.{self.apex}")
        if self.rng.random() < 0.3:
            self.add_delegation()
        for label in self.rng.sample(LABELS, self.rng.randint(4, 10)):
            for _ in range(self.rng.choice((1, 1, 2))):
                self.add_random(f"{label}.{self.apex}")
        if self.rng.random() < 0.4:
            self.add_tree()
        if self.rng.random() < 0.5:
            self.add_random(self.apex)

    # -- owners ------------------------------------------------------------------------------------

    def add_apex(self):
        ttl, minimum = self.rng.choice(((900, 86400), (900, 86400), (900, 60), (30, 300)))
        soa = f"ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 {minimum}"
        self.add(self.apex, "SOA", ttl, [soa])
        self.add(self.apex, "NS", 172800, APEX_NS)

    def add_delegation(self):
        self.add(f"sub.{self.apex}", "NS", 300, [f"ns1.sub.{self.apex}", "ns.example.org"])
        self.add(f"ns1.sub.{self.apex}", "A", 300, ["10.66.0.1"])  # occluded
        self.delegated = [f"host.sub.{self.apex}", f"sub.{self.apex}"]

    def add_random(self, name):
        """One record set or policy group at `name`, if there is room for its type."""
        kind = self.rng.choices(("simple", "cname", "alias", "group"), (3, 2, 4, 8))[0]
        if kind == "simple":
            rtype = self.rng.choice(("A", "A", "AAAA", "TXT", "MX", "SRV", "CAA", "NAPTR", "HTTPS", "PTR"))
            if self.has_room(name, rtype):
                self.add(name, rtype, self.ttl(), self.values(rtype, self.rng.randint(1, 3)))
        elif kind == "cname" and self.has_room(name, "CNAME"):
            self.add(name, "CNAME", self.ttl(), [self.cname_target(name)])
        elif kind == "alias":
            rtype, target = self.alias_target(name, self.rng.choice(("A", "A", "AAAA", "TXT", None)))
            if target and self.has_room(name, rtype):
                self.add_set(name, rtype, AliasTarget=target)
        elif kind == "group":
            rtype = self.rng.choice(GROUP_TYPES)
            if self.has_room(name, rtype):
                self.add_group(name, rtype, self.rng.choice(POLICY_KINDS))

    def add_tree(self):
        """Latency over weighted groups, as in the guide's complex configurations; all evaluate their targets."""
        for region in self.regions[:self.rng.randint(2, 3)]:
            if self.has_room(f"tree-{region}.{self.apex}", "A"):
                self.add_group(f"tree-{region}.{self.apex}", "A", self.rng.choice(("Weight", "Failover", "MultiValueAnswer")))
        branches = [name for name, _ in self.built if name.startswith("tree-")]
        for region, branch in zip(self.regions, branches):
            target = {"HostedZoneId": self.zone_id, "DNSName": branch, "EvaluateTargetHealth": self.rng.random() < 0.9}
            self.add_set(f"tree.{self.apex}", "A", SetIdentifier=region, Region=region, AliasTarget=target)

    # -- policy groups -----------------------------------------------------------------------------

    def add_group(self, name, rtype, kind):
        if kind == "MultiValueAnswer" and rtype == "CNAME":
            kind = "Weight"
        ttl = self.ttl()
        for number, fields in enumerate(self.policy_fields(kind)):
            fields["SetIdentifier"] = f"set-{number}"
            fields.update(self.member(name, rtype, kind, ttl if kind in ("Weight", "MultiValueAnswer") else self.ttl()))
            evaluates = fields.get("AliasTarget", {}).get("EvaluateTargetHealth")
            needs_check = fields.get("Failover") == "PRIMARY" and not evaluates
            if self.checks and (needs_check or self.rng.random() < 0.6):
                fields["HealthCheckId"] = self.rng.choice(self.checks)
            self.add_set(name, rtype, **fields)

    def policy_fields(self, kind):
        rng = self.rng
        if kind == "Weight":
            return [{"Weight": rng.choice(WEIGHTS)} for _ in range(rng.randint(1, 4))]
        if kind == "Failover":
            return [{"Failover": "PRIMARY"}, {"Failover": "SECONDARY"}]
        if kind == "MultiValueAnswer":
            return [{"MultiValueAnswer": True} for _ in range(rng.choice((1, 3, 8, 9, 12)))]
        if kind == "Region":
            return [{"Region": region} for region in rng.sample(self.regions, rng.randint(1, min(4, len(self.regions))))]
        country, continent, subdivision = self.place
        places = [{"CountryCode": country}, {"ContinentCode": continent}, {"CountryCode": "*"},
                  {"CountryCode": "ZA"}, {"ContinentCode": "AF"}, {"CountryCode": "US", "SubdivisionCode": "TX"}]
        if subdivision:
            places.append({"CountryCode": country, "SubdivisionCode": subdivision})
        return [{"GeoLocation": place} for place in rng.sample(places, rng.randint(1, 5))]

    def member(self, name, rtype, kind, ttl):
        """The data of one set in a group: values, or an alias (which multivalue and CNAME sets here never are)."""
        if kind != "MultiValueAnswer" and rtype != "CNAME" and self.rng.random() < 0.45:
            _, target = self.alias_target(name, rtype)
            if target:
                return {"AliasTarget": target}
        if rtype == "CNAME":
            return {"TTL": ttl, "ResourceRecords": [{"Value": self.cname_target(name)}]}
        count = 1 if kind == "MultiValueAnswer" else self.rng.choice((1, 1, 2, 3))
        return {"TTL": ttl, "ResourceRecords": [{"Value": v} for v in self.values(rtype, count)]}

    # -- targets and values ------------------------------------------------------------------------

    def alias_target(self, name, rtype):
        """(type, AliasTarget) for something of the same type built before, or an AWS name; (None, None) without one."""
        inside = [(n, t) for n, t in self.built if n != name and t == (rtype or t)]
        outside = rtype in ("A", "AAAA") and self.rng.random() < 0.3
        if outside or not inside:
            if rtype not in ("A", "AAAA"):
                return None, None
            target = self.rng.choice([n for n in self.external if "amazonaws" in n])
            return rtype, {"HostedZoneId": ELB_ZONE, "DNSName": target, "EvaluateTargetHealth": self.rng.random() < 0.4}
        target, found_type = self.rng.choice(inside)
        if found_type == "CNAME" and name == self.apex:
            return None, None
        return found_type, {"HostedZoneId": self.zone_id, "DNSName": self.expand(target), "EvaluateTargetHealth": self.rng.random() < 0.7}

    def cname_target(self, owner):
        outside = [*self.external, *(self.expand(name) for name, _ in self.earlier), "nowhere.example.org."]
        inside = [self.expand(name) for name, _ in self.built if name != owner] + [f"gone-{self.unique()}.{self.apex}"]
        if owner.startswith("\\052"):
            return self.dotless(self.rng.choice(outside))
        return self.dotless(self.rng.choice(self.rng.choice((outside, inside, inside))))

    def expand(self, name):
        """A wildcard owner as a name that only it matches, now and then the wildcard itself."""
        if name.startswith("\\052.") and self.rng.random() < 0.9:
            return f"wild-{self.unique()}.{name[5:]}"
        return name

    def dotless(self, name):
        return name.rstrip(".") if self.rng.random() < 0.2 else name

    def values(self, rtype, count):
        return [self.value(rtype, self.unique()) for _ in range(1 if rtype == "PTR" else count)]

    def value(self, rtype, number):
        host = self.dotless(f"host-{number}.{self.apex}")
        return {
            "A": f"10.0.{number // 250}.{number % 250 + 1}", "AAAA": f"2001:db8::{number:x}",
            "TXT": self.rng.choice((f'"t{number}"', f'"ex\\344mple" "c\\"d{number}"', f'"\\052{number}"', f'"back\\\\{number}" ""')),
            "MX": f"{number} {host}", "SRV": f"1 {number} 443 {host}", "PTR": host,
            "CAA": f'0 issue "ca{number}.example"', "HTTPS": f'{number} {host} alpn="h2,h3" port={number}',
            "NAPTR": f'{number} 10 "u" "E2U+sip" "!^.*$!sip:i\\\\1@x!" .',
        }[rtype]

    # -- plain work ----------------------------------------------------------------------------------

    def has_room(self, name, rtype):
        """CNAME is alone at its owner and never at the apex; one group for each owner and type."""
        types = {s["Type"] for s in self.record_sets if s["Name"] == name}
        if rtype == "CNAME":
            return not types and name != self.apex
        return rtype not in types and "CNAME" not in types

    def add(self, name, rtype, ttl, values):
        self.add_set(name, rtype, TTL=ttl, ResourceRecords=[{"Value": value} for value in values])

    def add_set(self, name, rtype, **fields):
        self.record_sets.append({"Name": name, "Type": rtype, **fields})
        is_referable = rtype not in ("SOA", "NS") and f".sub.{self.apex}" not in name
        if is_referable and (name, rtype) not in self.built:
            self.built.append((name, rtype))

    def ttl(self):
        return self.rng.choice((0, 5, 30, 60, 300, 3600))

    def unique(self):
        self.count += 1
        return self.count
