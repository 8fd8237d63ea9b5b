"""A source that is a set of tables in the folder layout: what the folder and the simulated league have in common.

It serves each table cut to the asked days and to what was known at the asked time, as a Parquet payload.
"""

from __future__ import annotations

import abc
import datetime as dt
import io

import polars as pl

from blocks.landing import Payload
from blocks.warehouse import DayRange
from tasks.engine.plan import EASTERN, results_known_at
from tasks.parsing import day, instant
from tasks.sources.base import FILE, ROW, Kind, Source, SourceError

# A line without a snapshot time is dated to late morning of its game day, and says so in `snapshot_assumed`.
ASSUMED_SNAPSHOT_ET = dt.time(12, 0)


class TabularSource(Source):
    """Serves tables in the folder layout (docs/data.md), whichever way a subclass comes by them."""

    @abc.abstractmethod
    def table(self, kind: Kind) -> pl.LazyFrame | None:
        """The whole table of one kind with `_file` and `_row`, or None where this source has no such table."""

    def covers(self) -> DayRange:
        """From the first scheduled game to the last."""
        table = self.table(Kind.SCHEDULE)
        if table is None:
            raise SourceError(f"{self.name} has no schedule; docs/data.md says how to add it")
        days = self._collect(Kind.SCHEDULE, table.select(_game_day(table).alias("day")))["day"].drop_nulls()
        if days.is_empty():
            raise SourceError(f"{self.name}: the schedule is empty, so there is no day to run")
        return DayRange(days.min(), days.max())  # type: ignore[arg-type]

    def fetch(self, kind: Kind, days: DayRange, as_of: dt.datetime, now: dt.datetime) -> Payload:
        """See Source.fetch. The body is Parquet, rows and values as they stand in the table."""
        table = self.table(kind)
        if table is None:
            raise SourceError(f"{self.name} has no {kind.replace('_', ' ')}; docs/data.md says how to add it")
        if as_of.tzinfo is None:
            raise ValueError(f"as_of is {as_of}, which has no zone: give an aware datetime")
        as_of = as_of.astimezone(dt.UTC)
        frame = self._collect(kind, known_rows(kind, table, days, as_of))
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        first, last = days.first or as_of.date(), days.last or as_of.date()
        return Payload(self.name, kind.value, first, last, as_of, now, "parquet", buffer.getvalue())

    def _collect(self, kind: Kind, table: pl.LazyFrame) -> pl.DataFrame:
        try:
            return table.collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SourceError(f"{self.name}: the {kind.replace('_', ' ')} cannot be read ({error})") from error

    def parse(self, body: bytes, file: str) -> pl.DataFrame:
        """See Source.parse."""
        try:
            frame = pl.read_parquet(io.BytesIO(body))
        except pl.exceptions.PolarsError as error:
            raise SourceError(f"{file}: not a Parquet payload ({error})") from error
        return frame


def _game_day(table: pl.LazyFrame, column: str = "game_date") -> pl.Expr:
    return day(column, table.collect_schema()[column])


def known_rows(kind: Kind, table: pl.LazyFrame, days: DayRange, as_of: dt.datetime) -> pl.LazyFrame:
    """The rows of a table in the folder layout that are about `days` and were known at `as_of` (UTC)."""
    if kind == Kind.ROSTERS:
        return _known_rosters(table, days, as_of)
    # A row whose day cannot be read is served, so that it is refused in the open rather than lost here.
    in_days = _within(_game_day(table), days)
    table = table.filter(in_days | _game_day(table).is_null())
    match kind:
        case Kind.SCHEDULE:
            return _known_schedule(table, as_of)
        case Kind.PLAYER_BOX_SCORES | Kind.TEAM_BOX_SCORES:
            return table.filter(_results_known(table, as_of) | _game_day(table).is_null())
        case Kind.PROP_LINES:
            return _known_lines(table, as_of)
        case Kind.INJURY_REPORT:
            reported = instant("reported_at", table.collect_schema()["reported_at"])
            return table.filter((reported <= as_of) | reported.is_null())
    raise AssertionError(kind)


def _within(value: pl.Expr, days: DayRange) -> pl.Expr:
    condition = pl.lit(True)
    if days.first is not None:
        condition &= value >= days.first
    if days.last is not None:
        condition &= value <= days.last
    return condition


def _results_known(table: pl.LazyFrame, as_of: dt.datetime) -> pl.Expr:
    latest = as_of.date()
    while results_known_at(latest) > as_of:
        latest -= dt.timedelta(days=1)
    return _game_day(table) <= latest


def _known_schedule(table: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    """Scores once they are known; a status once it was announced; a game once it was put on the schedule."""
    schema = table.collect_schema()
    played = _results_known(table, as_of)
    table = table.with_columns(pl.when(played).then(pl.col(name)).alias(name) for name in ("home_pts", "away_pts"))
    if "status_at" in schema:
        stated = instant("status_at", schema["status_at"])
        # When a status will come is as much of the future as the status: it would tell of overtimes and cancellations.
        known = (name for name in ("status", "status_at") if name in schema)
        table = table.with_columns(
            pl.when(stated.is_null() | (stated <= as_of)).then(name).alias(name) for name in known
        )
    if "announced_at" in schema:
        announced = instant("announced_at", schema["announced_at"])
        table = table.filter(announced.is_null() | (announced <= as_of))
    return table


def _known_lines(table: pl.LazyFrame, as_of: dt.datetime) -> pl.LazyFrame:
    assumed = (
        _game_day(table).dt.combine(ASSUMED_SNAPSHOT_ET).dt.replace_time_zone("America/New_York")
    ).dt.convert_time_zone("UTC")
    schema = table.collect_schema()
    unstamped = pl.col("snapshot").is_null()
    if schema["snapshot"] == pl.String:
        unstamped |= pl.col("snapshot").str.strip_chars() == ""
    stamped = instant("snapshot", schema["snapshot"])
    snapshot = pl.when(unstamped).then(assumed).otherwise(stamped)
    stamp = pl.when(unstamped).then(assumed.dt.strftime("%Y-%m-%dT%H:%M:%SZ")).otherwise(_text("snapshot", schema))
    return table.filter((snapshot <= as_of) | snapshot.is_null()).with_columns(
        snapshot=stamp, snapshot_assumed=unstamped
    )


def _text(column: str, schema: pl.Schema) -> pl.Expr:
    if schema[column] == pl.String:
        return pl.col(column)
    return instant(column, schema[column]).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")


def _known_rosters(table: pl.LazyFrame, days: DayRange, as_of: dt.datetime) -> pl.LazyFrame:
    """Snapshots taken in `days` (and known), and of those before them the latest of each team."""
    taken = _game_day(table, "snapshot_date")
    today = as_of.astimezone(EASTERN).date()
    known = table.filter((taken <= min(today, days.last or today)) | taken.is_null())
    if days.first is None:
        return known
    before = pl.when(taken <= days.first).then(taken).max().over("team")
    return known.filter((taken > days.first) | (taken == before) | taken.is_null())


def with_origin(table: pl.LazyFrame, file: str) -> pl.LazyFrame:
    """The table with `_file` and `_row`, so that every row can be found again where it came from."""
    return table.with_row_index(ROW).with_columns(pl.lit(file).alias(FILE), pl.col(ROW).cast(pl.Int64))
