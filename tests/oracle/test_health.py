"""Hand-worked examples for health: EvaluateTargetHealth (§2.6), checks (§2.7), unknown states (design.md §4)."""

import unittest

from test_oracle import LB, OracleTest, alias, ask, failover, health, multivalue, rrset, weighted


class EvaluateTargetHealth(OracleTest):
    def tree(self, evaluates=True, **fields):
        return [alias("t", "one", evaluates=evaluates, SetIdentifier="1", Region="eu-west-1", **fields),
                alias("t", "two", evaluates=evaluates, SetIdentifier="2", Region="us-east-1"),
                *weighted("one", [1, 1], checks={1: "a", 2: "b"}), rrset("two", values="10.0.0.9", SetIdentifier="x", Weight=1, HealthCheckId="c")]

    def test_back_out_of_a_branch(self):
        for states, expected in (("hhh", {"1": .5, "2": .5}), ("uhh", {"2": 1}), ("uuh", {"9": 1}), ("uuu", {"1": .5, "2": .5})):
            a, b, c = states
            self.values(expected, self.tree(), "t", health=health(a=a, b=b, c=c))

    def test_without_evaluation_the_branch_counts_healthy(self):
        self.values({"1": .5, "2": .5}, self.tree(evaluates=False), "t", health=health(a="u", b="u", c="h"))

    def test_check_and_evaluation_must_both_pass(self):
        states = {"a": "h", "b": "h", "c": "h"}
        self.values({"9": 1}, self.tree(HealthCheckId="d"), "t", health=health(**states, d="u"))
        self.values({"9": 1}, self.tree(HealthCheckId="d"), "t", health=health(a="u", b="u", c="h", d="h"))

    def test_geolocation_branch_counts_only_what_matches(self):
        sets = [alias("g", "geo", evaluates=True, SetIdentifier="1", Weight=1), rrset("g", values="10.0.0.7", SetIdentifier="2", Weight=1),
                rrset("geo", SetIdentifier="us", GeoLocation={"CountryCode": "US"})]
        self.values({"7": 1}, sets, "g")
        sets[0]["AliasTarget"]["EvaluateTargetHealth"] = False
        self.values({"NODATA": .5, "7": .5}, sets, "g")

    def test_target_elsewhere(self):
        sets = [alias("f", LB, zone="ZE", evaluates=True, SetIdentifier="1", Failover="PRIMARY"), rrset("f", SetIdentifier="2", Failover="SECONDARY")]
        self.values({"10.1.2.3": 1}, sets, "f")
        self.assertTrue(ask(sets, "f")["deferred"])
        self.values({"1": 1}, sets, "f", external_health={LB: "unhealthy"})


class Checks(OracleTest):
    def passes(self, definition, **states):
        """Whether a primary under check `p` is given; the secondary has no check."""
        answer = ask(failover("f", secondary=None), "f", health=health(**states), health_checks={"p": definition})
        return answer["possible"][0]["answers"][0][3] == "10.0.0.1", answer["deferred"]

    def calculated(self, threshold, **more):
        return {"Type": "CALCULATED", "ChildHealthChecks": ["a", "b", "c"], "HealthThreshold": threshold, **more}

    def test_2_7_calculated(self):
        for threshold, passes in ((0, True), (1, True), (2, False), (4, False)):
            self.assertEqual((passes, False), self.passes(self.calculated(threshold), a="h", b="u", c="u"))
        self.assertEqual((False, False), self.passes(self.calculated(1, Inverted=True), a="h", b="u", c="u"))
        self.assertEqual((True, False), self.passes(self.calculated(2, Disabled=True), a="u", b="u", c="u"))

    def test_calculated_over_unknown_children(self):
        self.assertEqual((True, True), self.passes(self.calculated(2), a="h", b="?", c="u"))
        self.assertEqual((True, False), self.passes(self.calculated(1), a="h", b="?", c="?"))
        self.assertEqual((False, False), self.passes(self.calculated(2), a="u", b="?", c="u"))
        self.assertEqual((True, True), self.passes(self.calculated(2, Inverted=True), a="h", b="?", c="u"))

    def test_2_7_inverted_disabled_new(self):
        for definition, passes in (({"Observed": "healthy", "Inverted": True}, False), ({"Observed": "unhealthy", "Inverted": True}, True),
                                   ({"Observed": "unhealthy", "Disabled": True}, True), ({"Observed": "new"}, True),
                                   ({"Observed": "new", "Inverted": True}, False), ({"Inverted": True}, True)):
            self.assertEqual((passes, False), self.passes(definition, p="h"), definition)

    def test_inversion_leaves_unknown_unknown(self):
        child = {"Type": "CLOUDWATCH_METRIC", "Observed": "unknown", "Inverted": True}
        parent = {"Type": "CALCULATED", "ChildHealthChecks": ["k"], "HealthThreshold": 1, "Inverted": True}
        answer = ask(failover("f", secondary=None), "f", health_checks={"p": parent, "k": child})
        self.assertEqual(("10.0.0.1", True, ["k"]), (answer["possible"][0]["answers"][0][3], answer["deferred"], answer["unknown"]))

    def test_unknown_counts_healthy_and_defers_what_depends_on_it(self):
        for states, expected, deferred in (("?h", "1", True), ("h?", "1", False), ("u?", "2", True), ("??", "1", True)):
            answer = ask(failover("f"), "f", health=health(p=states[0], s=states[1]))
            self.assertEqual((f"10.0.0.{expected}", deferred), (answer["possible"][0]["answers"][0][3], answer["deferred"]), states)
            self.assertTrue(answer["unknown"])
        self.assertTrue(ask(multivalue(2), "m")["deferred"])
        self.assertFalse(ask(weighted("w", [3], checks={1: "x"}), "w")["deferred"])


if __name__ == "__main__":
    unittest.main()
