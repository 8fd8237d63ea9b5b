"""How each player scores: rates by kind of shot, shares of points and attempts, and the role that follows from them."""

from __future__ import annotations

import polars as pl

from tasks.engine.contracts import Column, Contract
from tasks.engine.processor import Mode, Need, Phase, Read, Span, processor
from tasks.precompute.player_daily_cache import everyone_who_played

MEMORY = 0.05  # weight of the newest game
RECENT_GAMES = 20
# A rate per possession on the floor becomes one per minute at 100 possessions a game.
PER_MINUTE_AT_PACE_100 = 100 / 48
# Role by bigness (rebounds + 2 x blocks - assists - 0.5 x three attempts, per minute): terciles of the league.
GUARD_BELOW, WING_BELOW = -0.03, 0.13

_COUNTED = {
    "free_throw_attempts": "free_throw_attempts",
    "free_throws": "free_throw_points",
    "three_attempts": "three_attempts",
    "three_points": "three_point_points",
    "two_points": "two_point_points",
    "assists": "assists",
    "rebounds": "rebounds",
    "offensive_rebounds": "offensive_rebounds",
    "blocks": "blocks",
    "steals": "steals",
    "fouls": "fouls",
    "turnovers": "turnovers",
}

CONTRACT = Contract(
    table="player_shot_zone_analysis",
    grain="a player after a day on which he played; valid until he plays again",
    key=("player_id", "game_day"),
    columns=(
        Column("game_day", pl.Date),
        Column("player_id", pl.Int64),
        *(Column(f"{name}_rate", pl.Float64, "per minute at pace 100", ge=0, le=20) for name in _COUNTED),
        Column("two_share", pl.Float64, "share of points", max_null=None, ge=0, le=1, varies=True),
        Column("three_share", pl.Float64, "share of points", max_null=None, ge=0, le=1, varies=True),
        Column("free_throw_share", pl.Float64, "share of points", max_null=None, ge=0, le=1, varies=True),
        Column("three_attempt_share", pl.Float64, "share of field goal attempts", max_null=None, ge=0, le=1),
        Column("effective_field_goal_20", pl.Float64, "share", "last 20 games", max_null=None, ge=0, le=1.5),
        Column("bigness", pl.Float64, "per minute at pace 100", "rebounds and blocks against assists and threes"),
        Column("role", pl.Int8, "0 guard, 1 wing, 2 big", ge=0, le=2, varies=True),
    ),
)


@processor(
    phase=Phase.PRECOMPUTE,
    writes=CONTRACT,
    reads={"player_game_summary": Read("player_game_summary", Span.THROUGH)},
    runs_in={Mode.OVERNIGHT: Need.REQUIRED, Mode.SAME_DAY: Need.FRESH, Mode.BACKFILL: Need.REQUIRED},
    expects=everyone_who_played,
    floor=0.9,
)
def player_shot_zone_analysis(player_game_summary: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
    """One row per player and day on which he played: exponentially weighted rates after that day."""
    games = (
        player_game_summary.filter("played")
        .sort("player_id", "game_day", "game_id")
        .with_columns(
            rebounds=pl.col("offensive_rebounds") + pl.col("defensive_rebounds"),
            possessions=pl.col("minutes") * pl.col("team_pace") / 48,
        )
    )
    possessions = _ewm("possessions")
    rates = games.with_columns(
        *(
            (_ewm(column) / possessions * PER_MINUTE_AT_PACE_100).alias(f"{name}_rate")
            for name, column in _COUNTED.items()
        ),
        three_attempt_share=_ratio(_ewm("three_attempts"), _ewm("field_goal_attempts")),
        effective_field_goal_20=_ratio(_last("field_goals") + 0.5 * _last("threes"), _last("field_goal_attempts")),
    )
    scored = pl.sum_horizontal("two_points_rate", "three_points_rate", "free_throws_rate")
    bigness = (
        pl.col("rebounds_rate")
        + 2 * pl.col("blocks_rate")
        - pl.col("assists_rate")
        - 0.5 * pl.col("three_attempts_rate")
    )
    rates = rates.with_columns(
        two_share=_ratio(pl.col("two_points_rate"), scored),
        three_share=_ratio(pl.col("three_points_rate"), scored),
        free_throw_share=_ratio(pl.col("free_throws_rate"), scored),
        bigness=bigness,
        role=pl.when(bigness < GUARD_BELOW).then(0).when(bigness < WING_BELOW).then(1).otherwise(2).cast(pl.Int8),
    )
    return rates.filter(pl.col("game_day").is_in(targets["game_day"].implode())).unique(
        ["player_id", "game_day"], keep="last", maintain_order=True
    )


def _ewm(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64).ewm_mean(alpha=MEMORY, ignore_nulls=True).over("player_id")


def _last(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64).rolling_sum(RECENT_GAMES, min_samples=1).over("player_id")


def _ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)
