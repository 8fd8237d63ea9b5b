"""The schedule of each game day: teams, tip-off, status, and the result once it is known."""

from __future__ import annotations

import polars as pl

from tasks import parsing
from tasks.engine.contracts import Column, Contract
from tasks.engine.plan import EASTERN
from tasks.engine.processor import Cleaned, Landed, Mode, Need, Phase, processor
from tasks.identity import team_id
from tasks.raw.cleaning import Field, Rule, clean, game, team, text, whole
from tasks.sources.base import Kind

CONTRACT = Contract(
    table="schedule",
    grain="a game",
    key=("game_id",),
    columns=(
        Column("game_day", pl.Date, says="date in America/New_York"),
        Column("game_id", pl.String),
        Column("season", pl.String, says="as 2025-26"),
        Column("season_type", pl.String, says="regular, playoffs, play-in, cup"),
        Column("home_team_id", pl.Int64),
        Column("home_team", pl.String),
        Column("away_team_id", pl.Int64),
        Column("away_team", pl.String),
        Column("tip_off", parsing.UTC_INSTANT, max_null=None),
        Column("status", pl.String, says="scheduled, final, postponed or cancelled"),
        Column("home_points", pl.Int64, "points", max_null=None, ge=40, le=250),
        Column("away_points", pl.Int64, "points", max_null=None, ge=40, le=250),
    ),
)

STATUSES = ("scheduled", "final", "postponed", "cancelled")

FIELDS = (
    Field("game_id", "game_id", game),
    Field("game_date", "game_day", parsing.day, reason="is not a date (YYYY-MM-DD)"),
    Field("season", "season", text),
    Field("season_type", "season_type", text),
    Field("home", "home_team", team, reason="is not a team"),
    Field("away", "away_team", team, reason="is not a team"),
    Field("tip_utc", "tip_off", parsing.instant, required=False, reason="is not an instant (ISO 8601)"),
    Field("home_pts", "home_points", whole, required=False, ge=40, le=250),
    Field("away_pts", "away_points", whole, required=False, ge=40, le=250),
    Field("status", "status", text, required=False),
    Field("status_at", "status_at", parsing.instant, required=False, reason="is not an instant (ISO 8601)"),
    Field("announced_at", "announced_at", parsing.instant, required=False, reason="is not an instant (ISO 8601)"),
)


@processor(
    phase=Phase.RAW,
    writes=CONTRACT,
    reads={"found": Landed(Kind.SCHEDULE)},
    runs_in={Mode.OVERNIGHT: Need.REQUIRED, Mode.SAME_DAY: Need.REQUIRED, Mode.BACKFILL: Need.REQUIRED},
    critical=True,
)
def schedule(found: pl.DataFrame, targets: pl.DataFrame) -> Cleaned:
    """One row a game. A game is final once both scores are known; a stated postponement stands."""
    absent = [name for name in ("status", "status_at", "announced_at") if name not in found.columns]
    found = found.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in absent)
    eastern_day = pl.col("tip_off").dt.convert_time_zone(EASTERN.key).dt.date()
    rules = (
        Rule("tip_utc", eastern_day != pl.col("game_day"), "is on another day in America/New_York than game_date"),
        Rule("away", pl.col("home_team") == pl.col("away_team"), "is the home team too"),
        Rule(
            "status",
            pl.col("status").is_not_null() & ~pl.col("status").is_in(STATUSES),
            f"is none of {STATUSES}",
        ),
    )
    return clean(found, FIELDS, targets, rules, unique=("game_id",), derive=_with_ids)


def _with_ids(rows: pl.DataFrame) -> pl.DataFrame:
    played = pl.col("home_points").is_not_null() & pl.col("away_points").is_not_null()
    stated = pl.col("status").str.to_lowercase()
    return rows.with_columns(
        home_team_id=team_id(pl.col("home_team")),
        away_team_id=team_id(pl.col("away_team")),
        # "final" is derived from the scores alone: a source may know the status before it may know the result.
        status=pl.when(stated.is_in(["scheduled", "final"]) | stated.is_null())
        .then(pl.when(played).then(pl.lit("final")).otherwise(pl.lit("scheduled")))
        .otherwise(stated),
    )
