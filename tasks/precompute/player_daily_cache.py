"""Each player's own state after a game: averages over several memories, spread, minutes, usage, games behind him."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from tasks.engine.contracts import Column, Contract, Direction
from tasks.engine.processor import Mode, Need, Phase, Read, Span, processor

LONG_BREAK_DAYS = 14
SPREAD_NEEDS_GAMES = 3
REGULAR_SEASON = "regular"

# Exponential memories by weight of the newest game: 0.03 remembers a season, 0.10 some ten games, 0.25 some four.
_MEMORIES = {"03": 0.03, "10": 0.10, "25": 0.25}
_REMEMBERED = {
    "points": ("points", "points"),
    "minutes": ("minutes", "minutes"),
    "plays": ("plays_used", "plays used a game"),
    "shots": ("true_shots", "FGA + 0.44 FTA a game"),
}
_MORE = Direction.MORE


def _averages() -> Iterator[Column]:
    for name, (_, unit) in _REMEMBERED.items():
        for memory in _MEMORIES:
            yield Column(f"{name}_ewm_{memory}", pl.Float64, unit, ge=0, le=120, direction=_MORE, varies=True)
    for name in ("points", "minutes"):
        for games in (3, 5, 10, 20):
            yield Column(f"{name}_last_{games}", pl.Float64, name, ge=0, le=120, direction=_MORE, varies=True)


def _regular_season() -> Iterator[Column]:
    """What the population of accuracy is told by: published figures leave playoffs out, whose rotations are shorter."""
    says = "in regular seasons alone; null: none yet"
    yield Column("games_regular_season", pl.Float64, "games", says, max_null=None, ge=0)
    yield Column("minutes_last_10_regular_season", pl.Float64, "minutes", says, max_null=None, ge=0, le=70)
    yield Column("points_ewm_10_regular_season", pl.Float64, "points", says, max_null=None, ge=0, le=120)


CONTRACT = Contract(
    table="player_daily_cache",
    grain="a player after a day on which he played; valid until he plays again",
    key=("player_id", "game_day"),
    columns=(
        Column("game_day", pl.Date),
        Column("player_id", pl.Int64),
        *_averages(),
        Column("points_sd_10", pl.Float64, "points", max_null=None, ge=0, le=60),
        Column("points_sd_20", pl.Float64, "points", max_null=None, ge=0, le=60),
        Column("minutes_sd_10", pl.Float64, "minutes", max_null=None, ge=0, le=40),
        Column("points_median_10", pl.Float64, "points", ge=0, le=120, direction=_MORE),
        Column("minutes_median_5", pl.Float64, "minutes", ge=0, le=70, direction=_MORE),
        Column("minutes_max_10", pl.Float64, "minutes", ge=0, le=70, direction=_MORE),
        Column("minutes_1_ago", pl.Float64, "minutes", "in his last game", ge=0, le=70, direction=_MORE),
        Column("minutes_2_ago", pl.Float64, "minutes", max_null=None, ge=0, le=70, direction=_MORE),
        Column("minutes_3_ago", pl.Float64, "minutes", max_null=None, ge=0, le=70, direction=_MORE),
        Column("points_1_ago", pl.Float64, "points", ge=0, le=120),
        Column("plays_1_ago", pl.Float64, "plays used", ge=0, le=100),
        Column("fouls_1_ago", pl.Float64, "fouls", ge=0, le=10),
        Column("minutes_rank_1_ago", pl.Float64, "1 = most of the team", ge=1, le=30, direction=Direction.FEWER),
        Column("points_season", pl.Float64, "points", ge=0, le=120, direction=_MORE),
        Column("minutes_season", pl.Float64, "minutes", ge=0, le=70, direction=_MORE),
        Column("points_career", pl.Float64, "points", "since the history begins", ge=0, le=120, direction=_MORE),
        Column("points_per_minute_career", pl.Float64, "points a minute", ge=0, le=20, direction=_MORE),
        Column("games", pl.Float64, "games", "since the history begins", ge=1),
        *_regular_season(),
        Column("games_season", pl.Float64, "games", ge=1, le=130),
        Column("games_with_team", pl.Float64, "games", "this season, for the team he is at", ge=1, le=130),
        Column("games_since_break", pl.Float64, "games", "since he last missed two weeks", ge=1, le=130),
        Column("points_per_minute_ewm_03", pl.Float64, "points a minute", ge=0, le=20, direction=_MORE),
        Column("points_per_minute_ewm_10", pl.Float64, "points a minute", ge=0, le=20, direction=_MORE),
        Column("points_per_minute_ewm_25", pl.Float64, "points a minute", ge=0, le=20, direction=_MORE),
        Column("plays_per_minute_ewm_03", pl.Float64, "plays used a minute", ge=0, le=20, direction=_MORE),
        Column("plays_per_minute_ewm_10", pl.Float64, "plays used a minute", ge=0, le=20, direction=_MORE),
        Column("true_shooting_ewm_03", pl.Float64, "share", max_null=None, ge=0, le=1.6, direction=_MORE),
        Column("true_shooting_ewm_10", pl.Float64, "share", max_null=None, ge=0, le=1.6, direction=_MORE),
        Column("usage_rate_ewm_05", pl.Float64, "%", max_null=None, ge=0, le=100, direction=_MORE),
        Column("team_points_share_ewm_05", pl.Float64, "share", ge=0, le=1, direction=_MORE),
        Column("plus_minus_ewm_05", pl.Float64, "points", max_null=None, ge=-100, le=100),
        Column("minutes_rank_ewm_15", pl.Float64, "1 = most of the team", ge=1, le=30, direction=Direction.FEWER),
        Column("top_five_ewm_05", pl.Float64, "share of games among the five with most minutes", ge=0, le=1),
        Column("top_five_ewm_15", pl.Float64, "share of games among the five with most minutes", ge=0, le=1),
    ),
)


REGULAR_SEASON_STATE = tuple(column.name for column in _regular_season())


def everyone_who_played(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Every player with a game on a target day; the runner compares within the target days."""
    return inputs["player_game_summary"].filter("played").select("game_day", "player_id")


@processor(
    phase=Phase.PRECOMPUTE,
    writes=CONTRACT,
    reads={"player_game_summary": Read("player_game_summary", Span.THROUGH)},
    runs_in={Mode.OVERNIGHT: Need.REQUIRED, Mode.SAME_DAY: Need.FRESH, Mode.BACKFILL: Need.REQUIRED},
    critical=True,
    expects=everyone_who_played,
    floor=0.9,
)
def player_daily_cache(player_game_summary: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
    """One row per player and day on which he played: his state after that day.

    Exponentially weighted means are adjusted (weights 1, 1-a, (1-a)^2, ... normalised) and run over seasons.
    """
    games = (
        player_game_summary.filter("played")
        .sort("player_id", "game_day", "game_id")
        .with_columns(
            true_shots=pl.col("field_goal_attempts") + 0.44 * pl.col("free_throw_attempts"),
            team_share=pl.col("points") / pl.col("team_points"),
            top_five=(pl.col("minutes_rank") <= 5).cast(pl.Float64),
        )
    )
    games = games.join(_in_regular_seasons(games), on=["player_id", "game_id"], how="left", maintain_order="left")
    states = games.with_columns(*_memories(), *_windows(), *_counts(), *_carried(REGULAR_SEASON_STATE))
    states = states.with_columns(_ratios())
    return states.filter(pl.col("game_day").is_in(targets["game_day"].implode())).unique(
        ["player_id", "game_day"], keep="last", maintain_order=True
    )


def _in_regular_seasons(games: pl.DataFrame) -> pl.DataFrame:
    """REGULAR_SEASON_STATE after each game of a regular season, as if there were no others."""
    return games.filter(pl.col("season_type") == REGULAR_SEASON).select(
        "player_id",
        "game_id",
        games_regular_season=pl.int_range(1, pl.len() + 1).cast(pl.Float64).over("player_id"),
        minutes_last_10_regular_season=pl.col("minutes").rolling_mean(10, min_samples=1).over("player_id"),
        points_ewm_10_regular_season=_ewm("points", 0.10),
    )


def _carried(names: Iterable[str]) -> Iterator[pl.Expr]:
    """State that other games leave as it was."""
    yield from (pl.col(name).forward_fill().over("player_id") for name in names)


def _ewm(column: str, weight: float) -> pl.Expr:
    """The mean of the known values so far: a game without a value leaves it as it was."""
    mean = pl.col(column).cast(pl.Float64).ewm_mean(alpha=weight, ignore_nulls=True)
    return mean.forward_fill().over("player_id")  # polars gives null where the newest value is null


def _memories() -> Iterator[pl.Expr]:
    for name, (column, _) in _REMEMBERED.items():
        for memory, weight in _MEMORIES.items():
            yield _ewm(column, weight).alias(f"{name}_ewm_{memory}")
    yield _ewm("usage_rate", 0.05).alias("usage_rate_ewm_05")
    yield _ewm("team_share", 0.05).alias("team_points_share_ewm_05")
    yield _ewm("plus_minus", 0.05).alias("plus_minus_ewm_05")
    yield _ewm("minutes_rank", 0.15).alias("minutes_rank_ewm_15")
    yield _ewm("top_five", 0.05).alias("top_five_ewm_05")
    yield _ewm("top_five", 0.15).alias("top_five_ewm_15")


def _windows() -> Iterator[pl.Expr]:
    points, minutes = pl.col("points").cast(pl.Float64), pl.col("minutes")
    for games in (3, 5, 10, 20):
        yield points.rolling_mean(games, min_samples=1).over("player_id").alias(f"points_last_{games}")
        yield minutes.rolling_mean(games, min_samples=1).over("player_id").alias(f"minutes_last_{games}")
    for games in (10, 20):
        spread = points.rolling_std(games, min_samples=SPREAD_NEEDS_GAMES)
        yield spread.over("player_id").alias(f"points_sd_{games}")
    yield minutes.rolling_std(10, min_samples=SPREAD_NEEDS_GAMES).over("player_id").alias("minutes_sd_10")
    yield points.rolling_median(10, min_samples=1).over("player_id").alias("points_median_10")
    yield minutes.rolling_median(5, min_samples=1).over("player_id").alias("minutes_median_5")
    yield minutes.rolling_max(10, min_samples=1).over("player_id").alias("minutes_max_10")
    yield minutes.alias("minutes_1_ago")
    yield minutes.shift(1).over("player_id").alias("minutes_2_ago")
    yield minutes.shift(2).over("player_id").alias("minutes_3_ago")
    yield points.alias("points_1_ago")
    yield pl.col("plays_used").alias("plays_1_ago")
    yield pl.col("fouls").cast(pl.Float64).alias("fouls_1_ago")
    yield pl.col("minutes_rank").cast(pl.Float64).alias("minutes_rank_1_ago")


def _counts() -> Iterator[pl.Expr]:
    career, season = ["player_id"], ["player_id", "season"]
    number = pl.int_range(1, pl.len() + 1).cast(pl.Float64)
    points, minutes = pl.col("points").cum_sum(), pl.col("minutes").cum_sum()
    yield number.over(career).alias("games")
    yield number.over(season).alias("games_season")
    yield number.over([*season, "team_id"]).alias("games_with_team")
    yield (points.over(season) / number.over(season)).alias("points_season")
    yield (minutes.over(season) / number.over(season)).alias("minutes_season")
    yield (points.over(career) / number.over(career)).alias("points_career")
    yield (points.over(career) / minutes.over(career)).alias("points_per_minute_career")
    away = (pl.col("game_day") - pl.col("game_day").shift(1).over(season)).dt.total_days()
    breaks = (away.fill_null(0) > LONG_BREAK_DAYS).cast(pl.Int64).cum_sum().over(season)
    yield breaks.alias("_breaks")


def _ratios() -> list[pl.Expr]:
    rates = [
        (pl.col(f"{what}_ewm_{memory}") / pl.col(f"minutes_ewm_{memory}")).alias(f"{what}_per_minute_ewm_{memory}")
        for what, memories in (("points", ("03", "10", "25")), ("plays", ("03", "10")))
        for memory in memories
    ]
    shooting = [
        pl.when(pl.col(f"shots_ewm_{memory}") > 0)
        .then(pl.col(f"points_ewm_{memory}") / (2 * pl.col(f"shots_ewm_{memory}").clip(lower_bound=0.5)))
        .alias(f"true_shooting_ewm_{memory}")
        for memory in ("03", "10")
    ]
    since = pl.int_range(1, pl.len() + 1).over("player_id", "season", "_breaks").cast(pl.Float64)
    return [*rates, *shooting, since.alias("games_since_break")]
