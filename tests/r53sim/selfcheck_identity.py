"""Checks of the double of STS and containers, and of the instance role, with boto3's own chain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request

import boto3
from botocore.config import Config
from selfcheck import HERE, Bench, fails_with

ROLE = "arn:aws:iam::111122223333:role/zonelet"
# A session's own chain, and nothing of whoever runs this.
CHILD = """
import boto3
found = boto3.Session().get_credentials().get_frozen_credentials()
print(found.access_key, found.secret_key, found.token)
"""


class Identity:
    """A running double."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "identity.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self.process.stdout.readline().split()[1]

    def __enter__(self) -> Identity:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0

    def call(self, path: str, value: object = None):
        body = None if value is None else json.dumps(value).encode()
        with urllib.request.urlopen(f"{self.url}/_identity/{path}", body, timeout=20) as reply:
            return json.load(reply)


def chain(**variables: str) -> list[str]:
    """Key, secret and token that boto3 finds with these variables alone."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    nothing = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    printed = subprocess.run(
        [sys.executable, "-c", CHILD],
        env={**kept, **nothing, "NO_PROXY": "127.0.0.1", **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return printed.stdout.split()


def issued(key: str) -> list[str]:
    return [key, f"issued-secret-of-{key}", f"issued-token-of-{key}"]


def check_a_role_is_assumed_by_whoever_signs(bench: Bench) -> None:
    with Identity() as identity:
        sts = boto3.client(
            "sts",
            endpoint_url=identity.url,
            region_name="eu-west-1",
            aws_access_key_id="AKIDBASE",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )
        ask = {"RoleArn": ROLE, "RoleSessionName": "test", "ExternalId": "external"}
        reply = sts.assume_role(**ask)
        assert reply["Credentials"]["AccessKeyId"] == "ASIAROLE1"
        [seen] = identity.call("requests")
        assert (seen["access_key"], seen["signing_region"]) == ("AKIDBASE", "eu-west-1")
        assert (seen["role"], seen["external_id"]) == (ROLE, "external")
        identity.call("settings", {"refuse": True})
        fails_with("AccessDenied", sts.assume_role, **ask)


def check_boto3_finds_its_way_to_each_double(bench: Bench) -> None:
    with Identity() as identity, tempfile.TemporaryDirectory() as home:
        token = os.path.join(home, "token")
        with open(token, "w") as file:
            file.write("the-token")
        web = {"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": ROLE}
        sts = {"AWS_ENDPOINT_URL_STS": identity.url, "AWS_REGION": "eu-west-1"}
        assert chain(**web, **sts, AWS_DEFAULT_REGION="eu-west-1") == issued("ASIAWEB1")
        container = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{identity.url}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token,
        }
        identity.call("settings", {"authorization": "the-token"})
        assert chain(**container) == issued("ASIACONTAINER1")
        seen = {one["kind"]: one for one in identity.call("requests")}
        assert seen["web"]["token"] == "the-token" and seen["web"]["access_key"] is None
        assert seen["container"]["authorization"] == "the-token"
    bench.sim("POST", "imds", {"role": "zonelet-node"})
    found = chain(AWS_EC2_METADATA_SERVICE_ENDPOINT=bench.url)
    assert found == ["ASIAINSTANCE", "issued-secret-of-instance", "issued-token-of-instance"], found
