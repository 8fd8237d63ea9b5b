"""Team box scores: one row per team and game. Parts may be missing where a source gives only the points."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tasks import parsing
from tasks.engine.contracts import Column, Contract
from tasks.engine.processor import Cleaned, Landed, Mode, Need, Phase, Read, Span, processor
from tasks.identity import team_id
from tasks.raw.box_scores import (
    GAME_COLUMNS,
    GAME_FIELDS,
    SIDE_COLUMNS,
    count_columns,
    count_fields,
    points_add_up,
)
from tasks.raw.cleaning import Field, Rule, clean, whole
from tasks.sources.base import Kind

MOST_IN_A_GAME = 260

CONTRACT = Contract(
    table="team_box_scores",
    grain="a team in a game",
    key=("game_id", "team_id"),
    columns=(
        *GAME_COLUMNS,
        *SIDE_COLUMNS,
        Column("minutes", pl.Float64, "player minutes; 240 without overtime", max_null=None, ge=200, le=400),
        Column("points", pl.Int64, "points", ge=40, le=MOST_IN_A_GAME),
        *count_columns(MOST_IN_A_GAME, max_null=None),
    ),
)

FIELDS = (
    *GAME_FIELDS,
    Field(
        "minutes",
        "minutes",
        parsing.minutes,
        required=False,
        ge=200,
        le=400,
        reason="is not a team's time played",
    ),
    Field("pts", "points", whole, ge=40, le=MOST_IN_A_GAME),
    *count_fields(MOST_IN_A_GAME, required=False),
)


def two_teams_of_final_games(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The keys of both teams of every game that is final."""
    final = inputs["schedule"].filter(pl.col("status") == "final")
    return pl.concat(
        final.select("game_day", "game_id", pl.col(side).alias("team_id")) for side in ("home_team_id", "away_team_id")
    )


@processor(
    phase=Phase.RAW,
    writes=CONTRACT,
    reads={"found": Landed(Kind.TEAM_BOX_SCORES), "schedule": Read("schedule", Span.ON)},
    runs_in={Mode.OVERNIGHT: Need.REQUIRED, Mode.BACKFILL: Need.OPTIONAL},
    expects=two_teams_of_final_games,
)
def team_box_scores(found: pl.DataFrame, schedule: pl.DataFrame, targets: pl.DataFrame) -> Cleaned:
    """Two rows a game; the points must be there and be what the made shots come to."""
    rules = (points_add_up(), Rule("opponent", pl.col("team") == pl.col("opponent"), "is the team itself"))
    return clean(found, FIELDS, targets, rules, unique=("game_id", "team"), derive=_with_ids)


def _with_ids(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(team_id=team_id(pl.col("team")), opponent_id=team_id(pl.col("opponent")))
