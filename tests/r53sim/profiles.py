"""Route 53 Profiles: what a profile gives to the VPCs that are associated with it.

REST-JSON; shapes follow the botocore model `route53profiles/2018-05-10`.
"""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl, unquote, urlsplit

from errors import ApiError
from model import ACCOUNT

SERVICE = "route53profiles"
CONTENT_TYPE = "application/json"
MAX_RESULTS = 100


class Profiles:
    """Profiles by id: `{vpcs, resources, status}`; a resource is `{arn, status}`."""

    def __init__(self) -> None:
        self.by_id: dict[str, dict] = {}

    def configure(self, value: dict) -> dict:
        """Makes or replaces a profile."""
        known = {"id", "vpcs", "resources", "status"}
        if not set(value) <= known:
            raise ValueError(f"unknown field; known: {sorted(known)}")
        resources = [
            {"arn": one, "status": "COMPLETE"} if isinstance(one, str) else one
            for one in value.get("resources", [])
        ]
        self.by_id[value["id"]] = {
            "vpcs": value.get("vpcs", []),
            "resources": resources,
            "status": value.get("status", "COMPLETE"),
        }
        return {"id": value["id"]}


def match(method: str, path: str, headers, body: bytes) -> tuple[str, dict] | None:
    """Operation and parameters of a request to Profiles; `None` for any other."""
    parts = urlsplit(path)
    params = dict(parse_qsl(parts.query))
    if method != "GET":
        return None
    if parts.path == "/profileassociations":
        return "ListProfileAssociations", params
    found = re.fullmatch(r"/profileresourceassociations/profileid/([^/]+)", parts.path)
    if found:
        return "ListProfileResourceAssociations", {**params, "profile": unquote(found[1])}
    return None


def answer(sim, op: str, params: dict, access_key: str | None) -> bytes:
    """The reply to one call."""
    if op == "ListProfileAssociations":
        items = [
            _association(profile_id, profile, vpc)
            for profile_id, profile in sorted(sim.profiles.by_id.items())
            for vpc in profile["vpcs"]
            if params.get("resourceId") in (None, vpc)
        ]
        return _page("ProfileAssociations", items, params)
    profile = sim.profiles.by_id.get(params["profile"])
    if profile is None:
        raise ApiError(404, "ResourceNotFoundException", f"no profile {params['profile']}")
    items = [_resource(params["profile"], one) for one in profile["resources"]]
    return _page("ProfileResourceAssociations", items, params)


def _association(profile_id: str, profile: dict, vpc: str) -> dict:
    return {
        "Id": f"rpassoc-{profile_id}-{vpc}",
        "Name": "made by r53sim",
        "OwnerId": ACCOUNT,
        "ProfileId": profile_id,
        "ResourceId": vpc,
        "Status": profile["status"],
        "CreationTime": 1750000000.0,
    }


def _resource(profile_id: str, resource: dict) -> dict:
    kind = "RESOLVER_RULE" if ":resolver-rule/" in resource["arn"] else "HOSTED_ZONE"
    return {
        "Id": f"rpr-{resource['arn'].rpartition('/')[2]}",
        "Name": "made by r53sim",
        "OwnerId": ACCOUNT,
        "ProfileId": profile_id,
        "ResourceArn": resource["arn"],
        "ResourceType": kind,
        "Status": resource["status"],
        "CreationTime": 1750000000.0,
    }


def _page(name: str, items: list[dict], params: dict) -> bytes:
    limit = min(int(params.get("maxResults", MAX_RESULTS)), MAX_RESULTS)
    token = params.get("nextToken", "0")
    if not token.isdigit():
        raise ApiError(400, "InvalidNextTokenException", "the token is not one of ours")
    start = int(token)
    reply: dict = {name: items[start : start + limit]}
    if start + limit < len(items):
        reply["NextToken"] = str(start + limit)
    return json.dumps(reply).encode()


def failure(error: ApiError) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an error."""
    return json.dumps({"Message": error.message}).encode(), {"x-amzn-ErrorType": error.code}
