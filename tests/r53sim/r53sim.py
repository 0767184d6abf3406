#!/usr/bin/env python3
"""Route 53 API simulator for zonelet's integration tests.

    python3 tests/r53sim/r53sim.py --port 0

prints one line, `listening http://127.0.0.1:PORT`, and serves on that port: the Route 53 API under
/2013-04-01/, the instance metadata service under /latest/, the calls of services.py wherever they
come, and the control side for tests under /_sim/. It ends on SIGTERM, and when stdin closes: a test
that starts it with a pipe as stdin leaves no orphan behind, however the test dies.

Standard library only, so that a test needs nothing but `python3`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import api
import around
import control
import services
import wire
from sim import Sim


class Handler(BaseHTTPRequestHandler):
    """One client connection: reads a request, asks the right part, sends the reply."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def _serve(self) -> None:
        sim = self.server.sim
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_sim"):
            self._control(sim, body)
        elif self.path.startswith("/latest"):
            with sim.lock:
                answer = sim.metadata.handle(self.command, self.path, self.headers)
            status, text, extra = answer
            self._send(status, "text/plain", extra, text.encode())
        else:
            self._api(sim, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _control(self, sim: Sim, body: bytes) -> None:
        try:
            value = json.loads(body) if body.strip() else {}
        except ValueError as problem:
            status, answer = 400, {"error": f"body is not JSON: {problem}"}
        else:
            status, answer = control.handle(sim, self.command, self.path.split("?")[0], value)
        self._send(status, "application/json", {}, json.dumps(answer).encode())

    def _api(self, sim: Sim, body: bytes) -> None:
        target = services.target(self.path, self.headers)
        if target is None:
            request = (sim, self.command, self.path, self.headers, body)
            reply = around.handle(*request) or api.handle(*request)
        else:
            reply = services.handle(sim, target, self.headers, body)
        if reply.wire_fault is None:
            self._send(reply.status, reply.content_type, reply.headers, reply.body)
            return
        self.close_connection = True
        broken = (reply.status, reply.content_type, reply.headers, reply.body)
        wire.send_broken(self.connection, reply.wire_fault, reply.released, broken)

    def _send(self, status: int, content_type: str, headers: dict, body: bytes) -> None:
        head = wire.head(status, content_type, len(body), headers)
        wire.send(self.connection, head, body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: tests read /_sim/calls instead."""


class Server(ThreadingHTTPServer):
    """A thread per connection; threads never keep the process alive."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int]) -> None:
        self.sim = Sim()
        super().__init__(address, Handler)

    def handle_error(self, request, client_address) -> None:
        """A client that leaves mid-reply is a test's business; a bug of ours must be seen."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def leave(*_: object) -> None:
    """Ends at once: there is nothing to save, and stalled threads need no farewell."""
    os._exit(0)


def leave_with_parent() -> None:
    """Waits for the end of stdin."""
    while os.read(0, 4096):
        pass
    leave()


def main() -> None:
    parser = argparse.ArgumentParser(description="Route 53 API simulator for tests")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument(
        "--keep", action="store_true", help="stay when stdin closes (for use by hand)"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    server = Server((options.host, options.port))
    if not options.keep:
        threading.Thread(target=leave_with_parent, daemon=True).start()
    host, port = server.server_address[:2]
    print(f"listening http://{host}:{port}", flush=True)
    server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
