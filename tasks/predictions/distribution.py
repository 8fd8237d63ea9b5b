"""From a point prediction to a distribution: quantiles that cannot cross, and the probability of over for any line.

Errors of a system on games after its training, divided by how large an error the situation makes likely, are pooled by
level of the prediction into shapes; a prediction's distribution is the shape at its level times its situation's size.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tasks.engine.plan import Frozen

NINE_LEVELS = tuple(level / 10 for level in range(1, 10))
# The nine levels over which the pinball loss is measured, and the quartiles that readers want.
QUANTILES = tuple(sorted({*NINE_LEVELS, 0.25, 0.75}))
SHAPE_LEVELS = tuple(round(float(level), 3) for level in np.arange(0.025, 0.976, 0.025))
LEVEL_GROUPS = 8
FEWEST_ERRORS = 200
SMALLEST_SIZE = 1.0  # points; nobody's evening is more certain than that

Array = NDArray[np.float64]


class Spread(Frozen):
    """The shape of a system's errors, in units of the situation's size, at several levels of predicted points."""

    levels: tuple[float, ...]
    shapes: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, predicted: Array, actual: Array, size: Array) -> Spread:
        """Fit on predictions of games that the system was not trained on. Raises ValueError if there are too few."""
        if len(predicted) < FEWEST_ERRORS:
            raise ValueError(f"{len(predicted)} errors are too few to learn a spread from: {FEWEST_ERRORS} are needed")
        groups = np.array_split(np.argsort(predicted, kind="stable"), LEVEL_GROUPS)
        standard = (actual - predicted) / np.maximum(size, SMALLEST_SIZE)
        return cls(
            levels=tuple(float(predicted[group].mean()) for group in groups),
            shapes=tuple(tuple(np.quantile(standard[group], SHAPE_LEVELS).tolist()) for group in groups),
        )

    def quantiles(self, predicted: Array, size: Array, levels: tuple[float, ...] = QUANTILES) -> Array:
        """Points at each level, one row per prediction; never below 0, never crossing."""
        all_levels = self._quantiles(predicted, size)
        return np.column_stack([_at_level(all_levels, level) for level in levels])

    def over_probability(self, predicted: Array, size: Array, line: Array) -> Array:
        """Probability that the points end above the line, of those that do not push; NaN where either is unknown."""
        quantiles = self._quantiles(predicted, size)
        under = self._below(quantiles, np.ceil(line) - 0.5)
        over = 1 - self._below(quantiles, np.floor(line) + 0.5)
        with np.errstate(invalid="ignore"):
            return np.where(np.isnan(line) | np.isnan(predicted), np.nan, over / (under + over))

    def _quantiles(self, predicted: Array, size: Array) -> Array:
        known = np.nan_to_num(predicted)
        shape = np.column_stack([np.interp(known, self.levels, at_level) for at_level in self._by_level])
        points = predicted[:, None] + np.maximum(size, SMALLEST_SIZE)[:, None] * shape
        return np.maximum.accumulate(np.maximum(points, 0.0), axis=1)

    @cached_property
    def _by_level(self) -> Array:
        return np.asarray(self.shapes).T

    @staticmethod
    def _below(quantiles: Array, points: Array) -> Array:
        """Probability of at most `points` by straight lines between each row's quantiles."""
        levels = np.asarray(SHAPE_LEVELS)
        above = np.clip((quantiles <= points[:, None]).sum(axis=1), 1, len(levels) - 1)
        rows = np.arange(len(points))
        low, high = quantiles[rows, above - 1], quantiles[rows, above]
        share = np.clip((points - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
        return levels[above - 1] + share * (levels[above] - levels[above - 1])


def _at_level(quantiles: Array, level: float) -> Array:
    """A column between the two stored levels around `level`."""
    at = np.interp(level, SHAPE_LEVELS, np.arange(len(SHAPE_LEVELS)))
    low = int(at)
    high = min(low + 1, len(SHAPE_LEVELS) - 1)
    return quantiles[:, low] + (at - low) * (quantiles[:, high] - quantiles[:, low])


def pinball_loss(actual: Array, quantiles: Array, levels: tuple[float, ...]) -> float:
    """Mean pinball loss over all rows and levels (Koenker and Bassett, 1978), in points."""
    error = actual[:, None] - quantiles
    weights = np.asarray(levels)[None, :]
    return float(np.maximum(weights * error, (weights - 1) * error).mean())
