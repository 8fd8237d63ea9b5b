"""What a table promises: columns with type, unit and range, a unique key, null rates, variance; and the check of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import polars as pl

from blocks.warehouse import TableSpec

# Below this many rows a column without variance says nothing.
MIN_ROWS_FOR_VARIANCE = 30


class Direction(StrEnum):
    """What a larger value of a feature means for the player's points tonight."""

    MORE = "more points"
    FEWER = "fewer points"
    NEITHER = "no fixed direction"


@dataclass(frozen=True)
class Column:
    """One column's promise.

    `max_null` is the largest share of nulls that is acceptable (None: any; nulls then lower a quality score instead).
    `ge` and `le` bound the values, both included; a value above `degrades_above` is written, and degrades what is made
    of it. `varies` demands more than one value on a full day.
    """

    name: str
    dtype: pl.DataType | type[pl.DataType]
    unit: str = ""
    says: str = ""
    max_null: float | None = 0.0
    ge: float | None = None
    le: float | None = None
    direction: Direction = Direction.NEITHER
    varies: bool = False
    degrades_above: float | None = None

    @cached_property
    def type(self) -> pl.DataType:
        """The polars type as an instance."""
        return self.dtype() if isinstance(self.dtype, type) else self.dtype


class Severity(StrEnum):
    """BLOCKS: the frame is not written. DEGRADES: it is, and the reason travels with everything made of it."""

    BLOCKS = "blocks"
    DEGRADES = "degrades"


@dataclass(frozen=True)
class Violation:
    """One broken promise, in words that name the column and the value."""

    table: str
    column: str
    rule: str
    found: str
    severity: Severity = Severity.BLOCKS

    def __str__(self) -> str:
        return f"{self.table}.{self.column}: {self.rule}, found {self.found}"


class ContractError(Exception):
    """A frame that breaks its table's contract; nothing of it was written."""

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = violations
        super().__init__("; ".join(str(violation) for violation in violations))


@dataclass(frozen=True)
class Contract:
    """A table: its name, what one row is, its unique key, its columns.

    Every table has the column `game_day`, by which it is partitioned.
    """

    table: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    version: int = 1
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(column.name for column in self.columns)
        object.__setattr__(self, "names", names)
        missing = [name for name in ("game_day", *self.key) if name not in names]
        if missing:
            raise ValueError(f"contract of {self.table} lacks the columns {missing}")
        if len(set(names)) != len(names):
            raise ValueError(f"contract of {self.table} names a column twice")

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @cached_property
    def spec(self) -> TableSpec:
        """What the store needs to know of this table."""
        return TableSpec(self.table, {column.name: column.type for column in self.columns}, self.key, self.version)

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with exactly the contract's columns and types, in order of game day and key.

        Raises ContractError where a column is missing or cannot be cast without losing a value.
        """
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            raise ContractError([Violation(self.table, name, "is missing", "no such column") for name in missing])
        order = ["game_day", *(name for name in self.key if name != "game_day")]
        try:
            cast = frame.select(pl.col(column.name).cast(column.type) for column in self.columns)
        except pl.exceptions.PolarsError as error:
            raise ContractError([Violation(self.table, "*", "has the contract's types", str(error))]) from error
        lossy = [violation for column in self.columns for violation in self._lost(frame[column.name], column)]
        if lossy:
            raise ContractError(lossy)
        return cast.sort(order)

    def check(self, frame: pl.DataFrame) -> list[Violation]:
        """Every promise that `frame` (already conformed) breaks. An empty frame breaks none."""
        if frame.is_empty():
            return []
        facts = frame.select(_facts(self.columns)).row(0, named=True)
        found = [violation for column in self.columns for violation in self._of(column, facts, frame.height)]
        duplicates = frame.height - frame.select(self.key).n_unique()
        if duplicates:
            sample = frame.filter(frame.select(self.key).is_duplicated()).select(self.key).row(0)
            found.append(Violation(self.table, ", ".join(self.key), "is unique", f"{duplicates} repeats, as {sample}"))
        return found

    def _lost(self, values: pl.Series, column: Column) -> Iterator[Violation]:
        """A cast that polars makes without a word, but that cuts something off: 1.7 to 1, an instant to its day."""
        found, wanted = values.dtype, column.type
        if found == wanted or (found.is_float() and wanted.is_float()):
            return
        if (found.is_numeric() or found.is_temporal()) and (wanted.is_numeric() or wanted.is_temporal()):
            changed = values.filter(values.cast(wanted).cast(found).ne_missing(values))
            if len(changed):
                rule = f"is {wanted} without losing a value"
                yield Violation(self.table, column.name, rule, f"{len(changed)} as {changed[0]}")

    def _of(self, column: Column, facts: dict[str, Any], rows: int) -> Iterator[Violation]:
        nulls = facts[f"{column.name}/nulls"] / rows
        allowed = 0.0 if column.name in self.key else column.max_null
        if allowed is not None and nulls > allowed:
            yield Violation(self.table, column.name, f"is null in at most {allowed:.0%} of rows", f"{nulls:.1%}")
        low, high = facts.get(f"{column.name}/min"), facts.get(f"{column.name}/max")
        if low is not None and column.ge is not None and low < column.ge:
            yield Violation(self.table, column.name, f"is at least {column.ge:g} {column.unit}".strip(), f"{low:g}")
        if high is not None and column.le is not None and high > column.le:
            yield Violation(self.table, column.name, f"is at most {column.le:g} {column.unit}".strip(), f"{high:g}")
        if high is not None and column.degrades_above is not None and high > column.degrades_above:
            rule = f"is at most {column.degrades_above:g} {column.unit}".strip()
            yield Violation(self.table, column.name, rule, f"{high:g}", Severity.DEGRADES)
        if facts.get(f"{column.name}/odd"):
            found = f"{facts[f'{column.name}/odd']} NaN or infinite"
            yield Violation(self.table, column.name, "is a finite number", found)
        if column.varies and rows >= MIN_ROWS_FOR_VARIANCE and low is not None and low == high:
            yield Violation(self.table, column.name, "varies", f"{low} in every row", Severity.DEGRADES)


def _facts(columns: tuple[Column, ...]) -> Iterator[pl.Expr]:
    for column in columns:
        values = pl.col(column.name)
        yield values.null_count().alias(f"{column.name}/nulls")
        if column.type.is_numeric():
            yield values.min().alias(f"{column.name}/min")
            yield values.max().alias(f"{column.name}/max")
        if column.type.is_float():
            yield (~values.is_finite()).sum().alias(f"{column.name}/odd")
