"""What a payload covers and how fresh it is, counted from its rows as found: for the ledger and for people."""

from __future__ import annotations

import polars as pl

from tasks import parsing
from tasks.sources.base import Kind

# By kind: what is counted, under which name, and the column that says how new the facts are.
_COUNTED: dict[Kind, dict[str, tuple[str, ...]]] = {
    Kind.SCHEDULE: {"games": ("game_id",), "days": ("game_date",)},
    Kind.PLAYER_BOX_SCORES: {"games": ("game_id",), "players": ("player_id",)},
    Kind.TEAM_BOX_SCORES: {"games": ("game_id",), "teams": ("team",)},
    Kind.ROSTERS: {"teams": ("team",), "players": ("player_id",)},
    Kind.INJURY_REPORT: {"teams": ("team",), "players": ("player_id",)},
    Kind.PROP_LINES: {"games": ("home_team", "away_team"), "players": ("player",), "books": ("bookmaker",)},
}
_NEWEST: dict[Kind, str] = {
    Kind.PLAYER_BOX_SCORES: "game_date",
    Kind.TEAM_BOX_SCORES: "game_date",
    Kind.ROSTERS: "snapshot_date",
    Kind.INJURY_REPORT: "reported_at",
    Kind.PROP_LINES: "snapshot",
}


def coverage_of(kind: Kind, found: pl.DataFrame) -> dict[str, int | str]:
    """Rows, what they are about, and the newest of them: `{"rows": 484, "teams": 30, ..., "newest": "2025-12-29"}`."""
    said: dict[str, int | str] = {"rows": found.height}
    for name, columns in _COUNTED[kind].items():
        if set(columns) <= set(found.columns):
            said[name] = found.select(columns).drop_nulls().n_unique()
    column = _NEWEST.get(kind)
    if column in found.columns:
        dtype = found.schema[column]
        both = found.select(day=parsing.day(column, dtype), instant=parsing.instant(column, dtype))
        newest = both["instant"].max() or both["day"].max()
        if newest is not None:
            said["newest"] = newest.isoformat()  # type: ignore[union-attr]
    return said
