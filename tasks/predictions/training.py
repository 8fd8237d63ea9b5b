"""Training: from feature rows and what came of them to a points model, judged only on games after its training.

Minutes first (out of fold, so that the points model learns from projections as uncertain as tonight's will be), then
points on the expected active roster, then the size of the error, then the ensemble's weights and every system's spread.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks.engine.plan import Frozen
from tasks.precompute.ml_feature_store import ELIGIBLE_GAMES, ELIGIBLE_MINUTES
from tasks.predictions.active_roster import with_active_roster
from tasks.predictions.distribution import NINE_LEVELS, Array, Spread, pinball_loss
from tasks.predictions.points_model import (
    FEWEST_MINUTES,
    MINUTES_FEATURES,
    MOST_MINUTES,
    POINTS_FEATURES,
    SPREAD_FEATURES,
    Blend,
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
    "max_bin": 127,
    "seed": 7,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}
MINUTES_TREES = {**_COMMON, "objective": "l1", "learning_rate": 0.08, "num_leaves": 31, "min_data_in_leaf": 200}
POINTS_TREES = {
    **_COMMON, "objective": "huber", "alpha": 3.0, "learning_rate": 0.04, "num_leaves": 31, "min_data_in_leaf": 300,
}  # fmt: skip
SIZE_TREES = {
    **_COMMON,
    "feature_fraction": 1.0,
    "objective": "l2",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 400,
}
MINUTES_ROUNDS, POINTS_ROUNDS, SIZE_ROUNDS = 150, 500, 120

# What the line was worth in 2021-22 and 2022-23, the first seasons with lines: later lines move it as they come in.
USUAL_OWN_SHARE, USUAL_PRICE_PULL = 0.18, 1.8
USUAL_WEIGHS_LINES = 3_000
LEAST_ABSOLUTE_ROUNDS = 30


class TrainingError(Exception):
    """A model that cannot be trained, with what is missing."""


class Trained(Frozen):
    """What training came to, besides the model itself: rows, window, and metrics on games it had not seen."""

    first: dt.date
    last: dt.date
    rows: int
    metrics: dict[str, float]


def with_results(features: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    """Feature rows with what came of them, by day: `points` and `minutes_played`, null for who did not play."""
    played = results.filter("played").select("game_id", "player_id", "points", minutes_played="minutes")
    joined = features.join(played, on=["game_id", "player_id"], how="left")
    return joined.sort("game_day", "game_id", "player_id")


def population(grid: pl.DataFrame) -> pl.DataFrame:
    """The rows of players who played, with enough games and minutes behind them to be predicted."""
    return grid.filter(_in_population())


def _in_population() -> pl.Expr:
    enough = (pl.col("games") >= ELIGIBLE_GAMES) & (pl.col("minutes_last_10") >= ELIGIBLE_MINUTES)
    return enough & pl.col("points").is_not_null()


def train(grid: pl.DataFrame, systems: tuple[System, ...]) -> tuple[PointsModel, Trained]:
    """Train on `grid` (see `with_results`), all of it from before the days to be predicted.

    Raises TrainingError if there are too few rows.
    """
    grid = grid.filter(pl.col("game_day") > pl.col("game_day").max() - MEMORY)
    count = population(grid).height
    if count < FEWEST_ROWS:
        raise TrainingError(
            f"{count} games of players with enough history are too few to train on ({FEWEST_ROWS} are needed): "
            "build more history (flows/backfill.py) or choose a later game day"
        )
    minutes, projected = _fit_minutes(grid)
    rows = population(with_active_roster(grid.with_columns(projected_minutes=pl.Series(projected))))
    cut = rows["game_day"][int(rows.height * (1 - OUT_OF_TIME_SHARE))]
    older, newer = rows.filter(pl.col("game_day") < cut), rows.filter(pl.col("game_day") >= cut)
    provisional = _fit_points(older)
    judged = newer.with_columns(expected_points=pl.Series(predict(provisional, newer, POINTS_FEATURES).clip(min=0.0)))
    actual = newer["points"].cast(pl.Float64).to_numpy()
    size = _fit_size(judged, actual)

    model = PointsModel(minutes, provisional, size, Blend(weights={}, own_share=1.0, price_pull=0.0), {})
    blend, spreads, metrics = _measure(model, judged, older, actual, systems)
    model = PointsModel(minutes, _fit_points(rows), size, blend, spreads)
    first, last = rows["game_day"].min(), rows["game_day"].max()
    assert isinstance(first, dt.date)
    assert isinstance(last, dt.date)
    return model, Trained(first=first, last=last, rows=rows.height, metrics=metrics)


def _fit_minutes(grid: pl.DataFrame) -> tuple[lightgbm.Booster, Array]:
    """The minutes booster, and for every row of the grid a projection by one that has not seen its block of time."""
    usable = (grid["minutes_played"].is_not_null() & (grid["games"] >= MINUTES_NEED_GAMES)).fill_null(value=False)
    used, values = usable.to_numpy(), grid["minutes_played"].to_numpy()
    columns = matrix(grid, MINUTES_FEATURES)
    days = grid["game_day"].to_physical().to_numpy()
    edges = np.quantile(days, np.linspace(0, 1, MINUTES_FOLDS + 1)[1:-1])
    block = np.searchsorted(edges, days, side="right")
    projected = np.zeros(grid.height)
    for fold in range(MINUTES_FOLDS):
        learn, project = used & (block != fold), block == fold
        if learn.any() and project.any():
            booster = _train(MINUTES_TREES, MINUTES_ROUNDS, columns[learn], values[learn], MINUTES_FEATURES)
            projected[project] = booster.predict(columns[project], num_threads=1)
    whole = _train(MINUTES_TREES, MINUTES_ROUNDS, columns[used], values[used], MINUTES_FEATURES)
    return whole, projected.clip(FEWEST_MINUTES, MOST_MINUTES)


def _fit_points(rows: pl.DataFrame) -> lightgbm.Booster:
    points = rows["points"].cast(pl.Float64).to_numpy()
    return _train(POINTS_TREES, POINTS_ROUNDS, matrix(rows, POINTS_FEATURES), points, POINTS_FEATURES)


def _fit_size(judged: pl.DataFrame, actual: Array) -> lightgbm.Booster:
    """The mean absolute error that a situation makes likely; small trees, so that they cannot learn single games."""
    error = np.abs(actual - judged["expected_points"].to_numpy())
    return _train(SIZE_TREES, SIZE_ROUNDS, matrix(judged, SPREAD_FEATURES), error, SPREAD_FEATURES)


def _train(
    trees: dict[str, object], rounds: int, columns: np.ndarray, values: np.ndarray, names: tuple[str, ...]
) -> lightgbm.Booster:
    import lightgbm  # half a second that only those wait for who train

    return lightgbm.train(trees, lightgbm.Dataset(columns, values, feature_name=list(names)), rounds)


def _measure(
    model: PointsModel, judged: pl.DataFrame, older: pl.DataFrame, actual: Array, systems: tuple[System, ...]
) -> tuple[Blend, dict[str, Spread], dict[str, float]]:
    """Weights, spreads and metrics from games that the provisional points model was not trained on."""
    size = predict(model.spread, judged, SPREAD_FEATURES)
    points = judged["expected_points"].to_numpy()
    projection = Projection(judged, judged["projected_minutes"].to_numpy(), points, size)
    night = Night(judged, older, model, projection)
    alone = predicted(tuple(system for system in systems if system.name != "ensemble"), night)
    line, over = night.column("line"), night.column("line_over_probability")
    blend = _blend(alone, actual, line, over)
    night = Night(judged, older, model.with_blend(blend, {}), projection)
    metrics: dict[str, float] = {"out_of_time_rows": float(len(actual))}
    spreads = {}
    for name, values in predicted(systems, night).items():
        spreads[name] = Spread.of(values, actual, size)
        metrics[f"{name}_mae"] = float(np.abs(values - actual).mean())
        metrics |= _spread_metrics(name, values, actual, size)
        if (known := ~np.isnan(line)).any():
            metrics[f"{name}_mae_with_line"] = float(np.abs(values - actual)[known].mean())
    if (known := ~np.isnan(line)).any():
        metrics["line_rows"], metrics["line_mae"] = float(known.sum()), float(np.abs(line - actual)[known].mean())
    return blend, spreads, metrics


def _spread_metrics(name: str, values: Array, actual: Array, size: Array) -> dict[str, float]:
    """Coverage and pinball loss of a spread that was learned on the first half of the games, on the second."""
    half = len(actual) // 2
    learned = Spread.of(values[:half], actual[:half], size[:half])
    nine, later = learned.quantiles(values[half:], size[half:], NINE_LEVELS), actual[half:]
    inside = (later >= nine[:, 0]) & (later <= nine[:, -1])
    return {f"{name}_coverage_80": float(inside.mean()), f"{name}_pinball": pinball_loss(later, nine, NINE_LEVELS)}


def _blend(points: dict[str, Array], actual: Array, line: Array, over: Array) -> Blend:
    """Weights of least absolute error: of the systems without a line, and of the way from the line to them.

    The line's part is drawn to what it was in earlier seasons, as if that had been seen on so many lines more.
    """
    stacked = np.column_stack(list(points.values()))
    whole = ~np.isnan(stacked).any(axis=1)
    weights = _least_absolute(stacked[whole], actual[whole])
    weights = weights / weights.sum()
    own = stacked @ weights
    lined = whole & ~np.isnan(line)
    share, pull = USUAL_OWN_SHARE, USUAL_PRICE_PULL
    if lined.sum() > 2:
        prices = 10 * np.nan_to_num(over - 0.5)
        found = _least_absolute(np.column_stack([own - line, prices])[lined], (actual - line)[lined])
        trust = lined.sum() / (lined.sum() + USUAL_WEIGHS_LINES)
        share, pull = trust * found[0] + (1 - trust) * share, trust * found[1] + (1 - trust) * pull
    return Blend(
        weights={name: float(weight) for name, weight in zip(points, weights, strict=True)},
        own_share=float(share),
        price_pull=float(pull),
    )


def _least_absolute(columns: Array, values: Array) -> Array:
    """Non-negative coefficients of least absolute error, by iteratively reweighted least squares."""
    from scipy.optimize import nnls

    weight = np.ones(len(values))
    coefficients = np.zeros(columns.shape[1])
    for _ in range(LEAST_ABSOLUTE_ROUNDS):
        root = np.sqrt(weight)
        coefficients, _ = nnls(columns * root[:, None], values * root)
        weight = 1 / np.maximum(np.abs(values - columns @ coefficients), 0.5)
    return coefficients
