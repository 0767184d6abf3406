"""Checks of single calls: round trips, changes and their rules, zones, signing, metadata."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from selfcheck import VPC, Bench, assert_complete, fails_with

ONE_OF_EACH = {
    "A": ["10.0.0.1", "10.0.0.2"],
    "AAAA": ["2001:db8::1"],
    "CAA": ['0 issue "ca.example.net"'],
    "CNAME": ["db.example.com"],
    "DS": ["12345 13 2 " + "AB" * 32],
    "HTTPS": ['1 . alpn="h2,h3"', "2 svc.example.com"],
    "MX": ["10 mail.example.com."],
    "NAPTR": ['100 50 "s" "z3950+I2L" "!^.*$!\\\\1!" _tcp.example.com.'],
    "NS": ["ns1.example.com."],
    "PTR": ["host.example.com."],
    "SPF": ['"v=spf1 -all"'],
    "SRV": ["1 2 443 srv.example.com"],
    "SSHFP": ["4 2 " + "0f" * 32],
    "SVCB": ["16 foo.example.com port=53"],
    "TLSA": ["3 1 1 " + "0A" * 32],
    "TXT": ['"ex\\344mple" "c\\"d"', '"\\052 <&> "'],
}


def change(bench: Bench, zone: str, action: str, *records: dict) -> dict:
    changes = [{"Action": action, "ResourceRecordSet": record} for record in records]
    return bench.client.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": changes}
    )


def refused(bench: Bench, zone: str, *changes: tuple[str, dict]) -> str:
    """The message of the InvalidChangeBatch that these changes must meet."""
    batch = [{"Action": action, "ResourceRecordSet": record} for action, record in changes]
    call = bench.client.change_resource_record_sets
    error = fails_with(
        "InvalidChangeBatch", call, HostedZoneId=zone, ChangeBatch={"Changes": batch}
    )
    return error.response["Error"]["Message"]


def a(name: str, *values: str, **extra) -> dict:
    values = [{"Value": value} for value in values or ("10.0.0.1",)]
    return {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": values, **extra}


def check_all_types_round_trip(bench: Bench) -> None:
    zone = bench.zone()
    records = [
        {
            "Name": f"{rtype.lower()}.corp.internal.",
            "Type": rtype,
            "TTL": 77,
            "ResourceRecords": [{"Value": value} for value in values],
        }
        for rtype, values in ONE_OF_EACH.items()
    ]
    change(bench, zone, "CREATE", *records)
    listed = bench.listing(zone)
    assert len({one["Type"] for one in listed}) == 17, "16 above and the SOA"
    for record in records:
        assert record in listed, record
    change(bench, zone, "DELETE", *records)
    assert len(bench.listing(zone)) == 2


def check_policies_and_aliases_round_trip(bench: Bench) -> None:
    own = bench.zone()
    alias = {
        "HostedZoneId": "Z35SXDOTRQ7X7K",
        "DNSName": "Dualstack.lb-1.us-east-1.elb.amazonaws.com",
        "EvaluateTargetHealth": True,
    }
    point = {"Coordinates": {"Latitude": "49.22", "Longitude": "-74.01"}, "Bias": -12}
    cidr = {"CollectionId": "c8c02a84-aaaa-bbbb-e0d2-d833a2f80106", "LocationName": "*"}
    policies = [
        {"Weight": 0, "HealthCheckId": "hc-1"},
        {"Weight": 255},
        {"Region": "eu-central-1"},
        {"GeoLocation": {"ContinentCode": "EU"}},
        {"GeoLocation": {"CountryCode": "US", "SubdivisionCode": "CA"}},
        {"GeoLocation": {"CountryCode": "*"}},
        {"Failover": "PRIMARY", "TrafficPolicyInstanceId": "tpi-1"},
        {"Failover": "SECONDARY"},
        {"MultiValueAnswer": True},
        {"CidrRoutingConfig": cidr},
        {"GeoProximityLocation": {"AWSRegion": "us-west-2", "Bias": 99}},
        {"GeoProximityLocation": {"LocalZoneGroup": "us-west-2-lax-1"}},
        {"GeoProximityLocation": point},
    ]
    records = [
        a(f"p{n}.corp.internal.", SetIdentifier=f"<set & {n}>", **policy)
        for n, policy in enumerate(policies)
    ]
    aliased = {"Name": "corp.internal.", "Type": "A", "AliasTarget": alias}
    change(bench, own, "CREATE", aliased, *records)
    listed = bench.listing(own)
    assert_complete(bench, own, listed)
    for record in records:
        assert record in listed, record
    (got,) = [one for one in listed if "AliasTarget" in one]
    assert got["AliasTarget"]["DNSName"] == "dualstack.lb-1.us-east-1.elb.amazonaws.com."
    assert got["AliasTarget"]["EvaluateTargetHealth"] is True
    assert "TTL" not in got and "ResourceRecords" not in got


def check_new_private_zone_is_as_route_53_makes_it(bench: Bench) -> None:
    vpc = {"VPCId": VPC["id"], "VPCRegion": VPC["region"]}
    create = bench.client.create_hosted_zone
    made = create(Name="Corp.Internal", CallerReference="ref-1", VPC=vpc)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    zone = made["HostedZone"]["Id"]
    assert zone.startswith("/hostedzone/Z") and made["Location"].endswith(zone)
    assert made["HostedZone"]["Name"] == "corp.internal."
    name_servers, soa = bench.listing(zone)
    values = [one["Value"] for one in name_servers["ResourceRecords"]]
    assert (name_servers["Type"], name_servers["TTL"]) == ("NS", 172800)
    assert sorted(values) == [
        "ns-0.awsdns-00.com.",
        "ns-1024.awsdns-00.org.",
        "ns-1536.awsdns-00.co.uk.",
        "ns-512.awsdns-00.net.",
    ]
    assert (soa["Type"], soa["TTL"]) == ("SOA", 900)
    assert soa["ResourceRecords"][0]["Value"] == (
        "ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"
    )
    got = bench.client.get_hosted_zone(Id=zone)
    assert got["VPCs"] == [vpc] and got["HostedZone"]["ResourceRecordSetCount"] == 2
    assert got["HostedZone"]["Config"]["PrivateZone"] is True
    fails_with("HostedZoneAlreadyExists", create, Name="x.test", CallerReference="ref-1", VPC=vpc)
    again = {"Name": "corp.internal", "CallerReference": "ref-2", "VPC": vpc}
    fails_with("ConflictingDomainExists", create, **again)


def check_associations_and_deletion(bench: Bench) -> None:
    client, zone = bench.client, bench.zone()
    second = {"VPCId": "vpc-b", "VPCRegion": "us-east-1"}
    first = {"VPCId": VPC["id"], "VPCRegion": VPC["region"]}
    client.associate_vpc_with_hosted_zone(HostedZoneId=zone, VPC=second)
    assert client.list_hosted_zones_by_vpc(**second)["HostedZoneSummaries"]
    client.disassociate_vpc_from_hosted_zone(HostedZoneId=zone, VPC=first)
    leave = client.disassociate_vpc_from_hosted_zone
    fails_with("VPCAssociationNotFound", leave, HostedZoneId=zone, VPC=first)
    fails_with("LastVPCAssociation", leave, HostedZoneId=zone, VPC=second)
    change(bench, zone, "CREATE", a("x.corp.internal"))
    fails_with("HostedZoneNotEmpty", client.delete_hosted_zone, Id=zone)
    change(bench, zone, "DELETE", a("x.corp.internal"))
    done = client.delete_hosted_zone(Id=zone)["ChangeInfo"]
    fails_with("NoSuchHostedZone", client.get_hosted_zone, Id=zone)
    assert client.get_change(Id=done["Id"])["ChangeInfo"]["Status"] == "INSYNC"


def check_change_batches_are_checked_and_atomic(bench: Bench) -> None:
    zone = bench.zone(records=[a("x.corp.internal")])
    good, cname = a("good.corp.internal"), {"Value": "y.example.com"}
    alias = {"Name": "x.corp.internal", "Type": "CNAME", "TTL": 1, "ResourceRecords": [cname]}
    cases = [
        ("CREATE", a("x.corp.internal"), "already exists"),
        ("DELETE", a("gone.corp.internal"), "was not found"),
        ("DELETE", a("x.corp.internal", "10.9.9.9"), "do not match"),
        ("CREATE", a("x.example.com"), "is not permitted in zone"),
        ("CREATE", {**alias, "Name": "corp.internal"}, "is not permitted at apex"),
        ("CREATE", alias, "conflicts with other records"),
        ("CREATE", a("y.corp.internal", "10.0.0"), "Invalid Resource Record"),
        ("CREATE", a("y.corp.internal", Weight=1), "SetIdentifier go together"),
        ("CREATE", a("x.corp.internal", Weight=1, SetIdentifier="s"), "policies are mixed"),
        ("DELETE", bench.listing(zone)[1], "must keep the SOA"),
    ]
    for action, record, text in cases:
        message = refused(bench, zone, ("CREATE", good), (action, record))
        assert text in message, message
        assert len(bench.listing(zone)) == 3, "a refused batch left something behind"
    change(bench, zone, "UPSERT", a("x.corp.internal", "10.0.0.7"))
    assert bench.listing(zone)[2]["ResourceRecords"] == [{"Value": "10.0.0.7"}]


def check_unreadable_zones(bench: Bench) -> None:
    client = bench.client
    zone = bench.zone("fs.internal", owner_service="efs.amazonaws.com")
    listing = client.list_resource_record_sets
    assert fails_with("AccessDenied", listing, HostedZoneId=zone).response["ResponseMetadata"][
        "HTTPStatusCode"
    ] == 403
    bench.sim("PATCH", f"zone/{zone}", {"readable": True})
    assert client.get_hosted_zone(Id=zone)["HostedZone"]["LinkedService"]["ServicePrincipal"]
    bench.sim("DELETE", f"zone/{zone}")
    fails_with("NoSuchHostedZone", listing, HostedZoneId=zone)


def check_tags(bench: Bench) -> None:
    zone = bench.zone(tags={"team": "dns"})
    tagged = bench.client.list_tags_for_resource(ResourceType="hostedzone", ResourceId=zone)
    assert tagged["ResourceTagSet"]["Tags"] == [{"Key": "team", "Value": "dns"}]
    many = bench.client.list_tags_for_resources(ResourceType="hostedzone", ResourceIds=[zone])
    assert many["ResourceTagSets"][0]["ResourceId"] == zone


def check_signing_region_is_recorded_and_can_be_required(bench: Bench) -> None:
    bench.new_client("eu-west-1", "AKIDWEST").list_hosted_zones()
    bench.client.list_hosted_zones()
    calls = bench.sim("GET", "calls")
    seen = [(call["signing_region"], call["access_key"]) for call in calls]
    # boto3 takes the region of the client when the endpoint is given.
    assert seen == [("eu-west-1", "AKIDWEST"), ("us-east-1", "AKIDTEST")], seen
    bench.sim("POST", "signing", {"region": "us-east-1"})
    bench.client.list_hosted_zones()
    fails_with("SignatureDoesNotMatch", bench.new_client("eu-west-1").list_hosted_zones)
    try:
        urllib.request.urlopen(f"{bench.url}/2013-04-01/hostedzone")
    except urllib.error.HTTPError as error:
        assert error.code == 403 and b"MissingAuthenticationToken" in error.read()
    else:
        raise AssertionError("an unsigned call was answered")


def check_metadata_double(bench: Bench) -> None:
    def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        request = urllib.request.Request(f"{bench.url}/latest/{path}", None, names, method=method)
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    bench.sim("POST", "imds", {"vpc_id": "vpc-77", "region": "eu-west-3"})
    assert ask("meta-data/mac") == (401, "")
    assert ask("api/token", "PUT") == (400, "")
    _, token = ask("api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
    with_token = {"X_aws_ec2_metadata_token": token}
    _, mac = ask("meta-data/mac", **with_token)
    path = f"meta-data/network/interfaces/macs/{mac}/vpc-id"
    assert ask(path, **with_token) == (200, "vpc-77")
    assert ask("meta-data/placement/region", **with_token) == (200, "eu-west-3")
    _, document = ask("dynamic/instance-identity/document", **with_token)
    assert json.loads(document)["region"] == "eu-west-3"
    bench.sim("POST", "imds", {"enabled": False})
    assert ask("meta-data/mac", **with_token) == (404, "")
    assert ask("api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60") == (404, "")
