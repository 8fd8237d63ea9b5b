"""With and without: what a player did beside a line-up like tonight's, against what was expected of him then."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.sources.base import APPEARED

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Two line-ups that differ by players of so many minutes count e times less as alike: once strictly, once loosely.
UNLIKE_MINUTES: Mapping[str, float] = {"alike": 15.0, "loosely_alike": 40.0}
HALF_LIFE_GAMES = 25.0
SHRINKS_LIKE_GAMES = 1.0  # nothing special happened in so many games beside the same line-up

# Feature name, unit, meaning.
SPLIT_FEATURES: dict[str, tuple[str, str]] = {
    f"{how}_{measure}": (unit, says)
    for how in UNLIKE_MINUTES
    for measure, (unit, says) in {
        "minutes": ("minutes", "above those expected, beside line-ups like tonight's"),
        "rate": ("points", "above those his minutes were worth, beside line-ups like tonight's"),
        "points": ("points", "above those expected, beside line-ups like tonight's"),
        "games": ("games", "of this season and team that these were seen in, weighted"),
    }.items()
}


def with_lineup_splits(rows: pl.DataFrame, past: pl.DataFrame) -> pl.DataFrame:
    """`rows` of whole squads with SPLIT_FEATURES, from the team's games of the season on days before each row's own.

    `rows` carry `availability`, `minutes_if_playing` and `known_by`; `past`, one row per player who played, the
    `minutes` and `points` of the game, and what was expected before it: `minutes_if_playing` and
    `points_per_minute_ewm_03`.
    A player's own presence makes no line-up more alike, and null is what no earlier game says anything about.
    """
    keys = ["team_id", "season"]
    earlier = past.partition_by(keys, as_dict=True)
    splits = [
        _of_team(coming, earlier[key])
        for key, coming in rows.partition_by(keys, as_dict=True, maintain_order=True).items()
        if key in earlier
    ]
    schema = {"game_id": pl.String, "player_id": pl.Int64} | dict.fromkeys(SPLIT_FEATURES, pl.Float64)
    found = pl.concat([pl.DataFrame(schema=schema), *splits])
    return rows.join(found, on=["game_id", "player_id"], how="left", maintain_order="left")


def _of_team(coming: pl.DataFrame, past: pl.DataFrame) -> pl.DataFrame:
    """The splits of one team's players in its coming games of one season; null before its first."""
    games = past.select("game_day", "game_id").unique().sort("game_day", "game_id")
    players = pl.concat([coming["player_id"], past["player_id"]]).unique().sort()
    game_of, player_of = _positions(games["game_id"]), _positions(players)
    cell = [game_of[game] for game in past["game_id"]], [player_of[player] for player in past["player_id"]]

    def grid(values: pl.Series) -> Array:
        cells = np.full((games.height, len(players)), np.nan)
        cells[cell] = values
        return cells

    minutes, points = grid(past["minutes"]), grid(past["points"].cast(pl.Float64))
    expected, rate = grid(past["minutes_if_playing"]), grid(past["points_per_minute_ewm_03"])
    surprises = np.stack([minutes - expected, points - minutes * rate, points - expected * rate])
    played: Mask = np.isfinite(minutes)
    usable: Mask = np.logical_and.reduce(np.isfinite(surprises))
    surprises = np.where(usable, surprises, 0.0)
    coming = coming.sort("game_day", "game_id", "player_id")
    # Who is known only because he appeared tells nothing beforehand, not even by being there.
    known = pl.when(pl.col("known_by") != APPEARED).then("minutes_if_playing").fill_null(0.0)
    weight, available = coming.select(known).to_series().to_numpy(), coming["availability"].to_numpy()
    column = np.array([player_of[player] for player in coming["player_id"]])
    seen = np.searchsorted(games["game_day"].to_physical().to_numpy(), coming["game_day"].to_physical().to_numpy())
    ends = np.cumsum(coming["game_id"].rle().struct.field("len").to_numpy())
    found = np.full((len(SPLIT_FEATURES), coming.height), np.nan)
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        tonight, at, before = slice(start, end), column[start:end], seen[start]
        unlike = weight[tonight] * np.abs(available[tonight] - played[:before, at])
        apart = unlike.sum(axis=1, keepdims=True) - unlike
        age = np.arange(before - 1.0, -1.0, -1.0)[:, None]
        if before:
            found[:, tonight] = _splits(apart, age, usable[:before, at], surprises[:, :before, at])
    columns = (pl.Series(name, values, nan_to_null=True) for name, values in zip(SPLIT_FEATURES, found, strict=True))
    return coming.select("game_id", "player_id").with_columns(*columns)


def _splits(apart: Array, age: Array, usable: Mask, surprises: Array) -> Array:
    """SPLIT_FEATURES: means over the games seen, by likeness and age, drawn to nothing where few games are alike."""
    rows = []
    for scale in UNLIKE_MINUTES.values():
        weight = np.exp(-apart / scale) * np.exp2(-age / HALF_LIFE_GAMES) * usable
        games = weight.sum(axis=0)
        rows += [*(weight * surprises).sum(axis=1) / (games + SHRINKS_LIKE_GAMES), games]
    return np.array(rows)


def _positions(values: pl.Series) -> dict[object, int]:
    return {value: at for at, value in enumerate(values)}
