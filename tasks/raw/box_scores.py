"""What the two box score tables share: the counting statistics, how they are read, and what must add up in them."""

from __future__ import annotations

import polars as pl

from tasks import parsing
from tasks.engine.contracts import Column
from tasks.raw.cleaning import Field, Rule, game, team, text, whole

# Layout name, our name. Field goals include threes; points are 2 x field goals + threes + free throws.
COUNTS: dict[str, str] = {
    "fgm": "field_goals",
    "fga": "field_goal_attempts",
    "fg3m": "threes",
    "fg3a": "three_attempts",
    "ftm": "free_throws",
    "fta": "free_throw_attempts",
    "oreb": "offensive_rebounds",
    "dreb": "defensive_rebounds",
    "ast": "assists",
    "stl": "steals",
    "blk": "blocks",
    "tov": "turnovers",
    "pf": "fouls",
}

GAME_FIELDS = (
    Field("game_id", "game_id", game),
    Field("game_date", "game_day", parsing.day, reason="is not a date (YYYY-MM-DD)"),
    Field("season", "season", text),
    Field("season_type", "season_type", text),
    Field("team", "team", team, reason="is not a team"),
    Field("opponent", "opponent", team, reason="is not a team"),
    Field("is_home", "is_home", parsing.flag, reason="is neither true nor false"),
    Field("win", "won", parsing.flag, reason="is neither true nor false"),
)
GAME_COLUMNS = (
    Column("game_day", pl.Date, says="date in America/New_York"),
    Column("game_id", pl.String),
    Column("season", pl.String, says="as 2025-26"),
    Column("season_type", pl.String),
)
SIDE_COLUMNS = (
    Column("team_id", pl.Int64),
    Column("team", pl.String),
    Column("opponent_id", pl.Int64),
    Column("opponent", pl.String),
    Column("is_home", pl.Boolean),
    Column("won", pl.Boolean),
)


def count_fields(most: float, *, required: bool) -> tuple[Field, ...]:
    """The counting statistics as fields, each between 0 and `most`."""
    return tuple(Field(found, name, whole, required, ge=0, le=most) for found, name in COUNTS.items())


def count_columns(most: float, max_null: float | None) -> tuple[Column, ...]:
    """The counting statistics as contract columns."""
    return tuple(Column(name, pl.Int64, "per game", max_null=max_null, ge=0, le=most) for name in COUNTS.values())


def points_add_up() -> Rule:
    """Points must be what the made shots come to, wherever the parts are given."""
    worth = 2 * pl.col("field_goals") + pl.col("threes") + pl.col("free_throws")
    return Rule("pts", pl.col("points") != worth, "is not 2 x field goals + threes + free throws")
