"""Training: from feature rows and what came of them to a points model, judged only on games after its training."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import lightgbm
import numpy as np
import polars as pl
from scipy.optimize import nnls

from tasks.engine.plan import Frozen
from tasks.precompute.ml_feature_store import ELIGIBLE_GAMES, ELIGIBLE_MINUTES, FEATURE_NAMES
from tasks.predictions.distribution import NINE_LEVELS, Array, Spread, pinball_loss
from tasks.predictions.points_model import LINE_FEATURES, Blend, PointsModel, matrix
from tasks.predictions.system import Night, System, predicted

FEATURES = tuple(name for name in FEATURE_NAMES if name not in LINE_FEATURES)
MEMORY = dt.timedelta(days=4 * 365)  # older games say little about today's league
OUT_OF_TIME_SHARE = 0.12  # the newest games are kept from the first fit, to learn spreads and weights on
FEWEST_ROWS = 2_000
FEWEST_LINES = 400
# Without enough lines in the out-of-time games: the share that was best over earlier seasons of real lines.
USUAL_OWN_SHARE = 0.15
OWN_SHARES = tuple(step / 20 for step in range(11))

TREES = {
    "objective": "l1",
    "learning_rate": 0.04,
    "num_leaves": 31,
    "min_data_in_leaf": 300,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "seed": 7,
    "deterministic": True,
    "force_row_wise": True,
    # One thread: the same trees on every machine, and no stall where the cores are shared.
    "num_threads": 1,
    "verbose": -1,
}
ROUNDS = 500


class TrainingError(Exception):
    """A model that cannot be trained, with what is missing."""


class Trained(Frozen):
    """What training came to, besides the model itself: rows, window, and metrics on games it had not seen."""

    first: dt.date
    last: dt.date
    rows: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class _Halves:
    fit: pl.DataFrame
    held_out: pl.DataFrame


def population(features: pl.DataFrame, results: pl.DataFrame) -> pl.DataFrame:
    """Feature rows of players who played, with enough games and minutes behind them, and their `points`, by day.

    `features` are feature store rows, `results` player_game_summary rows of the same games.
    """
    played = results.filter("played").select("game_id", "player_id", "points")
    enough = (pl.col("games") >= ELIGIBLE_GAMES) & (pl.col("minutes_last_10") >= ELIGIBLE_MINUTES)
    return features.filter(enough).join(played, on=["game_id", "player_id"]).sort("game_day", "game_id", "player_id")


def train(rows: pl.DataFrame, systems: tuple[System, ...]) -> tuple[PointsModel, Trained]:
    """Train on `rows` (see `population`), all of them from before the days to be predicted.

    First on the older part alone, to measure every system, its spread and the ensemble's weights on the newer part;
    then the trees on everything. Raises TrainingError if there are too few rows.
    """
    rows = rows.filter(pl.col("game_day") > pl.col("game_day").max() - MEMORY)
    if rows.height < FEWEST_ROWS:
        raise TrainingError(
            f"{rows.height} games of players with enough history are too few to train on ({FEWEST_ROWS} are needed): "
            "build more history (flows/backfill.py) or choose a later game day"
        )
    halves = _split(rows)
    blend, spreads, metrics = _measure(halves, systems)
    booster = _fit(rows)
    model = PointsModel(booster, blend, spreads, FEATURES)
    first, last = rows["game_day"].min(), rows["game_day"].max()
    assert isinstance(first, dt.date) and isinstance(last, dt.date)
    return model, Trained(first=first, last=last, rows=rows.height, metrics=metrics)


def _split(rows: pl.DataFrame) -> _Halves:
    """Whole days only: the newest days that hold the share of rows to be held out."""
    cut = rows["game_day"][int(rows.height * (1 - OUT_OF_TIME_SHARE))]
    return _Halves(rows.filter(pl.col("game_day") < cut), rows.filter(pl.col("game_day") >= cut))


def _fit(rows: pl.DataFrame) -> lightgbm.Booster:
    data = lightgbm.Dataset(
        matrix(rows, FEATURES), rows["points"].cast(pl.Float64).to_numpy(), feature_name=list(FEATURES)
    )
    return lightgbm.train(TREES, data, ROUNDS)


def _measure(halves: _Halves, systems: tuple[System, ...]) -> tuple[Blend, dict[str, Spread], dict[str, float]]:
    """Weights, spreads and metrics from games that nothing here was trained on."""
    booster = _fit(halves.fit)
    alone = tuple(system for system in systems if system.name != "ensemble")
    provisional = PointsModel(booster, Blend(weights={}, own_share=1.0), {}, FEATURES)
    night = Night(halves.held_out, halves.fit, provisional)
    points = predicted(alone, night)
    actual = halves.held_out["points"].cast(pl.Float64).to_numpy()
    blend = _blend(points, actual, night.column("line"))
    model = PointsModel(booster, blend, {}, FEATURES)
    points = predicted(systems, Night(halves.held_out, halves.fit, model))
    metrics: dict[str, float] = {"out_of_time_rows": float(len(actual))}
    spreads = {}
    for name, values in points.items():
        spreads[name] = Spread.of(values, actual)
        metrics[f"{name}_mae"] = float(np.abs(values - actual).mean())
        metrics |= _spread_metrics(name, values, actual)
    lined = ~np.isnan(night.column("line"))
    if lined.any():
        metrics["line_rows"] = float(lined.sum())
        metrics["line_mae"] = float(np.abs(night.column("line") - actual)[lined].mean())
        metrics["ensemble_mae_with_line"] = float(np.abs(points["ensemble"] - actual)[lined].mean())
    return blend, spreads, metrics


def _spread_metrics(name: str, values: Array, actual: Array) -> dict[str, float]:
    """Coverage and pinball loss of a spread that was learned on the first half of the games, on the second."""
    half = len(actual) // 2
    nine = Spread.of(values[:half], actual[:half]).quantiles(values[half:], NINE_LEVELS)
    later = actual[half:]
    inside = (later >= nine[:, 0]) & (later <= nine[:, -1])
    return {
        f"{name}_coverage_80": float(inside.mean()),
        f"{name}_pinball": pinball_loss(later, nine, NINE_LEVELS),
    }


def _blend(points: dict[str, Array], actual: Array, line: Array) -> Blend:
    """Non-negative weights by least squares, and the share of the way from the line to the systems with least error."""
    stacked = np.column_stack(list(points.values()))
    whole = ~np.isnan(stacked).any(axis=1)
    weights, _ = nnls(stacked[whole], actual[whole])
    weights /= weights.sum()
    own = stacked @ weights
    usable = whole & ~np.isnan(line)
    share = USUAL_OWN_SHARE
    if usable.sum() >= FEWEST_LINES:
        errors = [np.abs(line + way * (own - line) - actual)[usable].mean() for way in OWN_SHARES]
        share = OWN_SHARES[int(np.argmin(errors))]
    return Blend(weights={name: float(weight) for name, weight in zip(points, weights, strict=True)}, own_share=share)
