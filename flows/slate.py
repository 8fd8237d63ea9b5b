"""The schedule that plans a day or a range of days, as known at the run's as_of."""

from __future__ import annotations

import datetime as dt

import polars as pl

from blocks.warehouse import DayRange
from flows.clock import utc_now
from flows.run import Run
from tasks.catalog import registry
from tasks.engine.processor import Cleaned
from tasks.raw.schedule import CONTRACT
from tasks.sources.base import Kind, SourceError


def in_order(first: dt.date, last: dt.date) -> None:
    """Raise SourceError for a range of game days that ends before it begins."""
    if last < first:
        raise SourceError(f"the last game day {last} is before the first {first}: give them the other way round")


def slate(run: Run) -> pl.DataFrame:
    """The schedule from the source's first day through the run's game day.

    Raises SourceError for a game day of which the source knows nothing.
    """
    covered = run.source.covers()
    if run.game_day not in covered:
        raise SourceError(f"{run.game_day} is outside of what the source {run.source.name} knows ({covered})")
    return scheduled(run, DayRange(covered.first, run.game_day))


def scheduled(run: Run, days: DayRange) -> pl.DataFrame:
    """The games of `days` as the schedule table has them; refused rows are left to phase 2 to report."""
    assert days.first is not None
    assert days.last is not None
    payload = run.source.fetch(Kind.SCHEDULE, days, run.as_of, utc_now())
    run.workspace.landing.put(payload)
    every_day = pl.DataFrame({"game_day": pl.date_range(days.first, days.last, eager=True)})
    cleaned = registry()["schedule"](found=run.source.parse(payload.body, payload.name), targets=every_day)
    assert isinstance(cleaned, Cleaned)
    return CONTRACT.conform(cleaned.rows)
