"""The simulated league stays near real basketball, and nothing naive beats the truth it knows."""

from __future__ import annotations

import math
from functools import cache

import polars as pl
import pytest

from tasks.sources.league import League, LeagueConfig, calibration, generate_league

JUDGED = "2025-26"  # the season before it is there so that forecasts have a history


@cache
def _league() -> League:
    return generate_league(LeagueConfig(seasons=("2024-25", JUDGED)))


@cache
def _forecasts() -> pl.DataFrame:
    return calibration.naive_forecasts(_league().player_games).filter(pl.col("season") == JUDGED)


@cache
def _quantities() -> dict[str, float]:
    league = _league()
    season = league.player_games.filter(pl.col("season") == JUDGED)
    lines = calibration.consensus(league.lines.filter(pl.col("season") == JUDGED))
    return {
        **calibration.box_score_quantities(season),
        **calibration.absence_quantities(season),
        **calibration.forecast_quantities(_forecasts()),
        **calibration.line_quantities(season, _forecasts(), lines),
        **calibration.truth_quantities(_forecasts(), league.truth),
    }


# Bands around real seasons (docs/simulated-league.md), with room for one season's luck.
@pytest.mark.parametrize(
    ("quantity", "low", "high"),
    [
        ("pts mean", 10.2, 11.4),
        ("pts std", 8.4, 9.2),
        ("pts q50", 8, 10),
        ("pts q90", 22, 24),
        ("pts q99", 34, 39),
        ("minutes mean", 22.0, 23.6),
        ("minutes std", 10.6, 11.6),
        ("minutes q50", 23, 25.5),
        ("minutes q99", 40, 43),
        ("share of 0 points", 0.08, 0.14),
        ("share under 5 minutes", 0.06, 0.10),
        ("share 30+ minutes", 0.29, 0.36),
        ("points lag-1 autocorrelation", 0.06, 0.13),
        ("minutes lag-1 autocorrelation", 0.26, 0.38),
        ("minutes std around 15+ minute mean", 6.1, 7.0),
        ("points std at level 0-5", 3.5, 4.1),
        ("points std at level 5-10", 4.9, 5.7),
        ("points std at level 10-15", 5.9, 6.7),
        ("points std at level 15-20", 6.6, 7.6),
        ("points std at level 20-40", 7.5, 8.7),
        ("player-season mean points q90", 18.5, 21.5),
        ("players used per team-game", 10.3, 11.0),
        ("team points mean", 111, 117),
        ("team points std", 12.0, 13.6),
        ("home advantage, points", 0.9, 3.3),
        ("margin std", 14.8, 16.9),
        ("share of overtime", 0.03, 0.07),
        ("share of back-to-backs", 0.15, 0.20),
        ("regular who played misses the next", 0.068, 0.088),
        ("regulars out per team-game", 1.5, 2.1),
        ("MAE season_average", 4.75, 5.15),
        ("MAE last_10", 4.75, 5.15),
        ("MAE ewm", 4.70, 5.08),
        ("line MAE", 4.80, 5.15),
        ("line error std", 6.1, 6.7),
        ("lined players per team-game", 6.4, 8.0),
        ("lined players who sat", 0.02, 0.07),
        ("share over the line", 0.47, 0.52),
    ],
)
def test_the_league_is_near_the_real_one_in(quantity: str, low: float, high: float) -> None:
    assert low <= _quantities()[quantity] <= high


def test_nothing_naive_beats_the_truth_nor_does_the_line() -> None:
    found = _quantities()
    best = found["MAE of the truth's median"]
    assert best < found["MAE of the truth's mean"]
    assert best < 0.95 * min(found[f"MAE {name}"] for name in ("season_average", "last_10", "ewm"))
    with_line = _forecasts().join(
        calibration.consensus(_league().lines), on=["season", "game_date", "player_id"], how="inner"
    )
    joined = with_line.join(_league().truth, on=["game_id", "player_id"])
    assert calibration.mean_error(joined, "q50") < calibration.mean_error(joined, "line")
    for share in (0.1, 0.3):  # nor does leaning from the truth towards the line or the average help
        for other in ("line", "ewm"):
            mixed = joined.with_columns(mixed=(1 - share) * pl.col("q50") + share * pl.col(other))
            assert calibration.mean_error(mixed, "mixed") > calibration.mean_error(joined, "q50") - 0.01


def test_the_truth_is_unbiased_and_its_quantiles_hold_what_they_say() -> None:
    rows = _league().player_games.join(_league().truth.drop("season"), on=["game_id", "player_id"])
    pts = rows["pts"].cast(pl.Float64)
    error = (pts - rows["expected_points"]).mean()
    assert isinstance(error, float)
    assert abs(error) < 0.12
    minutes_error = (rows["minutes"].cast(pl.Float64) - rows["expected_minutes"]).mean()
    assert isinstance(minutes_error, float)
    assert abs(minutes_error) < 0.15
    spread = (((pts - rows["expected_points"]) / rows["std"]) ** 2).mean()
    assert isinstance(spread, float)
    assert math.isclose(spread, 1.0, abs_tol=0.05)
    # Points are whole numbers: on low expectations one number holds too much to land on a level.
    rows = rows.filter(pl.col("expected_points") >= 5)
    pts = rows["pts"].cast(pl.Float64)
    for level in (10, 25, 50, 75, 90):
        below = float((pts < rows[f"q{level}"]).mean() or 0)  # type: ignore[arg-type]
        at_or_below = float((pts <= rows[f"q{level}"]).mean() or 0)  # type: ignore[arg-type]
        assert below - 0.02 <= level / 100 <= at_or_below + 0.02


def test_the_truth_says_how_likely_a_player_is_to_play() -> None:
    truth = _league().truth
    played = _league().player_games.select("game_id", "player_id", played=pl.lit(1.0))
    rows = truth.join(played, on=["game_id", "player_id"], how="left").with_columns(pl.col("played").fill_null(0.0))
    assert rows["played"].sum() == _league().player_games.height  # nobody plays whom the truth rules out
    groups = rows.group_by(decile=(pl.col("play_probability") * 10).floor().clip(0, 9)).agg(
        pl.col("play_probability").mean(), pl.col("played").mean(), pl.len()
    )
    off = groups.filter(pl.col("len") > 500).with_columns(off=(pl.col("play_probability") - pl.col("played")).abs())
    assert off["off"].max() < 0.10  # type: ignore[operator]


def test_the_truth_knows_nothing_of_the_afternoon() -> None:
    """A late scratch was likely to play in the truth's eyes; one ruled out by noon is not in it."""
    league = _league()
    played = league.player_games.select("game_id", "player_id")
    sat = league.truth.join(played, on=["game_id", "player_id"], how="anti")
    late = sat.filter((pl.col("play_probability") > 0.85) & (pl.col("expected_minutes") > 20))
    assert late.height > 50
    report = league.injuries.sort("reported_at").group_by("game_id", "player_id").agg(pl.col("status").last())
    told_late = late.join(report, on=["game_id", "player_id"]).filter(pl.col("status") == "OUT")
    assert told_late.height > 0.8 * late.height


def test_a_missing_regular_leaves_points_to_his_team_mates() -> None:
    rows = _league().truth.filter(pl.col("season") == JUDGED)
    team = _league().player_games.select("game_id", "player_id", "team")
    rows = rows.join(team, on=["game_id", "player_id"])
    out = _league().injuries.filter(pl.col("status") == "OUT").unique(["game_id", "player_id"])
    means = _league().player_games.group_by("player_id").agg(level=pl.col("pts").mean())
    left = out.join(means, on="player_id").group_by("game_id", "team").agg(pl.col("level").sum().alias("left"))
    joined = rows.join(left, on=["game_id", "team"], how="left").with_columns(pl.col("left").fill_null(0.0))
    own = joined.with_columns(
        extra=pl.col("expected_points") - pl.col("expected_points").mean().over("player_id"),
        more=pl.col("left") - pl.col("left").mean().over("player_id"),
    )
    slope = own.select(pl.cov("extra", "more") / pl.col("more").var()).item()
    assert 0.02 < slope < 0.20
