"""How a processor is declared: one decorator on a pure function says what it reads, what it writes, when it runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

import polars as pl

from blocks.warehouse import DayRange
from tasks.engine.contracts import Contract


class Mode(StrEnum):
    """Why a game day is run. Always given by the caller, never guessed from a clock."""

    OVERNIGHT = "overnight"
    SAME_DAY = "same_day"
    BACKFILL = "backfill"


class Phase(IntEnum):
    """The six phases of a day, in order."""

    INGEST = 1
    RAW = 2
    ANALYTICS = 3
    PRECOMPUTE = 4
    PREDICTIONS = 5
    PUBLISH = 6


class Need(StrEnum):
    """What a mode asks of an output: computed in this run, fresh from an earlier run, or welcome but not necessary."""

    REQUIRED = "required"
    FRESH = "fresh"
    OPTIONAL = "optional"


class Span(StrEnum):
    """Which partitions of an input a processor sees, relative to the game days it computes.

    BEFORE is the only way to history: with one target day it holds nothing of that day or later. A run over many days
    sees the days before the last of them, and the transform compares strictly, day by day.
    """

    ON = "the target days themselves"
    BEFORE = "every day before the last target day"
    THROUGH = "every day up to the last target day"


@dataclass(frozen=True)
class Read:
    """One input table, the span of it that is read, and whether the processor can do without.

    `columns` narrows a wide table to what is needed; None reads all of it.
    """

    table: str
    span: Span
    optional: bool = False
    columns: tuple[str, ...] | None = None

    def days(self, first: dt.date, last: dt.date) -> DayRange:
        """The game days to read for the target days `first` to `last`."""
        match self.span:
            case Span.ON:
                return DayRange(first, last)
            case Span.BEFORE:
                return DayRange.before(last)
            case Span.THROUGH:
                return DayRange(None, last)


@dataclass(frozen=True)
class Landed:
    """Payloads of one kind, as they were fetched: the input of a phase 2 processor."""

    kind: str


@dataclass(frozen=True)
class Artifact:
    """A trained model, loaded by id and hash before the transform is called."""

    name: str


@dataclass(frozen=True)
class Provenance:
    """The stamp of the run, for tables whose rows say by themselves where they come from."""


@dataclass(frozen=True)
class Stamp:
    """Who made a row, with which code, when, and how degraded what it was made from is."""

    run_id: str
    fingerprint: str | None
    created_at: dt.datetime
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cleaned:
    """What phase 2 makes of payload rows: the good ones, and the refused ones with field, value and reason."""

    rows: pl.DataFrame
    refused: pl.DataFrame


Input = Read | Landed | Artifact | Provenance
Transform = Callable[..., "pl.DataFrame | Cleaned"]
Expectation = Callable[[Mapping[str, Any]], pl.DataFrame]
Narrowing = Callable[[Mapping[str, Any], pl.DataFrame], Mapping[str, Any]]
AT_ONCE = dt.timedelta(0)


@dataclass(frozen=True)
class Processor:
    """A declared processor. Calling it calls its pure transform: frames in by name, frame out.

    `expects` gives the keys that must be in the output, from the same inputs: what is missing is counted and named.
    `complete_at` is the share of them that makes the output COMPLETE, `floor` the share below which it has FAILED.
    `narrows` gives the inputs from which only the missing of those keys are made, where no row hangs on another.
    `patience` is how long a run of today waits for what is not complete yet, because it is still being published.
    """

    name: str
    phase: Phase
    writes: Contract
    reads: Mapping[str, Input]
    runs_in: Mapping[Mode, Need]
    transform: Transform
    critical: bool = False
    expects: Expectation | None = None
    complete_at: float = 1.0
    floor: float = 0.0
    narrows: Narrowing | None = None
    patience: dt.timedelta = AT_ONCE

    def __call__(self, **frames: Any) -> pl.DataFrame | Cleaned:
        """What the transform makes of these inputs."""
        return self.transform(**frames)

    @property
    def table(self) -> str:
        """The one table it writes."""
        return self.writes.table

    @property
    def tables_read(self) -> Iterator[Read]:
        """Its table inputs, without payloads and models."""
        return (read for read in self.reads.values() if isinstance(read, Read))


def processor(
    *,
    phase: Phase,
    writes: Contract,
    reads: Mapping[str, Input],
    runs_in: Mapping[Mode, Need],
    critical: bool = False,
    expects: Expectation | None = None,
    complete_at: float = 1.0,
    floor: float = 0.0,
    narrows: Narrowing | None = None,
    patience: dt.timedelta = AT_ONCE,
) -> Callable[[Transform], Processor]:
    """Declare the decorated pure function as the processor of the table that `writes` describes.

    The function takes one keyword argument for each name in `reads`, and `targets`: one row per game day to compute,
    with columns game_day (Date) and as_of (Datetime, UTC), the instant up to which facts about that day count as known.
    """

    def declare(transform: Transform) -> Processor:
        return Processor(
            transform.__name__,
            phase,
            writes,
            reads,
            runs_in,
            transform,
            critical,
            expects,
            complete_at,
            floor,
            narrows,
            patience,
        )

    return declare


@dataclass(frozen=True)
class Registry:
    """Every declared processor, by the table it writes."""

    processors: Mapping[str, Processor] = field(default_factory=dict)

    @classmethod
    def of(cls, *declared: Processor) -> Registry:
        """A registry of these processors. Raises ValueError if two write the same table or a read has no writer."""
        by_table: dict[str, Processor] = {}
        for item in declared:
            if item.table in by_table:
                raise ValueError(f"{item.name} and {by_table[item.table].name} both write {item.table}")
            by_table[item.table] = item
        for item in declared:
            unknown = [read.table for read in item.tables_read if read.table not in by_table]
            if unknown:
                raise ValueError(f"{item.name} reads {unknown}, which no processor writes")
        return cls(by_table)

    def __getitem__(self, table: str) -> Processor:
        return self.processors[table]

    def __iter__(self) -> Iterator[Processor]:
        return iter(self.processors.values())
