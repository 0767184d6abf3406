"""The services beside Route 53 that speak in calls rather than in paths: routing and protocols.

A call goes the way of api.py: it is logged, its signature is read, a token is taken, the fault plan
is asked, the operation runs, the body is bent.
"""

from __future__ import annotations

import gzip
import json
import uuid
from dataclasses import dataclass, field

import api
import cbor
import cloudwatch
import faults
import sqs
from errors import ApiError, throttled
from sim import Sim

_GRANITE = "GraniteServiceVersion20100801"
# Operation, service name in signatures, function.
OPERATIONS = {
    f"{_GRANITE}.GetMetricData": ("monitoring", cloudwatch.get_metric_data),
    "AmazonSQS.ReceiveMessage": ("sqs", sqs.receive_message),
    "AmazonSQS.DeleteMessage": ("sqs", sqs.delete_message),
    "AmazonSQS.DeleteMessageBatch": ("sqs", sqs.delete_message_batch),
    "AmazonSQS.SendMessage": ("sqs", sqs.send_message),
}
# What the query protocol called errors; clients that knew it still get these names.
_QUERY_CODES = {"QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue"}


@dataclass
class Call:
    """One call, its parameters read out of whichever protocol it came in."""

    op: str
    sim: Sim
    account: str
    params: dict = field(default_factory=dict)
    page_fault: faults.Fault | None = None


def target(path: str, headers) -> str | None:
    """`Service.Operation`, or None for a request that is none of these services'."""
    named = headers.get("X-Amz-Target")
    if named is not None:
        return named if named in OPERATIONS else None
    parts = path.split("?")[0].strip("/").split("/")
    if len(parts) == 4 and (parts[0], parts[2]) == ("service", "operation"):
        return f"{parts[1]}.{parts[3]}"
    return None


def handle(sim: Sim, name: str, headers, body: bytes) -> api.Reply:
    """Answers one call."""
    codec = _Cbor if headers.get("smithy-protocol") == "rpc-v2-cbor" else _Json
    op = name.rpartition(".")[2]
    service, function = OPERATIONS.get(name, (None, None))
    signed = api.SIGV4.fullmatch(headers.get("Authorization") or "")
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    call = Call(op, sim, sim.accounts.account_of(signed["key"] if signed else None))
    with sim.lock:
        entry = sim.log.begin(
            op=op,
            zone=None,
            query={},
            page=None,
            signing_region=signed["region"] if signed else None,
            access_key=signed["key"] if signed else None,
        )
        error = api.refusal(sim, op, headers, signed, service)
        taken = faults.Taken([], [], None) if error else sim.faults.take(op, None, None)
        released = sim.faults.released
    for seconds in taken.delays:
        released.wait(seconds)
    with sim.lock:
        reply, code = _answer(call, function, codec, body, error, taken)
        sim.log.end(entry, reply.status, code, taken.labels)
    reply.released = released
    return reply


def _answer(call: Call, function, codec, body: bytes, error, taken) -> tuple[api.Reply, str | None]:
    main = taken.main
    if main is not None and main.kind == "refuse":
        return api.Reply(0, b"", wire_fault=main), None
    try:
        if error is not None:
            raise error
        if main is not None and main.kind == "throttle":
            raise throttled()
        if main is not None and main.kind == "error":
            raise api.planned_error(main)
        if function is None:
            raise ApiError(404, "UnknownOperationException", "r53sim does not know this call")
        call.params = codec.read(body)
        call.page_fault = taken.page_fault
        reply, code = codec.reply(200, function(call)), None
    except (KeyError, TypeError, ValueError) as problem:
        reply, code = codec.error(ApiError(400, "ValidationException", repr(problem)))
    except ApiError as problem:
        reply, code = codec.error(problem)
    reply.headers["x-amzn-RequestId"] = str(uuid.uuid4())
    if main is not None and main.kind in faults.BODY_KINDS:
        reply.status, reply.content_type, reply.body = faults.bend_body(
            main, reply.status, reply.body
        )
    if main is not None and main.kind in faults.WIRE_KINDS:
        reply.wire_fault = main
    return reply, code


class _Json:
    """awsJson 1.0, as boto3 speaks with both services and Rust's client with SQS."""

    @staticmethod
    def read(body: bytes) -> dict:
        return json.loads(body or b"{}")

    @staticmethod
    def reply(status: int, value: dict) -> api.Reply:
        return api.Reply(status, json.dumps(value).encode(), "application/x-amz-json-1.0")

    @classmethod
    def error(cls, error: ApiError) -> tuple[api.Reply, str]:
        value = {"__type": f"com.amazonaws#{error.code}", "message": error.message}
        reply = cls.reply(error.status, value)
        if error.code in _QUERY_CODES:
            reply.headers["x-amzn-query-error"] = f"{_QUERY_CODES[error.code]};Sender"
        return reply, error.code


class _Cbor:
    """rpc-v2-cbor, as Rust's client speaks with CloudWatch."""

    @staticmethod
    def read(body: bytes) -> dict:
        return cbor.decode(body)

    @staticmethod
    def reply(status: int, value: dict) -> api.Reply:
        headers = {"smithy-protocol": "rpc-v2-cbor"}
        return api.Reply(status, cbor.encode(value), "application/cbor", headers)

    @classmethod
    def error(cls, error: ApiError) -> tuple[api.Reply, str]:
        value = {"__type": f"com.amazonaws.cloudwatch#{error.code}", "message": error.message}
        return cls.reply(error.status, value), error.code
