"""Checks that each fault does what its name says, seen by boto3 and on the raw connection."""

from __future__ import annotations

import re
import threading

from botocore.exceptions import ConnectionClosedError, PaginationError
from botocore.parsers import ResponseParserError
from selfcheck import VPC, Bench, assert_complete, fails_with

LIST = "ListResourceRecordSets"


def raises(expected, call, *arguments) -> None:
    try:
        call(*arguments)
    except expected:
        return
    raise AssertionError(f"expected {expected}")


def framed(reply: bytes) -> tuple[int, bytes]:
    """Content-Length and body of a raw reply."""
    head, _, body = reply.partition(b"\r\n\r\n")
    return int(re.search(rb"Content-Length: (\d+)", head)[1]), body


def page(bench: Bench, zone: str, query: str = "") -> bytes:
    return bench.raw(f"/2013-04-01/hostedzone/{zone}/rrset{query}")


def check_throttle_on_one_page_and_its_retry(bench: Bench) -> None:
    zone, other = bench.zone(generate=1000), bench.zone("other.internal", generate=1000)
    bench.fault("throttle", op=LIST, zone=zone, page=3, times=2)
    for _ in range(2):
        error = fails_with("Throttling", bench.listing, zone=zone)
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert error.response["Error"]["Message"] == "Rate exceeded"
    assert_complete(bench, other, bench.listing(other))
    assert_complete(bench, zone, bench.listing(zone))
    throttled = [call for call in bench.sim("GET", "calls") if call["status"] == 400]
    assert [(call["zone"], call["page"]) for call in throttled] == [(zone, 3)] * 2
    assert bench.sim("GET", "faults")[0]["hits"] == 2


def check_errors_carry_status_and_code(bench: Bench) -> None:
    bench.fault("error", op="ListHostedZones", status=503, code="ServiceUnavailable", times=1)
    bench.fault("error", op="ListHostedZonesByVPC", status=403, code="AccessDenied")
    error = fails_with("ServiceUnavailable", bench.client.list_hosted_zones)
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    bench.client.list_hosted_zones()
    by_vpc = bench.client.list_hosted_zones_by_vpc
    fails_with("AccessDenied", by_vpc, VPCId="v", VPCRegion="us-east-1")
    bench.sim("DELETE", "faults")
    by_vpc(VPCId="v", VPCRegion="us-east-1")


def check_limits_throttle_and_leave_faults_alone(bench: Bench) -> None:
    bench.fault("error", status=500, times=1)
    bench.sim("POST", "limits", {"burst": 0, "rate": 0})
    fails_with("Throttling", bench.client.list_hosted_zones)
    bench.sim("POST", "limits", {"burst": 3, "rate": 0})
    fails_with("InternalFailure", bench.client.list_hosted_zones)
    bench.client.list_hosted_zones()
    bench.client.list_hosted_zones()
    fails_with("Throttling", bench.client.list_hosted_zones)
    assert bench.sim("GET", "summary")["by_status"] == {"200": 2, "400": 2, "500": 1}
    bench.sim("POST", "limits", {"preset": "route53"})
    bench.client.list_hosted_zones()
    bench.sim("DELETE", "limits")


def check_short_pages_lose_nothing(bench: Bench) -> None:
    zone = bench.zone(generate=700)
    bench.fault("short_page", op=LIST, page=1, n=7)
    bench.fault("short_page", op=LIST, page=2, n=0, times=1)
    first = bench.client.list_resource_record_sets(HostedZoneId=zone)
    assert len(first["ResourceRecordSets"]) == 7 and first["IsTruncated"] is True
    bench.sim("DELETE", "faults")
    bench.fault("short_page", op=LIST, page=1, n=7)
    bench.fault("short_page", op=LIST, page=3, n=1)
    assert_complete(bench, zone, bench.listing(zone))
    [bench.zone(f"z{n}.internal") for n in range(9)]
    bench.sim("POST", "faults", {"kind": "short_page", "op": "ListHostedZonesByVPC", "n": 4})
    by_vpc = bench.client.list_hosted_zones_by_vpc(VPCId=VPC["id"], VPCRegion=VPC["region"])
    assert len(by_vpc["HostedZoneSummaries"]) == 4 and by_vpc["NextToken"]


def check_boto3_refuses_a_cursor_that_does_not_advance(bench: Bench) -> None:
    zone = bench.zone(generate=700)
    for number in (1, 2, 3):
        bench.sim("DELETE", "faults")
        bench.fault("repeat_cursor", op=LIST, page=number)
        raises(PaginationError, bench.listing, zone)


def check_duplicate_last_repeats_one_set(bench: Bench) -> None:
    zone = bench.zone(generate=700)
    bench.fault("duplicate_last", op=LIST, page=2)
    names = [one["Name"] + one["Type"] for one in bench.listing(zone)]
    assert len(names) == 703 and len(set(names)) == 702 and names[299] == names[300]


def check_damaged_bodies_in_valid_framing(bench: Bench) -> None:
    record = {
        "Name": "x.corp.internal",
        "Type": "A",
        "ResourceRecords": [{"Value": "10.0.0.99"}],
    }
    zone = bench.zone(records=[record])
    whole = framed(page(bench, zone))[1]
    marks = b"</ResourceRecordSet>"
    cuts = {
        0.5: lambda body: len(body) == len(whole) // 2,
        100: lambda body: len(body) == 100,
        -1: lambda body: len(body) == len(whole) - 1,
        "last_record": lambda body: body.endswith(b"<Value>10.0"),
        "after_last_record": lambda body: body.endswith(marks) and body.count(marks) == 3,
    }
    for at, is_right in cuts.items():
        bench.sim("DELETE", "faults")
        bench.fault("cut_body", op=LIST, at=at)
        length, body = framed(page(bench, zone))
        assert length == len(body) and whole.startswith(body) and is_right(body), (at, body)
        raises(ResponseParserError, bench.listing, zone)
    assert "at" in bench.sim_refuses("POST", "faults", {"kind": "cut_body", "at": "nowhere"})


def check_replies_that_are_no_listing(bench: Bench) -> None:
    zone = bench.zone(generate=5)
    bench.fault("empty_root", times=2)
    body = framed(page(bench, zone))[1]
    assert body.endswith(b"/doc/2013-04-01/\"/>") and b"<ListResourceRecordSetsResponse " in body
    empty = bench.client.list_resource_record_sets(HostedZoneId=zone)
    assert "IsTruncated" not in empty and not empty.get("ResourceRecordSets")
    bench.fault("drop_is_truncated", times=1)
    page_one = bench.client.list_resource_record_sets(HostedZoneId=zone, MaxItems="2")
    assert "IsTruncated" not in page_one and page_one["NextRecordName"]
    bench.fault("empty_body", times=1)
    assert framed(page(bench, zone)) == (0, b"")
    bench.fault("html", times=2)
    reply = page(bench, zone)
    assert reply.startswith(b"HTTP/1.1 200 ") and b"Content-Type: text/html" in reply
    # The page is well-formed XML: boto3 takes it for a reply without any of its members.
    assert "ResourceRecordSets" not in bench.client.list_resource_record_sets(HostedZoneId=zone)
    bench.fault("html", body="<html><br>", times=1)
    raises(ResponseParserError, bench.listing, zone)
    assert_complete(bench, zone, bench.listing(zone))


def check_broken_connections(bench: Bench) -> None:
    zone = bench.zone(generate=50)
    bench.fault("refuse", times=1)
    raises(ConnectionClosedError, bench.listing, zone)
    bench.fault("reset", times=2)
    raises(ConnectionClosedError, bench.listing, zone)
    raises(ConnectionResetError, page, bench, zone)
    # boto3 does not mind a body shorter than announced, so this one is looked at raw.
    bench.fault("wrong_content_length", delta=64, times=1)
    length, body = framed(page(bench, zone))
    assert length == len(body) + 64 and body.endswith(b"Response>")
    bench.fault("stall", seconds=0, times=1)
    length, body = framed(page(bench, zone))
    assert len(body) == length // 2
    statuses = [call["status"] for call in bench.sim("GET", "calls")]
    assert statuses == [0, 200, 200, 200, 200]
    assert_complete(bench, zone, bench.listing(zone))


def check_a_stall_ends_when_the_plan_is_cleared(bench: Bench) -> None:
    zone = bench.zone(generate=50)
    bench.fault("stall", seconds=3600)
    bench.fault("delay", seconds=3600, op="ListHostedZones")
    replies: list[bytes] = []
    paths = (f"/2013-04-01/hostedzone/{zone}/rrset", "/2013-04-01/hostedzone")
    clients = [
        threading.Thread(target=lambda path=path: replies.append(bench.raw(path)), daemon=True)
        for path in paths
    ]
    for client in clients:
        client.start()
    while bench.sim("GET", "summary")["total"] < 2:
        pass
    bench.sim("DELETE", "faults")
    for client in clients:
        client.join(timeout=60)
    assert len(replies) == 2, "a call is still held"
    assert bench.sim("GET", "summary")["max_in_flight"] >= 1


def check_sigterm_ends_the_server(bench: Bench) -> None:
    other = Bench()
    other.zone()
    assert bench.sim("GET", "zones") == []
    other.process.terminate()
    assert other.process.wait(timeout=60) == 0


def check_delay_goes_with_another_fault(bench: Bench) -> None:
    bench.fault("delay", seconds=0)
    bench.fault("throttle")
    fails_with("Throttling", bench.client.list_hosted_zones)
    assert bench.sim("GET", "calls")[0]["faults"] == ["delay", "throttle"]


def check_a_change_between_pages(bench: Bench) -> None:
    zone = bench.zone(generate=700)
    values = [{"Value": "10.9.9.9"}]
    behind = {"Name": "a.corp.internal", "Type": "A", "TTL": 5, "ResourceRecords": values}
    ahead = {**behind, "Name": "z.corp.internal"}
    change = [{"Action": "CREATE", "ResourceRecordSet": one} for one in (behind, ahead)]
    bench.fault("mutate_between_pages", op=LIST, zone=zone, page=1, change=change)
    names = {one["Name"] for one in bench.listing(zone)}
    assert "z.corp.internal." in names and "a.corp.internal." not in names
    names = {one["Name"] for one in bench.listing(zone)}
    assert {"a.corp.internal.", "z.corp.internal."} <= names
    bench.fault("mutate_between_pages", op=LIST, page=2, change={"Action": "DELETE_ZONE"})
    fails_with("NoSuchHostedZone", bench.listing, zone=zone)


def check_odd_data_goes_past_validation(bench: Bench) -> None:
    odd = [
        {"Name": "f.corp.internal", "Type": "FUTURE", "ResourceRecords": [{"Value": "?"}]},
        {"Name": "x.example.com", "Type": "A", "ResourceRecords": [{"Value": "10.0.0"}]},
    ]
    zone = bench.zone(soa="{'Value': 'no soa'}", records=odd)
    listed = bench.listing(zone, page_size=1)
    assert_complete(bench, zone, listed)
    assert {"FUTURE", "SOA"} <= {one["Type"] for one in listed}
    assert any("no soa" in str(one.get("ResourceRecords")) for one in listed)
    assert bench.listing(bench.zone("bare.internal", defaults=False)) == []


def check_control_calls_refuse_mistakes(bench: Bench) -> None:
    zone = bench.zone()
    assert "unknown fault kind" in bench.sim_refuses("POST", "faults", {"kind": "flood"})
    assert "unknown fields" in bench.sim_refuses("POST", "zone", {"name": "x", "vpc": "v"})
    assert "unknown fields" in bench.sim_refuses("PATCH", f"zone/{zone}", {"readble": False})
    assert "exists" in bench.sim_refuses("POST", "zone", {"name": "x", "id": zone})
    bench.sim("POST", f"zone/{zone}/records", {"generate": 3, "prefix": "web"})
    record = {"Name": "web-000001.corp.internal", "Type": "A"}
    bench.sim("POST", f"zone/{zone}/records", {"delete": [record]})
    assert len(bench.listing(zone)) == 4
    change = {"Action": "CREATE", "ResourceRecordSet": {**record, "Name": "x.example.com"}}
    assert "not permitted in zone" in bench.sim_refuses(
        "POST", f"zone/{zone}/changes", {"changes": [change]}
    )
    bench.sim("POST", "reset")
    assert bench.sim("GET", "zones") == [] and bench.sim("GET", "calls") == []
