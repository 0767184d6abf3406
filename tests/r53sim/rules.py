"""Route 53 Resolver: the rules that are associated with a VPC.

JSON 1.1; shapes follow the botocore model `route53resolver/2018-04-01`.
"""

from __future__ import annotations

import json

from errors import ApiError
from model import ACCOUNT

SERVICE = "route53resolver"
CONTENT_TYPE = "application/x-amz-json-1.1"
MAX_RESULTS = 100
_PREFIX = "Route53Resolver."


class Rules:
    """Resolver rules by id: `{domain, type, vpcs, status}`."""

    def __init__(self) -> None:
        self.by_id: dict[str, dict] = {}

    def configure(self, value: dict) -> dict:
        """Makes or replaces a rule. `status` is that of its associations."""
        known = {"id", "domain", "type", "vpcs", "status"}
        if not set(value) <= known:
            raise ValueError(f"unknown field; known: {sorted(known)}")
        self.by_id[value["id"]] = {
            "domain": value["domain"],
            "type": value.get("type", "FORWARD"),
            "vpcs": value.get("vpcs", []),
            "status": value.get("status", "COMPLETE"),
        }
        return {"id": value["id"]}


def match(method: str, path: str, headers, body: bytes) -> tuple[str, dict] | None:
    """Operation and parameters of a request to Resolver; `None` for any other."""
    target = headers.get("X-Amz-Target") or ""
    if method != "POST" or not target.startswith(_PREFIX):
        return None
    return target.removeprefix(_PREFIX), json.loads(body or b"{}")


def answer(sim, op: str, params: dict, access_key: str | None) -> bytes:
    """The reply to one call."""
    if op == "ListResolverRuleAssociations":
        return _associations(sim, params)
    if op == "GetResolverRule":
        rule_id = params.get("ResolverRuleId", "")
        rule = sim.rules.by_id.get(rule_id)
        if rule is None:
            raise ApiError(400, "ResourceNotFoundException", f"no rule {rule_id}")
        return json.dumps({"ResolverRule": _rule(rule_id, rule)}).encode()
    raise ApiError(400, "UnknownOperationException", f"r53sim does not know {op}")


def _associations(sim, params: dict) -> bytes:
    wanted = {one["Name"]: one["Values"] for one in params.get("Filters", [])}
    if not set(wanted) <= {"VPCId", "ResolverRuleId", "Name", "Status"}:
        raise ApiError(400, "InvalidParameterException", "unknown filter")
    items = [
        {
            "Id": f"rslvr-rrassoc-{rule_id}-{vpc}",
            "ResolverRuleId": rule_id,
            "Name": "made by r53sim",
            "VPCId": vpc,
            "Status": rule["status"],
        }
        for rule_id, rule in sorted(sim.rules.by_id.items())
        for vpc in rule["vpcs"]
        if vpc in wanted.get("VPCId", [vpc])
    ]
    limit = min(int(params.get("MaxResults", MAX_RESULTS)), MAX_RESULTS)
    start = int(params.get("NextToken") or 0)
    reply: dict = {
        "MaxResults": limit,
        "ResolverRuleAssociations": items[start : start + limit],
    }
    if start + limit < len(items):
        reply["NextToken"] = str(start + limit)
    return json.dumps(reply).encode()


def _rule(rule_id: str, rule: dict) -> dict:
    return {
        "Id": rule_id,
        "Arn": f"arn:aws:route53resolver:eu-west-1:{ACCOUNT}:resolver-rule/{rule_id}",
        "DomainName": rule["domain"],
        "Status": "COMPLETE",
        "RuleType": rule["type"],
        "Name": "made by r53sim",
        "OwnerId": ACCOUNT,
        "ShareStatus": "NOT_SHARED",
    }


def failure(error: ApiError) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an error."""
    return json.dumps({"__type": error.code, "message": error.message}).encode(), {}
