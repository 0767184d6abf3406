"""Names and rdata: Route 53's octal text in, RFC 1035 text out (route53.md §2.8, traps 1-4).

A name is a tuple of lower-case labels (bytes), leftmost first; the root is ().
"""

import ipaddress
import re

OCTAL = re.compile(r"\\([0-3][0-7]{2})|\\(.)|(.)", re.S)  # Route 53
DECIMAL = re.compile(r"\\([0-2][0-9]{2})|\\(.)|(.)", re.S)  # RFC 1035
TOKEN = re.compile(r'"((?:\\.|[^"\\])*)"|((?:\\.|[^\s"\\])+)', re.S)
SVC_PARAM = re.compile(r'([a-z0-9-]+)(?:=(?:"([^"]*)"|(\S+)))?')
SVC_KEYS = ("mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint")

# One letter per field: n name, i integer, s character-string, w bare word, h hex to the end.
LAYOUTS = {
    "CNAME": "n", "NS": "n", "PTR": "n", "MX": "in", "SRV": "iiin", "NAPTR": "iisssn", "SOA": "nniiiii",
    "CAA": "iws", "DS": "iiih", "TLSA": "iiih", "SSHFP": "iih",
}


def _units(text, escapes):
    """Yields (bytes, is_escaped) for each character of `text`."""
    for number, escaped, plain in escapes.findall(text):
        if number:
            yield bytes([int(number, 8 if escapes is OCTAL else 10)]), True
        else:
            yield (escaped or plain).encode(), bool(escaped)


def parse_name(text, escapes=OCTAL):
    """Reads a name; it is absolute with or without a trailing dot, and folded to lower case."""
    labels, label = [], b""
    for char, is_escaped in _units(text, escapes):
        if char == b"." and not is_escaped:
            labels.append(label)
            label = b""
        else:
            label += char
    if label:
        labels.append(label)
    if labels == [b""]:
        return ()
    if b"" in labels:
        raise ValueError(f"empty label in {text!r}")
    return tuple(part.lower() for part in labels)


def name_text(name):
    """Writes a name in RFC 1035 presentation: decimal escapes, trailing dot."""
    return "".join(_label_text(label) + "." for label in name) or "."


def _label_text(label):
    def char_text(code):
        if code in b'"().;\\@$':
            return "\\" + chr(code)
        return chr(code) if 0x20 < code < 0x7F else f"\\{code:03d}"
    return "".join(map(char_text, label))


def _string_text(raw):
    """One character-string: octal escapes in, quotes and decimal escapes out."""
    def char_text(code):
        if code in b'"\\':
            return "\\" + chr(code)
        return chr(code) if 0x20 <= code < 0x7F else f"\\{code:03d}"
    content = b"".join(char for char, _ in _units(raw, OCTAL))
    return '"' + "".join(map(char_text, content)) + '"'


def _svcb_text(value):
    """SVCB and HTTPS (RFC 9460): params by key number, each value quoted."""
    priority, target, *rest = value.split(None, 2)
    params = []
    for key, quoted, bare in SVC_PARAM.findall(rest[0] if rest else ""):
        number = SVC_KEYS.index(key) if key in SVC_KEYS else int(key.removeprefix("key"))
        content = quoted or bare
        params.append((number, f'{key}="{content}"' if content else key))
    return " ".join([str(int(priority)), name_text(parse_name(target))] + [text for _, text in sorted(params)])


def rdata_text(rtype, value):
    """The presentation form of one `Value`, parsed by type; never through zone-file text."""
    if rtype == "A":
        return str(ipaddress.IPv4Address(value))
    if rtype == "AAAA":
        return str(ipaddress.IPv6Address(value))
    if rtype in ("SVCB", "HTTPS"):
        return _svcb_text(value)
    tokens = [quoted or bare for quoted, bare in TOKEN.findall(value)]
    if rtype in ("TXT", "SPF"):
        return " ".join(map(_string_text, tokens))
    return " ".join(_fields(LAYOUTS[rtype], tokens))


def _fields(layout, tokens):
    for position, kind in enumerate(layout):
        if kind == "h":
            yield "".join(tokens[position:]).lower()
            return
        token = tokens[position]
        if kind == "n":
            yield name_text(parse_name(token))
        elif kind == "i":
            yield str(int(token))
        else:
            yield _string_text(token) if kind == "s" else token
    if len(tokens) != len(layout):
        raise ValueError(f"{len(tokens)} fields where {len(layout)} are expected: {tokens}")
