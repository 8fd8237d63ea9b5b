"""One implementation for the daily run and the backfill: a season day by day gives what it gives all at once.

Needs no finished day, so it runs beside the other flow tests (tests/conftest.py).
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl

from flows.daily import daily
from flows.history import build_tables
from flows.report import DayState
from tasks.engine.processor import Mode
from tests.flows.conftest import difference, stored


def test_same_day_after_overnight_gives_the_features_of_a_backfill(
    league_folder: Path, game_day: dt.date, tmp_path: Path
) -> None:
    yesterday = game_day - dt.timedelta(days=1)
    home = tmp_path / "day-by-day"
    # History up to the day before yesterday comes with the overnight run, yesterday by the run itself.
    overnight = daily(Mode.OVERNIGHT, yesterday, data=league_folder, home=home)
    assert overnight.state in (DayState.COMPLETE, DayState.DEGRADED), overnight.reasons
    daily(Mode.SAME_DAY, game_day, data=league_folder, home=home)

    whole = tmp_path / "all-at-once"
    first = pl.read_parquet(league_folder / "schedule" / "schedule.parquet")["game_date"].min()
    assert isinstance(first, dt.date)
    build_tables(first, game_day, league_folder, whole)

    for table in ("ml_feature_store", "player_composite_factors", "upcoming_team_game_context"):
        by_day, at_once = stored(home, table, game_day), stored(whole, table, game_day)
        assert by_day.height > 25 or table == "upcoming_team_game_context"
        assert by_day.equals(at_once), difference(by_day, at_once)
    for table in ("player_daily_cache", "player_shot_zone_analysis", "team_defense_zone_analysis"):
        by_day, at_once = stored(home, table, yesterday), stored(whole, table, yesterday)
        assert by_day.equals(at_once), difference(by_day, at_once)
