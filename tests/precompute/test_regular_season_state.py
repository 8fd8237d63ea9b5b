"""What tells the population of accuracy: regular seasons alone, whatever was played in between."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from tasks.catalog import registry
from tasks.engine.plan import results_known_at, targets_frame
from tasks.precompute.ml_feature_store import ELIGIBLE_GAMES, ELIGIBLE_MINUTES, of_population
from tasks.precompute.player_daily_cache import REGULAR_SEASON_STATE

FIRST = dt.date(2025, 4, 1)


def states(*games: tuple[str, float, int]) -> pl.DataFrame:
    """The states after games of (season type, minutes, points), a day apart."""
    schema: dict[str, Any] = registry()["player_game_summary"].writes.spec.polars_schema
    days = [FIRST + dt.timedelta(days=at) for at in range(len(games))]
    rows = [
        dict.fromkeys(schema)
        | {"game_day": day, "game_id": str(day), "player_id": 1, "team_id": 1, "season": "2024-25", "season_type": kind}
        | {"played": True, "minutes": minutes, "points": points, "team_points": 100, "minutes_rank": 1, "fouls": 0}
        | {"plays_used": 1.0, "field_goal_attempts": 1, "free_throw_attempts": 0}
        for day, (kind, minutes, points) in zip(days, games, strict=True)
    ]
    targets = targets_frame([(day, results_known_at(day)) for day in days])
    cache = registry()["player_daily_cache"](player_game_summary=pl.DataFrame(rows, schema=schema), targets=targets)
    return cache.sort("game_day")


def test_playoffs_leave_the_state_of_the_regular_season_as_it_was() -> None:
    season = [("regular", 20.0, 10), ("regular", 30.0, 20)]
    alone = states(*season, ("regular", 10.0, 5))
    between = states(*season, ("playoffs", 2.0, 0), ("play-in", 0.5, 0), ("regular", 10.0, 5))
    assert alone[-1, "minutes_last_10_regular_season"] == pytest.approx(20.0)
    for name in REGULAR_SEASON_STATE:
        assert between[name].to_list() == [alone[0, name], *[alone[1, name]] * 3, alone[2, name]]
    assert between[-1, "minutes_last_10"] == pytest.approx(62.5 / 5)


def test_who_has_played_in_playoffs_alone_has_none() -> None:
    assert states(("playoffs", 20.0, 10)).select(REGULAR_SEASON_STATE).row(0) == (None, None, None)


def test_a_playoff_bench_does_not_cost_a_regular_his_place_in_the_population() -> None:
    after = states(*[("regular", 24.0, 10)] * ELIGIBLE_GAMES, *[("playoffs", 1.0, 0)] * 10)
    assert after[-1, "minutes_last_10"] < ELIGIBLE_MINUTES
    assert after.select(of_population()).to_series().to_list() == [False] * (ELIGIBLE_GAMES - 1) + [True] * 11
