"""What callers did, and how much they may do: the call log and the token buckets."""

from __future__ import annotations

import collections
import time
from dataclasses import asdict, dataclass, field

# Published request buckets (developer guide, "throttling API requests"): burst, refill per second.
PRESET = {"burst": 50, "rate": 10, "ops": {"AssociateVPCWithHostedZone": {"burst": 20, "rate": 5}}}


@dataclass
class LoggedCall:
    """One API call. `status` 0 means that the connection was closed without a reply."""

    n: int
    at: float
    op: str
    zone: str | None
    query: dict[str, str]
    page: int | None
    signing_region: str | None
    access_key: str | None
    status: int = -1
    code: str | None = None
    faults: list[str] = field(default_factory=list)


class CallLog:
    """Every API call in order of arrival; control and metadata calls are not in it."""

    def __init__(self) -> None:
        self._calls: list[LoggedCall] = []
        self._epoch = time.monotonic()
        self._in_flight = 0
        self._max_in_flight = 0

    def begin(self, **what) -> LoggedCall:
        """Notes a call before it is answered; `status` stays -1 until `end`."""
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        at = round(time.monotonic() - self._epoch, 6)
        call = LoggedCall(n=len(self._calls) + 1, at=at, **what)
        self._calls.append(call)
        return call

    def end(self, call: LoggedCall, status: int, code: str | None, faults: list[str]) -> None:
        """Called before the reply is sent, so whoever has the reply finds the call complete."""
        self._in_flight -= 1
        call.status, call.code, call.faults = status, code, faults

    def reset(self) -> None:
        self._calls = []
        self._epoch = time.monotonic()
        self._max_in_flight = self._in_flight

    def as_json(self) -> list[dict]:
        return [asdict(call) for call in self._calls]

    def summary(self) -> dict:
        def count(field_name: str) -> dict:
            values = (getattr(call, field_name) for call in self._calls)
            return dict(collections.Counter(str(v) for v in values if v is not None))

        return {
            "total": len(self._calls),
            "by_op": count("op"),
            "by_zone": count("zone"),
            "by_status": count("status"),
            "by_code": count("code"),
            "by_signing_region": count("signing_region"),
            "max_in_flight": self._max_in_flight,
        }


class TokenBucket:
    """`burst` tokens at most, `rate` new ones a second; rate 0 never refills."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._tokens = burst
        self._seen = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._seen) * self._rate)
        self._seen = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Limits:
    """One bucket for the account and, where asked for, one per operation. Off until set."""

    def __init__(self) -> None:
        self._account: TokenBucket | None = None
        self._ops: dict[str, TokenBucket] = {}

    def set(self, value: dict) -> None:
        """`{burst, rate, ops}`, `{"preset": "route53"}`, or `{}` to switch limits off."""
        if value.get("preset") == "route53":
            value = PRESET
        self._account = _bucket(value) if "burst" in value else None
        self._ops = {op: _bucket(one) for op, one in value.get("ops", {}).items()}

    def admit(self, op: str) -> bool:
        """Takes a token for one call; a refused call costs nothing."""
        bucket = self._ops.get(op)
        if bucket is not None and not bucket.take():
            return False
        return self._account is None or self._account.take()


def _bucket(value: dict) -> TokenBucket:
    return TokenBucket(float(value["burst"]), float(value["rate"]))
