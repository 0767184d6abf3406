"""Putting a reply on the connection, whole or deliberately broken.

The reply goes out in one `sendall`, so that a cut falls where the fault says and not where a
buffer happened to end.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from email.utils import formatdate
from http import HTTPStatus

from faults import Fault


def send(connection: socket.socket, head: bytes, body: bytes) -> None:
    connection.sendall(head + body)


def head(status: int, content_type: str, length: int, headers: dict[str, str]) -> bytes:
    """Status line and headers."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [f"HTTP/1.1 {status} {reason}"]
    lines += [f"{key}: {value}" for key, value in headers.items()]
    lines += [
        f"Content-Type: {content_type}",
        f"Content-Length: {length}",
        f"Date: {formatdate(usegmt=True)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def send_broken(
    connection: socket.socket,
    fault: Fault,
    released: threading.Event,
    reply: tuple[int, str, dict[str, str], bytes],
) -> None:
    """Sends as much as the fault allows. The connection is of no use afterwards."""
    status, content_type, headers, body = reply
    if fault.kind == "refuse":
        return
    headers = {**headers, "Connection": "close"}
    if fault.kind == "wrong_content_length":
        # Positive: the body is shorter than announced. Negative: it is longer.
        claimed = max(0, len(body) + int(fault.params.get("delta", 64)))
        send(connection, head(status, content_type, claimed, headers), body)
        return
    half = body[: len(body) // 2]
    send(connection, head(status, content_type, len(body), headers), half)
    if fault.kind == "stall":
        _hang(connection, released, float(fault.params.get("seconds", 30)))
    elif fault.kind == "reset":
        _reset(connection)


def _hang(connection: socket.socket, released: threading.Event, seconds: float) -> None:
    """Holds the connection open until the client leaves, the plan is cleared or time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not released.wait(0.02):
        readable, _, _ = select.select([connection], [], [], 0)
        if readable and connection.recv(1, socket.MSG_PEEK) == b"":
            return


def _reset(connection: socket.socket) -> None:
    """Closes with RST. The descriptor is closed itself: the server's file objects hold the socket
    open, and their orderly shutdown would send FIN first."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())
