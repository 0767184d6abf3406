"""All state of one simulator process behind one lock."""

from __future__ import annotations

import threading

from cloudwatch import Metrics
from faults import FaultPlan
from healthchecks import HealthChecks
from imds import Metadata
from model import Zones
from paging import PageNumbers
from profiles import Profiles
from rules import Rules
from sts import Accounts
from sqs import Queues
from traffic import CallLog, Limits


class Sim:
    """The account, the fault plan, the limits, the log and the metadata double.

    Request threads hold `lock` while they read or change any of it, never while they sleep or
    send.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        # Something was put into a queue.
        self.arrived = threading.Condition(self.lock)
        self.faults = FaultPlan()
        self.log = CallLog()
        self.reset()

    def reset(self) -> None:
        """Back to an empty account; running stalls and delays end."""
        self.zones = Zones()
        self.pages = PageNumbers()
        self.limits = Limits()
        self.metadata = Metadata()
        self.accounts = Accounts()
        self.profiles = Profiles()
        self.rules = Rules()
        self.checks = HealthChecks()
        self.metrics = Metrics()
        self.queues = Queues()
        # `require`: refuse unsigned calls. `region`: refuse any other signing region.
        self.signing: dict = {"require": True, "region": None}
        self.faults.clear()
        self.log.reset()
        with self.lock:
            self.arrived.notify_all()
