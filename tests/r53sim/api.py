"""From an HTTP request to a Route 53 reply: routing, signature, limits, faults, operation.

The order is that of a call's life: it is logged, its signature is read, a token is taken, the
fault plan is asked, the operation runs on the data, the body is bent. A call refused by the
signature check or by a bucket uses up no fault.
"""

from __future__ import annotations

import re
import threading
import uuid
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

import faults
import healthchecks
import reads
import writes
import xmlio
from errors import ApiError, throttled
from model import bare
from sim import Sim

PREFIX = "/2013-04-01"
_ZONE = r"/hostedzone/(?P<zone>[^/]+)"
_CHECK = r"/healthcheck/(?P<check>[^/]+)"

# Method, path below the API version, operation, function, status on success.
ROUTES = [
    (method, re.compile(path + "/?"), op, function, status)
    for method, path, op, function, status in (
        ("GET", "/hostedzone", "ListHostedZones", reads.list_hosted_zones, 200),
        (
            "GET",
            "/hostedzonesbyname",
            "ListHostedZonesByName",
            reads.list_hosted_zones_by_name,
            200,
        ),
        ("GET", "/hostedzonesbyvpc", "ListHostedZonesByVPC", reads.list_hosted_zones_by_vpc, 200),
        ("GET", _ZONE, "GetHostedZone", reads.get_hosted_zone, 200),
        ("GET", _ZONE + "/rrset", "ListResourceRecordSets", reads.list_resource_record_sets, 200),
        ("POST", "/hostedzone", "CreateHostedZone", writes.create_hosted_zone, 201),
        ("DELETE", _ZONE, "DeleteHostedZone", writes.delete_hosted_zone, 200),
        (
            "POST",
            _ZONE + "/rrset",
            "ChangeResourceRecordSets",
            writes.change_resource_record_sets,
            200,
        ),
        ("POST", _ZONE + "/associatevpc", "AssociateVPCWithHostedZone", writes.associate_vpc, 200),
        (
            "POST",
            _ZONE + "/disassociatevpc",
            "DisassociateVPCFromHostedZone",
            writes.disassociate_vpc,
            200,
        ),
        ("GET", "/healthcheck", "ListHealthChecks", healthchecks.list_health_checks, 200),
        ("GET", _CHECK, "GetHealthCheck", healthchecks.get_health_check, 200),
        (
            "GET",
            _CHECK + "/status",
            "GetHealthCheckStatus",
            healthchecks.get_health_check_status,
            200,
        ),
        ("GET", "/change/(?P<change>[^/]+)", "GetChange", writes.get_change, 200),
        (
            "GET",
            "/tags/(?P<type>[^/]+)/(?P<resource>[^/]+)",
            "ListTagsForResource",
            writes.list_tags_for_resource,
            200,
        ),
        (
            "POST",
            "/tags/(?P<type>[^/]+)",
            "ListTagsForResources",
            writes.list_tags_for_resources,
            200,
        ),
    )
]

SIGV4 = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/\d{8}/(?P<region>[^/,]+)/(?P<service>[^/,]+)"
    r"/aws4_request,\s*SignedHeaders=[^,\s]+,\s*Signature=[0-9a-f]{64}"
)


@dataclass
class Reply:
    """What to send. `wire_fault` says how sending itself goes wrong."""

    status: int
    body: bytes
    content_type: str = "text/xml"
    headers: dict[str, str] = field(default_factory=dict)
    wire_fault: faults.Fault | None = None
    released: threading.Event | None = None


def handle(sim: Sim, method: str, target: str, headers, body: bytes) -> Reply:
    """Answers one API request."""
    parts = urlsplit(target)
    query = {key: value for key, value in parse_qsl(parts.query) if value}
    op, function, status, params = _route(method, unquote(parts.path))
    zone_id = bare(params["zone"]) if "zone" in params else None
    signed = SIGV4.fullmatch(headers.get("Authorization") or "")
    with sim.lock:
        call = reads.Call(op, zone_id, query, body, sim.zones, sim.pages, params)
        call.account = sim.accounts.account_of(signed["key"] if signed else None)
        call.checks = sim.checks
        call.page = sim.pages.number(op, call.scope, call.cursor())
        entry = sim.log.begin(
            op=op,
            zone=zone_id,
            query=query,
            page=call.page if op.startswith("List") else None,
            signing_region=signed["region"] if signed else None,
            access_key=signed["key"] if signed else None,
        )
        taken = faults.Taken([], [], None)
        error = refusal(sim, op, headers, signed, "route53")
        if error is None:
            taken = sim.faults.take(op, zone_id, call.page)
        released = sim.faults.released
    for seconds in taken.delays:
        released.wait(seconds)
    with sim.lock:
        reply, code = _answer(call, function, status, error, taken)
        if error is None:
            _mutate(call, taken.mutations)
        sim.log.end(entry, reply.status, code, taken.labels)
    reply.released = released
    return reply


def _route(method: str, path: str):
    below = path.removeprefix(PREFIX)
    # An id may come with its prefix in the path: /hostedzone/%2Fhostedzone%2FZ1/rrset.
    below = re.sub(r"^/hostedzone//?hostedzone/", "/hostedzone/", below)
    for verb, pattern, op, function, status in ROUTES:
        match = pattern.fullmatch(below)
        if verb == method and match:
            return op, function, status, match.groupdict()
    return "Unknown", None, 404, {}


def refusal(sim: Sim, op: str, headers, signed, service: str | None) -> ApiError | None:
    """Why the call does not reach the service at all."""
    if sim.signing["require"] and not headers.get("Authorization"):
        return ApiError(403, "MissingAuthenticationToken", "Missing Authentication Token")
    if sim.signing["require"] and (signed is None or not headers.get("X-Amz-Date")):
        return ApiError(400, "IncompleteSignature", "the Authorization header is not SigV4")
    if signed is not None and signed["service"] != service:
        message = f"Credential should be scoped to service {service!r}, not {signed['service']!r}"
        return ApiError(403, "SignatureDoesNotMatch", message)
    if signed is not None and sim.accounts.is_expired(signed["key"]):
        return ApiError(403, "ExpiredToken", "The security token included in the request is expired")
    wanted = sim.signing["region"]
    if wanted and (signed is None or signed["region"] != wanted):
        message = f"Credential should be scoped to region {wanted!r}"
        return ApiError(403, "SignatureDoesNotMatch", message)
    return None if sim.limits.admit(op) else throttled()


def _answer(call: reads.Call, function, status: int, error, taken) -> tuple[Reply, str | None]:
    """The reply with body and wire faults in place, and its error code."""
    request_id = str(uuid.uuid4())
    main = taken.main
    if main is not None and main.kind == "refuse":
        # Status 0 in the log; the operation does not run, not even a writing one.
        return Reply(0, b"", wire_fault=main), None
    try:
        if error is not None:
            raise error
        if main is not None and main.kind == "throttle":
            raise throttled()
        if main is not None and main.kind == "error":
            raise planned_error(main)
        if function is None:
            raise ApiError(404, "InvalidAction", "r53sim does not know this call")
        call.page_fault = taken.page_fault
        reply, code = Reply(status, function(call), headers=call.headers), None
    except ApiError as problem:
        reply = Reply(problem.status, xmlio.error_document(problem, request_id))
        code = problem.code
    reply.headers["x-amzn-RequestId"] = request_id
    if main is not None and main.kind in faults.BODY_KINDS:
        bent = faults.bend_body(main, reply.status, reply.body)
        reply.status, reply.content_type, reply.body = bent
    if main is not None and main.kind in faults.WIRE_KINDS:
        reply.wire_fault = main
    return reply, code


def planned_error(fault: faults.Fault) -> ApiError:
    """The error that a test has planned."""
    status = int(fault.params.get("status", 500))
    code = fault.params.get("code", "InternalFailure")
    return ApiError(status, code, fault.params.get("message", "planned by the test"))


def _mutate(call: reads.Call, mutations: list[faults.Fault]) -> None:
    """Runs the changes that were planned for the moment after this page.

    They go in without validation, as bulk records do: the page is already served, and a refusal
    would have nobody to report to.
    """
    for fault in mutations:
        change = fault.params["change"]
        zone_id = fault.params.get("target") or call.zone_id or ""
        for one in change if isinstance(change, list) else [change]:
            zone = call.zones.find(one.get("zone", zone_id))
            if one["Action"] == "DELETE_ZONE":
                call.zones.drop(one.get("zone", zone_id))
            elif zone is not None and one["Action"] == "DELETE":
                zone.remove(one["ResourceRecordSet"])
            elif zone is not None:
                zone.put(one["ResourceRecordSet"])


