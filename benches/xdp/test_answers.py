"""The proof: answers from the program are the socket's, and everything that is not plain goes to the socket."""
import random
import socket
import struct
import subprocess

import message as dns
from cases import KEPT, NOT_KEPT, WWW, Probe, questions
from stage import NODE, OTHER, POD, exchange

# Id, flags, OPT record.
VARIANTS = ((1, dns.RD, b""), (2, 0, b""), (3, dns.RD | dns.AD, b""), (0xffff, 0, dns.opt()), (4, dns.RD, dns.opt(1232)),
            (5, dns.RD, dns.opt(4096)), (6, dns.RD, dns.opt(512)))
ETH_P_ALL = 3


def mixed_case(name):
    return "".join(random.choice((letter.upper(), letter.lower())) for letter in name)


class AnswersFromTheTable(Probe):
    def battery(self, pairs, outcome):
        for name, qtype in questions(pairs):
            for number, flags, edns in VARIANTS:
                for written in (name, name.upper(), mixed_case(name)):
                    query = dns.query(written, qtype, number, flags, edns)
                    from_socket = self.stage.ask_socket(query)
                    from_pod = self.went(outcome, self.stage.ask_pod, query)
                    yield from_pod, from_socket, f"{written} {qtype} flags {flags:#x} EDNS {edns.hex()}"

    def test_answers_from_the_table_are_the_sockets(self):
        self.fill()
        for case in self.battery(KEPT[:-1], "answered"):
            self.assert_same(*case)

    def test_what_is_not_kept_goes_to_the_socket(self):
        self.fill(KEPT + NOT_KEPT)
        for pairs, outcome in ((NOT_KEPT[:-1], "unknown"), (NOT_KEPT[-1:], "unusual")):
            for from_pod, from_socket, what in self.battery(pairs, outcome):
                pod, sock = dns.parse(from_pod), dns.parse(from_socket)
                self.assertEqual((pod.flags, pod.counts), (sock.flags, sock.counts), what)

    def test_answers_are_right_without_checksum_offload(self):
        """The pod's kernel sums up what it sends, and checks what it gets."""
        def offload(state):
            subprocess.run(["ip", "netns", "exec", self.stage.pod, "ethtool", "-K", "pod0", "tx", state, "rx", state],
                           check=True, capture_output=True)
        offload("off")
        self.addCleanup(offload, "on")
        self.fill()
        for case in self.battery(KEPT[:-1], "answered"):
            self.assert_same(*case)

    def test_headers_of_an_answer_are_turned_round(self):
        self.fill()
        with self.stage.pod_socket(socket.SOCK_RAW, socket.AF_PACKET, socket.htons(ETH_P_ALL)) as capture:
            capture.bind(("pod0", ETH_P_ALL))
            capture.settimeout(1)
            with self.stage.pod_socket() as sock:
                sock.bind((POD, 0))
                port = sock.getsockname()[1]
                self.went("answered", exchange, sock, dns.query(*WWW, 7))
            frames = {}
            while len(frames) < 2:
                frame = capture.recv(2048)
                if frame[23:24] == bytes([socket.IPPROTO_UDP]):
                    frames[frame[26:30]] = frame
        query, answer = frames[socket.inet_aton(POD)], frames[socket.inet_aton(NODE)]
        self.assertEqual((answer[:6], answer[6:12]), (query[6:12], query[:6]))
        self.assertEqual(sum(struct.unpack("!10H", answer[14:34])) % 0xffff, 0, "IP checksum")
        self.assertEqual(struct.unpack_from("!H", answer, 16)[0], len(answer) - 14)
        self.assertEqual(answer[30:34], socket.inet_aton(POD))
        self.assertEqual(struct.unpack_from("!4H", answer, 34), (53, port, len(answer) - 34, 0))


class GoesToTheSocket(Probe):
    def setUp(self):
        self.fill()

    def test_unusual_queries_get_the_sockets_answer(self):
        plain, extra = dns.query(*WWW, 9), dns.query(*WWW, 9, edns=dns.opt())
        deep = dns.query(".".join("a" * 17) + ".zone.probe", 1, 9)
        cases = {
            "CD": dns.query(*WWW, 9, dns.RD | dns.CD),
            "opcode NOTIFY": plain[:2] + b"\x20" + plain[3:],
            "AA": plain[:2] + b"\x05" + plain[3:],
            "DO": dns.query(*WWW, 9, edns=dns.opt(flags=dns.DO)),
            "EDNS version 1": dns.query(*WWW, 9, edns=dns.opt(version=1)),
            "a cookie": dns.query(*WWW, 9, edns=dns.opt(options=b"\0\x0a\0\x08abcdefgh")),
            "class CH": dns.query(*WWW, 9, qclass=3),
            "class ANY": dns.query(*WWW, 9, qclass=255),
            "no question": plain[:4] + b"\0\0" + plain[6:],
            "two questions": plain[:4] + b"\0\2" + plain[6:] + plain[12:],
            "an answer in a query": plain[:6] + b"\0\1" + plain[8:],
            "two OPTs": extra[:10] + b"\0\2" + extra[12:] + dns.opt(),
            "an additional record that is no OPT": extra[:-11] + b"\0\0\x01\0\1\0\0\0\0\0\0",
            "a byte too many": plain + b"\0",
            "a byte too few": plain[:-1],
            "half an OPT": extra[:-4],
            "a label too long": plain[:12] + b"\x40" + plain[13:],
            "a pointer for a name": plain[:12] + b"\xc0\x0c\0\1\0\1",
            "more labels than are walked": deep,
        }
        for what, query in cases.items():
            from_socket = self.stage.ask_socket(query)
            self.assertEqual(self.went("unusual", self.stage.ask_pod, query), from_socket, what)
        self.assertIsNone(self.went("unusual", self.stage.ask_pod, plain[:2] + b"\x81" + plain[3:]), "a response")
        for cut in range(12):
            self.assertIsNone(self.went("not_for_us", self.stage.ask_pod, plain[:cut]), f"{cut} bytes")
        for cut in range(12, len(plain)):
            self.assertEqual(self.went("unusual", self.stage.ask_pod, plain[:cut]), self.stage.ask_socket(plain[:cut]))

    def test_any_changed_byte_gets_the_sockets_answer(self):
        """Whatever becomes of the bytes, nobody can tell who answered."""
        turn = random.Random(1)
        # Each byte of the smallest query takes several values; then two bytes anywhere at a time.
        for base in (dns.query(*WWW, 9), dns.query(*WWW, 9, edns=dns.opt())):
            for at in list(range(2, len(base))) * 4 + [None] * 200:
                query = bytearray(base)
                for place in (at,) if at is not None else turn.sample(range(2, len(base)), 2):
                    query[place] = turn.choice((0, 1, 0x20, 0x80, 0xff, turn.randrange(256)))
                from_socket = self.stage.ask_socket(bytes(query)) if query[2] < 0x80 else None
                from_pod = self.stage.ask_pod(bytes(query)) if query[2] < 0x80 else None
                if from_socket is None or from_pod is None:
                    self.assertEqual(from_pod, from_socket, query.hex())
                    continue
                try:
                    self.assert_same(from_pod, from_socket, query.hex())
                except (IndexError, struct.error):
                    self.assertEqual(from_pod, from_socket, query.hex())

    def test_packets_that_are_not_for_the_service_are_left_alone(self):
        query = dns.query(*WWW, 9)
        for address, port in ((NODE, 54), (OTHER, 53)):
            with self.stage.pod_socket() as sock:
                self.assertIsNone(self.went("not_for_us", exchange, sock, query, address, port, 0.1))
        with self.stage.pod_socket() as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\1\1\1\0")
            self.assertEqual(self.went("not_for_us", exchange, sock, query), self.stage.ask_socket(query))
        with self.stage.pod_socket() as sock:
            fragmented = query + bytes(3000)
            self.assertEqual(self.went("not_for_us", exchange, sock, fragmented), self.stage.ask_socket(fragmented))

    def test_tcp_is_left_alone(self):
        query = dns.query(*WWW, 9)
        with self.stage.pod_socket(socket.SOCK_STREAM) as sock:
            sock.settimeout(2)
            sock.connect((NODE, 53))
            sock.sendall(struct.pack("!H", len(query)) + query)
            reply = sock.recv(4096)
        self.assertEqual(reply[2:], self.stage.ask_socket(query))
