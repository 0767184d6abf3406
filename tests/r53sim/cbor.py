"""As much of CBOR (RFC 8949) as rpc-v2-cbor uses, which Rust's CloudWatch client speaks.

Values are dict, list, str, bytes, int, float, bool and None. A timestamp is `Time`, on the wire a
number under tag 1; other tags are dropped when reading.
"""

from __future__ import annotations

import struct

# Nesting that no request comes near: input is read recursively.
MAX_DEPTH = 32
_BREAK = object()


class Bad(ValueError):
    """The bytes are not CBOR, or not all of it."""


class Time(float):
    """Seconds since 1970."""


def encode(value: object) -> bytes:
    """One value. Maps keep their order, lengths are definite."""
    if isinstance(value, bool) or value is None:
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, Time):
        return b"\xc1" + b"\xfb" + struct.pack(">d", value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return _head(3, len(text)) + text
    if isinstance(value, (list, tuple)):
        return _head(4, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        pairs = (encode(key) + encode(one) for key, one in value.items())
        return _head(5, len(value)) + b"".join(pairs)
    raise TypeError(f"no CBOR for {type(value).__name__}")


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, form, limit in ((24, ">B", 1 << 8), (25, ">H", 1 << 16), (26, ">I", 1 << 32)):
        if argument < limit:
            return bytes([major << 5 | info]) + struct.pack(form, argument)
    return bytes([major << 5 | 27]) + struct.pack(">Q", argument)


def decode(data: bytes) -> object:
    """The one value that `data` is; anything behind it is an error."""
    reader = _Reader(data)
    value = reader.value(0)
    if value is _BREAK or reader.at != len(data):
        raise Bad(f"{len(data) - reader.at} bytes are left over")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if len(part) < count:
            raise Bad("it is cut")
        self.at += count
        return part

    def value(self, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise Bad("it is nested too deeply")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            return self._simple(info)
        if info == 31:
            return self._endless(major, depth)
        argument = self._argument(info)
        if major in (0, 1):
            return argument if major == 0 else -1 - argument
        if major == 2:
            return self.take(argument)
        if major == 3:
            return self._text(self.take(argument))
        if major == 4:
            return [self._item(depth) for _ in range(argument)]
        if major == 5:
            return {self._item(depth): self._item(depth) for _ in range(argument)}
        inner = self._item(depth)
        return Time(inner) if argument == 1 and isinstance(inner, (int, float)) else inner

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        form = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}.get(info)
        if form is None:
            raise Bad(f"additional information {info}")
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def _item(self, depth: int) -> object:
        value = self.value(depth + 1)
        if value is _BREAK:
            raise Bad("a break where a value belongs")
        return value

    def _endless(self, major: int, depth: int) -> object:
        """Items up to a break, put together."""
        items = []
        while (item := self.value(depth + 1)) is not _BREAK:
            items.append(item)
        if major == 4:
            return items
        if major == 5 and len(items) % 2 == 0:
            return dict(zip(items[::2], items[1::2]))
        if major == 2 and all(isinstance(item, bytes) for item in items):
            return b"".join(items)
        if major == 3 and all(isinstance(item, str) for item in items):
            return "".join(items)
        raise Bad("an endless item of the wrong kind")

    def _simple(self, info: int) -> object:
        if info in (20, 21):
            return info == 21
        if info in (22, 23):
            return None
        if info == 31:
            return _BREAK
        form = {25: ">e", 26: ">f", 27: ">d"}.get(info)
        if form is None:
            raise Bad(f"simple value {info}")
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    @staticmethod
    def _text(part: bytes) -> str:
        try:
            return part.decode()
        except UnicodeDecodeError as problem:
            raise Bad(str(problem)) from problem
