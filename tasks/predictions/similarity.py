"""Similarity: the past games most like tonight's, and how those players did against their own averages."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.precompute.ml_feature_store import POPULATION_COLUMNS
from tasks.predictions.distribution import Array
from tasks.predictions.system import Night, System, terms

NEIGHBOURS = 200
MOST_PAST = 60_000
# The past is cut into so many blocks by its first coordinate, the player's own level, and a game is compared with its
# own block and the two beside it: a fifth of the work, and as good predictions.
BLOCKS = 16
CHUNK = 64  # rows of tonight compared at once: bounds memory at CHUNK x rows of three blocks

# What makes two games alike, and how much each counts; every column is divided by its spread in the past.
LEVEL = "points_ewm_10"
LIKENESS: dict[str, float] = {
    LEVEL: 2.0,
    "minutes_ewm_10": 1.5,
    "minutes_1_ago": 0.7,
    "plays_per_minute_ewm_10": 1.0,
    "true_shooting_ewm_03": 0.5,
    "days_since_played": 0.3,
    "vacated_minutes": 1.0,
    "vacated_role_minutes": 0.6,
    "returning_minutes": 0.6,
    "role_allowance": 0.4,
    "opponent_recent_defensive_rating": 0.5,
    "expected_pace": 0.5,
    "minutes_scale": 1.0,
    "is_home": 0.2,
}
PAST_COLUMNS = ("game_day", "game_id", "player_id", *POPULATION_COLUMNS, *LIKENESS)


def _points(night: Night) -> Array:
    return night.column(LEVEL) + night.once("surprise", _surprise)


def _why(night: Night) -> list[str]:
    return terms(ten_game_memory=night.column(LEVEL), similar_games=night.once("surprise", _surprise))


def _surprise(night: Night) -> Array:
    """How much the players of the most similar games scored above their own averages."""
    past = night.past.tail(MOST_PAST).sort(LEVEL, maintain_order=True)
    surprise = (past["points"] - past[LEVEL]).cast(pl.Float64).to_numpy()
    there, here = _coordinates(past, past), _coordinates(night.features, past)
    lengths = (there**2).sum(axis=1)
    edges = np.linspace(0, len(there), BLOCKS + 1).astype(int)
    block = np.searchsorted(there[edges[1:-1], 0], here[:, 0], side="right")
    correction = np.empty(len(here))
    for at in range(BLOCKS):
        near = slice(edges[max(at - 1, 0)], edges[min(at + 2, BLOCKS)])
        neighbours = min(NEIGHBOURS, near.stop - near.start)
        mine = np.flatnonzero(block == at)
        for chunk in np.split(mine, range(CHUNK, len(mine), CHUNK)):
            distance = lengths[None, near] - 2 * here[chunk] @ there[near].T
            nearest = np.argpartition(distance, neighbours - 1, axis=1)[:, :neighbours]
            # A sum in a fixed order: argpartition gives the set, not its order.
            correction[chunk] = surprise[near][np.sort(nearest, axis=1)].mean(axis=1)
    return correction


def _coordinates(rows: pl.DataFrame, past: pl.DataFrame) -> NDArray[np.float32]:
    """Each row's place among games: standardised by the past, weighted; what is unknown sits at the past's middle."""
    columns = []
    for name, weight in LIKENESS.items():
        known = past[name].cast(pl.Float64)
        middle, spread = known.median(), known.std()
        values = rows[name].cast(pl.Float64).fill_null(middle).to_numpy()
        assert isinstance(middle, float)
        assert isinstance(spread, float)
        columns.append(weight * (values - middle) / max(spread, 1e-9))
    return np.column_stack(columns).astype(np.float32)  # likeness needs no more, and it takes a quarter of the time


SYSTEM = System(
    "similarity", "mean surprise of the 200 past games most like tonight's, on his own average", _points, _why
)
