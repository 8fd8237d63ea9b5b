"""A small table that the warehouse tests write and read."""

from __future__ import annotations

import datetime as dt

import polars as pl

from blocks.warehouse import TableSpec

DAY = dt.date(2025, 12, 29)
EVE = DAY - dt.timedelta(days=1)
TABLE = TableSpec(
    "points", {"game_day": pl.Date(), "player_id": pl.Int64(), "points": pl.Float64()}, ("game_day", "player_id")
)


def rows(day: dt.date = DAY, count: int = 3, points: float = 10.0) -> pl.DataFrame:
    return pl.DataFrame(
        {"game_day": [day] * count, "player_id": list(range(count)), "points": [points + n for n in range(count)]},
        schema=TABLE.polars_schema,
    )
