"""What each team did with the ball in each game: points, possessions, pace, offensive rating, shooting by kind."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tasks.engine.contracts import Column, Contract
from tasks.engine.processor import Mode, Need, Phase, Read, Span, processor
from tasks.raw.box_scores import COUNTS, GAME_COLUMNS, SIDE_COLUMNS

MINUTES_PER_GAME = 240.0  # five players for 48 minutes

CONTRACT = Contract(
    table="team_offense_game_summary",
    grain="a team in a finished game",
    key=("game_id", "team_id"),
    columns=(
        *GAME_COLUMNS,
        *SIDE_COLUMNS,
        Column("minutes", pl.Float64, "player minutes", ge=200, le=400),
        Column("points", pl.Int64, "points", ge=40, le=260, varies=True),
        *(Column(name, pl.Int64, "per game", ge=0, le=260) for name in COUNTS.values()),
        Column("possessions", pl.Float64, "per game", ge=60, le=180),
        Column("pace", pl.Float64, "possessions per 48 minutes", ge=60, le=150, varies=True),
        Column("offensive_rating", pl.Float64, "points per 100 possessions", ge=50, le=190, varies=True),
        Column("effective_field_goal", pl.Float64, "share", "(fg + 0.5 x threes) / attempts", ge=0.15, le=0.9),
        Column("two_point_points", pl.Int64, "points", ge=0, le=200),
        Column("three_point_points", pl.Int64, "points", ge=0, le=120),
        Column("free_throw_points", pl.Int64, "points", ge=0, le=90),
    ),
)


def two_teams_a_game(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The keys of every team that has player box scores."""
    return inputs["player_box_scores"].select("game_day", "game_id", "team_id").unique()


@processor(
    phase=Phase.ANALYTICS,
    writes=CONTRACT,
    reads={
        "player_box_scores": Read("player_box_scores", Span.ON),
        "team_box_scores": Read("team_box_scores", Span.ON, optional=True),
    },
    runs_in={Mode.OVERNIGHT: Need.REQUIRED, Mode.BACKFILL: Need.REQUIRED},
    critical=True,
    expects=two_teams_a_game,
    floor=0.5,
)
def team_offense_game_summary(
    player_box_scores: pl.DataFrame, team_box_scores: pl.DataFrame, targets: pl.DataFrame
) -> pl.DataFrame:
    """One row a team and game. Team totals where the source gives them, else the sum of the players.

    Possessions are the mean of both teams' estimates FGA + 0.44 FTA - OREB + TOV (Oliver, Basketball on Paper, 2004).
    """
    names = ("minutes", "points", *COUNTS.values())
    sums = player_box_scores.group_by([column.name for column in (*GAME_COLUMNS, *SIDE_COLUMNS)]).agg(
        pl.col(name).sum() for name in names
    )
    stated = team_box_scores.select("game_id", "team_id", *(pl.col(name).alias(f"{name}_stated") for name in names))
    totals = sums.join(stated, on=["game_id", "team_id"], how="left").with_columns(
        pl.coalesce(f"{name}_stated", name).alias(name) for name in names
    )
    own = pl.col("field_goal_attempts") + 0.44 * pl.col("free_throw_attempts")
    totals = totals.with_columns(_estimate=own - pl.col("offensive_rebounds") + pl.col("turnovers"))
    both = pl.col("_estimate").mean().over("game_id")
    return totals.with_columns(
        possessions=both,
        # Sources round players' minutes, so a team's sum is only near 240: overtimes are what matters here.
        pace=both * MINUTES_PER_GAME / pl.col("minutes").clip(lower_bound=MINUTES_PER_GAME),
        offensive_rating=100 * pl.col("points") / both,
        effective_field_goal=(pl.col("field_goals") + 0.5 * pl.col("threes")) / pl.col("field_goal_attempts"),
        two_point_points=2 * (pl.col("field_goals") - pl.col("threes")),
        three_point_points=3 * pl.col("threes"),
        free_throw_points=pl.col("free_throws"),
    )
