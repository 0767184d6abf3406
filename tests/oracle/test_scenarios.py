"""The generator: same seed, same scenario; the API's rules hold; the oracle digests all of it."""

import unittest

from oracle import answer_scenario
from scenarios import scenario
from zones import Zones


class Generator(unittest.TestCase):
    def test_same_seed_same_scenario_and_api_rules_hold(self):
        for seed in range(40):
            for weird in (False, True):
                made = scenario(seed, weird)
                self.assertEqual(made, scenario(seed, weird))
                Zones(made)
                for zone in made["zones"]:
                    self.check_zone(zone)

    def check_zone(self, zone):
        groups = {}
        for record_set in zone["record_sets"]:
            groups.setdefault(record_set["Name"], {}).setdefault(record_set["Type"], []).append(record_set)
        self.assertLessEqual({"SOA", "NS"}, set(groups[zone["name"]]))
        for name, types in groups.items():
            self.assertTrue("CNAME" not in types or (len(types) == 1 and name != zone["name"]), name)
            for sets in types.values():
                kinds = {tuple(k for k in ("Weight", "Failover", "Region", "GeoLocation", "MultiValueAnswer") if k in s) for s in sets}
                self.assertEqual(1, len(kinds), name)
                self.assertTrue(len(sets) == 1 or all("SetIdentifier" in s for s in sets), name)
                self.assertEqual(len(sets), len({s.get("SetIdentifier") for s in sets}), name)
                self.assertTrue(all(("AliasTarget" in s) != ("TTL" in s) for s in sets), name)

    def test_probabilities_sum_to_one_and_plain_scenarios_hold_no_loops(self):
        for seed in range(40):
            for weird in (False, True):
                for answer in answer_scenario(scenario(seed, weird)):
                    self.assertAlmostEqual(1, sum(p["probability"] for p in answer["possible"]))
                    self.assertTrue(weird or all(p["rcode"] != "SERVFAIL" for p in answer["possible"]), (seed, answer))


if __name__ == "__main__":
    unittest.main()
