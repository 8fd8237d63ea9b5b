"""What is learned and measured on games after a model's training: the blend, the spreads, the calibration, the metrics.

Metrics are honest about all of it: what is measured on the second half of these games was learned on the first half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from tasks.predictions.calibration import Calibration
from tasks.predictions.distribution import NINE_LEVELS, Array, Spread, pinball_loss
from tasks.predictions.ensemble import combined
from tasks.predictions.points_model import Blend, Lessons

ENSEMBLE = "ensemble"
EDGE_THRESHOLD = 1.0  # points between prediction and line below which nothing is recommended

# What the line was worth in 2021-22 and 2022-23, the first seasons with lines: later lines move it as they come in.
USUAL_OWN_SHARE, USUAL_PRICE_PULL = 0.18, 1.8
# How far they were to be believed against it: means of what fits 2021-22 (0.16 to 0.22 alone, 1.01 the ensemble) and
# 2022-23 (0.00 to 0.03 alone, 0.32 the ensemble); both seasons' points fell below the line in 51 % of games.
USUAL_CALIBRATION = {ENSEMBLE: Calibration(intercept=-0.04, slope=0.66)}
USUAL_ALONE = Calibration(intercept=-0.04, slope=0.10)
USUAL_WEIGHS_LINES = 3_000
LEAST_ABSOLUTE_ROUNDS = 30


@dataclass(frozen=True)
class OutOfTime:
    """Games in order of game day that the model was not trained on: what each system said, and what came of them.

    `points` are those of the systems that stand alone; `rows` holds the games' identities.
    """

    rows: pl.DataFrame
    points: Mapping[str, Array]
    actual: Array
    size: Array
    line: Array
    line_over: Array  # vig-free probability of over by the books' prices

    def __getitem__(self, part: slice) -> OutOfTime:
        return replace(
            self,
            rows=self.rows[part],
            points={name: values[part] for name, values in self.points.items()},
            **{name: getattr(self, name)[part] for name in ("actual", "size", "line", "line_over")},
        )

    def halves(self) -> tuple[OutOfTime, OutOfTime]:
        """The earlier games and the later ones."""
        half = len(self.actual) // 2
        return self[:half], self[half:]

    def every(self, blend: Blend) -> dict[str, Array]:
        """The points of every system, the ensemble by this blend."""
        return {**self.points, ENSEMBLE: combined(self.points, self.line, self.line_over, blend)}


def learned(seen: OutOfTime) -> Lessons:
    """The blend, and every system's spread and calibration, from what came of these games."""
    blend = _blend(seen)
    spreads, calibrations = {}, {}
    for name, values in seen.every(blend).items():
        spreads[name] = Spread.of(values, seen.actual, seen.size)
        said = spreads[name].over_probability(values, seen.size, seen.line)
        calibrations[name] = _calibration(name, said, seen)
    return Lessons(blend=blend, spreads=spreads, calibrations=calibrations)


def measured(lessons: Lessons, later: OutOfTime) -> dict[str, float]:
    """Metrics of every system on games after those of the lessons; bets are those beyond EDGE_THRESHOLD."""
    lined = ~np.isnan(later.line)
    decided = lined & (later.actual != later.line)
    metrics = {"out_of_time_rows": float(len(later.actual)), "line_rows": float(lined.sum())}
    if lined.any():
        metrics["line_mae"] = float(np.abs(later.line - later.actual)[lined].mean())
    for name, values in later.every(lessons.blend).items():
        error = np.abs(values - later.actual)
        metrics[f"{name}_mae"] = float(error.mean())
        nine = lessons.spreads[name].quantiles(values, later.size, NINE_LEVELS)
        inside = (later.actual >= nine[:, 0]) & (later.actual <= nine[:, -1])
        metrics[f"{name}_coverage_80"] = float(inside.mean())
        metrics[f"{name}_pinball"] = pinball_loss(later.actual, nine, NINE_LEVELS)
        if lined.any():
            bets = decided & (np.abs(values - later.line) > EDGE_THRESHOLD)
            won = bets & ((values > later.line) == (later.actual > later.line))
            metrics[f"{name}_mae_with_line"] = float(error[lined].mean())
            metrics[f"{name}_bets"], metrics[f"{name}_bets_won"] = float(bets.sum()), float(won.sum())
    return metrics


def _calibration(name: str, said: Array, seen: OutOfTime) -> Calibration:
    usual = USUAL_CALIBRATION.get(name, USUAL_ALONE)
    decided = ~np.isnan(said) & (seen.actual != seen.line)
    lines = int(decided.sum())
    if not lines:
        return usual
    over = (seen.actual > seen.line)[decided].astype(float)
    return Calibration.of(said[decided], over).towards(usual, lines, USUAL_WEIGHS_LINES)


def _blend(seen: OutOfTime) -> Blend:
    """Weights of least absolute error: of the systems without a line, and of the way from the line to them.

    The line's part is drawn to what it was in earlier seasons, as if that had been seen on so many lines more.
    """
    stacked = np.column_stack(list(seen.points.values()))
    whole = ~np.isnan(stacked).any(axis=1)
    weights = _least_absolute(stacked[whole], seen.actual[whole])
    weights = weights / weights.sum()
    own = stacked @ weights
    lined = whole & ~np.isnan(seen.line)
    share, pull = USUAL_OWN_SHARE, USUAL_PRICE_PULL
    if lined.sum() > 2:
        prices = 10 * np.nan_to_num(seen.line_over - 0.5)
        columns = np.column_stack([own - seen.line, prices])
        found = _least_absolute(columns[lined], (seen.actual - seen.line)[lined])
        trust = lined.sum() / (lined.sum() + USUAL_WEIGHS_LINES)
        share, pull = trust * found[0] + (1 - trust) * share, trust * found[1] + (1 - trust) * pull
    return Blend(
        weights={name: float(weight) for name, weight in zip(seen.points, weights, strict=True)},
        own_share=float(share),
        price_pull=float(pull),
    )


def _least_absolute(columns: Array, values: Array) -> Array:
    """Non-negative coefficients of least absolute error, by iteratively reweighted least squares."""
    from scipy.optimize import nnls  # as in calibration: only those wait for it who train

    weight = np.ones(len(values))
    coefficients = np.zeros(columns.shape[1])
    for _ in range(LEAST_ABSOLUTE_ROUNDS):
        root = np.sqrt(weight)
        coefficients, _ = nnls(columns * root[:, None], values * root)
        weight = 1 / np.maximum(np.abs(values - columns @ coefficients), 0.5)
    return coefficients
