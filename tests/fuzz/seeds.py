#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets, one file an input, named after what is odd about it:

    python3 tests/fuzz/seeds.py

Inputs that fuzzing found are kept beside them under names of their own; nothing is deleted.
"""
import struct
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, NAPTR, DNAME, OPT, RRSIG, NSEC, HTTPS, ANY = (
    1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 39, 41, 46, 47, 65, 255)


def seed(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def name(text):
    labels = [label.encode("latin-1") for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def record(owner, rtype, rdata, ttl=300, cls=1):
    owner = owner if isinstance(owner, bytes) else name(owner)
    return owner + struct.pack(">HHIH", rtype, cls, ttl, len(rdata)) + rdata


def opt(rdata=b"", size=1232, ttl=0, owner=b"\0"):
    return owner + struct.pack(">HHIH", OPT, size, ttl, len(rdata)) + rdata


def option(code, data):
    return struct.pack(">HH", code, len(data)) + data


def query(qname="www.nick.test", qtype=A, extra=b"", counts=(1, 0, 0, 0), flags=0x0100, ident=0x1234, qclass=1):
    qname = qname if isinstance(qname, bytes) else name(qname)
    return struct.pack(">HHHHHH", ident, flags, *counts) + qname + struct.pack(">HH", qtype, qclass) + extra


def edns(extra, **more):
    return query(extra=extra, counts=(1, 0, 0, 1), **more)


def queries():
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    cookie = option(10, b"\x01\x02\x03\x04\x05\x06\x07\x08")
    inputs = {
        "plain": query(),
        "mixed-case": query("wWw.NiCk.TeSt"),
        "root": query(b"\0", NS),
        "longest-name": query(longest, TXT),
        "most-labels": query(".".join("a" * 127)),
        "name-of-256": query(longest + "b"),
        "binary-label": query(b"\x05a.b\\\0\x04test\0"),
        "any": query(qtype=ANY),
        "axfr": query(qtype=252),
        "class-chaos": query("version.bind", TXT, qclass=3),
        "class-none": query(qclass=254),
        "type-zero": query(qtype=0),
        "type-opt": query(qtype=OPT),
        "edns": edns(opt()),
        "edns-size-zero": edns(opt(size=0)),
        "edns-size-65535": edns(opt(size=65535)),
        "edns-do": edns(opt(ttl=0x8000)),
        "edns-version-1": edns(opt(ttl=0x10000)),
        "edns-all-flags": edns(opt(ttl=0xffff)),
        "edns-cookie": edns(opt(cookie)),
        "edns-subnet": edns(opt(option(8, b"\0\x01\x18\0\x0a\0\0"))),
        "edns-options": edns(opt(cookie + option(3, b"") + option(12, b"\0" * 64) + option(65313, b"x" * 48))),
        "edns-option-cut": edns(opt(option(10, b"abcdefgh")[:-2])),
        "edns-option-header-cut": edns(opt(b"\0\x0a\0")),
        "edns-owner-not-root": edns(opt(owner=b"\x01a\0")),
        "edns-owner-pointer": edns(opt(owner=b"\xc0\x0c")),
        "edns-twice": query(extra=opt() + opt(), counts=(1, 0, 0, 2)),
        "edns-in-answer": query(extra=opt(), counts=(1, 1, 0, 0)),
        "edns-count-without-record": query(counts=(1, 0, 0, 1)),
        "tsig-behind-edns": query(extra=opt() + record("key", 250, b"\0" * 16, 0, 255), counts=(1, 0, 0, 2)),
        "answer-in-query": query(extra=record(b"\xc0\x0c", A, b"\x0a\0\0\x01"), counts=(1, 1, 0, 0)),
        "notify": query(flags=0x2400, extra=record(b"\xc0\x0c", SOA, b"\0" * 22), counts=(1, 1, 0, 0)),
        "update": query(flags=0x2800),
        "dso": query(flags=0x3000)[:12],
        "status": query(flags=0x1000),
        "no-question": query(counts=(0, 0, 0, 0))[:12],
        "two-questions": query(extra=query()[12:], counts=(2, 0, 0, 0)),
        "response": query(flags=0x8180),
        "all-flags": query(flags=0x07ff),
        "ad-cd": query(flags=0x0130),
        "trailing-byte": query(extra=b"\0"),
        "pointer-as-name": query(b"\xc0\x0c"),
        "pointer-behind-label": query(b"\x03www\xc0\x0c"),
        "label-type-01": query(b"\x41a\0"),
        "label-type-10": query(b"\x81a\0"),
        "cut-header": query()[:11],
        "cut-name": query()[:18],
        "cut-type": query()[:-3],
        "header-only": query()[:12],
        "empty": b"",
        "record-length-beyond": query(extra=b"\0\0\x01\0\x01\0\0\0\0\xff\xff", counts=(1, 0, 1, 0)),
        "many-answers-announced": query(counts=(1, 65535, 65535, 65535)),
        "big-answer-udp": edns(opt(size=512), ident=0xff01),
        "big-answer-rotated": edns(opt(), ident=0x40ff),
    }
    for label, content in inputs.items():
        seed("query", label, content)
    answers = {
        label: content for label, content in inputs.items()
        if label in ("plain", "root", "edns", "edns-do", "edns-version-1", "any", "axfr", "class-chaos", "type-zero", "type-opt", "dso",
                     "response", "ad-cd", "empty", "cut-name", "trailing-byte")
    }
    for owner in ("corp.test www.corp.test NO.corp.test x.y.apps.corp.test er.corp.test one.corp.test loop.corp.test out.corp.test "
                  "open.corp.test a.sub.corp.test a.d.corp.test large.corp.test www.x.corp.test in.example.net no.example.net "
                  "far.example.net new.example.net db.localhost v.invalid _dns.resolver.arpa").split():
        answers["of-" + owner.lower()] = edns(opt(), qname=owner)
    for label, content in answers.items():
        seed("answer", label, b"\0" + content)
    for label in ("plain", "of-large.corp.test", "of-loop.corp.test", "edns-version-1"):
        seed("answer", label + "-tcp", b"\1" + answers[label])
        seed("answer", label + "-stranger", b"\6" + answers[label])
    frame = struct.pack(">H", len(query())) + query()
    streams = {
        "one": frame, "three": frame * 3, "empty-query": b"\0\0" + frame, "cut": frame[:-1], "length-only": b"\0", "nothing": b"",
        "too-long": b"\xff\xff" + b"x" * 65535 + frame, "just-too-long": b"\x10\x01" + b"x" * 4097 + frame,
        "longest": b"\x10\0" + b"x" * 4096 + frame, "too-long-cut": b"\xff\xff" + b"x" * 4200,
    }
    for label, content in streams.items():
        seed("tcp_stream", label, b"\0" + content)
        seed("tcp_stream", label + "-in-pieces", b"\x25" + content)


def soa(minimum=60):
    return name("ns.test") + name("admin.test") + struct.pack(">IIIII", 1, 7200, 900, 86400, minimum)


def rrsig(covered, signer="corp.test"):
    return struct.pack(">HBBIIIH", covered, 8, 2, 300, 9, 1, 7) + name(signer) + b"\x07" * 8


def response(answers=(), authorities=(), additionals=(), flags=0x8180, qname="a.corp.test", qtype=A, **more):
    counts = (1, len(answers), len(authorities), len(additionals))
    return query(qname, qtype, b"".join([*answers, *authorities, *additionals]), counts, flags, **more)


def responses():
    q = b"\xc0\x0c"
    address = record(q, A, b"\x0a\0\0\x01")
    cname = record(q, CNAME, name("b.corp.test"))
    far = record("b.corp.test", A, b"\x0a\0\0\x02", 60)
    no = record("corp.test", SOA, soa(), 900)
    chain = [record(f"c{n}.test" if n else q, CNAME, name(f"c{n + 1}.test")) for n in range(20)]
    sets = [record("b.corp.test", A, bytes([10, 0, 0, n])) for n in range(30)]
    inputs = {
        "address": response([address]),
        "addresses": response([record(q, A, bytes([10, 0, 0, n]), n) for n in range(9)]),
        "ttl-top-bit": response([record(q, A, b"\x0a\0\0\x01", 0x80000000)]),
        "ttl-zero": response([record(q, A, b"\x0a\0\0\x01", 0)]),
        "cname": response([cname, far]),
        "cname-backwards": response([far, cname]),
        "cname-open": response([cname]),
        "cname-rotated": response([cname, *sets]),
        "cname-to-nodata": response([cname], [no]),
        "cname-to-nxdomain": response([cname], [no], flags=0x8183),
        "cname-loop": response([cname, record("b.corp.test", CNAME, name("a.corp.test"))]),
        "cname-itself": response([record(q, CNAME, name("a.corp.test"))]),
        "cname-twice": response([cname, record(q, CNAME, name("other.test")), far]),
        "cname-asked": response([cname, far], qtype=CNAME),
        "cname-upper-case": response([record(q, CNAME, name("B.Corp.TEST")), far]),
        "cname-into-suffix": response([record(q, CNAME, b"\xc0\x0e"), record("corp.test", A, b"\x0a\0\0\x03")]),
        "chain-of-20": response([*chain, record("c20.test", A, b"\x0a\0\0\x04")]),
        "dname": response([record("corp.test", DNAME, name("else.test")), record(q, CNAME, name("a.else.test")),
                           record("a.else.test", A, b"\x0a\0\0\x05")]),
        "dname-without-cname": response([record("corp.test", DNAME, name("else.test"))]),
        "nodata": response([], [no]),
        "nxdomain": response([], [no], flags=0x8183),
        "nxdomain-with-answer": response([address], [no], flags=0x8183),
        "negative-without-soa": response(flags=0x8183),
        "soa-of-other-zone": response([], [record("else.test", SOA, soa())], flags=0x8183),
        "referral": response([], [record("corp.test", NS, name("ns.corp.test"))], flags=0x8100),
        "referral-recursing": response([], [record("corp.test", NS, name("ns.corp.test"))]),
        "out-of-chain": response([address, record("bank.test", A, b"\x01\x02\x03\x04")]),
        "other-class": response([record(q, A, b"\x0a\0\0\x01", cls=3)]),
        "additional-address": response([record(q, MX, b"\0\x0a" + q)], (), [record(q, A, b"\x0a\0\0\1")], qtype=MX),
        "mx-compressed": response([record(q, MX, b"\0\x0a\x02mx\xc0\x0e")], qtype=MX),
        "srv-compressed": response([record(q, SRV, b"\0\1\0\2\0\x50\xc0\x0e")], qtype=SRV),
        "naptr": response([record(q, NAPTR, b"\0\1\0\2\x01u\x03sip\x02!!" + q)], qtype=NAPTR),
        "svcb": response([record(q, HTTPS, b"\0\1\0\0\1\0\3\2h2")], qtype=HTTPS),
        "unknown-type": response([record(q, 65280, b"\xc0\x0c\xff")], qtype=65280),
        "any": response([address, record(q, TXT, b"\x01x"), record(q, CNAME, name("b.corp.test"))], qtype=ANY),
        "address-of-3": response([record(q, A, b"\x0a\0\0")]),
        "mx-cut": response([record(q, MX, b"\0")], qtype=MX),
        "soa-cut": response([], [record("corp.test", SOA, soa()[:-1])]),
        "name-forward": response([record(b"\xc0\x40", A, b"\x0a\0\0\x01")]),
        "name-to-itself": response([record(b"\xc0\x1d", A, b"\x0a\0\0\x01")]),
        "name-into-header": response([record(b"\xc0\x04", A, b"\x0a\0\0\x01")]),
        "signed": response([address, record(q, RRSIG, rrsig(A))], [record(q, NSEC, q + b"\0\1\x40")]),
        "signed-cname": response([cname, record(q, RRSIG, rrsig(CNAME)), far, record("b.corp.test", RRSIG, rrsig(A))]),
        "signed-denial": response([], [no, record("corp.test", RRSIG, rrsig(SOA)), record("x.corp.test", NSEC, q),
                                       record("x.corp.test", RRSIG, rrsig(NSEC))], flags=0x8183),
        "signature-asked": response([record(q, RRSIG, rrsig(A)), record(q, RRSIG, rrsig(TXT))], qtype=RRSIG),
        "signature-cut": response([address, record(q, RRSIG, rrsig(A)[:18])]),
        "ede": response([], (), [opt(option(15, b"\0\x16nobody \x07\xff home"))], flags=0x8182),
        "badvers": response([], (), [opt(ttl=0x01000000)]),
        "two-opts": response([address], (), [opt(), opt()]),
        "servfail": response(flags=0x8182),
        "refused-with-answer": response([address], flags=0x8185),
        "authentic": response([address], flags=0x81a0),
        "truncated": response([address], flags=0x8380),
        "not-a-response": response([address], flags=0x0100),
        "count-too-high": response([address])[:6] + b"\xff\xff" + response([address])[8:],
        "compression-bomb": response([record(q, 65281, b"")] + [record(q, NS, q)] * 4000, qtype=NS,
                                     qname=".".join(["a" * 63] * 3 + ["b" * 61])),
    }
    for label, content in inputs.items():
        for do in (0, 1):
            # DO, shift, length of the label in front, age, rotation, missing room.
            scene = struct.pack(">BHBHBB", do, 40, 7, 100, 5, 1)
            if do and "sign" not in label and label not in ("any", "chain-of-20", "nodata"):
                continue
            seed("upstream", label + ("-do" if do else ""), scene + content)
            seed("relay", label + ("-do" if do else ""), scene + content)
    seed("upstream", "far-away", struct.pack(">BHBHBB", 1, 16400, 63, 65535, 255, 0) + response([cname, *sets]))


def names():
    inputs = {
        "wildcard": r"\052.apps.nick.test.", "wildcard-inside": r"a-\052.apps.nick.test", "root": ".",
        "escaped-dot": r"a\056b.nick.test", "escaped-backslash": r"a\134b.nick.test.", "upper-case": r"\101.B.Test",
        "umlaut": r"caf\303\251.test", "raw-umlaut": "café.test", "space": r"a\040b.test", "nul": r"\000.test",
        "above-255": r"\400.test", "digit-8": r"\089.test", "cut-escape": "a\\05", "lonely-backslash": "a.b\\",
        "two-dots": "a..b", "leading-dot": ".a", "empty": "", "label-of-63": "a" * 63 + ".test",
        "label-of-64": "a" * 64 + ".test", "longest": ".".join(["a" * 63] * 3 + ["b" * 61]),
        "name-of-256": ".".join(["a" * 63] * 3 + ["b" * 62]), "only-escapes": r"\052\056\134\042\073\050\051\100\044",
        "escaped-letter": r"\a\b.\@.test", "dot-escaped-plainly": r"a\.b.test.", "star": "*.test",
    }
    for label, content in inputs.items():
        seed("octal_name", label, content)


def values():
    types = ["A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SPF", "SRV", "SSHFP", "SVCB",
             "TLSA", "TXT", "DNAME", "HINFO", "TYPE65280", "RP", "AFSDB"]
    inputs = {
        "a": ("A", "172.31.52.184"), "a-octal": ("A", "010.0.0.1"), "aaaa": ("AAAA", "fd00:ec2::1"),
        "aaaa-mapped": ("AAAA", "::ffff:10.0.0.1"), "caa": ("CAA", '0 issue "ca.test;x=1"'),
        "cname": ("CNAME", "Db.Example.com"), "cname-octal": ("CNAME", r"\052.a\056b.test."),
        "ds": ("DS", "12345 8 2 AABB ccdd"), "https": ("HTTPS", '1 . alpn="h2,h3" ipv4hint=10.0.0.1'),
        "https-alias": ("HTTPS", "0 svc.test"), "https-comma": ("HTTPS", r'1 . alpn="f\\\\oo\\,bar,h2"'),
        "svcb-mandatory": ("SVCB", "1 a.test mandatory=port,alpn port=443 alpn=h2 key65400=a\\052"),
        "svcb-ech": ("SVCB", "1 . ech=AEj+DQBE ipv6hint=fd00::1,fd00::2 no-default-alpn"),
        "svcb-twice": ("SVCB", "1 . port=1 port=2"), "mx": ("MX", "10 mail.nick.test"),
        "mx-no-name": ("MX", "10"), "naptr": ("NAPTR", r'100 10 "u" "sip+E2U" "!^.*$!sip:\\1@a!" .'),
        "ns": ("NS", "ns-0.awsdns-00.com"), "ptr": ("PTR", "host.nick.test."),
        "soa": ("SOA", "ns-0.awsdns-00.com. h.amazon.com. 1 7200 900 1209600 86400"),
        "soa-moto": ("SOA", "{'Value': 'ns-2048.awsdns-64.com. h.a. 1 1 1 1 1'}"),
        "soa-units": ("SOA", "a. b. 1 2h 3m 1w 1d"), "spf": ("SPF", '"v=spf1 -all"'), "srv": ("SRV", "1 2 8080 db.test"),
        "sshfp": ("SSHFP", "4 2 0aff"), "tlsa": ("TLSA", "3 1 1 0a ff"), "tlsa-odd": ("TLSA", "3 1 1 0af"),
        "txt": ("TXT", '"one" "two"'), "txt-octal": ("TXT", r'"caf\303\251 \042quoted\042"'),
        "txt-adjacent": ("TXT", '"a""b"'), "txt-empty": ("TXT", '""'), "txt-256": ("TXT", '"' + "a" * 256 + '"'),
        "txt-open": ("TXT", '"a'), "txt-many": ("TXT", '"x" ' * 300), "txt-plain": ("TXT", "plain words"),
        "txt-newline": ("TXT", '"a\nb"'), "comment": ("A", "10.0.0.1 ; no"), "parentheses": ("MX", "( 10 a.test )"),
        "generic": ("TYPE65280", r"\# 4 0a000001"), "generic-short": ("TYPE65280", r"\# 5 0a000001"),
        "generic-of-a": ("A", r"\# 4 0a000001"), "generic-of-a-wrong": ("A", r"\# 3 0a0000"),
        "generic-of-cname-pointer": ("CNAME", r"\# 2 c00c"), "dname": ("DNAME", "else.test"),
        "hinfo": ("HINFO", '"cpu" os'), "rp": ("RP", "a.test. b.test"), "afsdb": ("AFSDB", "1 a.test"),
        "multi-byte-escape": ("TXT", '"\\é"'), "unquoted-escape": ("CNAME", "\\é.test"),
    }
    for label, (rtype, text) in inputs.items():
        seed("record_value", label, bytes([types.index(rtype)]) + text.encode())


def listings():
    values = '"ResourceRecords":[{"Value":"10.0.0.1"}]'
    soa_set = ('{"Name":"corp.test.","Type":"SOA","TTL":900,"ResourceRecords":'
               '[{"Value":"ns.test. h.test. 1 7200 900 1209600 60"}]}')

    def listing(*sets, more=""):
        return '{"ResourceRecordSets":[' + ",".join(sets) + "]" + more + "}"

    def plain(owner, rtype="A", ttl=60, body=values):
        return f'{{"Name":"{owner}","Type":"{rtype}","TTL":{ttl},{body}}}'

    example = (CORPUS.parent.parent.parent / "examples" / "nick.test.json").read_bytes()
    inputs = {
        "example": example, "empty-listing": listing(), "only-soa": listing(soa_set),
        "wildcard": listing(soa_set, plain(r"\\052.corp.test"), plain(r"a-\\052.corp.test")),
        "alias": listing(soa_set, '{"Name":"corp.test.","Type":"A","AliasTarget":{"HostedZoneId":"Z1",'
                         '"DNSName":"x.","EvaluateTargetHealth":false}}'),
        "policies": listing(soa_set, '{"Name":"w.corp.test","Type":"A","SetIdentifier":"1","Weight":1,"TTL":1,' + values
                            + '}', '{"Name":"w.corp.test","Type":"A","SetIdentifier":"2","Weight":0,"TTL":1,' + values + "}"),
        "alias-and-plain": listing(soa_set, plain("x.corp.test"), '{"Name":"x.corp.test","Type":"A","AliasTarget":{}}'),
        "unknown-type": listing(soa_set, plain("n.corp.test", "NEWTYPE")),
        "meta-type": listing(soa_set, plain("n.corp.test", "ANY"), plain("n.corp.test", "TYPE0")),
        "out-of-zone": listing(soa_set, plain("else.test")), "bad-owner": listing(soa_set, plain(r"\\999.corp.test")),
        "ttl-negative": listing(soa_set, plain("t.corp.test", ttl=-1)),
        "ttl-too-large": listing(soa_set, plain("t.corp.test", ttl=2147483648)),
        "ttl-huge": listing(soa_set, plain("t.corp.test", ttl=99999999999999999999)),
        "cname-and-a": listing(soa_set, plain("c.corp.test", "CNAME"), plain("c.corp.test")),
        "cname-apex": listing(soa_set, plain("corp.test", "CNAME")),
        "delegation": listing(soa_set, plain("sub.corp.test", "NS"), plain("x.sub.corp.test")),
        "dname": listing(soa_set, plain("d.corp.test", "DNAME"), plain("x.d.corp.test")),
        "half-bad": listing(soa_set, plain("h.corp.test", body='"ResourceRecords":[{"Value":"10.0.0.1"},{"Value":"x"}]')),
        "no-values": listing(soa_set, '{"Name":"e.corp.test","Type":"A","TTL":1}'),
        "twice": listing(soa_set, plain("a.corp.test"), plain("a.corp.test"), plain("A.corp.test")),
        "truncated": listing(soa_set, more=',"IsTruncated":true,"NextRecordName":"x"'),
        "next-token": listing(soa_set, more=',"NextToken":"x"'), "cut": example[:-40], "not-json": b"$ORIGIN x",
        "array": b"[]", "deep": b"[" * 500, "nul": b"\0", "wrong-kinds": b'{"ResourceRecordSets":{"a":[1,2]}}',
        "escapes": listing(soa_set, plain("\\u0061.corp.test"), plain("\\ud800.corp.test")),
    }
    for label, content in inputs.items():
        seed("api_json", label, content)


def zone_files():
    head = "$ORIGIN corp.test.\n$TTL 300\n@ IN SOA ns h 1 7200 900 1209600 60\n"
    inputs = {
        "plain": head + "@ NS ns\nns A 10.0.0.1\n", "relative": "a 60 A 10.0.0.1\n",
        "multi-line": "@ 1 SOA a. b. ( 1 ; serial (\n 2 3\n4 5 )\r\n\tNS x ; end\n", "inherited": head + "a A 10.0.0.1\n  TXT x\n",
        "wildcard": head + "*.a A 10.0.0.1\nx.*.a A 10.0.0.2\n", "decimal": head + "\\052 A 10.0.0.1\na\\.b A 10.0.0.2\n",
        "class-first": head + "a IN 60 A 10.0.0.1\nb 60 IN A 10.0.0.1\n", "chaos": head + "a CH TXT x\n",
        "units": head + "a 1h30m A 10.0.0.1\nb 1y A 10.0.0.1\n", "ttl-too-large": head + "a 2147483648 A 10.0.0.1\n",
        "no-ttl": "a. A 10.0.0.1\n", "soa-minimum": "t. SOA a. b. 1 2 3 4 5\na.t. A 10.0.0.1\n",
        "include": head + "$INCLUDE /etc/passwd\n", "generate": head + "$GENERATE 1-9999999 a$ A 10.0.0.$\n",
        "origin-empty": "$ORIGIN\n", "origin-relative": "$ORIGIN sub\n@ 1 A 10.0.0.1\n", "ttl-bad": "$TTL x\n",
        "quote-open": head + 'a TXT "x\nb A 10.0.0.1\n', "parenthesis-open": head + "a MX ( 10\nb A 10.0.0.1\n",
        "parenthesis-closing": head + "a MX 10 b )\n", "parentheses": "a (\n" * 40, "generic": head + "a TYPE65280 \\# 2 c00c\n",
        "generic-pointer": head + "a CNAME \\# 2 c00c\nb A \\# 3 0a0000\n", "bad-value": head + "a A 10.0.0\na A 10.0.0.1\n",
        "bad-owner": head + "a..b A 10.0.0.1\n A 10.0.0.2\n", "cname-and-a": head + "c CNAME d\nc A 10.0.0.1\n",
        "two-soas": head + "@ SOA ns h 2 2 2 2 2\nx SOA ns h 2 2 2 2 2\n", "delegation": head + "s NS ns.s\nns.s A 10.0.0.1\n",
        "dname": head + "d DNAME e.\nx.d A 10.0.0.1\n@ DNAME f.\n", "unknown-type": head + "n NEWTYPE x\nn A 10.0.0.1\n",
        "svcb": head + 'h HTTPS 1 . alpn="h2,h3" port=443\nk SVCB 0 .\n', "not-utf8": head.encode() + b"a TXT \xff\xfe\nb A 10.0.0.1\n",
        "nul": b"\0\n", "backslash-end": head + "a TXT x\\", "comment-only": "; nothing\n", "mixed-ttl": head + "a 60 A 10.0.0.1\na 30 A 10.0.0.2\n",
        "huge-set": head + "".join(f'h TXT "{"x" * 250}{n:04}"\n' for n in range(260)),
    }
    for label, content in inputs.items():
        seed("zone_file", label, content)


def zones():
    # A byte for the apex; then for each set: shape (labels, root, deferred, TTL shift), labels, type, data.
    a, txt, cname, ns, soa_, dname, ds, mx, any_, other = range(10)

    def rset(labels, rtype, data=(1,), ttl=300, root=0):
        shape = len(labels) | root << 7
        return bytes([shape, *labels, rtype, len(data)]) + struct.pack(">H", ttl) + bytes(data)

    def deferred(labels, rtype, reason):
        return bytes([len(labels) | 0x70, *labels, rtype, reason])

    star, www = 2, 4
    inputs = {
        "nothing": b"", "apex": b"\1" + rset((), a), "root-zone": b"\0" + rset((0,), a),
        "wildcard": b"\1" + rset((star,), a) + rset((0,), txt), "ent": b"\1" + rset((0, 1), a) + rset((star,), a),
        "wildcard-below-ent": b"\1" + rset((0, star), a) + rset((0, www, 1), txt),
        "wildcard-cname": b"\1" + rset((star,), cname), "wildcard-ns": b"\1" + rset((star,), ns) + rset((star, 0), a),
        "cut": b"\1" + rset((0,), ns) + rset((0, 1), a) + rset((0,), ds), "cut-in-cut": b"\1" + rset((0,), ns) + rset((0, 1), ns),
        "dname": b"\1" + rset((0,), dname) + rset((0, 1), a), "dname-apex": b"\1" + rset((), dname) + rset((0,), a),
        "dname-and-ns": b"\1" + rset((0,), dname) + rset((0,), ns), "dname-wildcard": b"\1" + rset((star,), dname) + rset((star, 0), a),
        "cname-and-a": b"\1" + rset((0,), cname) + rset((0,), a), "cname-apex": b"\1" + rset((), cname),
        "two-cnames": b"\1" + rset((0,), cname, (1, 2)), "bad-values": b"\1" + rset((0,), a, (15, 1)) + rset((1,), a, (15,)),
        "bad-cname": b"\1" + rset((0,), cname, (15,)), "ttl-shifted": b"\1" + rset((0,), a, (1,), 65535),
        "deferred": b"\1" + deferred((0,), a, 0) + rset((0,), a) + deferred((1,), txt, 1) + deferred((1,), a, 2),
        "deferred-any": b"\1" + deferred((0,), any_, 2) + rset((0,), a), "deferred-cname": b"\1" + deferred((0,), cname, 0) + rset((0,), a),
        "deferred-ns": b"\1" + deferred((0,), ns, 2) + rset((0, 1), a), "deferred-dname": b"\1" + deferred((0,), dname, 2) + rset((0, 1), a),
        "deferred-soa": b"\1" + deferred((), soa_, 1), "out-of-zone": b"\1" + rset((0,), a, root=1),
        "soa-below": b"\1" + rset((0,), soa_), "soa": b"\1" + rset((), soa_, (1, 2)), "empty-set": b"\1" + rset((0,), a, ()),
        "large": b"\1" + rset((0,), other, (250, 251, 252)), "too-large": b"\1" + b"".join(rset((0,), other, (240 + n, 200 + n, n)) for n in range(5)),
        "binary-labels": b"\1" + rset((5, 6), a) + rset((7, 6, 5), txt),
    }
    for label, content in inputs.items():
        seed("zone_lookup", label, content)


def states():
    def text(value):
        return struct.pack(">H", len(value)) + value.encode()

    def short(value):
        return bytes([len(value)]) + value

    def records(owner, rtype, *rdata, ttl=300):
        values = b"".join(struct.pack(">H", len(value)) + value for value in rdata)
        return short(name(owner)) + struct.pack(">HBII", rtype, 0, ttl, len(rdata)) + values

    def deferred(owner, rtype, reason):
        return short(name(owner)) + struct.pack(">HBB", rtype, 1, reason)

    def body(sets=(), skipped=(), origin=b"\0", apex=name("corp.test"), counts=None):
        plain = sum(struct.unpack(">I", s[1 + s[0] + 7:1 + s[0] + 11])[0] for s in sets if s[1 + s[0] + 2] == 0)
        later = sum(1 for s in sets if s[1 + s[0] + 2] == 1)
        counts = counts or (len(sets), plain, later, len(skipped))
        return (text("file") + text("zones/corp.json") + origin + text("corp.json") + short(apex)
                + struct.pack(">QIIIII", 1790000000000, 3, *counts) + b"".join(sets) + b"".join(skipped))

    one = records("www.corp.test", A, b"\x0a\0\0\1", b"\x0a\0\0\2")
    skip = text("x.corp.test") + text("A") + text("not an address") + b"\2"
    start = records("corp.test", SOA, soa()), records("corp.test", NS, name("ns.test"))
    inputs = {
        "empty-zone": body(), "zone": body([*start, one]), "origin": body([one], origin=b"\1" + text("123") + text("vpc-1")),
        "deferred": body([*start, one, deferred("lb.corp.test", A, 0), deferred("w.corp.test", ANY, 2)]),
        "skipped": body([one], [skip]), "count-too-high": body([one], counts=(0xffffffff, 0xffffffff, 0, 0)),
        "records-miscounted": body([one], counts=(1, 3, 0, 0)), "skipped-too-many": body([one], counts=(1, 2, 0, 1001)),
        "skip-reason-unknown": body([one], [skip[:-1] + b"\x09"]), "body-unknown": body([one[:-15] + b"\2" + one[-14:]], counts=(1, 2, 0, 0)),
        "out-of-zone": body([records("else.test", A, b"\x0a\0\0\1")]), "bad-rdata": body([records("x.corp.test", A, b"\x0a")]),
        "no-rdata": body([records("x.corp.test", A)]), "upper-case": body([records("X.Corp.Test", A, b"\x0a\0\0\1")]),
        "trailing": body([one]) + b"\0", "cut": body([one])[:-1], "apex-pointer": body([one], apex=b"\xc0\x0c"),
        "file-unsealed": b"zonelet\x1a\0\1" + body([one]) + bytes(16), "file-of-version-2": b"zonelet\x1a\0\2", "file-magic": b"zonelet\x1a",
        "not-utf8": body([one]).replace(b"corp.json", b"c\xffrp.json"),
    }
    for label, content in inputs.items():
        seed("state_file", label, content)


def configs():
    example = (CORPUS.parent.parent.parent / "config.toml").read_bytes()
    inputs = {
        "checked-in": example, "empty": "", "unknown-key": "[server]\nlistne = []\n", "unknown-section": "[sever]\n",
        "wrong-kind": "[server]\nlisten = 5\nworkers = -1\n", "not-toml": "server]\n", "open-string": '[log]\nlevel = "',
        "units": '[cache]\nmax_bytes = "64 parsecs"\nmax_ttl = "1e9d"\n', "overflow": '[drain]\ndelay = "99999999999999999999s"\n',
        "file-source": '[[source]]\nkind = "file"\npath = "a.zone"\nzone = "corp.test"\n',
        "route53": '[[source]]\nkind = "route53"\nzones = { vpc = "auto", names = ["*.internal"] }\nbudget = "1/s"\n',
        "source-without-kind": "[[source]]\npath = 1\n", "source-as-table": "[source]\nkind = 'file'\n",
        "forwards": '[[forward]]\ndomain = "."\nupstreams = ["system", "10.0.0.2", "tcp://10.0.0.2:53", "tls://1.1.1.1#a"]\n',
        "forward-twice": '[[forward]]\ndomain = "a"\nupstreams = ["10.0.0.2"]\n[[forward]]\ndomain = "A."\nupstreams = ["10.0.0.3"]\n',
        "forward-itself": '[[forward]]\ndomain = "."\nupstreams = ["127.0.0.1:5300"]\n',
        "access": '[server]\naccess = ["loopback", "10.0.0.0/8", "fd00::/129", "any"]\n',
        "exposed": '[server]\nlisten = ["0.0.0.0:53"]\n[admin]\nlisten = "0.0.0.0:9253"\n',
        "environment": "[server]\n\0ZONELET_SERVER__LISTEN=127.0.0.1:53,[::1]:53\nZONELET_CACHE__MAX_BYTES=1MiB\n",
        "environment-bad": "\0ZONELET_SERVER__LISTEN=x\nZONELET_SERVER__LISTNE=1\nZONELET_SOURCE=[{\nZONELET_PORT=tcp://1\n",
        "environment-lists": "\0ZONELET_SOURCE=[{ kind = 'file', path = 'a' }]\nZONELET_FORWARD=[]\nSTATE_DIRECTORY=/a:/b\n",
        "dotted": "server.listen = []\na.b.c.d.e.f = 1\n", "deep": "a = " + "[" * 400 + "]" * 400, "date": "[log]\nlevel = 1979-05-27\n",
        "twice": "[server]\n[server]\n", "multi-byte": '[server]\n"lïsten" = ["é"]\n', "crlf": "[server]\r\nlisten = [\r\n]\r\n",
    }
    for label, content in inputs.items():
        seed("config_text", label, content)


if __name__ == "__main__":
    for write in (queries, responses, names, values, listings, zone_files, zones, states, configs):
        write()
    print(sum(1 for path in CORPUS.rglob("*") if path.is_file()), "inputs")
