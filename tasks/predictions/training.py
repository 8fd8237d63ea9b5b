"""Training: from feature rows and what came of them to a points model, judged only on games after its training.

Minutes first (out of fold, so that the points model learns from projections as uncertain as tonight's will be), then
points on the expected active roster, then the size of the error, then the ensemble's weights and every system's spread.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks.precompute.ml_feature_store import of_population
from tasks.predictions.active_roster import with_active_roster
from tasks.predictions.distribution import Array
from tasks.predictions.out_of_time import ENSEMBLE, OutOfTime, learned, measured
from tasks.predictions.points_model import (
    FEWEST_MINUTES,
    MINUTES_FEATURES,
    MOST_MINUTES,
    POINTS_FEATURES,
    SPREAD_FEATURES,
    Blend,
    Lessons,
    PointsModel,
    Projection,
    matrix,
    predict,
)
from tasks.predictions.system import Night, System, predicted

if TYPE_CHECKING:
    import lightgbm

MEMORY = dt.timedelta(days=4 * 365 + 60)  # older games say little about today's league
OUT_OF_TIME_SHARE = 0.22  # of the games: the newest, kept from the first fit to learn error sizes and weights on
MINUTES_FOLDS = 3  # contiguous blocks of time: random folds would leak a player's form
MINUTES_NEED_GAMES = 3
FEWEST_ROWS = 2_000

# One thread: the same trees on every machine, and no stall where the cores are shared.
_COMMON = {
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "seed": 7,
    "deterministic": True,
    "num_threads": 1,
    "verbose": -1,
}
# Histograms by row or by column give the same trees; which is faster on one thread is measured for each model.
_BY_ROW, _BY_COLUMN = {"force_row_wise": True}, {"force_col_wise": True}
MINUTES_TREES = {
    **_COMMON,
    **_BY_ROW,
    "objective": "l1",
    "learning_rate": 0.08,
    "num_leaves": 31,
    "min_data_in_leaf": 200,
}
# Splits at random thresholds make the trees differ: their mean is surer, and each costs less to grow.
POINTS_TREES = {
    **_COMMON,
    **_BY_COLUMN,
    "feature_fraction": 0.7,
    "extra_trees": True,
    "objective": "huber",
    "alpha": 3.0,
    "learning_rate": 0.06,
    "num_leaves": 31,
    "min_data_in_leaf": 300,
}
POINTS_HALF_LIFE = dt.timedelta(days=3 * 365)  # a game so long ago counts half of a game of today
SIZE_TREES = {
    **_COMMON,
    **_BY_ROW,
    "feature_fraction": 1.0,
    "objective": "l2",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 400,
}
MINUTES_ROUNDS, POINTS_ROUNDS, SIZE_ROUNDS = 150, 450, 120
NO_LESSONS = Lessons(blend=Blend(weights={}, own_share=1.0, price_pull=0.0), spreads={}, calibrations={})


class TrainingError(Exception):
    """A model that cannot be trained, with what is missing."""


@dataclass(frozen=True)
class Trained:
    """What training came to, besides the model itself: rows, window, and metrics on games it had not seen.

    `seen` holds what the provisional model, trained on none of them, said of those games; `tested` the lessons of the
    earlier half of them, by which the metrics are measured on the later.
    """

    first: dt.date
    last: dt.date
    rows: int
    metrics: dict[str, float]
    seen: OutOfTime
    tested: Lessons


def with_results(features: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    """Feature rows with what came of them, by day: `points` and `minutes_played`, null for who did not play."""
    played = results.filter("played").select("game_id", "player_id", "points", minutes_played="minutes")
    joined = features.join(played, on=["game_id", "player_id"], how="left")
    return joined.sort("game_day", "game_id", "player_id")


def population(grid: pl.DataFrame) -> pl.DataFrame:
    """The rows of players who played, with enough games and minutes behind them to be predicted."""
    return grid.filter(in_population())


def in_population() -> pl.Expr:
    """Whether a row belongs to the population."""
    return of_population() & pl.col("points").is_not_null()


def train(grid: pl.DataFrame, systems: tuple[System, ...]) -> tuple[PointsModel, Trained]:
    """Train on `grid` (see `with_results`), all of it from before the days to be predicted.

    Raises TrainingError if there are too few rows.
    """
    grid = grid.filter(pl.col("game_day") > pl.col("game_day").max() - MEMORY)
    count = population(grid).height
    if count < FEWEST_ROWS:
        raise TrainingError(
            f"{count} games of players with enough history are too few to train on ({FEWEST_ROWS} are needed): "
            "build more history (flows/history.py) or choose a later game day"
        )
    minutes, projected = _fit_minutes(grid)
    squads = with_active_roster(grid.with_columns(projected_minutes=pl.Series(projected)))
    played = squads.filter(pl.col("points").is_not_null())  # who is out of the population teaches something of it too
    rows = population(played)
    cut = rows["game_day"][int(rows.height * (1 - OUT_OF_TIME_SHARE))]
    older, newer = rows.filter(pl.col("game_day") < cut), rows.filter(pl.col("game_day") >= cut)
    provisional = _fit_points(played.filter(pl.col("game_day") < cut))
    judged = newer.with_columns(expected_points=pl.Series(predict(provisional, newer, POINTS_FEATURES).clip(min=0.0)))
    actual = newer["points"].cast(pl.Float64).to_numpy()
    size = _fit_size(judged, actual)

    seen = _out_of_time(PointsModel(minutes, provisional, size, NO_LESSONS), judged, older, actual, systems)
    earlier, later = seen.halves()
    tested = learned(earlier)
    first, last = played["game_day"].min(), played["game_day"].max()
    assert isinstance(first, dt.date)
    assert isinstance(last, dt.date)
    return PointsModel(minutes, _fit_points(played), size, learned(seen)), Trained(
        first=first, last=last, rows=played.height, metrics=measured(tested, later), seen=seen, tested=tested
    )


def _fit_minutes(grid: pl.DataFrame) -> tuple[lightgbm.Booster, Array]:
    """The minutes booster, and for every row of the grid a projection by one that has not seen its block of time."""
    usable = (grid["minutes_played"].is_not_null() & (grid["games"] >= MINUTES_NEED_GAMES)).fill_null(value=False)
    used, values = usable.to_numpy(), grid["minutes_played"].to_numpy()
    columns = matrix(grid, MINUTES_FEATURES)
    days = grid["game_day"].to_physical().to_numpy()
    edges = np.quantile(days, np.linspace(0, 1, MINUTES_FOLDS + 1)[1:-1])
    block = np.searchsorted(edges, days, side="right")
    binned = _dataset(MINUTES_TREES, columns[used], values[used], MINUTES_FEATURES)
    projected = np.zeros(grid.height)
    for fold in range(MINUTES_FOLDS):
        learn, project = np.flatnonzero(block[used] != fold).tolist(), block == fold
        if learn and project.any():
            booster = _boosted(MINUTES_TREES, MINUTES_ROUNDS, binned.subset(learn))
            projected[project] = booster.predict(columns[project], num_threads=1)
    whole = _boosted(MINUTES_TREES, MINUTES_ROUNDS, binned)
    return whole, projected.clip(FEWEST_MINUTES, MOST_MINUTES)


def _fit_points(rows: pl.DataFrame) -> lightgbm.Booster:
    points = rows["points"].cast(pl.Float64).to_numpy()
    days = rows["game_day"].to_physical().to_numpy()
    age = (days.max() - days) / POINTS_HALF_LIFE.days
    return _train(POINTS_TREES, POINTS_ROUNDS, matrix(rows, POINTS_FEATURES), points, POINTS_FEATURES, np.exp2(-age))


def _fit_size(judged: pl.DataFrame, actual: Array) -> lightgbm.Booster:
    """The mean absolute error that a situation makes likely; small trees, so that they cannot learn single games."""
    error = np.abs(actual - judged["expected_points"].to_numpy())
    return _train(SIZE_TREES, SIZE_ROUNDS, matrix(judged, SPREAD_FEATURES), error, SPREAD_FEATURES)


def _train(
    trees: dict[str, object],
    rounds: int,
    columns: np.ndarray,
    values: np.ndarray,
    names: tuple[str, ...],
    weights: Array | None = None,
) -> lightgbm.Booster:
    return _boosted(trees, rounds, _dataset(trees, columns, values, names, weights))


def _boosted(trees: dict[str, object], rounds: int, binned: lightgbm.Dataset) -> lightgbm.Booster:
    import lightgbm  # half a second that only those wait for who train

    return lightgbm.train(trees, binned, rounds)


def _dataset(
    trees: dict[str, object],
    columns: np.ndarray,
    values: np.ndarray,
    names: tuple[str, ...],
    weights: Array | None = None,
) -> lightgbm.Dataset:
    import lightgbm

    dataset = lightgbm.Dataset(
        columns, values, weight=weights, feature_name=list(names), params=trees, free_raw_data=False
    )
    return dataset.construct()


def _out_of_time(
    model: PointsModel, judged: pl.DataFrame, older: pl.DataFrame, actual: Array, systems: tuple[System, ...]
) -> OutOfTime:
    """What the systems that stand alone say of games that the provisional points model was not trained on."""
    size = predict(model.spread, judged, SPREAD_FEATURES)
    points = judged["expected_points"].to_numpy()
    night = Night(judged, older, model, Projection(judged, judged["projected_minutes"].to_numpy(), points, size))
    alone = predicted(tuple(system for system in systems if system.name != ENSEMBLE), night)
    return OutOfTime(
        rows=judged.select("game_day", "game_id", "player_id"),
        points=alone,
        actual=actual,
        size=size,
        line=night.column("line"),
        line_over=night.column("line_over_probability"),
    )
