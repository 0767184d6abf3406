"""The zone that the tests ask for, and what they have in common."""
import os
import time
import unittest

import message as dns
from stage import Stage

ZONE = """$ORIGIN zone.probe.
$TTL 300
@ SOA ns.zone.probe. host.zone.probe. {serial} 3600 600 86400 60
@ NS ns.zone.probe.
ns A 10.0.0.53
www A {address}
www AAAA fd00::1
many A 10.0.1.1
many A 10.0.1.2
short 3 A 10.0.2.1
zero 0 A 10.0.2.2
alias CNAME deep.alias
deep.alias CNAME www
*.wild A 10.0.3.1
text TXT "one" "two"
long TXT "{long}" "{long}"
mail 120 MX 10 www
_dns._udp SRV 1 2 53 www
a.b.c.d.e.f A 10.0.4.1
"""
KEPT = [("www.zone.probe", "A"), ("www.zone.probe", "AAAA"), ("alias.zone.probe", "A"), ("alias.zone.probe", "CNAME"),
        ("x.wild.zone.probe", "A"), ("text.zone.probe", "TXT"), ("mail.zone.probe", "MX"),
        ("_dns._udp.zone.probe", "SRV"), ("a.b.c.d.e.f.zone.probe", "A"), ("zone.probe", "SOA"),
        ("nothing.zone.probe", "A"), ("www.zone.probe", "TXT"), ("e.f.zone.probe", "A"),
        ("alias.zone.probe", "SRV"), ("cached.elsewhere.test", "A"), ("short.zone.probe", "A")]
NOT_KEPT = [("many.zone.probe", "A"), ("zero.zone.probe", "A"), ("long.zone.probe", "TXT"),
            ("a" * 50 + "." + "b" * 20 + ".zone.probe", "A")]
WWW = ("www.zone.probe", dns.TYPES["A"])


def zone(serial=1, address="10.0.0.1"):
    return ZONE.format(serial=serial, address=address, long="x" * 200)


def questions(pairs):
    return [(name, dns.TYPES[qtype]) for name, qtype in pairs]


class Probe(unittest.TestCase):
    """A stage of its own for each class of tests, the program of $HOOK attached."""

    @classmethod
    def setUpClass(cls):
        cls.stage = Stage(os.environ["ZONELET"], os.environ["OBJECTS"], "zone.probe", zone())
        cls.stage.start_upstream(40)
        cls.stage.start_zonelet()
        cls.program = cls.stage.load(os.environ["HOOK"])
        cls.program.attach("node0")

    @classmethod
    def tearDownClass(cls):
        cls.stage.close()

    def fill(self, pairs=KEPT, **settings):
        """Learns once, for as long as the TTLs last."""
        self.filled = time.monotonic()
        mirror = self.stage.mirror(self.program, questions(pairs), **{"lease": 1000, **settings})
        self.addCleanup(mirror.close)
        self.addCleanup(self.program.replace, {})
        self.assertTrue(mirror.renew(mirror.swaps()))
        return mirror

    def went(self, outcome, ask, *arguments):
        """What `ask` returns; fails unless exactly this happened to exactly one packet."""
        before = self.program.outcomes()
        reply = ask(*arguments)
        changed = {name: count - before[name] for name, count in self.program.outcomes().items() if count != before[name]}
        # The neighbour look-up of the link is not for us either.
        if outcome != "not_for_us":
            changed.pop("not_for_us", None)
        self.assertEqual(set(changed), {outcome}, f"{changed} for {arguments}")
        return reply

    def assert_same(self, from_pod, from_socket, what):
        """Equal byte for byte but for TTLs; those may be below the socket's, which counts only cached ones down."""
        self.assertIsNotNone(from_pod, what)
        pod, sock = dns.parse(from_pod), dns.parse(from_socket)
        age = int(time.monotonic() - self.filled) + 1
        self.assertEqual(pod.without_ttls(), sock.without_ttls(), what)
        for mine, theirs in zip(pod.ttls(), sock.ttls()):
            self.assertTrue(theirs - age <= mine <= theirs, f"{what}: TTL {mine}, the socket says {theirs}")
