"""The walk-forward: the daily run's own predictions for past days, by a model that saw only games before them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl

from flows.walkforward import Refit, periods, walk_forward
from tasks.engine.plan import default_as_of, targets_frame
from tasks.engine.processor import Mode
from tests.flows.conftest import RUN_COLUMNS, Finished, stored


def test_a_walk_over_a_day_gives_what_the_daily_run_gave(finished: Finished, copied: Callable[[], Path]) -> None:
    home, day = copied(), finished.game_day
    for folder in (home / "warehouse" / "tables" / "predictions").iterdir():
        _remove(folder)
    walk_forward(day, day, Refit.MONTHLY, finished.folder, home, workers=1)
    theirs = stored(home, "predictions", day).drop(*RUN_COLUMNS, "release")
    ours = finished.read("predictions").drop(*RUN_COLUMNS, "release")
    # The days before were built by the same backfill, so the model is the same too.
    assert theirs.equals(ours)


def test_days_share_a_model_by_calendar_week(finished: Finished) -> None:
    first = finished.game_day - dt.timedelta(days=20)
    groups = periods(_targets(first, finished.game_day), Refit.WEEKLY)
    days = [day for group in groups for day, _ in group]
    assert days == sorted(set(days))
    assert len(days) == 21
    assert all(len({day.isocalendar()[:2] for day, _ in group}) == 1 for group in groups)


def _targets(first: dt.date, last: dt.date) -> pl.DataFrame:
    days = [first + dt.timedelta(days=offset) for offset in range((last - first).days + 1)]
    return targets_frame((day, default_as_of(Mode.BACKFILL, day, None)) for day in days)


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
