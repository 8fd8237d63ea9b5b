"""Player box scores: one row per player and game, with minutes in whatever format they came."""

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
from tasks.raw.cleaning import Field, Rule, clean, text, whole
from tasks.sources.base import Kind

MOST_IN_A_GAME = 120  # no player ever had more of anything; a slipped digit has

CONTRACT = Contract(
    table="player_box_scores",
    grain="a player in a game",
    key=("game_id", "player_id"),
    columns=(
        *GAME_COLUMNS,
        Column("player_id", pl.Int64, "NBA player id"),
        Column("player_name", pl.String),
        *SIDE_COLUMNS,
        Column("minutes", pl.Float64, "minutes", "null: did not play", max_null=0.35, ge=0, le=70),
        Column("points", pl.Int64, "points", max_null=0.35, ge=0, le=MOST_IN_A_GAME, varies=True),
        *count_columns(MOST_IN_A_GAME, max_null=0.35),
        Column("plus_minus", pl.Int64, "points", max_null=None, ge=-100, le=100),
        Column("started", pl.Boolean, max_null=None),
    ),
)

FIELDS = (
    Field("player_id", "player_id", whole, ge=1, reason="is not an NBA player id"),
    Field("player_name", "player_name", text),
    *GAME_FIELDS,
    Field("minutes", "minutes", parsing.minutes, required=False, ge=0, le=70, reason="is not a time played"),
    Field("pts", "points", whole, required=False, ge=0, le=MOST_IN_A_GAME),
    *count_fields(MOST_IN_A_GAME, required=False),
    Field("plus_minus", "plus_minus", whole, required=False, ge=-100, le=100),
    Field("started", "started", parsing.flag, required=False),
)


def _every_final_game(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return inputs["schedule"].filter(pl.col("status") == "final").select("game_day", "game_id")


@processor(
    phase=Phase.RAW,
    writes=CONTRACT,
    reads={"found": Landed(Kind.PLAYER_BOX_SCORES), "schedule": Read("schedule", Span.ON)},
    runs_in={Mode.OVERNIGHT: Need.REQUIRED, Mode.BACKFILL: Need.REQUIRED},
    critical=True,
    expects=_every_final_game,
    floor=0.5,
)
def player_box_scores(found: pl.DataFrame, schedule: pl.DataFrame, targets: pl.DataFrame) -> Cleaned:
    """One row per player and game. Every game that is final must have rows: "3 of 9" is partial."""
    if "started" not in found.columns:
        found = found.with_columns(started=pl.lit(None, dtype=pl.Boolean))
    played = pl.col("minutes") > 0
    rules = (
        points_add_up(),
        Rule("pts", played & pl.col("points").is_null(), "is missing for a player who played"),
        Rule("opponent", pl.col("team") == pl.col("opponent"), "is the player's own team"),
    )
    return clean(found, FIELDS, targets, rules, unique=("game_id", "player_id"), derive=_with_ids)


def _with_ids(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(team_id=team_id(pl.col("team")), opponent_id=team_id(pl.col("opponent")))
