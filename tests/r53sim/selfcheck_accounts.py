"""Checks of accounts and roles, tags, profiles and resolver rules."""

from __future__ import annotations

from selfcheck import VPC, Bench, fails_with

ROLE = "arn:aws:iam::222233334444:role/zonelet"
OTHER = "222233334444"


def assumed(bench: Bench, **arguments):
    """A Route 53 client with the keys of the role, and the keys."""
    sts = bench.new_client("eu-west-1", service="sts")
    reply = sts.assume_role(RoleArn=ROLE, RoleSessionName="check", **arguments)
    keys = reply["Credentials"]
    client = bench.new_client(key=keys["AccessKeyId"], token=keys["SessionToken"])
    return client, reply


def names(zones: list[dict]) -> list[str]:
    return sorted(zone["Name"] for zone in zones)


def check_a_role_sees_its_own_accounts_zones(bench: Bench) -> None:
    bench.sim("POST", "role", {"arn": ROLE})
    bench.zone("ours.internal")
    theirs = bench.zone("theirs.internal", owner_account=OTHER, tags={"team": "core"})
    client, reply = assumed(bench)
    assert reply["AssumedRoleUser"]["Arn"].endswith(":assumed-role/zonelet/check")
    assert names(client.list_hosted_zones()["HostedZones"]) == ["theirs.internal."]
    assert names(bench.client.list_hosted_zones()["HostedZones"]) == ["ours.internal."]
    assert client.list_resource_record_sets(HostedZoneId=theirs)["ResourceRecordSets"]
    fails_with("AccessDenied", bench.client.list_resource_record_sets, HostedZoneId=theirs)
    tags = client.list_tags_for_resources(ResourceType="hostedzone", ResourceIds=[theirs])
    assert tags["ResourceTagSets"][0]["Tags"] == [{"Key": "team", "Value": "core"}]


def check_identity_is_that_of_the_key(bench: Bench) -> None:
    bench.sim("POST", "role", {"arn": ROLE})
    sts = bench.new_client("eu-west-1", service="sts")
    assert sts.get_caller_identity()["Account"] == "111122223333"
    keys = sts.assume_role(RoleArn=ROLE, RoleSessionName="check")["Credentials"]
    theirs = bench.new_client("eu-west-1", keys["AccessKeyId"], "sts", keys["SessionToken"])
    assert theirs.get_caller_identity()["Account"] == OTHER


def check_trust_asks_for_the_external_id(bench: Bench) -> None:
    bench.sim("POST", "role", {"arn": ROLE, "external_id": "between us"})
    sts = bench.new_client("eu-west-1", service="sts")
    arguments = {"RoleArn": ROLE, "RoleSessionName": "check"}
    error = fails_with("AccessDenied", sts.assume_role, **arguments)
    assert "sts:AssumeRole" in error.response["Error"]["Message"]
    fails_with("AccessDenied", sts.assume_role, ExternalId="of others", **arguments)
    assert sts.assume_role(ExternalId="between us", **arguments)["Credentials"]
    bench.sim("POST", "role", {"arn": ROLE, "allowed": False})
    fails_with("AccessDenied", sts.assume_role, ExternalId="between us", **arguments)


def check_keys_expire(bench: Bench) -> None:
    bench.sim("POST", "role", {"arn": ROLE, "lifetime": -1})
    client, _ = assumed(bench)
    fails_with("ExpiredToken", client.list_hosted_zones)


def check_tags_of_one_denied_zone_deny_the_call(bench: Bench) -> None:
    seen = bench.zone("a.internal", tags={"env": "prod"})
    hidden = bench.zone("b.internal", tags_readable=False)
    call = bench.client.list_tags_for_resources
    fails_with("AccessDenied", call, ResourceType="hostedzone", ResourceIds=[seen, hidden])
    fails_with("InvalidInput", call, ResourceType="hostedzone", ResourceIds=[seen] * 11)
    reply = call(ResourceType="hostedzone", ResourceIds=[seen])
    assert reply["ResourceTagSets"][0]["ResourceId"] == seen


def check_profiles_are_paged_by_vpc(bench: Bench) -> None:
    zones = [f"arn:aws:route53:::hostedzone/Z{n}" for n in range(5)]
    bench.sim("POST", "profile", {"id": "rp-1", "vpcs": [VPC["id"]], "resources": zones})
    bench.sim("POST", "profile", {"id": "rp-2", "vpcs": ["vpc-b"], "status": "FAILED"})
    client = bench.new_client("eu-west-1", service="route53profiles")
    found = client.list_profile_associations(ResourceId=VPC["id"])["ProfileAssociations"]
    assert [one["ProfileId"] for one in found] == ["rp-1"]
    pages = client.get_paginator("list_profile_resource_associations").paginate(
        ProfileId="rp-1", PaginationConfig={"PageSize": 2}
    )
    listed = [one["ResourceArn"] for page in pages for one in page["ProfileResourceAssociations"]]
    assert listed == zones
    call = client.list_profile_resource_associations
    fails_with("ResourceNotFoundException", call, ProfileId="rp-9")
    bench.fault("error", op="ListProfileAssociations", status=403, code="AccessDeniedException")
    fails_with("AccessDeniedException", client.list_profile_associations, ResourceId=VPC["id"])


def check_rules_are_listed_by_vpc(bench: Bench) -> None:
    for number in range(3):
        rule = {"id": f"rslvr-rr-{number}", "domain": f"d{number}.test.", "vpcs": [VPC["id"]]}
        bench.sim("POST", "rule", rule)
    bench.sim("POST", "rule", {"id": "rslvr-rr-9", "domain": "x.test.", "vpcs": ["vpc-b"]})
    client = bench.new_client("eu-west-1", service="route53resolver")
    pages = client.get_paginator("list_resolver_rule_associations").paginate(
        Filters=[{"Name": "VPCId", "Values": [VPC["id"]]}], PaginationConfig={"PageSize": 2}
    )
    listed = [one["ResolverRuleId"] for page in pages for one in page["ResolverRuleAssociations"]]
    assert listed == ["rslvr-rr-0", "rslvr-rr-1", "rslvr-rr-2"]
    rule = client.get_resolver_rule(ResolverRuleId="rslvr-rr-1")["ResolverRule"]
    assert (rule["DomainName"], rule["RuleType"]) == ("d1.test.", "FORWARD")
    fails_with("ResourceNotFoundException", client.get_resolver_rule, ResolverRuleId="rslvr-rr-8")
    bench.fault("throttle", op="GetResolverRule")
    fails_with("ThrottlingException", client.get_resolver_rule, ResolverRuleId="rslvr-rr-1")
