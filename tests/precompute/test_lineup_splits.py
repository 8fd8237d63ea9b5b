"""With and without: what counts is who else plays tonight, in games before tonight, and nothing is made up."""

from __future__ import annotations

import datetime as dt
import math

import polars as pl
import pytest

from tasks.precompute.lineup_splits import SPLIT_FEATURES, UNLIKE_MINUTES, with_lineup_splits
from tasks.sources.base import APPEARED, ROSTER

FIRST = dt.date(2025, 11, 1)
STAR, SIXTH_MAN = 1, 2
EXPECTED = {STAR: 36.0, SIXTH_MAN: 20.0}  # minutes; each scores half a point in one


def rows(day: int, **available: float) -> pl.DataFrame:
    who = {"star": STAR, "sixth_man": SIXTH_MAN}
    return pl.DataFrame(
        {
            "game_day": [FIRST + dt.timedelta(days=day)] * len(available),
            "game_id": [f"game {day}"] * len(available),
            "season": ["2025-26"] * len(available),
            "team_id": [1] * len(available),
            "player_id": [who[name] for name in available],
            "known_by": [ROSTER] * len(available),
            "availability": list(available.values()),
            "minutes_if_playing": [EXPECTED[who[name]] for name in available],
        }
    )


def played(day: int, **minutes: float) -> pl.DataFrame:
    """A game in which a minute was worth half a point, as expected, and the minutes were others."""
    return rows(day, **dict.fromkeys(minutes, 1.0)).with_columns(
        minutes=pl.Series(list(minutes.values())),
        points=pl.Series([round(value / 2) for value in minutes.values()]),
        points_per_minute_ewm_03=0.5,
    )


PAST = pl.concat(
    [played(0, star=36.0, sixth_man=20.0), played(1, sixth_man=30.0), played(2, star=36.0, sixth_man=20.0)]
)


def of(found: pl.DataFrame, player: int) -> dict[str, float]:
    return found.row(by_predicate=pl.col("player_id") == player, named=True)


def test_without_the_star_the_sixth_man_plays_as_he_did_without_him() -> None:
    without = of(with_lineup_splits(rows(9, star=0.0, sixth_man=1.0), PAST), SIXTH_MAN)
    beside = of(with_lineup_splits(rows(9, star=1.0, sixth_man=1.0), PAST), SIXTH_MAN)
    # The one game without the star counts in full, but for its age of one game; the two with him hardly.
    alike = 2 ** (-1 / 25)
    unlike = math.exp(-36 / UNLIKE_MINUTES["alike"]) * (1 + 2 ** (-2 / 25))
    assert without["alike_games"] == pytest.approx(alike + unlike)
    assert without["alike_minutes"] == pytest.approx(10 * alike / (alike + unlike + 1))
    assert without["alike_points"] == pytest.approx(5 * alike / (alike + unlike + 1))
    assert without["alike_rate"] == pytest.approx(0.0)
    assert 0 < beside["alike_minutes"] < without["alike_minutes"] / 5
    assert beside["alike_minutes"] < beside["loosely_alike_minutes"] < without["loosely_alike_minutes"]


def test_his_own_absences_make_no_line_up_less_alike() -> None:
    star = of(with_lineup_splits(rows(9, star=1.0, sixth_man=1.0), PAST), STAR)
    assert star["alike_games"] == pytest.approx(1 + 2 ** (-2 / 25))


def test_only_games_before_the_rows_own_day_count() -> None:
    tonight = rows(1, star=0.0, sixth_man=1.0)
    seen = with_lineup_splits(tonight, PAST.filter(pl.col("game_day") < tonight["game_day"].first()))
    assert with_lineup_splits(tonight, PAST).equals(seen)


def test_who_is_known_only_because_he_appeared_changes_nothing_for_the_others() -> None:
    """A backtest's rosters hold him only where he played: to count him as absent would tell that he was there."""
    without = with_lineup_splits(rows(9, sixth_man=1.0), PAST)
    appeared = rows(9, star=0.0, sixth_man=1.0).with_columns(
        known_by=pl.when(pl.col("player_id") == STAR).then(pl.lit(APPEARED)).otherwise("known_by")
    )
    assert of(with_lineup_splits(appeared, PAST), SIXTH_MAN) == of(without, SIXTH_MAN)


def test_a_seasons_first_game_and_another_team_say_nothing() -> None:
    nothing = dict.fromkeys(SPLIT_FEATURES)
    opening = with_lineup_splits(rows(0, star=1.0, sixth_man=1.0), PAST)
    elsewhere = with_lineup_splits(rows(9, star=1.0).with_columns(team_id=pl.lit(2, pl.Int64)), PAST)
    for found in (opening, elsewhere):
        assert found.select(*SPLIT_FEATURES).unique().row(0, named=True) == nothing
