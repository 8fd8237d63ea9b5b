"""Attaching state to coming games: the last known state of a player or team from strictly before the game day."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl


def with_state(rows: pl.DataFrame, state: pl.DataFrame, by: str, columns: Iterable[str]) -> pl.DataFrame:
    """`rows` with `columns` of the newest `state` row of the same `by` from a game day strictly before the row's own.

    State rows hold what was known after their game day, so a row of the same day would be the future.
    """
    newest = state.select("game_day", by, *columns).sort("game_day")
    return rows.sort("game_day").join_asof(
        newest, on="game_day", by=by, strategy="backward", allow_exact_matches=False, check_sortedness=False
    )
