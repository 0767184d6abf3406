#!/usr/bin/env python3
"""A double of what hands out credentials: STS, and the endpoint of containers.

    python3 tests/r53sim/identity.py

prints `listening http://127.0.0.1:PORT` and ends with its stdin, as r53sim.py does. On that port:

- `POST /`: AssumeRole (must be signed for sts) and AssumeRoleWithWebIdentity (must not be)
- `GET /v1/credentials`: what ECS and EKS Pod Identity serve; needs `Authorization`
- `GET /_identity/requests`: what was asked, in order; `POST /_identity/settings`: see `Desk`

Each answer has a key of its own, `ASIA<KIND><N>`, so that a test can tell who signs with which.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_SIGV4 = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/\d{8}/([^/,]+)/sts/aws4_request,.*")
_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


class Desk:
    """Settings and the list of requests, behind one lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: list[dict] = []
        self.settings: dict = {
            # Seconds that credentials are good for.
            "lifetime": 3600,
            # What `Authorization` of the container endpoint must be; None takes any.
            "authorization": None,
            # Everything is refused.
            "refuse": False,
            # The container's answer lacks its access key.
            "spoil": False,
        }

    def issue(self, kind: str) -> dict:
        number = len([one for one in self.requests if one["kind"] == kind])
        key = f"ASIA{kind.upper()}{number}"
        lifetime = datetime.timedelta(seconds=self.settings["lifetime"])
        expires = datetime.datetime.now(datetime.timezone.utc) + lifetime
        return {
            "AccessKeyId": key,
            "SecretAccessKey": f"issued-secret-of-{key}",
            "SessionToken": f"issued-token-of-{key}",
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


class Handler(BaseHTTPRequestHandler):
    """One request at a time; everything fits in memory."""

    protocol_version = "HTTP/1.1"
    desk = Desk()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.desk.lock:
            if self.path == "/_identity/settings":
                self.desk.settings.update(json.loads(body))
                return self._send(200, "application/json", json.dumps(self.desk.settings))
            self._sts(dict(urllib.parse.parse_qsl(body.decode())))

    def do_GET(self) -> None:
        with self.desk.lock:
            if self.path == "/_identity/requests":
                return self._send(200, "application/json", json.dumps(self.desk.requests))
            if self.path == "/v1/credentials":
                return self._container()
            self._send(404, "text/plain", "")

    def _note(self, kind: str, **what: object) -> None:
        self.desk.requests.append({"kind": kind, "host": self.headers.get("Host"), **what})

    def _sts(self, form: dict[str, str]) -> None:
        action = form.get("Action", "")
        signed = _SIGV4.fullmatch(self.headers.get("Authorization") or "")
        kind = {"AssumeRole": "role", "AssumeRoleWithWebIdentity": "web"}.get(action)
        if kind is None:
            return self._refuse(400, "InvalidAction")
        self._note(
            kind,
            role=form.get("RoleArn"),
            external_id=form.get("ExternalId"),
            token=form.get("WebIdentityToken"),
            access_key=signed[1] if signed else None,
            signing_region=signed[2] if signed else None,
        )
        if kind == "role" and signed is None:
            return self._refuse(403, "MissingAuthenticationToken")
        if kind == "web" and not form.get("WebIdentityToken"):
            return self._refuse(400, "InvalidIdentityToken")
        if self.desk.settings["refuse"]:
            return self._refuse(403, "AccessDenied")
        fields = "".join(f"<{k}>{v}</{k}>" for k, v in self.desk.issue(kind).items())
        user = f"<Arn>{form.get('RoleArn')}/test</Arn><AssumedRoleId>AROA:test</AssumedRoleId>"
        inner = f"<Credentials>{fields}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser>"
        text = (
            f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{inner}</{action}Result>'
            f"<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
        )
        self._send(200, "text/xml", text)

    def _refuse(self, status: int, code: str) -> None:
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>planned</Message></Error>"
        inner = f"{error}<RequestId>1</RequestId>"
        text = f'<ErrorResponse xmlns="{_NAMESPACE}">{inner}</ErrorResponse>'
        self._send(status, "text/xml", text)

    def _container(self) -> None:
        got = self.headers.get("Authorization")
        self._note("container", authorization=got)
        wanted = self.desk.settings["authorization"]
        if self.desk.settings["refuse"] or got is None or wanted not in (None, got):
            error = json.dumps({"code": "AccessDenied", "message": "planned"})
            return self._send(403, "application/json", error)
        issued = self.desk.issue("container")
        issued["Token"] = issued.pop("SessionToken")
        if self.desk.settings["spoil"]:
            del issued["AccessKeyId"]
        self._send(200, "application/json", json.dumps(issued))

    def _send(self, status: int, content_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: tests read /_identity/requests instead."""


def leave_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=leave_with_parent, daemon=True).start()
    host, port = server.server_address[:2]
    print(f"listening http://{host}:{port}", flush=True)
    server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
