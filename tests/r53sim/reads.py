"""The calls that read: the listings with their cursors, and the single look-ups."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

import names
import paging
import records
from errors import ApiError, denied, no_such_zone
from faults import Fault
from healthchecks import HealthChecks
from model import ACCOUNT, Zone, Zones
from xmlio import document, element, hosted_zone, raw, record_set, vpc, zone_summary

MAX_ZONES = 100
MAX_RECORD_SETS = 300


@dataclass
class Call:
    """One API request, read as far as the HTTP layer can."""

    op: str
    zone_id: str | None
    query: dict[str, str]
    body: bytes
    zones: Zones
    pages: paging.PageNumbers
    params: dict[str, str] = field(default_factory=dict)
    # The account that asks.
    account: str = ACCOUNT
    page: int | None = None
    page_fault: Fault | None = None
    headers: dict[str, str] = field(default_factory=dict)
    checks: HealthChecks | None = None

    @property
    def scope(self) -> str:
        """What a listing lists; cursors of different scopes are kept apart."""
        return self.zone_id or self.query.get("vpcid", "")

    def cursor(self) -> tuple | None:
        """The cursor that the request brings, as the texts of its query parameters."""
        keys = {
            "ListResourceRecordSets": ("name", "type", "identifier"),
            "ListHostedZones": ("marker",),
            "ListHealthChecks": ("marker",),
            "ListHostedZonesByName": ("dnsname", "hostedzoneid"),
            "ListHostedZonesByVPC": ("nexttoken",),
        }.get(self.op, ())
        texts = tuple(self.query.get(key) for key in keys)
        return texts if any(texts) else None

    def next_cursor(self, *texts: str | None) -> None:
        """Remembers the cursor given out; one that does not advance stays on its page."""
        repeats = self.page_fault is not None and self.page_fault.kind == "repeat_cursor"
        if self.page is not None:
            self.pages.give_out(self.op, self.scope, texts, self.page + (0 if repeats else 1))

    def zone(self) -> Zone:
        """The zone in the path, if it exists and the caller may read it."""
        zone = self.zones.find(self.zone_id or "")
        if zone is None:
            raise no_such_zone(self.zone_id or "")
        if not zone.may_read(self.account):
            raise denied(self.op, zone.id)
        return zone


def list_resource_record_sets(call: Call) -> bytes:
    """A page of at most 300 sets from (name, type, identifier) on, whatever maxitems asks."""
    zone = call.zone()
    name, rtype, identifier = (call.query.get(key) for key in ("name", "type", "identifier"))
    if rtype and not name:
        raise ApiError(400, "InvalidInput", "type was given without name")
    if identifier and not rtype:
        raise ApiError(400, "InvalidInput", "identifier was given without name and type")
    limit, asked = paging.limit_of(call.query, MAX_RECORD_SETS)
    start = zone.index_at(_start_key(name, rtype, identifier)) if name else 0
    keys = zone.ordered()
    page = paging.cut(start, len(keys), limit, call.page_fault)
    items = [record_set(zone.sets[key]) for key in keys[page.first : page.end]]
    parts = [element("ResourceRecordSets", raw(*items))]
    if page.show_truncated:
        parts.append(element("IsTruncated", page.next is not None))
    if page.next is not None:
        following = zone.sets[keys[page.next]]
        parts.append(element("NextRecordName", following["Name"]))
        parts.append(element("NextRecordType", following["Type"]))
        if following.get("SetIdentifier"):
            parts.append(element("NextRecordIdentifier", following["SetIdentifier"]))
        call.next_cursor(following["Name"], following["Type"], following.get("SetIdentifier"))
    parts.append(element("MaxItems", asked))
    return document("ListResourceRecordSetsResponse", "".join(parts))


def _start_key(name: str, rtype: str | None, identifier: str | None) -> records.Key:
    if rtype and not re.fullmatch(r"[A-Z0-9]+", rtype):
        raise ApiError(400, "InvalidInput", f"type may not be {rtype!r}")
    try:
        return (names.order(names.parse(name)), rtype or "", identifier or "")
    except names.BadName as problem:
        raise ApiError(400, "InvalidInput", str(problem)) from problem


def list_hosted_zones(call: Call) -> bytes:
    """Zones of the calling account; the marker is the bare id of the first zone to come."""
    wanted = call.query.get("hostedzonetype")
    if wanted not in (None, "PrivateHostedZone"):
        raise ApiError(400, "InvalidInput", f"hostedzonetype may not be {wanted!r}")
    zones = [zone for zone in call.zones.own(call.account) if zone.private or wanted is None]
    marker = call.query.get("marker", "")
    start = sum(1 for zone in zones if zone.id < marker)
    limit, asked = paging.limit_of(call.query, MAX_ZONES)
    page = paging.cut(start, len(zones), limit, call.page_fault)
    items = [hosted_zone(zone) for zone in zones[page.first : page.end]]
    parts = [element("HostedZones", raw(*items)), element("Marker", marker) if marker else ""]
    if page.show_truncated:
        parts.append(element("IsTruncated", page.next is not None))
    if page.next is not None:
        parts.append(element("NextMarker", zones[page.next].id))
        call.next_cursor(zones[page.next].id)
    parts.append(element("MaxItems", asked))
    return document("ListHostedZonesResponse", "".join(parts))


def list_hosted_zones_by_name(call: Call) -> bytes:
    """Own zones by reversed name from a name on: an order to start in, not a filter."""
    name, zone_id = call.query.get("dnsname"), call.query.get("hostedzoneid")
    if zone_id and not name:
        raise ApiError(400, "InvalidInput", "hostedzoneid was given without dnsname")
    limit, asked = paging.limit_of(call.query, MAX_ZONES)
    try:
        origin = (names.order(names.parse(name)) if name else "", zone_id or "")
    except names.BadName as problem:
        raise ApiError(400, "InvalidDomainName", str(problem)) from problem
    zones = sorted(call.zones.own(call.account), key=_by_name)
    start = sum(1 for zone in zones if _by_name(zone) < origin)
    page = paging.cut(start, len(zones), limit, call.page_fault)
    parts = [
        element("HostedZones", raw(*map(hosted_zone, zones[page.first : page.end]))),
        element("DNSName", name) if name else "",
        element("HostedZoneId", zone_id) if zone_id else "",
    ]
    if page.show_truncated:
        parts.append(element("IsTruncated", page.next is not None))
    if page.next is not None:
        following = zones[page.next]
        parts.append(element("NextDNSName", following.name))
        parts.append(element("NextHostedZoneId", following.id))
        call.next_cursor(following.name, following.id)
    parts.append(element("MaxItems", asked))
    return document("ListHostedZonesByNameResponse", "".join(parts))


def _by_name(zone: Zone) -> tuple[str, str]:
    return (names.order(zone.labels), zone.id)


def list_hosted_zones_by_vpc(call: Call) -> bytes:
    """Private zones of any owner associated with this VPC *in this region*."""
    vpc_id, region = call.query.get("vpcid"), call.query.get("vpcregion")
    if not vpc_id or not region:
        raise ApiError(400, "InvalidInput", "vpcid and vpcregion are required")
    zones = call.zones.of_vpc(vpc_id, region)
    token = call.query.get("nexttoken")
    start = 0
    if token:
        first = _open_token(token, vpc_id, region)
        start = sum(1 for zone in zones if zone.id < first)
    limit, asked = paging.limit_of(call.query, MAX_ZONES)
    page = paging.cut(start, len(zones), limit, call.page_fault)
    items = [zone_summary(zone) for zone in zones[page.first : page.end]]
    parts = [element("HostedZoneSummaries", raw(*items)), element("MaxItems", asked)]
    if page.next is not None and page.show_truncated:
        following = _seal_token(vpc_id, region, zones[page.next].id)
        parts.append(element("NextToken", following))
        call.next_cursor(following)
    return document("ListHostedZonesByVPCResponse", "".join(parts))


def _seal_token(*parts: str) -> str:
    return base64.b64encode(" ".join(parts).encode()).decode()


def _open_token(token: str, vpc_id: str, region: str) -> str:
    """The zone id inside; a token of another VPC is as wrong as a damaged one."""
    try:
        parts = base64.b64decode(token, validate=True).decode().split(" ")
    except (binascii.Error, UnicodeDecodeError):
        parts = []
    if len(parts) != 3 or parts[:2] != [vpc_id, region]:
        raise ApiError(400, "InvalidPaginationToken", "the pagination token is not valid")
    return parts[2]


def get_hosted_zone(call: Call) -> bytes:
    zone = call.zone()
    inner = hosted_zone(zone)
    if zone.private:
        inner += element("VPCs", raw(*(vpc(*one) for one in zone.vpcs)))
    else:
        inner += delegation_set()
    return document("GetHostedZoneResponse", inner)


def delegation_set() -> str:
    """Only public zones are delegated to."""
    servers = (element("NameServer", name.rstrip(".")) for name in records.PUBLIC_NS)
    return element("DelegationSet", raw(element("NameServers", raw(*servers))))
