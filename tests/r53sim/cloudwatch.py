"""CloudWatch: GetMetricData of one metric, HealthCheckStatus of Route 53.

Values are put in by tests with their age, and stand at whole minutes as the service's do.
"""

from __future__ import annotations

import time

from cbor import Time
from errors import ApiError

MAX_QUERIES = 500
# The service puts 100 800 values on a page. No test has so many: a page ends after this many
# *queries*, so that one with more is paged.
PAGE = 400
STATUSES = {"Complete", "PartialData", "InternalError"}


class Metrics:
    """Values of health checks by id; callers hold the simulator's lock."""

    def __init__(self) -> None:
        self.values: dict[str, list[tuple[float, float]]] = {}
        self.statuses: dict[str, str] = {}

    def put(self, check_id: str, value: dict) -> None:
        """`{values?: [{value, age=60}], status?}`; ages are seconds."""
        if not set(value) <= {"values", "status"}:
            raise ValueError("unknown fields; known: values, status")
        status = value.get("status", "Complete")
        if status not in STATUSES:
            raise ValueError(f"unknown status {status!r}")
        now = time.time()
        self.statuses[check_id] = status
        self.values[check_id] = sorted(
            ((now - one.get("age", 60), float(one["value"])) for one in value.get("values", [])),
            reverse=True,
        )


def get_metric_data(call) -> dict:
    """`NextToken` is the place of the first query to come, in text."""
    queries = call.params.get("MetricDataQueries") or []
    if not 1 <= len(queries) <= MAX_QUERIES:
        raise ApiError(400, "ValidationError", f"{len(queries)} queries; 1 to {MAX_QUERIES} it is")
    names = [query["Id"] for query in queries]
    if len(set(names)) != len(names) or not all(_is_id(name) for name in names):
        raise ApiError(400, "ValidationError", "each query needs an id, [a-z][a-zA-Z0-9_]*, of its own")
    begin, end = float(call.params["StartTime"]), float(call.params["EndTime"])
    if begin >= end:
        raise ApiError(400, "ValidationError", "StartTime must be before EndTime")
    token = call.params.get("NextToken") or "0"
    if not token.isdigit() or int(token) > len(queries):
        raise ApiError(400, "InvalidNextToken", "the token is not valid")
    first, fault = int(token), call.page_fault
    step = int(fault.params.get("n", 0)) if fault and fault.kind == "short_page" else PAGE
    out: dict = {"Messages": []}
    page = queries[first : first + step]
    out["MetricDataResults"] = [_result(call, one, begin, end) for one in page]
    following = first + len(page)
    if fault is not None and fault.kind == "repeat_cursor":
        out["NextToken"] = str(first)
    elif following < len(queries):
        out["NextToken"] = str(following)
    return out


def _is_id(name: str) -> bool:
    return name[:1].islower() and name.replace("_", "a").isalnum() and name.isascii()


def _result(call, query: dict, begin: float, end: float) -> dict:
    stat = query["MetricStat"]
    metric = stat["Metric"]
    dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions", [])}
    if stat["Period"] != 60 or stat["Stat"] not in ("Minimum", "Maximum", "Average"):
        raise ApiError(400, "ValidationError", "the double knows values a minute apart")
    found: list[tuple[float, float]] = []
    status = "Complete"
    # Another metric, or one more dimension, is a metric without values.
    if (metric["Namespace"], metric["MetricName"]) == ("AWS/Route53", "HealthCheckStatus") and set(
        dimensions
    ) == {"HealthCheckId"}:
        check_id, metrics = dimensions["HealthCheckId"], call.sim.metrics
        # A metric is that of the account that has the check.
        if call.sim.checks.owner(check_id) == call.account:
            found = [one for one in metrics.values.get(check_id, []) if begin <= one[0] < end]
        status = metrics.statuses.get(check_id, "Complete")
    return {
        "Id": query["Id"],
        "Label": metric["MetricName"],
        "Timestamps": [Time(at) for at, _ in found],
        "Values": [value for _, value in found],
        "StatusCode": status,
    }
