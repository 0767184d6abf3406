"""Health checks: their settings as Route 53 shows them. Their states are cloudwatch.py's.

A check is kept in the shape of `aws route53 get-health-check`, so that a test can hold up any
setting; `FIELDS` is the order of the model.
"""

from __future__ import annotations

import itertools

import paging
from errors import ApiError
from model import ACCOUNT
from xmlio import document, element, raw

MAX_CHECKS = 100

# HealthCheckConfig in the order of the model, with the element of each list.
FIELDS = (
    ("IPAddress", None),
    ("Port", None),
    ("Type", None),
    ("ResourcePath", None),
    ("FullyQualifiedDomainName", None),
    ("SearchString", None),
    ("RequestInterval", None),
    ("FailureThreshold", None),
    ("MeasureLatency", None),
    ("Inverted", None),
    ("Disabled", None),
    ("HealthThreshold", None),
    ("ChildHealthChecks", "ChildHealthCheck"),
    ("EnableSNI", None),
    ("Regions", "Region"),
    ("AlarmIdentifier", None),
    ("InsufficientDataHealthStatus", None),
    ("RoutingControlArn", None),
)
TYPES = {
    "HTTP",
    "HTTPS",
    "HTTP_STR_MATCH",
    "HTTPS_STR_MATCH",
    "TCP",
    "CALCULATED",
    "CLOUDWATCH_METRIC",
    "RECOVERY_CONTROL",
}


class HealthChecks:
    """All accounts' checks by id; callers hold the simulator's lock."""

    def __init__(self) -> None:
        self.configs: dict[str, dict] = {}
        self._owners: dict[str, str] = {}
        self._ids = itertools.count(1)

    def put(self, value: dict) -> str:
        """Makes or replaces a check: `{id?, account?, ...}` with the fields of HealthCheckConfig."""
        config = {"Type": "TCP", **value}
        account = config.pop("account", ACCOUNT)
        check_id = config.pop("id", None) or f"00000000-0000-4000-8000-{next(self._ids):012d}"
        unknown = set(config) - {name for name, _ in FIELDS}
        if unknown:
            raise ValueError(f"unknown fields {sorted(unknown)}")
        if config["Type"] not in TYPES:
            raise ValueError(f"unknown type {config['Type']!r}")
        self.configs[check_id] = config
        self._owners[check_id] = account
        return check_id

    def owner(self, check_id: str) -> str:
        """Whose check it is, or would be."""
        return self._owners.get(check_id, ACCOUNT)

    def find(self, check_id: str, account: str) -> dict:
        if check_id not in self.configs or self.owner(check_id) != account:
            raise ApiError(404, "NoSuchHealthCheck", f"No health check with ID: {check_id}")
        return self.configs[check_id]


def list_health_checks(call) -> bytes:
    """A page of the account's checks; the marker is the id of the first one to come."""
    ids = sorted(one for one in call.checks.configs if call.checks.owner(one) == call.account)
    marker = call.query.get("marker", "")
    start = sum(1 for one in ids if one < marker)
    limit, asked = paging.limit_of(call.query, MAX_CHECKS)
    page = paging.cut(start, len(ids), limit, call.page_fault)
    items = [_check(one, call.checks.configs[one]) for one in ids[page.first : page.end]]
    parts = [element("HealthChecks", raw(*items)), element("Marker", marker)]
    if page.show_truncated:
        parts.append(element("IsTruncated", page.next is not None))
    if page.next is not None:
        parts.append(element("NextMarker", ids[page.next]))
        call.next_cursor(ids[page.next])
    parts.append(element("MaxItems", asked))
    return document("ListHealthChecksResponse", "".join(parts))


def get_health_check(call) -> bytes:
    config = call.checks.find(call.params["check"], call.account)
    return document("GetHealthCheckResponse", _check(call.params["check"], config))


def get_health_check_status(call) -> bytes:
    """Always the same observation. It is here so that the log shows who asks for it."""
    call.checks.find(call.params["check"], call.account)
    report = raw(
        element("Status", "Success: HTTP Status Code: 200. Resolved IP: 192.0.2.1."),
        element("CheckedTime", "2026-01-01T00:00:00.000Z"),
    )
    observation = raw(
        element("Region", "us-east-1"),
        element("IPAddress", "192.0.2.53"),
        element("StatusReport", report),
    )
    observations = element("HealthCheckObservation", observation)
    inner = element("HealthCheckObservations", raw(observations))
    return document("GetHealthCheckStatusResponse", inner)


def _check(check_id: str, config: dict) -> str:
    parts = []
    for field, item in FIELDS:
        value = config.get(field)
        if value is None:
            continue
        if item is not None:
            parts.append(element(field, raw(*(element(item, one) for one in value))))
        elif isinstance(value, dict):
            parts.append(element(field, raw(*(element(k, v) for k, v in value.items()))))
        else:
            parts.append(element(field, value))
    return element(
        "HealthCheck",
        raw(
            element("Id", check_id),
            element("CallerReference", check_id),
            element("HealthCheckConfig", raw(*parts)),
            element("HealthCheckVersion", 1),
        ),
    )
