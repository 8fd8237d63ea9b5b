"""Expected against there: one judgement of how much of an output is in the store, for the run and for the watch."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import polars as pl

from blocks.warehouse import Warehouse
from tasks.engine.ledger import MISSING_SAMPLE
from tasks.engine.plan import Frozen
from tasks.engine.processor import Processor, Read, Registry


class Counted(Frozen):
    """What was counted in the store of one output on one day. `expected` is None where nobody can say.

    `unreadable` says why nothing could be counted, where that is so.
    """

    rows: int = 0
    expected: int | None = None
    missing: int = 0
    sample: tuple[str, ...] = ()
    unreadable: str = ""

    @property
    def share(self) -> float:
        """The share of the expected keys that are there."""
        return 1.0 if not self.expected else 1 - self.missing / self.expected


def expected_keys(processor: Processor, inputs: Mapping[str, Any], days: pl.Series) -> pl.DataFrame | None:
    """The keys that must be in the output of these days, by the inputs; None where the processor does not say."""
    if processor.expects is None:
        return None
    return processor.expects(inputs).filter(pl.col("game_day").is_in(days.implode())).unique(maintain_order=True)


def lacking(expected: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """The expected keys without a row."""
    return expected.join(stored, on=expected.columns, how="anti", nulls_equal=True)


def named(keys: pl.DataFrame) -> list[str]:
    """Keys as text, at most the first few."""
    return [" / ".join(map(str, row)) for row in keys.head(MISSING_SAMPLE).iter_rows()]


def count(
    processor: Processor, warehouse: Warehouse, registry: Registry, days: Collection[dt.date]
) -> dict[dt.date, Counted]:
    """Count an output of several days in the store, by the same expectation that its run was held to.

    The inputs are those in the store now: an expectation reads the target days alone.
    """
    wanted = pl.Series("game_day", sorted(days), dtype=pl.Date)
    expected = expected_keys(processor, _Stored(processor, warehouse, registry, wanted.to_list()), wanted)
    columns = ["game_day"] if expected is None else ["game_day", *(c for c in expected.columns if c != "game_day")]
    stored = warehouse.read(processor.writes.spec, wanted.to_list(), columns)
    rows = dict(stored.group_by("game_day").len().iter_rows())
    if expected is None:
        return {day: Counted(rows=rows.get(day, 0)) for day in days}
    asked = dict(expected.group_by("game_day").len().iter_rows())
    missing = {day: part for (day,), part in lacking(expected, stored).partition_by("game_day", as_dict=True).items()}
    nothing = expected.clear()
    return {
        day: Counted(
            rows=rows.get(day, 0),
            expected=asked.get(day, 0),
            missing=missing.get(day, nothing).height,
            sample=tuple(named(missing.get(day, nothing))),
        )
        for day in days
    }


class _Stored(Mapping[str, Any]):
    """A processor's table inputs as they are in the store, read when an expectation asks for them."""

    def __init__(self, processor: Processor, warehouse: Warehouse, registry: Registry, days: list[dt.date]) -> None:
        self._tables = {name: read for name, read in processor.reads.items() if isinstance(read, Read)}
        self._warehouse, self._registry, self._days = warehouse, registry, days

    def __getitem__(self, name: str) -> pl.DataFrame:
        read = self._tables[name]
        return self._warehouse.read(self._registry[read.table].writes.spec, self._days, read.columns)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)
