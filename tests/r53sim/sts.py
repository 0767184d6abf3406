"""STS: who a key belongs to, and roles that hand out keys of other accounts.

Query protocol, XML replies; shapes and their order follow the botocore model `sts/2011-06-15`. The
keys made here are what tells the other parts of the simulator which account is asking.
"""

from __future__ import annotations

import datetime
import itertools
import re
import time
import uuid
from dataclasses import dataclass
from urllib.parse import parse_qsl

from errors import ApiError
from model import ACCOUNT
from xmlio import element, raw

SERVICE = "sts"
NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
CONTENT_TYPE = "text/xml"
_ARN = re.compile(r"arn:[a-z-]+:iam::(\d{12}):role/(?:.*/)?([\w+=,.@-]+)")


@dataclass
class Role:
    """A role as its trust policy and its caller's permissions see it."""

    arn: str
    # What AssumeRole must bring, if anything.
    external_id: str | None = None
    # Whether the caller may assume it and is trusted.
    allowed: bool = True
    # Seconds that its keys are good for.
    lifetime: float = 3600


@dataclass
class Key:
    """A temporary access key."""

    account: str
    arn: str
    expires: float


class Accounts:
    """Roles and the keys that came of them; every other key is the simulator's own account's."""

    def __init__(self) -> None:
        self.roles: dict[str, Role] = {}
        self._keys: dict[str, Key] = {}
        self._numbers = itertools.count(1)

    def configure(self, value: dict) -> dict:
        """Makes or changes a role."""
        role = self.roles.setdefault(value["arn"], Role(value["arn"]))
        if not _ARN.fullmatch(role.arn):
            raise ValueError(f"{role.arn!r} is not the ARN of a role")
        for name, setting in value.items():
            if name not in Role.__dataclass_fields__:
                raise ValueError(f"unknown field {name!r}")
            setattr(role, name, setting)
        return {"arn": role.arn, "allowed": role.allowed, "lifetime": role.lifetime}

    def account_of(self, access_key: str | None) -> str:
        key = self._keys.get(access_key or "")
        return key.account if key else ACCOUNT

    def is_expired(self, access_key: str | None) -> bool:
        key = self._keys.get(access_key or "")
        return key is not None and key.expires <= time.time()

    def identity(self, access_key: str | None) -> tuple[str, str]:
        """Account and ARN of whoever holds the key."""
        key = self._keys.get(access_key or "")
        if key:
            return key.account, key.arn
        return ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/zonelet"

    def new_key(self, role: Role, session: str) -> tuple[str, Key]:
        match = _ARN.fullmatch(role.arn)
        assert match is not None, "checked when the role was made"
        arn = f"arn:aws:sts::{match[1]}:assumed-role/{match[2]}/{session}"
        access_key = f"ASIAR53SIM{next(self._numbers):010d}"
        self._keys[access_key] = Key(match[1], arn, time.time() + role.lifetime)
        return access_key, self._keys[access_key]


def match(method: str, path: str, headers, body: bytes) -> tuple[str, dict] | None:
    """Operation and parameters of a request to STS; `None` for any other."""
    form = "x-www-form-urlencoded" in (headers.get("Content-Type") or "")
    if method != "POST" or path != "/" or not form:
        return None
    params = dict(parse_qsl(body.decode()))
    if params.pop("Version", None) != "2011-06-15":
        return None
    return params.pop("Action", "Unknown"), params


def answer(sim, op: str, params: dict, access_key: str | None) -> bytes:
    """The reply to one call."""
    if op == "GetCallerIdentity":
        account, arn = sim.accounts.identity(access_key)
        inner = raw(
            element("Arn", arn), element("UserId", "AIDAR53SIM"), element("Account", account)
        )
        return _document(op, inner)
    if op == "AssumeRole":
        return _assume_role(sim, params, access_key)
    raise ApiError(400, "InvalidAction", f"r53sim does not know {op}")


def _assume_role(sim, params: dict, access_key: str | None) -> bytes:
    arn, session = params.get("RoleArn", ""), params.get("RoleSessionName", "")
    if not re.fullmatch(r"[\w+=,.@-]{2,64}", session) or len(arn) < 20:
        raise ApiError(400, "ValidationError", "RoleArn and RoleSessionName are required")
    role = sim.accounts.roles.get(arn)
    is_known = role is not None and role.allowed
    if not is_known or role.external_id not in (None, params.get("ExternalId")):
        _, caller = sim.accounts.identity(access_key)
        message = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        raise ApiError(403, "AccessDenied", message)
    new, key = sim.accounts.new_key(role, session)
    expires = datetime.datetime.fromtimestamp(key.expires, datetime.UTC)
    credentials = raw(
        element("AccessKeyId", new),
        element("SecretAccessKey", "secret"),
        element("SessionToken", f"token-of-{new}"),
        element("Expiration", expires.strftime("%Y-%m-%dT%H:%M:%SZ")),
    )
    user = raw(element("AssumedRoleId", f"AROAR53SIM:{session}"), element("Arn", key.arn))
    inner = raw(element("Credentials", credentials), element("AssumedRoleUser", user))
    return _document("AssumeRole", inner)


def _document(op: str, inner: str) -> bytes:
    result = element(f"{op}Result", raw(inner))
    metadata = element("ResponseMetadata", raw(element("RequestId", uuid.uuid4())))
    return f'<{op}Response xmlns="{NAMESPACE}">{result}{metadata}</{op}Response>'.encode()


def failure(error: ApiError) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an error."""
    kind = element("Type", "Receiver" if error.status >= 500 else "Sender")
    code, message = element("Code", error.code), element("Message", error.message)
    inner = element("Error", raw(kind, code, message)) + element("RequestId", uuid.uuid4())
    return f'<ErrorResponse xmlns="{NAMESPACE}">{inner}</ErrorResponse>'.encode(), {}
