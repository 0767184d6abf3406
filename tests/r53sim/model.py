"""Hosted zones and the account that owns them: what is true, apart from how it is asked for."""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass, field

import names
import records

# The account of the caller; the number AWS uses in its own documentation.
ACCOUNT = "111122223333"


@dataclass
class Zone:
    """One hosted zone with its record sets."""

    id: str
    name: str
    private: bool = True
    caller_reference: str = ""
    comment: str = ""
    # (vpc id, region): an association belongs to both, which is what moto forgets.
    vpcs: list[tuple[str, str]] = field(default_factory=list)
    owner_account: str | None = ACCOUNT
    owner_service: str | None = None
    # Cloud Map zones: owned by the account, but made by a service.
    linked_service: str | None = None
    readable: bool = True
    tags: dict[str, str] = field(default_factory=dict)
    tags_readable: bool = True
    sets: dict[records.Key, dict] = field(default_factory=dict)
    _order: list[records.Key] | None = None

    @property
    def labels(self) -> names.Labels:
        return names.parse(self.name)

    def is_of(self, account: str) -> bool:
        """Whether ListHostedZones of that account shows it."""
        return self.owner_service is None and self.owner_account == account

    def may_read(self, account: str) -> bool:
        """Whether that account may list its records; `readable` is about the simulator's own."""
        return self.readable if account == ACCOUNT else self.is_of(account)

    def put(self, record: dict) -> None:
        """Adds or replaces one record set; no rule is checked here."""
        record = records.normalise(record)
        self.sets[records.key(record)] = record
        self._order = None

    def remove(self, record: dict) -> bool:
        """Takes out the record set with this name, type and set identifier."""
        gone = self.sets.pop(records.key(records.normalise(record)), None)
        self._order = None
        return gone is not None

    def replace_all(self, sets: dict[records.Key, dict]) -> None:
        """Publishes the outcome of a whole change batch at once."""
        self.sets = sets
        self._order = None

    def ordered(self) -> list[records.Key]:
        """Keys in listing order, sorted once per change."""
        if self._order is None:
            self._order = sorted(self.sets)
        return self._order

    def index_at(self, cursor: records.Key) -> int:
        """Place of the first record set that is not before `cursor`."""
        return bisect.bisect_left(self.ordered(), cursor)

    def as_json(self, with_records: bool = True) -> dict:
        """What a test compares with: every record set in listing order."""
        out = {
            "id": self.id,
            "name": self.name,
            "private": self.private,
            "vpcs": [{"id": vpc, "region": region} for vpc, region in self.vpcs],
            "owner_account": self.owner_account,
            "owner_service": self.owner_service,
            "linked_service": self.linked_service,
            "readable": self.readable,
            "count": len(self.sets),
        }
        if with_records:
            out["records"] = [self.sets[key] for key in self.ordered()]
        return out


class Zones:
    """All zones the simulator knows, of whatever owner."""

    def __init__(self) -> None:
        self._zones: dict[str, Zone] = {}
        self._ids = itertools.count(1)

    def new_id(self) -> str:
        """A fresh bare zone id. The counter keeps ids the same from run to run."""
        return f"Z{next(self._ids):010d}R53SIM"

    def add(self, zone: Zone) -> Zone:
        self._zones[zone.id] = zone
        return zone

    def find(self, zone_id: str) -> Zone | None:
        return self._zones.get(bare(zone_id))

    def drop(self, zone_id: str) -> bool:
        return self._zones.pop(bare(zone_id), None) is not None

    def all(self) -> list[Zone]:
        """By id: the service documents no order, and a fixed one survives the loss of a zone."""
        return [self._zones[zone_id] for zone_id in sorted(self._zones)]

    def own(self, account: str) -> list[Zone]:
        return [zone for zone in self.all() if zone.is_of(account)]

    def of_vpc(self, vpc_id: str, region: str) -> list[Zone]:
        """Private zones of any owner associated with this VPC in this region."""
        return [zone for zone in self.all() if zone.private and (vpc_id, region) in zone.vpcs]


def bare(zone_id: str) -> str:
    """The id without the `/hostedzone/` that some calls put before it."""
    return zone_id.strip("/").removeprefix("hostedzone/")
