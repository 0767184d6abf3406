"""REST-XML in and out.

Element names and their order follow the botocore service model. Output is built as text, not
through an XML library, so that faults can cut it at a known byte and so that the declaration and
the namespace stand exactly where the service puts them.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

import records
from errors import ApiError
from model import Zone

NAMESPACE = "https://route53.amazonaws.com/doc/2013-04-01/"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def element(tag: str, value: object) -> str:
    """One element; `value` is a scalar, or text that `raw` has marked as XML already."""
    if isinstance(value, Raw):
        return f"<{tag}>{value}</{tag}>"
    if isinstance(value, bool):
        value = "true" if value else "false"
    return f"<{tag}>{escape(str(value))}</{tag}>"


class Raw(str):
    """Text that is XML and must not be escaped again."""


def raw(*parts: str) -> Raw:
    return Raw("".join(parts))


def document(root: str, inner: str) -> bytes:
    """A whole reply body. An empty `inner` gives the empty root element."""
    tail = f">{inner}</{root}>" if inner else "/>"
    return f'{DECLARATION}<{root} xmlns="{NAMESPACE}"{tail}'.encode()


def error_document(error: ApiError, request_id: str) -> bytes:
    kind = "Receiver" if error.status >= 500 else "Sender"
    inner = element(
        "Error",
        raw(
            element("Type", kind), element("Code", error.code), element("Message", error.message)
        ),
    )
    return document("ErrorResponse", inner + element("RequestId", request_id))


def record_set(record: dict) -> str:
    return element("ResourceRecordSet", _by_table(record, records.FIELDS))


def _by_table(value: dict, table: dict) -> Raw:
    parts = []
    for field, kind in table.items():
        if value.get(field) is None:
            continue
        if isinstance(kind, dict):
            parts.append(element(field, _by_table(value[field], kind)))
        elif isinstance(kind, list):
            items = [element("ResourceRecord", _by_table(one, kind[0])) for one in value[field]]
            parts.append(element(field, raw(*items)))
        else:
            parts.append(element(field, value[field]))
    return raw(*parts)


def hosted_zone(zone: Zone) -> str:
    """HostedZone as list and get calls show it: the id carries its prefix here."""
    parts = [
        element("Id", f"/hostedzone/{zone.id}"),
        element("Name", zone.name),
        element("CallerReference", zone.caller_reference or zone.id),
        element(
            "Config",
            raw(
                element("Comment", zone.comment) if zone.comment else "",
                element("PrivateZone", zone.private),
            ),
        ),
        element("ResourceRecordSetCount", len(zone.sets)),
    ]
    service = zone.owner_service or zone.linked_service
    if service:
        inner = raw(element("ServicePrincipal", service), element("Description", "made by r53sim"))
        parts.append(element("LinkedService", inner))
    return element("HostedZone", raw(*parts))


def vpc(vpc_id: str, region: str) -> str:
    return element("VPC", raw(element("VPCRegion", region), element("VPCId", vpc_id)))


def zone_summary(zone: Zone) -> str:
    """HostedZoneSummary of ListHostedZonesByVPC: the id is bare here."""
    if zone.owner_service:
        owner = element("OwningService", zone.owner_service)
    else:
        owner = element("OwningAccount", zone.owner_account or "")
    return element(
        "HostedZoneSummary",
        raw(
            element("HostedZoneId", zone.id),
            element("Name", zone.name),
            element("Owner", raw(owner)),
        ),
    )


def parse(body: bytes, root: str) -> ElementTree.Element:
    """Reads a request body and drops its namespace from every tag."""
    try:
        tree = ElementTree.fromstring(body)
    except ElementTree.ParseError as problem:
        raise ApiError(400, "InvalidInput", f"malformed XML: {problem}") from problem
    for node in tree.iter():
        node.tag = node.tag.rpartition("}")[2]
    if tree.tag != root:
        raise ApiError(400, "InvalidInput", f"expected {root}, got {tree.tag}")
    return tree


def need(tree: ElementTree.Element, path: str) -> str:
    """Text of an element that must be there."""
    text = tree.findtext(path)
    if not text:
        raise ApiError(400, "InvalidInput", f"{path} is missing")
    return text


def read_changes(tree: ElementTree.Element) -> list[dict]:
    """The changes of a ChangeResourceRecordSetsRequest in JSON shape."""
    out = []
    for change in tree.iterfind("ChangeBatch/Changes/Change"):
        node = change.find("ResourceRecordSet")
        if node is None:
            raise ApiError(400, "InvalidInput", "ResourceRecordSet is missing")
        need(node, "Name")
        need(node, "Type")
        record = _read_table(node, records.FIELDS)
        out.append({"Action": need(change, "Action"), "ResourceRecordSet": record})
    return out


def _read_table(node: ElementTree.Element, table: dict) -> dict:
    out: dict = {}
    for field, kind in table.items():
        child = node.find(field)
        if child is None:
            continue
        if isinstance(kind, dict):
            out[field] = _read_table(child, kind)
        elif isinstance(kind, list):
            out[field] = [_read_table(one, kind[0]) for one in child]
        else:
            out[field] = _read_scalar(field, child.text or "", kind)
    return out


def _read_scalar(field: str, text: str, kind: type) -> object:
    if kind is bool:
        return text == "true"
    try:
        return kind(text)
    except ValueError as problem:
        raise ApiError(400, "InvalidInput", f"{field}: {text!r} is not a number") from problem
