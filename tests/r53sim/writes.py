"""The calls that change something, and the small calls around them (tags, GetChange)."""

from __future__ import annotations

import itertools

import names
import records
from changes import apply_batch
from errors import ApiError, denied, no_such_zone
from model import Zone
from reads import Call, delegation_set
from xmlio import document, element, hosted_zone, need, parse, raw, read_changes, vpc

_change_ids = itertools.count(1)


def change_info(status: str = "PENDING", change_id: str | None = None) -> str:
    """ChangeInfo. The time is fixed: nothing may depend on it, and replies stay comparable."""
    change_id = change_id or f"C{next(_change_ids):010d}R53SIM"
    return element(
        "ChangeInfo",
        raw(
            element("Id", f"/change/{change_id}"),
            element("Status", status),
            element("SubmittedAt", "2026-01-01T00:00:00.000Z"),
        ),
    )


def create_hosted_zone(call: Call) -> bytes:
    """A zone is private exactly if the request names a VPC."""
    tree = parse(call.body, "CreateHostedZoneRequest")
    reference = need(tree, "CallerReference")
    try:
        name = names.normal(need(tree, "Name"))
    except names.BadName as problem:
        raise ApiError(400, "InvalidDomainName", str(problem)) from problem
    if name == "." or name.startswith("\\052."):
        raise ApiError(400, "InvalidDomainName", f"{name} may not be a hosted zone")
    if any(zone.caller_reference == reference for zone in call.zones.all()):
        message = f"A hosted zone has already been created with caller reference {reference}"
        raise ApiError(409, "HostedZoneAlreadyExists", message)
    private = tree.find("VPC") is not None
    if tree.findtext("HostedZoneConfig/PrivateZone") == "true" and not private:
        raise ApiError(400, "InvalidInput", "a private zone needs a VPC")
    zone = Zone(call.zones.new_id(), name, private, reference)
    zone.comment = tree.findtext("HostedZoneConfig/Comment") or ""
    if private:
        zone.vpcs.append(_free_vpc(call, tree, name))
    for record in records.apex_defaults(name, private, None, 900):
        zone.put(record)
    call.zones.add(zone)
    call.headers["Location"] = f"https://route53.amazonaws.com/2013-04-01/hostedzone/{zone.id}"
    tail = vpc(*zone.vpcs[0]) if private else delegation_set()
    return document("CreateHostedZoneResponse", hosted_zone(zone) + change_info() + tail)


def _free_vpc(call: Call, tree, name: str) -> tuple[str, str]:
    """The VPC of the request, unless it already has a zone of this name."""
    vpc_id, region = need(tree, "VPC/VPCId"), need(tree, "VPC/VPCRegion")
    if any(zone.name == name for zone in call.zones.of_vpc(vpc_id, region)):
        message = f"The VPC {vpc_id} in region {region} has already been associated with {name}"
        raise ApiError(400, "ConflictingDomainExists", message)
    return vpc_id, region


def change_resource_record_sets(call: Call) -> bytes:
    zone = call.zone()
    tree = parse(call.body, "ChangeResourceRecordSetsRequest")
    apply_batch(zone, read_changes(tree))
    return document("ChangeResourceRecordSetsResponse", change_info())


def associate_vpc(call: Call) -> bytes:
    zone = call.zone()
    tree = parse(call.body, "AssociateVPCWithHostedZoneRequest")
    if not zone.private:
        message = "you tried to associate a VPC with a public hosted zone"
        raise ApiError(400, "PublicZoneVPCAssociation", message)
    pair = (need(tree, "VPC/VPCId"), need(tree, "VPC/VPCRegion"))
    if pair not in zone.vpcs:
        zone.vpcs.append(_free_vpc(call, tree, zone.name))
    return document("AssociateVPCWithHostedZoneResponse", change_info())


def disassociate_vpc(call: Call) -> bytes:
    zone = call.zone()
    tree = parse(call.body, "DisassociateVPCFromHostedZoneRequest")
    pair = (need(tree, "VPC/VPCId"), need(tree, "VPC/VPCRegion"))
    if pair not in zone.vpcs:
        message = f"{pair[0]} in {pair[1]} is not associated with hosted zone {zone.id}"
        raise ApiError(404, "VPCAssociationNotFound", message)
    if len(zone.vpcs) == 1:
        message = f"{pair[0]} is the last VPC of hosted zone {zone.id}"
        raise ApiError(400, "LastVPCAssociation", message)
    zone.vpcs.remove(pair)
    return document("DisassociateVPCFromHostedZoneResponse", change_info())


def delete_hosted_zone(call: Call) -> bytes:
    zone = call.zone()
    if any((one["Name"], one["Type"]) not in _apex(zone) for one in zone.sets.values()):
        message = "The specified hosted zone contains non-required resource record sets"
        raise ApiError(400, "HostedZoneNotEmpty", message)
    call.zones.drop(zone.id)
    return document("DeleteHostedZoneResponse", change_info())


def _apex(zone: Zone) -> set[tuple[str, str]]:
    return {(zone.name, "SOA"), (zone.name, "NS")}


def get_change(call: Call) -> bytes:
    """Every change is already in sync: the simulator has no edge to wait for."""
    return document("GetChangeResponse", change_info("INSYNC", call.params["change"]))


def list_tags_for_resource(call: Call) -> bytes:
    tags = _tag_set(call, call.params["resource"])
    return document("ListTagsForResourceResponse", tags)


def list_tags_for_resources(call: Call) -> bytes:
    tree = parse(call.body, "ListTagsForResourcesRequest")
    ids = [node.text or "" for node in tree.iterfind("ResourceIds/ResourceId")]
    if not 1 <= len(ids) <= 10:
        raise ApiError(400, "InvalidInput", "give 1 to 10 resource ids")
    sets = raw(*(_tag_set(call, one) for one in ids))
    return document("ListTagsForResourcesResponse", element("ResourceTagSets", sets))


def _tag_set(call: Call, zone_id: str) -> str:
    """Tags of one hosted zone; health checks have none here."""
    zone = call.zones.find(zone_id)
    if call.params["type"] != "hostedzone" or zone is None:
        raise no_such_zone(zone_id)
    if not zone.tags_readable or not (zone.may_read(call.account) or zone.is_of(call.account)):
        raise denied(call.op, zone.id)
    tags = (
        element("Tag", raw(element("Key", key), element("Value", value)))
        for key, value in zone.tags.items()
    )
    inner = raw(
        element("ResourceType", "hostedzone"),
        element("ResourceId", zone.id),
        element("Tags", raw(*tags)),
    )
    return element("ResourceTagSet", inner)
