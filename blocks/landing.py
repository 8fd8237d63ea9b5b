"""The landing zone: payloads as they were fetched, untouched, named by source, kind, game day and fetch time."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from blocks.objects import Objects

STAMP = "%Y%m%dT%H%M%S%fZ"
STAMPED = re.compile(r"\d{8}T\d{12}Z\.\w+")


@dataclass(frozen=True)
class Payload:
    """One fetched body: what kind of facts, from where, about which game days, known as of when, fetched when."""

    source: str
    kind: str
    first: dt.date
    last: dt.date
    as_of: dt.datetime
    fetched_at: dt.datetime
    suffix: str
    body: bytes
    notes: tuple[str, ...] = ()  # what was not as it should be though the rest came, for people

    @property
    def name(self) -> str:
        """Where it is landed, relative to the landing zone."""
        days = self.first.isoformat() if self.first == self.last else f"{self.first}_{self.last}"
        return f"{self.source}/{self.kind}/{days}/{self.fetched_at.astimezone(dt.UTC).strftime(STAMP)}.{self.suffix}"


@dataclass(frozen=True)
class Landing:
    """Where payloads are kept, each under its name. Nothing here looks into them."""

    objects: Objects

    def put(self, payload: Payload) -> str:
        """Keep the payload's bytes under its name, whole or not at all, and return the name."""
        self.objects.create(payload.name, payload.body)
        return payload.name

    def get(self, name: str) -> bytes:
        """The bytes of a landed payload. Raises FileNotFoundError where there is none of that name."""
        return self.objects.get(name)

    def names(self, source: str, kind: str) -> list[str]:
        """Every payload of this source and kind that was landed, in order of its name."""
        found = self.objects.names(f"{source}/{kind}/")
        return [name for name in found if STAMPED.fullmatch(name.rpartition("/")[2])]


def fetched_at(name: str) -> dt.datetime:
    """When a landed payload was fetched, by its name."""
    stamp = name.rpartition("/")[2].partition(".")[0]
    return dt.datetime.strptime(stamp, STAMP).replace(tzinfo=dt.UTC)
