"""The injury report: who is listed how for a game day's games, each row with the instant of its report."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tasks import parsing
from tasks.engine.contracts import Column, Contract
from tasks.engine.plan import is_played
from tasks.engine.processor import Cleaned, Landed, Mode, Need, Phase, Read, Span, processor
from tasks.identity import team_id
from tasks.raw.cleaning import Field, Rule, clean, team, text, whole
from tasks.sources.base import Kind

STATUSES = ("OUT", "DOUBTFUL", "QUESTIONABLE", "PROBABLE", "AVAILABLE")

CONTRACT = Contract(
    table="injury_report",
    grain="a player's status in one report",
    key=("game_day", "player_id", "reported_at"),
    columns=(
        Column("game_day", pl.Date),
        Column("player_id", pl.Int64),
        Column("player_name", pl.String),
        Column("team_id", pl.Int64),
        Column("team", pl.String),
        Column("status", pl.String, says=", ".join(STATUSES)),
        Column("reason", pl.String, max_null=None),
        Column("reported_at", parsing.UTC_INSTANT),
    ),
)

FIELDS = (
    Field("player_id", "player_id", whole, ge=1, reason="is not an NBA player id"),
    Field("player", "player_name", text),
    Field("game_date", "game_day", parsing.day, reason="is not a date (YYYY-MM-DD)"),
    Field("team", "team", team, reason="is not a team"),
    Field("status", "status", lambda column, dtype: text(column, dtype).str.to_uppercase()),
    Field("reason", "reason", text, required=False),
    Field("reported_at", "reported_at", parsing.instant, reason="is not an instant (ISO 8601)"),
)


def every_game_day(inputs: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """A day with games has a report: an empty one is a failed fetch, not a healthy league."""
    return inputs["schedule"].filter(is_played()).select("game_day").unique()


@processor(
    phase=Phase.RAW,
    writes=CONTRACT,
    reads={"found": Landed(Kind.INJURY_REPORT), "schedule": Read("schedule", Span.ON)},
    runs_in={Mode.OVERNIGHT: Need.OPTIONAL, Mode.SAME_DAY: Need.REQUIRED, Mode.BACKFILL: Need.OPTIONAL},
    expects=every_game_day,
)
def injury_report(found: pl.DataFrame, schedule: pl.DataFrame, targets: pl.DataFrame) -> Cleaned:
    """One row per player and report, with the five official statuses and nothing else."""
    rules = (Rule("status", ~pl.col("status").is_in(STATUSES), f"is none of {', '.join(STATUSES)}"),)
    return clean(
        found,
        FIELDS,
        targets,
        rules,
        unique=("game_day", "player_id", "reported_at"),
        derive=lambda rows: rows.with_columns(team_id=team_id(pl.col("team"))),
    )
