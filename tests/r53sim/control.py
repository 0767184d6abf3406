"""The control side under /_sim/: JSON, unsigned, for tests only.

It writes records past the API's validation on purpose: a test must be able to hold up data that
Route 53 would not store today but may return tomorrow (new types, odd values, names outside the
zone).
"""

from __future__ import annotations

import re

import names
import records
import sqs
from changes import apply_batch
from errors import ApiError
from faults import Fault
from model import ACCOUNT, Zone, bare
from sim import Sim

Answer = tuple[int, object]


class Wrong(Exception):
    """The control call itself is mistaken; the test author reads the text."""


def handle(sim: Sim, method: str, path: str, value: object) -> Answer:
    """Answers one control request; `value` is its parsed JSON body, `{}` without one."""
    route = path.removeprefix("/_sim").strip("/")
    try:
        with sim.lock:
            return _dispatch(sim, method, route, value)
    except Wrong as problem:
        return 400, {"error": str(problem)}
    except ApiError as problem:
        return 400, {"error": str(problem), "code": problem.code}
    except (KeyError, ValueError, TypeError, AttributeError) as problem:
        return 400, {"error": f"{type(problem).__name__}: {problem}"}


def _dispatch(sim: Sim, method: str, route: str, value) -> Answer:
    match = re.fullmatch(r"zone/([^/]+)(?:/(records|changes))?", route)
    if match:
        return _on_zone(sim, method, match[1], match[2], value)
    match = re.fullmatch(r"(healthcheck|metric|queue)(?:/([^/]+))?(?:/(messages|show))?", route)
    if match:
        return _on_service(sim, method, match, value)
    if (method, route) == ("POST", "zone"):
        zone = create_zone(sim, value)
        return 200, {"id": zone.id, "name": zone.name, "count": len(zone.sets)}
    if (method, route) == ("GET", "zones"):
        return 200, [zone.as_json(with_records=False) for zone in sim.zones.all()]
    if route == "faults":
        return _on_faults(sim, method, value)
    if route == "limits" and method in ("POST", "DELETE"):
        sim.limits.set({} if method == "DELETE" else value)
        return 200, {}
    if route == "calls" and method in ("GET", "DELETE"):
        if method == "DELETE":
            sim.log.reset()
        return 200, sim.log.as_json()
    if (method, route) == ("GET", "summary"):
        return 200, sim.log.summary()
    if route == "imds" and method in ("GET", "POST"):
        if method == "POST":
            sim.metadata.configure(value)
        return 200, sim.metadata.as_json()
    if route == "signing" and method in ("GET", "POST"):
        if not set(value) <= set(sim.signing):
            raise Wrong(f"unknown field; known: {sorted(sim.signing)}")
        sim.signing.update(value)
        return 200, sim.signing
    configured = {"role": sim.accounts, "profile": sim.profiles, "rule": sim.rules}
    if method == "POST" and route in configured:
        return 200, configured[route].configure(value)
    if (method, route) == ("POST", "reset"):
        sim.reset()
        return 200, {}
    return 404, {"error": f"no control call {method} /_sim/{route}"}


def _on_service(sim: Sim, method: str, match: re.Match, value) -> Answer:
    """Health checks, their metric, and queues."""
    kind, name, part = match.groups()
    queue = sim.queues.queues.get(name)
    if (kind, method, name) == ("healthcheck", "POST", None):
        return 200, {"id": sim.checks.put(value)}
    if (kind, method, part) == ("healthcheck", "DELETE", None):
        return 200, {"was": sim.checks.configs.pop(name, None)}
    if (kind, method, part) == ("metric", "POST", None) and name:
        sim.metrics.put(name, value)
        return 200, {}
    if (kind, method, part) == ("queue", "POST", None) and name:
        queue = sim.queues.queues[name] = sqs.Queue(name, **value)
    elif queue is None or kind != "queue":
        return 404, {"error": f"no control call {method} /_sim/{match[0]}"}
    elif (method, part) == ("DELETE", None):
        del sim.queues.queues[name]
        sim.arrived.notify_all()
    elif (method, part) == ("POST", "messages"):
        for body in value["bodies"]:
            sqs.put(sim, queue, body)
    elif (method, part) == ("POST", "show"):
        # As if the visibility timeout had passed.
        for message in queue.messages:
            message.hidden_until = 0.0
        sim.arrived.notify_all()
    return 200, queue.as_json()


def _on_faults(sim: Sim, method: str, value) -> Answer:
    if method == "DELETE":
        sim.faults.clear()
    elif method == "POST":
        listed = value if isinstance(value, list) else value.get("faults", [value])
        sim.faults.add([Fault.from_json(one) for one in listed])
    return 200, sim.faults.as_json()


def _on_zone(sim: Sim, method: str, zone_id: str, what: str | None, value) -> Answer:
    zone = sim.zones.find(zone_id)
    if zone is None:
        return 404, {"error": f"no zone {zone_id}"}
    if method == "GET" and what is None:
        return 200, zone.as_json()
    if method == "DELETE" and what is None:
        sim.zones.drop(zone.id)
    elif method in ("POST", "PATCH") and what is None:
        change_zone(zone, value)
    elif method == "POST" and what == "records":
        put_records(zone, value)
    elif method == "POST" and what == "changes":
        # Through the API's own rules, for tests that do not want to sign a request.
        apply_batch(zone, value["changes"])
    else:
        return 404, {"error": f"no control call {method} on a zone"}
    return 200, zone.as_json(with_records=False)


_SETTINGS = {
    "readable",
    "vpcs",
    "owner_account",
    "owner_service",
    "linked_service",
    "comment",
    "tags",
    "tags_readable",
    "private",
}
_CREATION = _SETTINGS | {
    "name",
    "id",
    "records",
    "generate",
    "prefix",
    "defaults",
    "default_soa",
    "default_ns",
    "soa",
    "soa_ttl",
}


def create_zone(sim: Sim, value: dict) -> Zone:
    """Makes a zone of any owner with any records; see README for the fields."""
    _only(value, _CREATION)
    zone_id = bare(value.get("id") or sim.zones.new_id())
    if sim.zones.find(zone_id):
        raise Wrong(f"zone {zone_id} exists")
    zone = Zone(zone_id, names.normal(value["name"]))
    foreign = value.get("owner_service") or value.get("owner_account", ACCOUNT) != ACCOUNT
    # Zones of services and of other accounts are seen through the VPC but not readable.
    zone.readable = not foreign
    change_zone(zone, {key: value[key] for key in _SETTINGS & set(value)})
    wanted = {
        "SOA": value.get("default_soa", value.get("defaults", True)) or "soa" in value,
        "NS": value.get("default_ns", value.get("defaults", True)),
    }
    soa_ttl = value.get("soa_ttl", 900)
    for record in records.apex_defaults(zone.name, zone.private, value.get("soa"), soa_ttl):
        if wanted[record["Type"]]:
            zone.put(record)
    put_records(zone, {key: value[key] for key in _RECORDS & set(value)})
    return sim.zones.add(zone)


def change_zone(zone: Zone, value: dict) -> None:
    """Changes the named settings and keeps the others."""
    _only(value, _SETTINGS)
    for key, setting in value.items():
        if key == "vpcs":
            setting = [(vpc["id"], vpc["region"]) for vpc in setting]
        setattr(zone, key, setting)
    if value.get("owner_service"):
        zone.owner_account = None
    elif value.get("owner_account"):
        zone.owner_service = None


_RECORDS = {"records", "generate", "prefix"}


def put_records(zone: Zone, value: dict) -> None:
    """Puts records in, generates simple ones, takes records out; in this order, unvalidated."""
    _only(value, _RECORDS | {"delete"})
    for record in value.get("records", []):
        zone.put(records.with_default_ttl(record))
    prefix = value.get("prefix", "host")
    for record in records.generated(zone.name, prefix, int(value.get("generate", 0))):
        zone.put(record)
    for record in value.get("delete", []):
        if not zone.remove(record):
            raise Wrong(f"no such record set: {record}")


def _only(value: dict, known: set[str]) -> None:
    """A misspelt field must not pass as a default."""
    if not set(value) <= known:
        raise Wrong(f"unknown fields {sorted(set(value) - known)}; known: {sorted(known)}")
