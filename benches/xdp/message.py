"""As much of DNS as the mirror needs: queries, and where in a response the TTLs stand (RFC 1035 section 4)."""
import struct
from dataclasses import dataclass

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33}
OPT, CLASS_IN = 41, 1
QR, TC, RD, AD, CD, DO = 0x8000, 0x0200, 0x0100, 0x0020, 0x0010, 0x8000


def wire_name(text):
    """A dotted name as it stands on the wire, its case kept."""
    labels = [label.encode() for label in text.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def opt(size=1232, version=0, flags=0, options=b""):
    return struct.pack("!BHHBBHH", 0, OPT, size, 0, version, flags, len(options)) + options


def query(qname, qtype, number=0, flags=RD, edns=b"", qclass=CLASS_IN):
    """A query; `edns` is an OPT record's bytes."""
    return struct.pack("!6H", number, flags, 1, 0, 0, bool(edns)) + wire_name(qname) \
        + struct.pack("!HH", qtype, qclass) + edns


def skip_name(message, at):
    while message[at]:
        if message[at] >= 0xc0:
            return at + 2
        at += 1 + message[at]
    return at + 1


@dataclass
class Record:
    owner: bytes
    rtype: int
    ttl: int
    ttl_at: int


@dataclass
class Response:
    """A response taken apart; `question_end` is where its first record begins."""
    message: bytes
    flags: int
    counts: tuple
    question_end: int
    records: list

    @property
    def rcode(self):
        return self.flags & 15

    def without_ttls(self):
        bytes_ = bytearray(self.message)
        for record in self.records:
            bytes_[record.ttl_at:record.ttl_at + 4] = bytes(4)
        return bytes(bytes_)

    def ttls(self):
        return [record.ttl for record in self.records]

    def has_set_of_several(self):
        """Whether an RRset has more than one record, so that its order turns from query to query."""
        names = [(record.owner, record.rtype) for record in self.records]
        return len(names) != len(set(names))


def parse(message):
    """Takes a response to one question apart. The OPT record, whose TTL field is none, is not listed.

    Raises IndexError or struct.error for bytes that are no such response."""
    _, flags, _, answers, authorities, additionals = struct.unpack_from("!6H", message)
    at = question_end = skip_name(message, 12) + 4
    records = []
    for _ in range(answers + authorities + additionals):
        owner_at, at = at, skip_name(message, at)
        rtype, _, ttl, length = struct.unpack_from("!HHIH", message, at)
        if rtype != OPT:
            records.append(Record(message[owner_at:at], rtype, ttl, at + 4))
        at += 10 + length
    if at != len(message):
        raise IndexError("bytes behind the last record")
    return Response(message, flags, (answers, authorities, additionals), question_end, records)
