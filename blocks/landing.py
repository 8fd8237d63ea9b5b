"""The landing zone: payloads as they were fetched, untouched, named by source, kind, game day and fetch time."""

from __future__ import annotations

import abc
import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path

from prefect.blocks.core import Block
from pydantic import Field

from blocks.partition import write_durably

STAMP = "%Y%m%dT%H%M%S%fZ"
STAMPED = re.compile(r"\d{8}T\d{12}Z\.\w+")  # a write in progress has another name


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


class Landing(Block, abc.ABC):
    """Where payloads are kept. Nothing here looks into them."""

    _block_schema_capabilities = ["landing"]

    @abc.abstractmethod
    def put(self, payload: Payload) -> str:
        """Keep the payload's bytes under its name, atomically, and return the name."""

    @abc.abstractmethod
    def get(self, name: str) -> bytes:
        """The bytes of a landed payload. Raises FileNotFoundError where there is none of that name."""

    @abc.abstractmethod
    def names(self, source: str, kind: str) -> list[str]:
        """Every payload of this source and kind that was landed, in order of its name."""


class LocalLanding(Landing):
    """A landing zone in a folder."""

    _block_type_name = "Local Landing"
    _block_type_slug = "local-landing"
    _description = "Courtside's embedded landing zone: untouched payloads in a folder."

    folder: Path = Field(description="Folder that holds the payloads; created on first write.")

    def put(self, payload: Payload) -> str:
        """See Landing.put."""
        path = self.folder / payload.name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, payload.body)
        return payload.name

    def get(self, name: str) -> bytes:
        """See Landing.get."""
        return (self.folder / name).read_bytes()

    def names(self, source: str, kind: str) -> list[str]:
        """See Landing.names."""
        found = (self.folder / source / kind).glob("*/*")
        return sorted(path.relative_to(self.folder).as_posix() for path in found if STAMPED.fullmatch(path.name))
