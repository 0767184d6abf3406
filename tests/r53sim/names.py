"""Domain names the way the Route 53 API spells them.

The API writes every byte of a label except a-z, 0-9, `-` and `_` as `\\ooo` in *octal*
(developer guide, "DNS domain name format"). A zone file (RFC 1035 section 5.1) uses the same
spelling in decimal; mixing them up turns `\\052` (a star) into the digit 4. Keeping names as
label bytes inside and spelling them only at the edges makes `*` and `\\052` one name, as on the
real service.
"""

from __future__ import annotations

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
_OCTAL = frozenset("01234567")

Labels = tuple[bytes, ...]


class BadName(ValueError):
    """The text is not a name that Route 53 accepts."""


def parse(text: str) -> Labels:
    """Reads an absolute name; the trailing dot is optional and case is folded.

    The root is the empty tuple. A dot written `\\056` stays inside its label.
    """
    labels: list[bytes] = []
    label = bytearray()
    at = 0
    body = text[:-1] if text.endswith(".") and not text.endswith("\\.") else text
    if body == "":
        return ()
    while at < len(body):
        char = body[at]
        if char == ".":
            labels.append(_checked(label, text))
            label = bytearray()
            at += 1
        elif char == "\\":
            digits = body[at + 1 : at + 4]
            if len(digits) != 3 or not set(digits) <= _OCTAL or int(digits, 8) > 255:
                raise BadName(f"{text!r}: a backslash needs three octal digits")
            label.append(int(digits, 8))
            at += 4
        else:
            if not 0x20 < ord(char) < 0x7F:
                raise BadName(f"{text!r}: write {char!r} as an octal escape")
            label.append(ord(char))
            at += 1
    labels.append(_checked(label, text))
    if sum(len(one) + 1 for one in labels) + 1 > 255:
        raise BadName(f"{text!r} is longer than 255 bytes")
    return tuple(labels)


def _checked(label: bytearray, text: str) -> bytes:
    if not label:
        raise BadName(f"{text!r} has an empty label")
    if len(label) > 63:
        raise BadName(f"{text!r} has a label longer than 63 bytes")
    return bytes(label).lower()


def spell(labels: Labels) -> str:
    """The name as the API returns it: lower case, octal escapes, trailing dot."""
    return "".join(_spell_label(label) + "." for label in labels) or "."


def _spell_label(label: bytes) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in label)


def order(labels: Labels) -> str:
    """Key of the listing order: labels reversed, *escaped*, dots included.

    The API guide shows `com.example.www.` and warns that the trailing dot counts, and that names
    are compared in their escaped form (ListResourceRecordSets, ListHostedZonesByName).
    """
    return "".join(_spell_label(label) + "." for label in reversed(labels))


def normal(text: str) -> str:
    """One spelling for all spellings of a name."""
    return spell(parse(text))


def is_within(labels: Labels, apex: Labels) -> bool:
    """Whether the name is the apex or below it."""
    return len(labels) >= len(apex) and labels[len(labels) - len(apex) :] == apex
