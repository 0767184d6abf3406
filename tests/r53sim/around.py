"""The services around Route 53 that tell of accounts and networks, on the same port: which one a
request is for, and its call's life.

As for Route 53 itself: the call is logged, its signature read, faults are asked, it is answered. Of
the faults `delay`, `throttle` and `error` apply.
"""

from __future__ import annotations

import api
import profiles
import rules
import sts
from errors import ApiError
from sim import Sim

SERVICES = (sts, profiles, rules)


def handle(sim: Sim, method: str, target: str, headers, body: bytes) -> api.Reply | None:
    """Answers a request to one of the services; `None` if it is for none of them."""
    for service in SERVICES:
        found = service.match(method, target, headers, body)
        if found is not None:
            return _handle(sim, service, *found, headers)
    return None


def _handle(sim: Sim, service, op: str, params: dict, headers) -> api.Reply:
    signed = api.SIGV4.fullmatch(headers.get("Authorization") or "")
    access_key = signed["key"] if signed else None
    with sim.lock:
        entry = sim.log.begin(
            op=op,
            zone=None,
            query={key: value for key, value in params.items() if isinstance(value, str)},
            page=None,
            signing_region=signed["region"] if signed else None,
            access_key=access_key,
        )
        taken = sim.faults.take(op, None, None)
        released = sim.faults.released
    for seconds in taken.delays:
        released.wait(seconds)
    with sim.lock:
        reply, code = _answer(sim, service, op, params, signed, taken.main)
        sim.log.end(entry, reply.status, code, taken.labels)
    return reply


def _answer(sim: Sim, service, op, params, signed, fault) -> tuple[api.Reply, str | None]:
    access_key = signed["key"] if signed else None
    try:
        if sim.signing["require"] and (signed is None or signed["service"] != service.SERVICE):
            message = f"Credential should be scoped to service {service.SERVICE!r}"
            raise ApiError(403, "SignatureDoesNotMatch", message)
        if sim.accounts.is_expired(access_key):
            raise ApiError(403, "ExpiredTokenException", "The security token is expired")
        if fault is not None and fault.kind == "throttle":
            raise ApiError(400, "ThrottlingException", "Rate exceeded")
        if fault is not None and fault.kind == "error":
            raise api.planned_error(fault)
        body = service.answer(sim, op, params, access_key)
        return api.Reply(200, body, content_type=service.CONTENT_TYPE), None
    except ApiError as problem:
        body, headers = service.failure(problem)
        reply = api.Reply(problem.status, body, content_type=service.CONTENT_TYPE)
        reply.headers.update(headers)
        return reply, problem.code
