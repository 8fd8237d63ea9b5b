"""All modes on random real game days of several seasons."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import polars as pl
import pytest

from flows.daily import daily
from flows.report import DayState
from tasks.engine.processor import Mode
from tests.flows.conftest import stored

pytestmark = [pytest.mark.real_data, pytest.mark.slow]
DAYS = 30
SEASONS = ("2022-23", "2023-24", "2024-25", "2025-26")


@pytest.fixture(scope="module")
def game_days(real_data: Path) -> list[dt.date]:
    """Random game days in order of time, none in the first month of a season's history."""
    schedule = pl.concat(pl.read_parquet(path) for path in sorted((real_data / "schedule").glob("*.parquet")))
    finals = schedule.filter(
        pl.col("home_pts").is_not_null()
        & pl.col("season").is_in(SEASONS)
        & (pl.col("game_date") > dt.date(2022, 12, 1))
    )
    return sorted(random.Random(1229).sample(finals["game_date"].unique().sort().to_list(), DAYS))


def test_every_mode_runs_on_any_real_game_day(
    real_data: Path, game_days: list[dt.date], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("real") / "home"
    for day in game_days:
        same_day = daily(Mode.SAME_DAY, day, data=real_data, home=home, seasons=0)
        assert same_day.state in (DayState.COMPLETE, DayState.DEGRADED), (day, same_day.reasons)
        assert same_day.rows == same_day.expected > 0, day
        overnight = daily(Mode.OVERNIGHT, day, data=real_data, home=home, seasons=0)
        assert overnight.state in (DayState.COMPLETE, DayState.DEGRADED), (day, overnight.reasons)


def test_the_day_of_the_incident_is_complete(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("incident") / "home"
    day = dt.date(2025, 12, 29)
    report = daily(Mode.SAME_DAY, day, data=real_data, home=home, seasons=1)
    assert len(report.games) == 11
    assert {item.rows == item.expected for item in report.coverage} == {True}
    assert stored(home, "predictions", day).height == report.expected > 1_000
    assert report.publication is not None
