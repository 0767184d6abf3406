#!/usr/bin/env python3
"""Holds the simulator against boto3, which nobody here wrote.

    python3 tests/r53sim/selfcheck.py [WORD]

needs a Python with boto3. It starts its own server on a free port and runs every `check_*`
function of the selfcheck_* modules whose name contains WORD, each on an emptied simulator. The
last line is `N passed, N failed`; the exit status is 1 if any failed. Nothing here depends on how
long anything takes.
"""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import sys
import traceback
import urllib.error
import urllib.request

import boto3
from botocore.config import Config

HERE = pathlib.Path(__file__).parent
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIDRAW/20260101/us-east-1/route53/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
)
VPC = {"id": "vpc-a", "region": "eu-west-1"}


class Bench:
    """A running simulator and the ways to talk to it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "r53sim.py"), "--port", "0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[1]
        self.client = self.new_client()

    def new_client(
        self,
        region: str = "us-east-1",
        key: str = "AKIDTEST",
        service: str = "route53",
        token: str | None = None,
    ):
        """A boto3 client that tries once, so that a fault shows as what it is."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key="secret",
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
        )

    def sim(self, method: str, path: str, value: object = None):
        """One control call; a refusal is an exception."""
        body = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(f"{self.url}/_sim/{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.load(reply)

    def sim_refuses(self, method: str, path: str, value: object) -> str:
        """The text with which a mistaken control call is refused."""
        try:
            self.sim(method, path, value)
        except urllib.error.HTTPError as error:
            return error.read().decode()
        raise AssertionError(f"{method} {path} {value} was accepted")

    def zone(self, name: str = "corp.internal", **fields) -> str:
        """A zone made through the control side; its id."""
        return self.sim("POST", "zone", {"name": name, "vpcs": [VPC], **fields})["id"]

    def fault(self, kind: str, **fields) -> None:
        self.sim("POST", "faults", [{"kind": kind, **fields}])

    def listing(self, zone: str, page_size: int | None = None) -> list[dict]:
        """Every record set as boto3's own paginator sees it."""
        paging = {"PageSize": page_size} if page_size else {}
        pages = self.client.get_paginator("list_resource_record_sets").paginate(
            HostedZoneId=zone, PaginationConfig=paging
        )
        return [one for page in pages for one in page["ResourceRecordSets"]]

    def raw(self, path: str) -> bytes:
        """All bytes of the reply to a signed-looking GET, however it is framed."""
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {AUTHORIZATION}\r\n"
                "X-Amz-Date: 20260101T000000Z\r\nConnection: close\r\n\r\n".encode()
            )
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts)


def identity(record: dict) -> tuple:
    return record["Name"], record["Type"], record.get("SetIdentifier")


def assert_complete(bench: Bench, zone: str, listed: list[dict]) -> None:
    """Every set exactly once, in the order and with the content the simulator holds."""
    truth = bench.sim("GET", f"zone/{zone}")["records"]
    assert len({identity(one) for one in listed}) == len(listed), "a set was listed twice"
    assert [identity(one) for one in listed] == [identity(one) for one in truth]
    assert listed == truth, "content differs"


def fails_with(code: str, call, **arguments):
    """The ClientError that a call must raise."""
    from botocore.exceptions import ClientError

    try:
        call(**arguments)
    except ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == code, f"expected {code}, got {got}"
        return error
    raise AssertionError(f"expected {code}, got success")


def main() -> int:
    import selfcheck_accounts
    import selfcheck_api
    import selfcheck_faults
    import selfcheck_identity
    import selfcheck_listing
    import selfcheck_services

    os.environ["NO_PROXY"] = "127.0.0.1"
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    modules = (
        selfcheck_listing,
        selfcheck_api,
        selfcheck_faults,
        selfcheck_accounts,
        selfcheck_services,
        selfcheck_identity,
    )
    checks = [
        (name, function)
        for module in modules
        for name, function in vars(module).items()
        if name.startswith("check_") and word in name
    ]
    bench = Bench()
    failed = 0
    for name, function in checks:
        bench.sim("POST", "reset")
        try:
            function(bench)
            print(f"ok    {name}")
        except Exception:
            failed += 1
            print(f"FAIL  {name}")
            traceback.print_exc(file=sys.stdout)
    assert bench.process.stdin is not None
    bench.process.stdin.close()
    if bench.process.wait(timeout=60) != 0:
        failed += 1
        print("FAIL  the server did not end with its stdin")
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    # The check modules import this file by name: they must get this very module.
    sys.modules["selfcheck"] = sys.modules["__main__"]
    sys.exit(main())
