"""Keeps the table of ready answers equal to what a running zonelet answers.

It asks for a list of hot names over zonelet's own socket, without and with EDNS, and puts what may be
kept into a new table, which replaces the old one whole. Three things end an answer:

- its TTL, or its lease: seconds since it was learned. This holds though the mirror hang or die.
- a swap of zonelet's zone table, seen in its metrics every `poll` seconds: the table is emptied first
  and learned anew then. An old answer outlives a swap by `poll`, the time of a scrape, and some 20 ms
  for the kernel to see the old table off.
- the next round of learning, `refresh` seconds after the last.
"""
import re
import socket
import struct
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

import bpf
import message as dns

SWAPS = re.compile(rb"^zonelet_import_table_swaps_total (\d+)", re.M)
EDNS_CLASSES = ((0, b""), (1, dns.opt()))


@dataclass
class Settings:
    address: str
    port: int
    metrics: str
    lease: float = 2.0
    refresh: float = 1.0
    poll: float = 0.1


def ready_answer(response, learned, lease):
    """The table's value for a response, or None where only the socket may answer.

    Not kept: failures, truncated and authenticated answers, sets whose order turns, TTL 0, and what is
    longer than the table's place for it."""
    records = response.message[response.question_end:]
    ttls = response.ttls()
    if response.flags & (dns.TC | dns.AD) or response.rcode not in (0, 3) or not ttls or min(ttls) == 0:
        return None
    if len(records) > bpf.RECORDS_MAX or len(ttls) > bpf.TTLS_MAX or response.has_set_of_several():
        return None
    places = [record.ttl_at - response.question_end for record in response.records]
    until = learned + int(min(lease, min(ttls)) * 1e9)
    return bpf.ANSWER.pack(learned, until, struct.pack("!H", response.flags & ~dns.RD),
                           struct.pack("!3H", *response.counts), len(records), len(ttls),
                           *places, *[0] * (bpf.TTLS_MAX - len(places)), records)


class Mirror:
    """One program's table, and the zonelet that it mirrors."""

    def __init__(self, program, questions, settings):
        self.program, self.settings = program, settings
        self.questions = [(name.lower(), qtype) for name, qtype in questions
                          if len(dns.wire_name(name)) <= bpf.QNAME_MAX]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((settings.address, settings.port))
        self.socket.settimeout(1)
        self.number = 0

    def close(self):
        self.socket.close()

    def swaps(self):
        """How often zonelet has swapped its table; None while it does not say."""
        try:
            with urllib.request.urlopen(self.settings.metrics, timeout=1) as reply:
                found = SWAPS.search(reply.read())
        except (urllib.error.URLError, OSError):
            return None
        return int(found[1]) if found else None

    def ask(self, qname, qtype, edns):
        """One answer over the socket, None for none. AD is set, to learn which answers depend on it."""
        self.number = (self.number + 1) & 0xffff
        query = dns.query(qname, qtype, self.number, dns.RD | dns.AD, edns)
        question = query[12:len(query) - len(edns)]
        self.socket.send(query)
        try:
            while True:
                reply = self.socket.recv(4096)
                if reply[:2] == query[:2] and reply[12:12 + len(question)] == question:
                    return dns.parse(reply)
        except (OSError, IndexError, struct.error):
            return None

    def learn(self):
        """Asks everything once; returns a table."""
        table = {}
        for qname, qtype in self.questions:
            for edns_class, edns in EDNS_CLASSES:
                # Before the question: an answer is never held to be younger than it is.
                learned = time.monotonic_ns()
                response = self.ask(qname, qtype, edns)
                value = response and ready_answer(response, learned, self.settings.lease)
                if value:
                    table[bpf.KEY.pack(dns.wire_name(qname), struct.pack("!H", qtype), edns_class)] = value
        return table

    def renew(self, before):
        """Learns anew and puts it in place, unless the zones were swapped meanwhile. Returns whether it did."""
        table = self.learn()
        if before is None or self.swaps() != before:
            return False
        self.program.replace(table)
        return True

    def run(self, stop):
        """Until `stop` (an Event) is set; leaves an empty table."""
        known, due = None, 0.0
        while not stop.wait(self.settings.poll):
            swaps = self.swaps()
            if swaps is None or swaps != known:
                self.program.replace({})
                known, due = swaps, 0.0
            if known is not None and time.monotonic() >= due and self.renew(known):
                due = time.monotonic() + self.settings.refresh
        self.program.replace({})
