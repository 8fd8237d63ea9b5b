"""What each player did in each game: minutes, points, shooting by kind, usage, and how he did against his line."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tasks.engine.contracts import Column, Contract
from tasks.engine.processor import Mode, Need, Phase, Read, Span, processor
from tasks.lines import consensus
from tasks.raw.box_scores import COUNTS, GAME_COLUMNS, SIDE_COLUMNS

USAGE_NEEDS_MINUTES = 6.0  # below this a rate says nothing: two shots in a minute are a usage rate of 90 %

CONTRACT = Contract(
    table="player_game_summary",
    grain="a player in a finished game",
    key=("game_id", "player_id"),
    columns=(
        *GAME_COLUMNS,
        Column("player_id", pl.Int64),
        Column("player_name", pl.String),
        *SIDE_COLUMNS,
        Column("played", pl.Boolean, says="was on the floor; else DNP"),
        Column("started", pl.Boolean, max_null=None),
        Column("minutes", pl.Float64, "minutes", max_null=0.35, ge=0, le=70),
        Column("points", pl.Int64, "points", max_null=0.35, ge=0, le=120, varies=True),
        *(Column(name, pl.Int64, "per game", max_null=0.35, ge=0, le=120) for name in COUNTS.values()),
        Column("plus_minus", pl.Int64, "points", max_null=None, ge=-100, le=100),
        Column("minutes_rank", pl.Int64, "1 = most minutes of the team", max_null=0.35, ge=1, le=30),
        Column("plays_used", pl.Float64, "per game", "FGA + 0.44 FTA + TOV", max_null=0.35, ge=0, le=100),
        Column("usage_rate", pl.Float64, "%", max_null=None, ge=0, le=100, varies=True),
        Column("true_shooting", pl.Float64, "share", max_null=None, ge=0, le=1.6),
        Column("effective_field_goal", pl.Float64, "share", max_null=None, ge=0, le=1.5),
        Column("two_point_points", pl.Int64, "points", max_null=0.35, ge=0, le=100),
        Column("three_point_points", pl.Int64, "points", max_null=0.35, ge=0, le=100),
        Column("free_throw_points", pl.Int64, "points", max_null=0.35, ge=0, le=100),
        Column("team_points", pl.Int64, "points", ge=40, le=260),
        Column("team_pace", pl.Float64, "possessions per 48 minutes", ge=60, le=150),
        Column("line", pl.Float64, "points", "last consensus line before tip-off", max_null=None, ge=0.5, le=80),
        Column("line_result", pl.String, says="OVER, UNDER or PUSH; null without a line or DNP", max_null=None),
    ),
)


def every_box_score(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Whoever has a box score must have a summary."""
    return inputs["player_box_scores"].select("game_day", "game_id", "player_id")


@processor(
    phase=Phase.ANALYTICS,
    writes=CONTRACT,
    reads={
        "player_box_scores": Read("player_box_scores", Span.ON),
        "team_offense_game_summary": Read("team_offense_game_summary", Span.ON),
        "prop_lines": Read("prop_lines", Span.ON, optional=True),
    },
    runs_in={Mode.OVERNIGHT: Need.REQUIRED, Mode.SAME_DAY: Need.FRESH, Mode.BACKFILL: Need.REQUIRED},
    critical=True,
    expects=every_box_score,
    floor=0.5,
)
def player_game_summary(
    player_box_scores: pl.DataFrame,
    team_offense_game_summary: pl.DataFrame,
    prop_lines: pl.DataFrame,
    targets: pl.DataFrame,
) -> pl.DataFrame:
    """One row a player and game, with usage and shares against the team's totals of the same game.

    Usage rate is 100 x plays used x (team minutes / 5) / (minutes x team plays used), in percent
    (Basketball-Reference's definition); true shooting is points / (2 x (FGA + 0.44 FTA)).
    """
    team = team_offense_game_summary.select(
        "game_id",
        "team_id",
        team_minutes="minutes",
        team_points="points",
        team_pace="pace",
        team_plays=_plays_used(),
    )
    closing = consensus(prop_lines, "closing").select("game_id", "player_id", "line")
    rows = player_box_scores.join(team, on=["game_id", "team_id"]).join(
        closing, on=["game_id", "player_id"], how="left"
    )
    played = (pl.col("minutes") > 0).fill_null(value=False)
    shots = pl.col("field_goal_attempts") + 0.44 * pl.col("free_throw_attempts")
    usage = 100 * _plays_used() * (pl.col("team_minutes") / 5) / (pl.col("minutes") * pl.col("team_plays"))
    attempts = pl.col("field_goal_attempts")
    return rows.with_columns(
        played=played,
        minutes_rank=pl.col("minutes").rank("ordinal", descending=True).over("game_id", "team_id").cast(pl.Int64),
        plays_used=_plays_used(),
        usage_rate=pl.when(pl.col("minutes") >= USAGE_NEEDS_MINUTES).then(usage),
        true_shooting=pl.when(shots > 0).then(pl.col("points") / (2 * shots)),
        effective_field_goal=pl.when(attempts > 0).then((pl.col("field_goals") + 0.5 * pl.col("threes")) / attempts),
        two_point_points=2 * (pl.col("field_goals") - pl.col("threes")),
        three_point_points=3 * pl.col("threes"),
        free_throw_points=pl.col("free_throws"),
        line_result=pl.when(played & pl.col("line").is_not_null()).then(
            pl.when(pl.col("points") > pl.col("line"))
            .then(pl.lit("OVER"))
            .when(pl.col("points") < pl.col("line"))
            .then(pl.lit("UNDER"))
            .otherwise(pl.lit("PUSH"))
        ),
    )


def _plays_used() -> pl.Expr:
    return pl.col("field_goal_attempts") + 0.44 * pl.col("free_throw_attempts") + pl.col("turnovers")
