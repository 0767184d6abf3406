"""SQS: as much as a reader of a queue needs, with visibility and long polling."""

from __future__ import annotations

import hashlib
import itertools
import time
import uuid
from dataclasses import dataclass, field

from errors import ApiError
from model import ACCOUNT

MAX_BATCH = 10
MAX_WAIT = 20


@dataclass
class Message:
    body: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    receives: int = 0
    receipt: str = ""
    # Taken out until then, on the monotonic clock.
    hidden_until: float = 0.0


@dataclass
class Queue:
    """`visibility`: for so many seconds a message that was received is not shown again."""

    name: str
    visibility: float = 30.0
    messages: list[Message] = field(default_factory=list)
    deleted: int = 0

    def take(self, most: int, hidden: float) -> list[Message]:
        now = time.monotonic()
        taken = [one for one in self.messages if one.hidden_until <= now][:most]
        for one in taken:
            one.receives += 1
            one.receipt = f"{one.id}#{one.receives}"
            one.hidden_until = now + hidden
        return taken

    def delete(self, receipt: str) -> bool:
        """A receipt of an earlier receive counts no more, as in the service."""
        kept = [one for one in self.messages if one.receipt != receipt or not receipt]
        gone = len(self.messages) - len(kept)
        self.messages, self.deleted = kept, self.deleted + gone
        return gone > 0

    def as_json(self) -> dict:
        now = time.monotonic()
        shown = [
            {"body": one.body, "receives": one.receives, "in_flight": one.hidden_until > now}
            for one in self.messages
        ]
        return {"name": self.name, "messages": shown, "deleted": self.deleted}


class Queues:
    """The account's queues by name; callers hold the simulator's lock."""

    def __init__(self) -> None:
        self.queues: dict[str, Queue] = {}
        self.serial = itertools.count(1)

    def of_url(self, url: str) -> Queue:
        """Only the path of the URL tells queues apart."""
        account, _, name = url.partition("://")[2].partition("/")[2].partition("/")
        if account != ACCOUNT or name not in self.queues:
            raise ApiError(400, "QueueDoesNotExist", "The specified queue does not exist.")
        return self.queues[name]


def receive_message(call) -> dict:
    """Waits for messages, without the lock, as long as the caller asks."""
    queue = call.sim.queues.of_url(call.params["QueueUrl"])
    most = int(call.params.get("MaxNumberOfMessages", 1))
    wait = int(call.params.get("WaitTimeSeconds", 0))
    if not 1 <= most <= MAX_BATCH or not 0 <= wait <= MAX_WAIT:
        raise ApiError(400, "InvalidParameterValue", "1 to 10 messages, 0 to 20 seconds")
    hidden = float(call.params.get("VisibilityTimeout", queue.visibility))
    deadline = time.monotonic() + wait
    while not (taken := queue.take(most, hidden)):
        left = deadline - time.monotonic()
        if left <= 0 or not call.sim.queues.queues.get(queue.name) is queue:
            return {}
        # Woken by whatever is put into a queue; looks again now and then for messages that show
        # themselves again.
        call.sim.arrived.wait(min(left, 0.5))
    return {"Messages": [_shown(one) for one in taken]}


def _shown(message: Message) -> dict:
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "MD5OfBody": hashlib.md5(message.body.encode()).hexdigest(),
        "Body": message.body,
    }


def delete_message(call) -> dict:
    queue = call.sim.queues.of_url(call.params["QueueUrl"])
    queue.delete(call.params["ReceiptHandle"])
    return {}


def delete_message_batch(call) -> dict:
    queue = call.sim.queues.of_url(call.params["QueueUrl"])
    entries = call.params.get("Entries") or []
    ids = [one["Id"] for one in entries]
    if not entries:
        raise ApiError(400, "EmptyBatchRequest", "there is nothing to delete")
    if len(entries) > MAX_BATCH:
        raise ApiError(400, "TooManyEntriesInBatchRequest", f"at most {MAX_BATCH}")
    if len(set(ids)) != len(ids):
        raise ApiError(400, "BatchEntryIdsNotDistinct", "ids must differ")
    out: dict = {"Successful": [], "Failed": []}
    for one in entries:
        # Deleting what is deleted already goes well, too.
        queue.delete(one["ReceiptHandle"])
        out["Successful"].append({"Id": one["Id"]})
    return out


def send_message(call) -> dict:
    queue = call.sim.queues.of_url(call.params["QueueUrl"])
    message = put(call.sim, queue, call.params["MessageBody"])
    digest = hashlib.md5(message.body.encode()).hexdigest()
    return {"MessageId": message.id, "MD5OfMessageBody": digest}


def put(sim, queue: Queue, body: str) -> Message:
    message = Message(body)
    queue.messages.append(message)
    sim.arrived.notify_all()
    return message
