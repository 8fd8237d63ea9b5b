"""What each team allowed in each game: the opponent's points and shooting by kind, and the defensive rating."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tasks.engine.contracts import Column, Contract
from tasks.engine.processor import Mode, Need, Phase, Read, Span, processor
from tasks.raw.box_scores import GAME_COLUMNS, SIDE_COLUMNS

CONTRACT = Contract(
    table="team_defense_game_summary",
    grain="a team in a finished game",
    key=("game_id", "team_id"),
    columns=(
        *GAME_COLUMNS,
        *SIDE_COLUMNS,
        Column("points_allowed", pl.Int64, "points", ge=40, le=260, varies=True),
        Column("possessions", pl.Float64, "per game", ge=60, le=180),
        Column("defensive_rating", pl.Float64, "points allowed per 100 possessions", ge=50, le=190, varies=True),
        Column("two_point_points_allowed", pl.Int64, "points", ge=0, le=200),
        Column("three_point_points_allowed", pl.Int64, "points", ge=0, le=120),
        Column("free_throw_points_allowed", pl.Int64, "points", ge=0, le=90),
        Column("two_attempts_allowed", pl.Int64, "per game", ge=0, le=160),
        Column("three_attempts_allowed", pl.Int64, "per game", ge=0, le=90),
        Column("free_throw_attempts_allowed", pl.Int64, "per game", ge=0, le=100),
        Column("opponent_effective_field_goal", pl.Float64, "share", ge=0.15, le=0.9),
        Column("blocks", pl.Int64, "per game", ge=0, le=40),
        Column("steals", pl.Int64, "per game", ge=0, le=40),
        Column("turnovers_forced", pl.Int64, "per game", ge=0, le=60),
    ),
)


def every_team_with_offense(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Whoever has an offensive summary must have a defensive one."""
    return inputs["team_offense_game_summary"].select("game_day", "game_id", "team_id")


@processor(
    phase=Phase.ANALYTICS,
    writes=CONTRACT,
    reads={"team_offense_game_summary": Read("team_offense_game_summary", Span.ON)},
    runs_in={Mode.OVERNIGHT: Need.REQUIRED, Mode.BACKFILL: Need.REQUIRED},
    critical=True,
    expects=every_team_with_offense,
    floor=0.5,
)
def team_defense_game_summary(team_offense_game_summary: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
    """One row a team and game: the opponent's offensive summary, seen from the team that defended it."""
    opponent = team_offense_game_summary.select(
        "game_id",
        opponent_id="team_id",
        points_allowed="points",
        defensive_rating="offensive_rating",
        two_point_points_allowed="two_point_points",
        three_point_points_allowed="three_point_points",
        free_throw_points_allowed="free_throw_points",
        two_attempts_allowed=pl.col("field_goal_attempts") - pl.col("three_attempts"),
        three_attempts_allowed="three_attempts",
        free_throw_attempts_allowed="free_throw_attempts",
        opponent_effective_field_goal="effective_field_goal",
        turnovers_forced="turnovers",
    )
    return team_offense_game_summary.join(opponent, on=["game_id", "opponent_id"])
