"""Hand-worked examples for each rule; the numbers in names are the reference's sections and traps."""

import unittest

from names import DECIMAL, name_text, parse_name, rdata_text
from oracle import answer_scenario

SOA = {"Name": "corp.internal.", "Type": "SOA", "TTL": 900, "ResourceRecords": [
    {"Value": "ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"}]}
LB = "lb.eu-west-1.elb.amazonaws.com."


def full(name):
    return f"{name}.corp.internal." if name else "corp.internal."


def rrset(name, rtype="A", values="10.0.0.1", ttl=60, **fields):
    values = [{"Value": value} for value in ([values] if isinstance(values, str) else values)]
    return {"Name": full(name), "Type": rtype, "TTL": ttl, "ResourceRecords": values, **fields}


def alias(name, target, rtype="A", evaluates=False, zone="Z1", **fields):
    target = full(target) if zone == "Z1" else target
    return {"Name": full(name), "Type": rtype, "AliasTarget": {
        "HostedZoneId": zone, "DNSName": target, "EvaluateTargetHealth": evaluates}, **fields}


def weighted(name, weights, **more):
    """Sets with values 10.0.0.1, 10.0.0.2, … and one weight each; `checks` gives health checks by position."""
    checks = more.pop("checks", {})
    return [rrset(name, values=f"10.0.0.{i}", SetIdentifier=str(i), Weight=w, **({"HealthCheckId": checks[i]} if i in checks else {}), **more)
            for i, w in enumerate(weights, 1)]


def failover(name, primary="p", secondary="s"):
    return [rrset(name, values="10.0.0.1", SetIdentifier="1", Failover="PRIMARY", HealthCheckId=primary),
            rrset(name, values="10.0.0.2", SetIdentifier="2", Failover="SECONDARY", **({"HealthCheckId": secondary} if secondary else {}))]


def multivalue(count, checked=True):
    return [rrset("m", values=f"10.0.0.{i}", SetIdentifier=str(i), MultiValueAnswer=True, **({"HealthCheckId": f"m{i}"} if checked else {}))
            for i in range(1, count + 1)]


def ask(sets, name, rtype="A", more_zones=None, **parts):
    zones = {"corp.internal.": [SOA, *sets], **(more_zones or {})}
    made = {
        "vpc_region": "eu-west-1", "country": "IE", "continent": "EU", "subdivision": None,
        "latency": {"eu-west-1": 1, "eu-central-1": 20, "us-east-1": 80},
        "zones": [{"name": z, "record_sets": s} for z, s in zones.items()],
        "zone_ids": {z: f"Z{i}" for i, z in enumerate(zones, 1)},
        "health": {}, "external": {LB: {"A": {"ttl": 60, "values": ["10.1.2.3"]}}}, **parts,
        "queries": [{"name": name if name.endswith(".") else full(name), "type": rtype}],
    }
    return answer_scenario(made)[0]


def health(**states):
    return {name: {"h": "healthy", "u": "unhealthy", "?": "unknown"}[state] for name, state in states.items()}


class OracleTest(unittest.TestCase):
    def values(self, expected, *question, **parts):
        """Compares {last byte or rdata of the answer: probability}; NODATA, NXDOMAIN and SERVFAIL by name."""
        given = {}
        for p in ask(*question, **parts)["possible"]:
            data = [r[3].removeprefix("10.0.0.") for r in p["answers"]]
            label = " ".join(data) or (p["negative"] or p["rcode"]).upper()
            given[label] = round(given.get(label, 0) + p["probability"], 6)
        self.assertEqual(expected, given)

    def only(self, *question, **parts):
        answer = ask(*question, **parts)
        self.assertEqual(1, len(answer["possible"]), answer)
        return answer["possible"][0]


class Names(OracleTest):
    def test_2_8_escapes_are_octal(self):
        self.assertEqual((b"*", b"x"), parse_name("\\052.X"))
        self.assertEqual((b"a.b", b"c\\"), parse_name("a\\056b.c\\134."))
        self.assertEqual("a\\.b.c\\\\.\\195\\169\\032.", name_text(parse_name("a\\056b.c\\134.\\303\\251\\040")))
        odd = (b"*@", b"065\\065", bytes(range(128, 150)))
        self.assertEqual(odd, parse_name(name_text(odd), DECIMAL))

    def test_2_8_values_by_type(self):
        for rtype, value, text in (
                ("TXT", '"ex\\344mple" "c\\"d"', '"ex\\228mple" "c\\"d"'), ("TXT", '"\\052" ""', '"*" ""'), ("SPF", "bare", '"bare"'),
                ("CNAME", "DB.example.com", "db.example.com."), ("MX", "10 h", "10 h."), ("SRV", "1 2 53 h.x", "1 2 53 h.x."),
                ("NAPTR", '1 2 "u" "E2U" "!^.*$!\\\\1!" .', '1 2 "u" "E2U" "!^.*$!\\\\1!" .'), ("CAA", '0 issue "x"', '0 issue "x"'),
                ("AAAA", "2001:DB8:0::1", "2001:db8::1"), ("DS", "1 13 2 AB CD", "1 13 2 abcd"),
                ("HTTPS", "1 . port=443 alpn=h2,h3", '1 . alpn="h2,h3" port="443"')):
            self.assertEqual(text, rdata_text(rtype, value))

    def test_trap_1_and_2_star_is_a_wildcard_only_as_whole_leftmost_label(self):
        sets = [rrset("\\052.apps"), rrset("a-\\052.lit", "TXT", '"x"'), rrset("prod.\\052.deep", values="10.0.0.2")]
        self.values({"1": 1}, sets, "foo.apps")
        self.values({"1": 1}, sets, "foo.bar.apps")
        self.values({"NXDOMAIN": 1}, sets, "a-foo.lit", "TXT")
        self.values({'"x"': 1}, sets, "a-*.lit", "TXT")
        self.values({"2": 1}, sets, "prod.*.deep")
        self.values({"NODATA": 1}, sets, "prod.x.deep")  # *.deep is an empty non-terminal: the source of synthesis

    def test_case_is_ignored_and_owner_is_qname(self):
        self.assertEqual([["foo.corp.internal.", 60, "A", "10.0.0.1"]], self.only([rrset("\\052")], "FOO.Corp.INTERNAL.")["answers"])


class Lookup(OracleTest):
    def test_trap_16_empty_non_terminals_wildcards_and_negatives(self):
        sets = [rrset("x.b"), rrset("\\052", values="10.0.0.2"), rrset("h", "TXT", '"t"')]
        self.values({"NODATA": 1}, sets, "b")
        self.values({"NXDOMAIN": 1}, sets, "y.b")
        self.values({"NODATA": 1}, sets, "h")
        self.values({"2": 1}, sets, "any.thing")
        self.values({"NODATA": 1}, sets, "any", "TXT")
        self.values({"NODATA": 1}, sets, "")
        negative = self.only(sets, "y.b")
        self.assertEqual(("corp.internal.", 900, True), (negative["soa"], negative["negative_ttl"], negative["authoritative"]))

    def test_negative_ttl_is_the_lesser(self):
        soa = {**SOA, "TTL": 300, "ResourceRecords": [{"Value": "a. b. 1 2 3 4 60"}]}
        other = {"net.": [{**soa, "Name": "net."}]}
        self.assertEqual(60, self.only([], "x.net.", more_zones=other)["negative_ttl"])

    def test_trap_15_most_specific_zone_without_fall_back(self):
        reply = self.only([rrset("www.a")], "www.a", more_zones={"a.corp.internal.": []})
        self.assertEqual(("NXDOMAIN", "a.corp.internal."), (reply["rcode"], reply["soa"]))

    def test_trap_19_below_a_cut_the_upstream_answers(self):
        sets = [rrset("sub", "NS", "ns.x"), rrset("occluded.sub")]
        reply = self.only(sets, "h.sub", external={full("h.sub"): {"A": {"ttl": 5, "values": ["10.0.0.9"]}}})
        self.assertEqual((False, "10.0.0.9"), (reply["authoritative"], reply["answers"][0][3]))
        self.values({"NXDOMAIN": 1}, sets, "occluded.sub")

    def test_outside_names_are_forwarded(self):
        self.assertFalse(self.only([], LB)["authoritative"])
        self.values({"NODATA": 1}, [], LB, "AAAA")


class Cnames(OracleTest):
    def test_chain_inside_across_and_outside(self):
        sets = [rrset("a", "CNAME", "b.corp.internal"), rrset("b", "CNAME", "c.net"), rrset("out", "CNAME", LB), rrset("gone", "CNAME", "no.net")]
        net = {"net.": [{**rrset(""), "Name": "c.net."}]}
        reply = self.only(sets, "a", more_zones=net)
        self.assertEqual(["CNAME", "CNAME", "A"], [r[2] for r in reply["answers"]])
        self.assertTrue(reply["authoritative"])
        self.assertEqual(1, len(self.only(sets, "a", "CNAME", more_zones=net)["answers"]))
        self.assertEqual([LB, 60, "A", "10.1.2.3"], self.only(sets, "out")["answers"][1])
        gone = self.only(sets, "gone", more_zones=net)
        self.assertEqual(("NXDOMAIN", "net.", 1), (gone["rcode"], gone["soa"], len(gone["answers"])))
        nodata = self.only(sets, "a", "TXT", more_zones=net)
        self.assertEqual(("nodata", 2), (nodata["negative"], len(nodata["answers"])))

    def test_a_chain_that_starts_upstream_is_not_authoritative(self):
        reply = self.only([rrset("in")], "up.x.", external={"up.x.": {"CNAME": {"ttl": 5, "values": [full("in")]}}})
        self.assertEqual((False, ["up.x.", full("in")]), (reply["authoritative"], [r[0] for r in reply["answers"]]))

    def test_loops_and_the_limit(self):
        self.values({"SERVFAIL": 1}, [rrset("a", "CNAME", full("b")), rrset("b", "CNAME", full("a"))], "a")
        chain = [rrset(f"c{i}", "CNAME", full(f"c{i + 1}")) for i in range(17)] + [rrset("c17")]
        self.values({"SERVFAIL": 1}, chain, "c0")
        self.assertEqual(17, len(self.only(chain, "c1")["answers"]))

    def test_trap_7_weighted_cname_gives_one(self):
        sets = [rrset("w", "CNAME", full(t), SetIdentifier=t, Weight=w) for t, w in (("a", 1), ("b", 3))]
        sets += [rrset("a", values="10.0.0.1"), *weighted("b", [1, 1])]
        self.values({"a.corp.internal. 1": .25, "b.corp.internal. 1": .375, "b.corp.internal. 2": .375}, sets, "w")


class Aliases(OracleTest):
    def test_trap_5_apex_alias_to_load_balancer(self):
        sets = [alias("", LB, zone="ZELB")]
        reply = self.only(sets, "")
        self.assertEqual([["corp.internal.", 60, "A", "10.1.2.3"]], reply["answers"])
        self.assertTrue(reply["authoritative"])
        self.values({"NODATA": 1}, sets, "", "AAAA")

    def test_alias_outside_takes_least_ttl_of_the_chain_and_hides_it(self):
        outside = {"v.x.": {"CNAME": {"ttl": 20, "values": ["w.x"]}}, "w.x.": {"A": {"ttl": 60, "values": ["10.0.0.5"]}}}
        self.assertEqual([[full("v"), 20, "A", "10.0.0.5"]], self.only([alias("v", "v.x.", zone="ZV")], "v", external=outside)["answers"])

    def test_empty_target_is_nodata(self):
        sets = [alias("four", LB, "AAAA", zone="ZELB"), alias("none", "missing"), alias("out", "gone.x.", zone="ZX"),
                alias("c", "cname"), rrset("cname", "CNAME", LB)]
        for name, rtype in (("four", "AAAA"), ("none", "A"), ("out", "A"), ("c", "A")):
            self.values({"NODATA": 1}, sets, name, rtype)
        self.assertEqual("corp.internal.", self.only(sets, "out")["soa"])

    def test_trap_6_chain_group_wildcard_and_ttl(self):
        sets = [alias("www", "mid"), alias("mid", "grp"), *weighted("grp", [1, 0], ttl=77), alias("star", "x.y.apps"), rrset("\\052.apps", ttl=5)]
        self.assertEqual([[full("www"), 77, "A", "10.0.0.1"]], self.only(sets, "www")["answers"])
        self.assertEqual([[full("star"), 5, "A", "10.0.0.1"]], self.only(sets, "star")["answers"])

    def test_trap_6_loops_fail(self):
        sets = [alias("x", "y"), alias("y", "x"), alias("self", "self", evaluates=True), alias("\\052.s", "q.s"),
                alias("w", "w2", SetIdentifier="a", Weight=1), rrset("w", SetIdentifier="b", Weight=3), alias("w2", "w"),
                alias("e", "e2", evaluates=True, SetIdentifier="a", Weight=1), rrset("e", SetIdentifier="b", Weight=3), alias("e2", "e", evaluates=True)]
        for name in ("x", "self", "any.s"):
            self.values({"SERVFAIL": 1}, sets, name)
        self.values({"SERVFAIL": .25, "1": .75}, sets, "w")
        self.values({"1": 1}, sets, "e")  # the branch back into the group holds nothing healthy

    def test_alias_of_type_cname(self):
        sets = [alias("c", "d", "CNAME"), rrset("d", "CNAME", LB, ttl=9)]
        self.assertEqual([[full("c"), 9, "CNAME", LB]], self.only(sets, "c", "CNAME")["answers"])
        self.assertEqual([full("c"), LB], [r[0] for r in self.only(sets, "c")["answers"]])

    def test_alias_stays_in_its_own_zone(self):
        self.values({"1": 1}, [alias("x", "www.a"), rrset("www.a")], "x", more_zones={"a.corp.internal.": []})


class Policies(OracleTest):
    def test_simple(self):
        self.values({"1 2": 1}, [rrset("s", values=["10.0.0.2", "10.0.0.1"])], "s")

    def test_trap_8_weighted(self):
        sets = weighted("w", [0, 10], checks={1: "a", 2: "b"})
        for states, expected in (("hh", {"2": 1}), ("hu", {"1": 1}), ("uh", {"2": 1}), ("uu", {"2": 1})):
            self.values(expected, sets, "w", health=health(a=states[0], b=states[1]))
        self.values({"1": .5, "2": .5}, weighted("w", [0, 0]), "w")
        self.values({"1": 1}, weighted("w", [0, 0], checks={2: "b"}), "w", health=health(b="u"))
        self.values({"1": round(1 / 256, 6), "2": round(255 / 256, 6)}, weighted("w", [1, 255]), "w")
        self.values({"1": .5, "2": .5}, weighted("w", [0, 0, 5], checks={3: "c"}), "w", health=health(c="u"))
        self.values({"2": .25, "3": .75}, weighted("w", [6, 1, 3], checks={1: "a"}), "w", health=health(a="u"))

    def test_failover(self):
        for states, expected in (("hh", "1"), ("hu", "1"), ("uh", "2"), ("uu", "1")):
            self.values({expected: 1}, failover("f"), "f", health=health(p=states[0], s=states[1]))
        self.values({"2": 1}, failover("f", secondary=None), "f", health=health(p="u"))
        self.values({"2": 1}, failover("f")[1:], "f", health=health(s="u"))

    def test_trap_9_multivalue(self):
        sets = multivalue(10)
        for sick, kind in ((0, "choose"), (1, "choose"), (2, "all"), (9, "one"), (10, "choose")):
            reply = self.only(sets, "m", health={f"m{i}": "unhealthy" if i <= sick else "healthy" for i in range(1, 11)})
            if kind == "choose":
                self.assertEqual((8, 10 if sick == 10 else 10 - sick, []), (reply["choose"], len(reply["of"]), reply["answers"]))
            else:
                self.assertEqual(10 - sick, len(reply["answers"]))
        self.assertEqual(full("x"), self.only([alias("x", "m"), *multivalue(9, checked=False)], "x")["of"][0][0][0])
        mixed = [rrset("\\052.i", "CNAME", full("m")), *multivalue(9, checked=False)]
        self.assertEqual(1, len(self.only(mixed, "q.i")["answers"]))

    def test_trap_10_latency(self):
        def sets(*regions):
            return [rrset("l", values=f"10.0.0.{i}", SetIdentifier=r, Region=r, HealthCheckId=r) for i, r in enumerate(regions, 1)]
        ok = {"us-east-1": "healthy", "eu-central-1": "healthy", "eu-west-1": "healthy"}
        self.values({"2": 1}, sets("us-east-1", "eu-central-1"), "l", health=ok)
        self.values({"3": 1}, sets("us-east-1", "eu-central-1", "eu-west-1"), "l", health=ok)
        self.values({"1": 1}, sets("us-east-1", "eu-central-1"), "l", health={**ok, "eu-central-1": "unhealthy"})
        self.values({"2": 1}, sets("us-east-1", "eu-central-1"), "l", health=dict.fromkeys(ok, "unhealthy"))
        self.values({"1": 1}, sets("eu-west-1", "us-east-1"), "l", health=ok, latency={"eu-west-1": 9, "us-east-1": 1})

    def test_trap_10_geolocation(self):
        places = [{"CountryCode": "US", "SubdivisionCode": "VA"}, {"CountryCode": "US"}, {"ContinentCode": "NA"}, {"CountryCode": "*"}]
        sets = [rrset("g", values=f"10.0.0.{i}", SetIdentifier=str(i), GeoLocation=p, HealthCheckId=f"g{i}") for i, p in enumerate(places, 1)]
        virginia = {"country": "US", "continent": "NA", "subdivision": "VA", "health": health(g1="h", g2="h", g3="h", g4="h")}
        for first in range(4):
            self.values({str(first + 1): 1}, sets[first:], "g", **virginia)
        self.values({"2": 1}, sets, "g", **{**virginia, "subdivision": "TX"})
        self.values({"3": 1}, sets, "g", **{**virginia, "country": "CA", "subdivision": None})
        self.values({"4": 1}, sets, "g", health=virginia["health"])
        self.values({"NODATA": 1}, sets[:3], "g", health=virginia["health"])
        self.values({"3": 1}, sets, "g", **{**virginia, "health": health(g1="u", g2="u", g3="h", g4="h")})
        self.values({"1": 1}, sets, "g", **{**virginia, "health": health(g1="u", g2="u", g3="u", g4="u")})


if __name__ == "__main__":
    unittest.main()
