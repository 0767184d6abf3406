"""Checks of health checks, their metric and queues, with boto3; and of CBOR against known bytes."""

from __future__ import annotations

import datetime
import json

import boto3
import cbor
from botocore.config import Config
from selfcheck import Bench, fails_with

QUEUE = "zonelet-changes"


def client(bench: Bench, service: str, **config):
    return boto3.client(
        service,
        endpoint_url=bench.url,
        region_name="us-east-1",
        aws_access_key_id="AKIDTEST",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20, **config),
    )


def check(bench: Bench, **settings) -> str:
    return bench.sim("POST", "healthcheck", settings)["id"]


def check_health_checks_are_paged_and_shown_with_every_setting(bench: Bench) -> None:
    first = check(bench, Type="HTTP", IPAddress="192.0.2.1", Port=80, Inverted=True, Disabled=True)
    check(bench, id="sum", Type="CALCULATED", HealthThreshold=1, ChildHealthChecks=[first, "x"])
    alarm = {"Region": "us-east-1", "Name": "alarm"}
    check(bench, id="alarm", Type="CLOUDWATCH_METRIC", AlarmIdentifier=alarm)
    for number in range(200):
        check(bench, id=f"n{number:03}")
    pages = list(bench.client.get_paginator("list_health_checks").paginate())
    assert [len(page["HealthChecks"]) for page in pages] == [100, 100, 3]
    listed = {one["Id"]: one["HealthCheckConfig"] for page in pages for one in page["HealthChecks"]}
    assert len(listed) == 203
    assert listed[first] == {
        "IPAddress": "192.0.2.1",
        "Port": 80,
        "Type": "HTTP",
        "Inverted": True,
        "Disabled": True,
    }
    assert listed["sum"]["ChildHealthChecks"] == [first, "x"]
    assert listed["sum"]["HealthThreshold"] == 1
    assert listed["alarm"]["AlarmIdentifier"] == alarm
    one = bench.client.get_health_check(HealthCheckId="sum")["HealthCheck"]
    assert one["HealthCheckConfig"] == listed["sum"]
    bench.sim("DELETE", "healthcheck/sum")
    fails_with("NoSuchHealthCheck", bench.client.get_health_check, HealthCheckId="sum")
    status = bench.client.get_health_check_status(HealthCheckId=first)
    assert status["HealthCheckObservations"][0]["StatusReport"]["Status"].startswith("Success")
    assert "GetHealthCheckStatus" in bench.sim("GET", "summary")["by_op"]
    assert "unknown type" in bench.sim_refuses("POST", "healthcheck", {"Type": "PING"})


def queries(ids: list[str], metric: str = "HealthCheckStatus") -> list[dict]:
    def stat(check_id: str) -> dict:
        dimensions = [{"Name": "HealthCheckId", "Value": check_id}]
        named = {"Namespace": "AWS/Route53", "MetricName": metric, "Dimensions": dimensions}
        return {"Metric": named, "Period": 60, "Stat": "Minimum"}

    return [{"Id": f"m{at}", "MetricStat": stat(one)} for at, one in enumerate(ids)]


def window() -> dict:
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"StartTime": now - datetime.timedelta(minutes=5), "EndTime": now}


def check_metric_data_is_what_was_put_in(bench: Bench) -> None:
    values = [{"value": 1, "age": 200}, {"value": 0, "age": 100}, {"value": 1, "age": 4000}]
    bench.sim("POST", "metric/a", {"values": values})
    bench.sim("POST", "metric/b", {"status": "InternalError"})
    read = client(bench, "cloudwatch").get_metric_data
    reply = read(MetricDataQueries=queries(["a", "b", "c"]), **window())
    results = reply["MetricDataResults"]
    assert [one["Values"] for one in results] == [[0.0, 1.0], [], []], results
    assert [one["StatusCode"] for one in results] == ["Complete", "InternalError", "Complete"]
    assert results[0]["Timestamps"][0] > results[0]["Timestamps"][1]
    other = read(MetricDataQueries=queries(["a"], "ConnectionTime"), **window())
    assert other["MetricDataResults"][0]["Values"] == []
    twice = queries(["a"]) + queries(["b"])
    fails_with("ValidationError", read, MetricDataQueries=twice, **window())
    fails_with("ValidationError", read, MetricDataQueries=queries(["a"] * 501), **window())
    bench.fault("throttle", op="GetMetricData", times=1)
    fails_with("Throttling", read, MetricDataQueries=queries(["a"]), **window())


def check_metric_data_is_paged(bench: Bench) -> None:
    ids = [f"c{number}" for number in range(450)]
    read = client(bench, "cloudwatch")
    asked = {"MetricDataQueries": queries(ids), **window()}
    pages = list(read.get_paginator("get_metric_data").paginate(**asked))
    assert [len(page["MetricDataResults"]) for page in pages] == [400, 50]
    token = pages[0]["NextToken"] + "x"
    ask = {"MetricDataQueries": queries(ids), "NextToken": token, **window()}
    fails_with("InvalidNextToken", read.get_metric_data, **ask)


def check_metric_data_over_cbor_is_the_same(bench: Bench) -> None:
    bench.sim("POST", "metric/a", {"values": [{"value": 1, "age": 100}]})
    read = client(bench, "cloudwatch")
    plain = read.get_metric_data(MetricDataQueries=queries(["a"]), **window())
    # The protocol is the model's choice; boto3's own reader is the judge of our bytes.
    from botocore.parsers import create_parser

    shape = read.meta.service_model.operation_model("GetMetricData").output_shape
    begin, end = (value.timestamp() for value in window().values())
    times = {"StartTime": cbor.Time(begin), "EndTime": cbor.Time(end)}
    asked = cbor.encode({"MetricDataQueries": queries(["a"]), **times})
    status, body = raw_cbor(bench, asked)
    parser = create_parser("smithy-rpc-v2-cbor")
    parsed = parser.parse({"status_code": status, "headers": {}, "body": body}, shape)
    assert parsed["MetricDataResults"] == plain["MetricDataResults"], parsed


def raw_cbor(bench: Bench, body: bytes) -> tuple[int, bytes]:
    import urllib.request

    from selfcheck import AUTHORIZATION

    request = urllib.request.Request(
        f"{bench.url}/service/GraniteServiceVersion20100801/operation/GetMetricData",
        body,
        {
            "smithy-protocol": "rpc-v2-cbor",
            "Authorization": AUTHORIZATION.replace("/route53/", "/monitoring/"),
            "X-Amz-Date": "20260101T000000Z",
        },
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        return reply.status, reply.read()


def check_cbor_is_that_of_the_rfc(bench: Bench) -> None:
    # RFC 8949, appendix A.
    for value, text in (
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (1000000, "1a000f4240"),
        (-100, "3863"),
        (1.1, "fb3ff199999999999a"),
        (False, "f4"),
        (None, "f6"),
        (b"\x01\x02", "420102"),
        ("\u00fc", "62c3bc"),
        ([1, [2, 3]], "8201820203"),
        ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    ):
        assert cbor.encode(value).hex() == text, value
        assert cbor.decode(bytes.fromhex(text)) == value
    for text, value in (
        ("f93c00", 1.0),
        ("fa47c35000", 100000.0),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
        ("7f657374726561646d696e67ff", "streaming"),
        ("c11a514b67b0", 1363896240.0),
    ):
        assert cbor.decode(bytes.fromhex(text)) == value, text
    for bad in ("", "18", "61", "ff", "0000", "1c", "9f", "81ff", "81" * 40 + "00", "61ff"):
        try:
            cbor.decode(bytes.fromhex(bad))
        except cbor.Bad:
            continue
        raise AssertionError(f"{bad} was accepted")


def check_a_queue_shows_hides_and_forgets(bench: Bench) -> None:
    bench.sim("POST", f"queue/{QUEUE}", {})
    url = f"{bench.url}/111122223333/{QUEUE}"
    queue = client(bench, "sqs")
    assert "Messages" not in queue.receive_message(QueueUrl=url)
    queue.send_message(QueueUrl=url, MessageBody="sent")
    bench.sim("POST", f"queue/{QUEUE}/messages", {"bodies": [f"put {n}" for n in range(11)]})
    ask = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20}
    first = queue.receive_message(**ask)["Messages"]
    assert [one["Body"] for one in first[:2]] == ["sent", "put 0"] and len(first) == 10
    entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(first)]
    reply = queue.delete_message_batch(QueueUrl=url, Entries=entries)
    assert len(reply["Successful"]) == 10 and not reply.get("Failed")
    rest = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert len(rest) == 2
    assert "Messages" not in queue.receive_message(QueueUrl=url), "they are out"
    bench.sim("POST", f"queue/{QUEUE}/show")
    again = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [one["Body"] for one in again] == [one["Body"] for one in rest]
    queue.delete_message(QueueUrl=url, ReceiptHandle=rest[0]["ReceiptHandle"])
    queue.delete_message(QueueUrl=url, ReceiptHandle=again[1]["ReceiptHandle"])
    state = bench.sim("POST", f"queue/{QUEUE}/show")
    shown = [(one["body"], one["receives"]) for one in state["messages"]]
    assert shown == [(again[0]["Body"], 2)], "an old receipt deletes nothing"
    fails_with(
        "AWS.SimpleQueueService.NonExistentQueue",
        queue.receive_message,
        QueueUrl=f"{bench.url}/111122223333/other",
    )
    fails_with("InvalidParameterValue", queue.receive_message, QueueUrl=url, WaitTimeSeconds=21)
    denied = {"status": 403, "code": "AccessDeniedException", "message": "no"}
    bench.fault("error", op="ReceiveMessage", times=1, **denied)
    fails_with("AccessDeniedException", queue.receive_message, QueueUrl=url)
    assert json.loads(json.dumps(bench.sim("GET", "calls")))[-1]["code"] == "AccessDeniedException"
