"""The plan of faults: which call is hurt, how, and how often.

A fault names the call (operation, zone, page number) and a kind. Kinds fall into groups by the
place where they act: before the answer (`delay`, `throttle`, `error`), on the page (paging.py),
on the body in valid HTTP framing (here), on the connection (wire.py), and on the data after the
page was served (`mutate_between_pages`).
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

import model
import records

PAGE_KINDS = {"short_page", "repeat_cursor", "duplicate_last", "drop_is_truncated"}
BODY_KINDS = {"cut_body", "empty_root", "empty_body", "html"}
WIRE_KINDS = {"refuse", "stall", "reset", "wrong_content_length"}
ERROR_KINDS = {"throttle", "error"}
# These two only accompany the call: a further fault may apply to the same call.
PASSING_KINDS = {"delay", "mutate_between_pages"}
KINDS = PAGE_KINDS | BODY_KINDS | WIRE_KINDS | ERROR_KINDS | PASSING_KINDS


@dataclass
class Fault:
    """One entry of the plan. `None` in a matcher means any; `times` None means always."""

    kind: str
    op: str | None = None
    zone: str | None = None
    page: int | None = None
    times: int | None = None
    params: dict = field(default_factory=dict)
    hits: int = 0

    @classmethod
    def from_json(cls, value: dict) -> Fault:
        """Checks one fault of a control call; raises ValueError on a wrong one."""
        rest = dict(value)
        kind = rest.pop("kind", None)
        if kind not in KINDS:
            raise ValueError(f"unknown fault kind {kind!r}; known: {sorted(KINDS)}")
        # A mutation that ran at every listing would undo what tests change themselves.
        times = rest.pop("times", 1 if kind == "mutate_between_pages" else None)
        zone = rest.pop("zone", None)
        if kind == "mutate_between_pages":
            _check_change(rest["change"])
        if kind == "cut_body":
            cut_point(b"<Name></Name>", rest.get("at", 0.5))
        return cls(
            kind=kind,
            op=rest.pop("op", None),
            zone=model.bare(zone) if zone else None,
            page=rest.pop("page", None),
            times=times,
            params=rest,
        )

    def as_json(self) -> dict:
        matcher = {"kind": self.kind, "op": self.op, "zone": self.zone, "page": self.page}
        return {**matcher, "times": self.times, "hits": self.hits, **self.params}

    def matches(self, op: str, zone: str | None, page: int | None) -> bool:
        return (
            (self.times is None or self.hits < self.times)
            and self.op in (None, "*", op)
            and self.zone in (None, zone)
            and self.page in (None, page)
        )


def _check_change(change: dict | list) -> None:
    """Fails now rather than in the middle of a listing."""
    for one in change if isinstance(change, list) else [change]:
        if one["Action"] not in ("CREATE", "UPSERT", "DELETE", "DELETE_ZONE"):
            raise ValueError(f"unknown action {one['Action']!r}")
        if one["Action"] != "DELETE_ZONE":
            records.key(records.normalise(one["ResourceRecordSet"]))


@dataclass
class Taken:
    """What the plan says about one call."""

    delays: list[float]
    mutations: list[Fault]
    main: Fault | None

    @property
    def page_fault(self) -> Fault | None:
        return self.main if self.main and self.main.kind in PAGE_KINDS else None

    @property
    def labels(self) -> list[str]:
        out = ["delay"] * len(self.delays) + [fault.kind for fault in self.mutations]
        return out + ([self.main.kind] if self.main else [])


class FaultPlan:
    """The ordered list. Callers hold the simulator's lock."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        # Set when the plan is cleared, so that no stalled or delayed call outlives its test.
        self.released = threading.Event()

    def add(self, faults: list[Fault]) -> None:
        self._faults.extend(faults)

    def clear(self) -> None:
        self._faults.clear()
        self.released.set()
        self.released = threading.Event()

    def as_json(self) -> list[dict]:
        return [fault.as_json() for fault in self._faults]

    def take(self, op: str, zone: str | None, page: int | None) -> Taken:
        """Uses up every passing fault that matches, and the first other one."""
        taken = Taken([], [], None)
        for fault in self._faults:
            if not fault.matches(op, zone, page):
                continue
            if fault.kind not in PASSING_KINDS and taken.main is not None:
                continue
            fault.hits += 1
            if fault.kind == "delay":
                taken.delays.append(float(fault.params.get("seconds", 1)))
            elif fault.kind == "mutate_between_pages":
                taken.mutations.append(fault)
            else:
                taken.main = fault
        return taken


# A captive portal's page. It is well-formed XML, so a parser alone does not refuse it.
HTML = b"<html><head><title>Sign in</title></head><body>Please sign in to the proxy</body></html>"


def bend_body(fault: Fault, status: int, body: bytes) -> tuple[int, str, bytes]:
    """Status, content type and body after a body fault. Content-Length will be true to them."""
    if fault.kind == "html":
        text = fault.params.get("body")
        status = int(fault.params.get("status", 200))
        return status, "text/html", text.encode() if text is not None else HTML
    if fault.kind == "empty_body":
        return status, "text/xml", b""
    if fault.kind == "empty_root":
        root = re.search(rb"<\w+ xmlns=\"[^\"]*\"", body)
        return status, "text/xml", body[: root.end()] + b"/>" if root else body
    return status, "text/xml", body[: cut_point(body, fault.params.get("at", 0.5))]


def cut_point(body: bytes, at: float | int | str) -> int:
    """Byte at which `cut_body` ends the body.

    - 0 < `at` < 1: that fraction of the body
    - an integer: that many bytes; a negative one counts from the end
    - "last_record": in the middle of the last value, so `10.0.0.99` becomes `10.0`
    - "after_last_record": behind the last whole item; list end and IsTruncated are missing
    """
    if at == "last_record":
        end = body.rfind(b"</Value>")
        if end < 0:
            end = body.rfind(b"</Name>")
        start = body.rfind(b">", 0, end) + 1
        return start + max(1, (end - start) // 2)
    if at == "after_last_record":
        ends = [
            (body.rfind(tag), len(tag))
            for tag in (b"</ResourceRecordSet>", b"</HostedZoneSummary>", b"</HostedZone>")
        ]
        place, length = max(ends)
        return place + length if place >= 0 else len(body) // 2
    if isinstance(at, float) and 0 < at < 1:
        return int(len(body) * at)
    if isinstance(at, (int, float)):
        return max(0, len(body) + int(at)) if at < 0 else int(at)
    raise ValueError(f"cut_body: `at` may not be {at!r}")
