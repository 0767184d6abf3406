"""ChangeResourceRecordSets: the rules a batch must pass, and its all-or-nothing effect.

The checks are those whose absence would let a test build a zone that Route 53 can never hold.
They are not the service's full list (see README).
"""

from __future__ import annotations

import ipaddress
import re

import names
import records
from errors import ApiError
from model import Zone

_NAME = r"[^\s\"]+"
_HEX = r"[0-9A-Fa-f ]+"
_TEXT = r"\"(?:[^\"\\]|\\.)*\""
_SHAPES = {
    "SOA": rf"{_NAME} {_NAME}( \d+){{5}}",
    "TXT": rf"{_TEXT}(\s+{_TEXT})*",
    "SPF": rf"{_TEXT}(\s+{_TEXT})*",
    "MX": rf"\d+ {_NAME}",
    "SRV": rf"\d+ \d+ \d+ {_NAME}",
    "CAA": rf"\d+ [A-Za-z0-9]+ {_TEXT}",
    "NAPTR": rf"\d+ \d+ {_TEXT} {_TEXT} {_TEXT} {_NAME}",
    "DS": rf"\d+ \d+ \d+ {_HEX}",
    "TLSA": rf"\d+ \d+ \d+ {_HEX}",
    "SSHFP": rf"\d+ \d+ {_HEX}",
    "SVCB": rf"\d+ {_NAME}(\s.*)?",
    "HTTPS": rf"\d+ {_NAME}(\s.*)?",
}


class Refused(Exception):
    """One rule that one change broke; the text becomes part of InvalidChangeBatch."""


def apply_batch(zone: Zone, changes: list[dict]) -> None:
    """Applies all changes in order, or none of them.

    Works on a copy, so a batch that deletes and creates the same set passes, and a batch that
    fails at its last change leaves no trace.
    """
    if not changes or len(changes) > 1000:
        raise ApiError(400, "InvalidInput", "a batch holds 1 to 1000 changes")
    sets = dict(zone.sets)
    problems = []
    for change in changes:
        try:
            _apply_one(zone, sets, change)
        except (Refused, names.BadName, KeyError) as problem:
            problems.append(str(problem))
    if not problems:
        problems = _check_zone(zone, sets, {_owner(change) for change in changes})
    if problems:
        raise ApiError(400, "InvalidChangeBatch", "[" + ", ".join(problems) + "]")
    zone.replace_all(sets)


def _apply_one(zone: Zone, sets: dict, change: dict) -> None:
    action, record = change["Action"], records.normalise(change["ResourceRecordSet"])
    key = records.key(record)
    label = f"[name='{record['Name']}', type='{record['Type']}'" + (
        f", set-identifier='{key[2]}']" if key[2] else "]"
    )
    if action == "DELETE":
        if key not in sets:
            raise Refused(f"Tried to delete resource record set {label} but it was not found")
        if _comparable(sets[key]) != _comparable(record):
            raise Refused(
                f"Tried to delete resource record set {label} but the values provided do not "
                "match the current values"
            )
        del sets[key]
        return
    if action not in ("CREATE", "UPSERT"):
        raise Refused(f"unknown action '{action}'")
    if action == "CREATE" and key in sets:
        raise Refused(f"Tried to create resource record set {label} but it already exists")
    _check_record(zone, record)
    sets[key] = record


def _owner(change: dict) -> str:
    return records.normalise(change["ResourceRecordSet"])["Name"]


def _comparable(record: dict) -> dict:
    values = sorted(one["Value"] for one in record.get("ResourceRecords", []))
    return {**record, "ResourceRecords": values}


def _check_record(zone: Zone, record: dict) -> None:
    name, rtype = record["Name"], record["Type"]
    labels = names.parse(name)
    if rtype not in records.TYPES:
        raise Refused(f"'{rtype}' is not a record type")
    if not names.is_within(labels, zone.labels):
        raise Refused(f"RRSet with DNS name {name} is not permitted in zone {zone.name}")
    if rtype == "CNAME" and name == zone.name:
        raise Refused(
            f"RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {zone.name}"
        )
    if rtype == "NS" and labels[0] == b"*":
        raise Refused(f"RRSet of type NS with DNS name {name} may not be a wildcard")
    _check_policy(record)
    if "AliasTarget" in record:
        if "TTL" in record or "ResourceRecords" in record:
            raise Refused(f"alias {name} {rtype} may not have TTL or ResourceRecords")
        if rtype in ("NS", "SOA"):
            raise Refused(f"alias {name} may not have type {rtype}")
        return
    if not 0 <= record.get("TTL", -1) <= 2**31 - 1:
        raise Refused(f"{name} {rtype} needs a TTL of 0 to 2147483647")
    values = [one["Value"] for one in record.get("ResourceRecords", [])]
    if not 1 <= len(values) <= 400 or (rtype in ("CNAME", "SOA") and len(values) != 1):
        raise Refused(f"{name} {rtype} has a wrong number of values ({len(values)})")
    if len(set(values)) != len(values):
        raise Refused(f"Duplicate Resource Record in {name} {rtype}")
    for value in values:
        if not _is_valid_value(rtype, value):
            raise Refused(f"Invalid Resource Record: '{value}' for {name} {rtype}")


def _check_policy(record: dict) -> None:
    used = [one for one in records.POLICIES if record.get(one) is not None]
    if len(used) > 1:
        raise Refused(f"{record['Name']} has more than one routing policy: {used}")
    if bool(used) != bool(record.get("SetIdentifier")):
        raise Refused(f"{record['Name']}: a routing policy and SetIdentifier go together")
    if len(record.get("SetIdentifier", "")) > 128:
        raise Refused("SetIdentifier is longer than 128 characters")
    if not 0 <= record.get("Weight", 0) <= 255:
        raise Refused("Weight must be 0 to 255")
    if record.get("Failover", "PRIMARY") not in ("PRIMARY", "SECONDARY"):
        raise Refused("Failover must be PRIMARY or SECONDARY")
    if "MultiValueAnswer" in used and "AliasTarget" in record:
        raise Refused("a multivalue answer record may not be an alias")


def _is_valid_value(rtype: str, value: str) -> bool:
    if not 1 <= len(value) <= 4000:
        return False
    try:
        if rtype == "A":
            ipaddress.IPv4Address(value)
        elif rtype == "AAAA":
            ipaddress.IPv6Address(value)
        elif rtype in ("CNAME", "NS", "PTR"):
            names.parse(value)
        else:
            return re.fullmatch(_SHAPES[rtype], value) is not None
    except ValueError:
        return False
    return True


def _check_zone(zone: Zone, sets: dict, touched: set[str]) -> list[str]:
    """Rules between record sets, for the names that the batch touched."""
    problems = []
    apex = names.order(zone.labels)
    for rtype in ("SOA", "NS"):
        # A zone that a test made without them is left as it is.
        if (apex, rtype, "") in zone.sets and (apex, rtype, "") not in sets:
            problems.append(f"HostedZone {zone.name} must keep the {rtype} record of its apex")
    groups: dict[str, dict[str, list[dict]]] = {}
    for record in sets.values():
        if record["Name"] in touched:
            by_type = groups.setdefault(record["Name"], {})
            by_type.setdefault(record["Type"], []).append(record)
    for name, by_type in groups.items():
        if "CNAME" in by_type and len(by_type) > 1:
            problems.append(
                f"RRSet of type CNAME with DNS name {name} is not permitted as it conflicts with "
                f"other records with the same DNS name in zone {zone.name}"
            )
        for rtype, group in by_type.items():
            policies = {tuple(p for p in records.POLICIES if p in one) for one in group}
            if len(group) > 100 or len(policies) > 1:
                problems.append(f"{name} {rtype}: over 100 sets, or routing policies are mixed")
    return problems
