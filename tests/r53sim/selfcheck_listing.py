"""Checks of the listings: paging, order, cursors and the spelling of names."""

from __future__ import annotations

from selfcheck import VPC, Bench, assert_complete, fails_with, identity


def weighted(name: str, identifier: str, weight: int = 1) -> dict:
    return {
        "Name": name,
        "Type": "A",
        "TTL": 60,
        "SetIdentifier": identifier,
        "Weight": weight,
        "ResourceRecords": [{"Value": "10.0.0.1"}],
    }


def pages_of(bench: Bench) -> list[int]:
    return [call["page"] for call in bench.sim("GET", "calls")]


def check_zone_sizes_around_the_page_limit(bench: Bench) -> None:
    for count, pages in ((0, 1), (1, 1), (299, 1), (300, 1), (301, 2), (1000, 4)):
        zone = bench.zone(generate=count, defaults=False)
        bench.sim("DELETE", "calls")
        listed = bench.listing(zone)
        assert len(listed) == count
        assert_complete(bench, zone, listed)
        assert pages_of(bench) == list(range(1, pages + 1)), (count, pages_of(bench))


def check_more_than_300_is_answered_with_300(bench: Bench) -> None:
    zone = bench.zone(generate=700)
    listed = bench.listing(zone, page_size=1000)
    assert len(listed) == 702
    assert_complete(bench, zone, listed)
    assert len(bench.sim("GET", "calls")) == 3
    page = bench.client.list_resource_record_sets(HostedZoneId=zone, MaxItems="1000")
    assert len(page["ResourceRecordSets"]) == 300 and page["IsTruncated"]


def check_group_across_a_page_boundary(bench: Bench) -> None:
    names = [f"a{n:03d}.corp.internal" for n in range(299)]
    simple = [{"Name": n, "Type": "A", "ResourceRecords": [{"Value": "10.0.0.1"}]} for n in names]
    group = [weighted("wt.corp.internal", f"id {n}/{n}") for n in range(100)]
    zone = bench.zone(records=simple + group, defaults=False)
    listed = bench.listing(zone)
    assert len(listed) == 399
    assert_complete(bench, zone, listed)
    second = bench.sim("GET", "calls")[1]["query"]
    assert second == {"name": "wt.corp.internal.", "type": "A", "identifier": "id 1/1"}, second


def check_group_larger_than_the_page(bench: Bench) -> None:
    group = [weighted("wt.corp.internal", f"{n:02d}") for n in range(34)]
    zone = bench.zone(records=group)
    for size in (1, 7, 10, 33):
        assert_complete(bench, zone, bench.listing(zone, page_size=size))


def check_names_are_escaped_in_octal_and_lowered(bench: Bench) -> None:
    spellings = {
        "*.corp.internal": "\\052.corp.internal.",
        "a-*.corp.internal": "a-\\052.corp.internal.",
        "@.corp.internal": "\\100.corp.internal.",
        "ex\\344mple.corp.internal": "ex\\344mple.corp.internal.",
        "a\\056b.corp.internal": "a\\056b.corp.internal.",
        "a.b.corp.internal": "a.b.corp.internal.",
        "UPPER.Corp.Internal": "upper.corp.internal.",
        "sp\\040ace/x.corp.internal": "sp\\040ace\\057x.corp.internal.",
        "_srv._tcp.corp.internal": "_srv._tcp.corp.internal.",
    }
    values = [{"Value": "10.0.0.1"}]
    records = [
        {"Name": name, "Type": "A", "TTL": 1, "ResourceRecords": values} for name in spellings
    ]
    changes = [{"Action": "CREATE", "ResourceRecordSet": record} for record in records]
    zone = bench.zone(defaults=False)
    bench.client.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    for size in (None, 1, 2):
        listed = bench.listing(zone, page_size=size)
        assert_complete(bench, zone, listed)
        assert {one["Name"] for one in listed} == set(spellings.values())


def check_star_and_its_escape_are_one_name(bench: Bench) -> None:
    zone = bench.zone()
    for name in ("*.corp.internal", "\\052.CORP.internal."):
        record = {
            "Name": name,
            "Type": "TXT",
            "TTL": 5,
            "ResourceRecords": [{"Value": f'"{name.count("c")}"'}],
        }
        change = {"Action": "UPSERT", "ResourceRecordSet": record}
        bench.client.change_resource_record_sets(
            HostedZoneId=zone, ChangeBatch={"Changes": [change]}
        )
    texts = [one for one in bench.listing(zone) if one["Type"] == "TXT"]
    assert len(texts) == 1 and texts[0]["Name"] == "\\052.corp.internal."


def check_order_is_reversed_labels_then_type_then_identifier(bench: Bench) -> None:
    def record(name: str, rtype: str) -> dict:
        return {"Name": name, "Type": rtype, "ResourceRecords": [{"Value": "x"}]}

    wanted = [
        ("corp.internal.", "NS", None),
        ("corp.internal.", "SOA", None),
        # Escaped form: the backslash stands behind digits and before letters.
        ("1.corp.internal.", "A", None),
        ("\\052.corp.internal.", "A", None),
        # `a-b` before `a`: the trailing dot takes part, and `-` is before `.` in ASCII.
        ("a-b.corp.internal.", "A", None),
        ("a.corp.internal.", "A", None),
        ("z.a.corp.internal.", "A", None),
        ("b.corp.internal.", "A", "1"),
        ("b.corp.internal.", "A", "10"),
        ("b.corp.internal.", "A", "9"),
        ("b.corp.internal.", "TXT", None),
    ]
    records = [
        weighted(name, identifier) if identifier else record(name, rtype)
        for name, rtype, identifier in reversed(wanted[2:])
    ]
    zone = bench.zone(records=records)
    assert [identity(one) for one in bench.listing(zone)] == wanted


def check_start_of_a_listing(bench: Bench) -> None:
    zone = bench.zone(records=[weighted("wt.corp.internal", one) for one in ("b", "d")])

    def first(**start: str) -> tuple | None:
        page = bench.client.list_resource_record_sets(HostedZoneId=zone, MaxItems="1", **start)
        return next(map(identity, page["ResourceRecordSets"]), None)

    name, rtype, identifier = "StartRecordName", "StartRecordType", "StartRecordIdentifier"
    assert first() == ("corp.internal.", "NS", None)
    assert first(**{name: "CORP.internal", rtype: "SOA"}) == ("corp.internal.", "SOA", None)
    group = ("wt.corp.internal.", "A")
    assert first(**{name: "d.corp.internal"}) == (*group, "b")
    assert first(**{name: "wt.corp.internal", rtype: "A", identifier: "c"}) == (*group, "d")
    assert first(**{name: "wt.corp.internal", rtype: "AAAA"}) is None
    listing = bench.client.list_resource_record_sets
    fails_with("InvalidInput", listing, HostedZoneId=zone, StartRecordType="A")
    fails_with("InvalidInput", listing, HostedZoneId=zone, MaxItems="0")
    fails_with("NoSuchHostedZone", listing, HostedZoneId="ZNONE")


def check_list_hosted_zones_pages_and_hides_foreign_zones(bench: Bench) -> None:
    own = {bench.zone(f"z{n}.internal") for n in range(230)}
    bench.zone("fs.internal", owner_service="efs.amazonaws.com")
    bench.zone("other.internal", owner_account="999988887777")
    public = bench.zone("example.com", private=False, vpcs=[])
    lister = bench.client.get_paginator("list_hosted_zones")
    for paging in ({}, {"PageSize": 7}, {"PageSize": 1000}):
        pages = lister.paginate(PaginationConfig=paging)
        ids = [one["Id"] for page in pages for one in page["HostedZones"]]
        assert sorted(ids) == sorted(f"/hostedzone/{one}" for one in own | {public})
    pages = lister.paginate(HostedZoneType="PrivateHostedZone")
    zones = [one for page in pages for one in page["HostedZones"]]
    assert len(zones) == 230 and all(one["Config"]["PrivateZone"] for one in zones)


def check_list_hosted_zones_by_name_is_an_order_not_a_filter(bench: Bench) -> None:
    ids = [bench.zone(name) for name in ("b.internal", "a.test", "x.b.internal", "b.internal")]
    listed, arguments = [], {"MaxItems": "1"}
    while True:
        page = bench.client.list_hosted_zones_by_name(**arguments)
        listed += [one["Id"].removeprefix("/hostedzone/") for one in page["HostedZones"]]
        if not page["IsTruncated"]:
            break
        arguments["DNSName"] = page["NextDNSName"]
        arguments["HostedZoneId"] = page["NextHostedZoneId"]
    assert listed == [ids[0], ids[3], ids[2], ids[1]]
    page = bench.client.list_hosted_zones_by_name(DNSName="c.internal")
    assert [one["Name"] for one in page["HostedZones"]] == ["a.test."]


def check_list_hosted_zones_by_vpc(bench: Bench) -> None:
    own = [bench.zone(f"z{n}.internal") for n in range(205)]
    service = bench.zone("fs.internal", owner_service="efs.amazonaws.com")
    other = bench.zone("other.internal", owner_account="999988887777")
    bench.zone("elsewhere.internal", vpcs=[{"id": "vpc-b", "region": "eu-west-1"}])
    for size in (None, "1", "100", "500"):
        seen, token = {}, None
        while True:
            arguments = {"VPCId": VPC["id"], "VPCRegion": VPC["region"]}
            arguments |= {"MaxItems": size} if size else {}
            arguments |= {"NextToken": token} if token else {}
            page = bench.client.list_hosted_zones_by_vpc(**arguments)
            for one in page["HostedZoneSummaries"]:
                assert one["HostedZoneId"] not in seen
                seen[one["HostedZoneId"]] = one["Owner"]
            token = page.get("NextToken")
            if token is None:
                break
        assert set(seen) == {*own, service, other}
        assert seen[own[0]] == {"OwningAccount": "111122223333"}
        assert seen[service] == {"OwningService": "efs.amazonaws.com"}
        assert seen[other] == {"OwningAccount": "999988887777"}
    by_vpc = bench.client.list_hosted_zones_by_vpc
    wrong_region = by_vpc(VPCId=VPC["id"], VPCRegion="us-east-1")
    assert wrong_region["HostedZoneSummaries"] == []
    first = by_vpc(VPCId=VPC["id"], VPCRegion=VPC["region"], MaxItems="1")["NextToken"]
    for token, vpc in (("garbage!", VPC["id"]), (first, "vpc-b")):
        arguments = {"VPCId": vpc, "VPCRegion": VPC["region"], "NextToken": token}
        fails_with("InvalidPaginationToken", by_vpc, **arguments)
    assert b"<Code>InvalidInput</Code>" in bench.raw("/2013-04-01/hostedzonesbyvpc?vpcid=vpc-a")
