"""A double of the EC2 instance metadata service, version 2 only.

It holds the paths from which an agent learns its region and its VPC, and insists on the session
token, so that a client that forgets the PUT fails here as it fails on an instance with
`HttpTokens=required`. It has an instance role only where a test gives it one.
"""

from __future__ import annotations

import datetime
import json
import secrets

from model import ACCOUNT

TOKEN_PATH = "/latest/api/token"
MAX_TTL = 21600


class Metadata:
    """The instance and its network interface; callers hold the simulator's lock."""

    def __init__(self) -> None:
        self.enabled = True
        self.vpc_id = "vpc-0a1b2c3d4e5f60718"
        self.region = "us-east-1"
        self.mac = "0e:12:34:56:78:9a"
        # Name of the instance role; None for an instance without.
        self.role: str | None = None
        # Seconds that the role's credentials are good for.
        self.lifetime = 3600
        self._tokens: set[str] = set()
        self.requests: list[dict] = []

    def configure(self, value: dict) -> None:
        """Changes the named fields and keeps the others."""
        known = {"enabled", "vpc_id", "region", "mac", "role", "lifetime"}
        if not set(value) <= known:
            raise ValueError(f"unknown field; known: {sorted(known)}")
        for key, setting in value.items():
            setattr(self, key, setting)

    def as_json(self) -> dict:
        return {
            "enabled": self.enabled,
            "vpc_id": self.vpc_id,
            "region": self.region,
            "mac": self.mac,
            "role": self.role,
            "lifetime": self.lifetime,
            "requests": self.requests,
        }

    def handle(self, method: str, path: str, headers) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers of one metadata request."""
        status, text, extra = self._answer(method, path.split("?")[0], headers)
        self.requests.append({"method": method, "path": path, "status": status})
        return status, text, extra

    def _answer(self, method: str, path: str, headers) -> tuple[int, str, dict[str, str]]:
        if not self.enabled:
            return 404, "", {}
        if path == TOKEN_PATH:
            return self._new_token(method, headers)
        if method != "GET":
            return 405, "", {}
        if headers.get("X-aws-ec2-metadata-token") not in self._tokens:
            return 401, "", {}
        text = self._leaves().get(path.rstrip("/"))
        return (404, "", {}) if text is None else (200, text, {})

    def _new_token(self, method: str, headers) -> tuple[int, str, dict[str, str]]:
        ttl = headers.get("X-aws-ec2-metadata-token-ttl-seconds") or ""
        if method != "PUT":
            return 405, "", {}
        if not ttl.isdigit() or not 1 <= int(ttl) <= MAX_TTL:
            return 400, "", {}
        token = secrets.token_urlsafe(40)
        self._tokens.add(token)
        return 200, token, {"X-aws-ec2-metadata-token-ttl-seconds": ttl}

    def _leaves(self) -> dict[str, str]:
        macs = "/latest/meta-data/network/interfaces/macs"
        zone = f"{self.region}a"
        document = {
            "accountId": ACCOUNT,
            "architecture": "x86_64",
            "availabilityZone": zone,
            "imageId": "ami-0a1b2c3d4e5f60718",
            "instanceId": "i-0a1b2c3d4e5f60718",
            "instanceType": "m6i.large",
            "privateIp": "10.0.0.10",
            "region": self.region,
            "version": "2017-09-30",
        }
        return self._role() | {
            "/latest/meta-data/mac": self.mac,
            macs: f"{self.mac}/",
            f"{macs}/{self.mac}/mac": self.mac,
            f"{macs}/{self.mac}/vpc-id": self.vpc_id,
            f"{macs}/{self.mac}/owner-id": ACCOUNT,
            "/latest/meta-data/instance-id": document["instanceId"],
            "/latest/meta-data/placement/region": self.region,
            "/latest/meta-data/placement/availability-zone": zone,
            "/latest/dynamic/instance-identity/document": json.dumps(document, indent=2),
        }

    def _role(self) -> dict[str, str]:
        """The instance role's name, and its credentials under it."""
        if self.role is None:
            return {}
        lifetime = datetime.timedelta(seconds=self.lifetime)
        expires = datetime.datetime.now(datetime.timezone.utc) + lifetime
        issued = {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": "2026-01-01T00:00:00Z",
            "AccessKeyId": "ASIAINSTANCE",
            "SecretAccessKey": "issued-secret-of-instance",
            "Token": "issued-token-of-instance",
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        names = "/latest/meta-data/iam/security-credentials"
        return {names: self.role, f"{names}/{self.role}": json.dumps(issued)}
