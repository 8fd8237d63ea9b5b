"""The filter that the simulated league's bar is measured from: it learns, it sees no future, and the bar can fail."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from benchmarks.league_filter import ABOVE_THE_BEST, best_possible, filtered, prior, show
from tasks.sources.league import LeagueConfig, calibration, generate_league
from tasks.sources.league.generate import playing_of, prepared_seasons

SMALL = LeagueConfig(seasons=("2024-25", "2025-26"), teams=6, games_per_team=60, worlds=2)


@cache
def _judged() -> pl.DataFrame:
    """The second season's rows of the population, with what the weighted average said."""
    naive = calibration.naive_forecasts(generate_league(SMALL).player_games)
    return naive.filter(pl.col("season") == "2025-26").select("game_id", "player_id", "ewm", points="pts")


def test_who_knows_more_errs_less_and_the_filter_less_than_an_average() -> None:
    rows = _judged()
    form, traits, box_scores = best_possible(SMALL, rows, "2024-25").values()
    average = float((rows["ewm"] - rows["points"]).abs().mean())  # type: ignore[arg-type]
    assert form < traits < box_scores < average
    assert average - box_scores > (average - form) / 3


def test_rows_of_another_league_are_refused() -> None:
    with pytest.raises(ValueError, match="of no player-game of the simulated league"):
        best_possible(replace(SMALL, seed=1), _judged().with_columns(player_id=pl.lit(1)), "2024-25")


def test_the_filter_sees_nothing_of_the_day_or_later() -> None:
    (setting, _, squads, _), *_ = prepared_seasons(SMALL)
    played = playing_of(SMALL.seed, setting)
    middle = int(np.unique(setting.day)[30])
    later = setting.day >= middle
    other = replace(
        played,
        minutes=np.where(later[:, None] & (played.minutes > 0), 48.0 - played.minutes, played.minutes),
        shots=replace(
            played.shots, two_made=np.where(later[:, None], 3 * played.shots.two_made, played.shots.two_made)
        ),
    )
    known, altered = (filtered(setting, each, prior(squads.players)) for each in (played, other))
    early = [game.game_id for game, day in zip(setting.games, setting.day[::2], strict=True) if day <= middle]
    upto = pl.col("game_id").is_in(early)
    assert known.filter(upto).equals(altered.filter(upto))
    assert not known.filter(~upto).equals(altered.filter(~upto))


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ({"lightgbm": 4 * (1 + ABOVE_THE_BEST) - 1e-6, "ensemble": 3.9, "similarity": 9.0}, 0),
        ({"lightgbm": 4 * (1 + ABOVE_THE_BEST) + 1e-6, "ensemble": 3.9}, 1),
        ({"lightgbm": 4.0}, 1),
    ],
    ids=["just so", "too far above", "a system is missing"],
)
def test_the_bar_fails_a_system_too_far_above_the_filter(errors: dict[str, float], code: int) -> None:
    assert show({"box scores: the filter": 4.0}, errors, 1_000) == code
