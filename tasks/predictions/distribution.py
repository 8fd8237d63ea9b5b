"""From a point prediction to a distribution: quantiles that cannot cross, and the probability of over for any line.

The errors of a system on games after its training, divided by their usual size at that level of points, are pooled into
one standard shape; a prediction's distribution is that shape at its own level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.engine.plan import Frozen

NINE_LEVELS = tuple(level / 10 for level in range(1, 10))
# The nine levels over which the pinball loss is measured, and the quartiles that readers want.
QUANTILES = tuple(sorted({*NINE_LEVELS, 0.25, 0.75}))
SHAPE_LEVELS = tuple(float(level) for level in np.linspace(0.005, 0.995, 199))
LEVEL_GROUPS = 8
FEWEST_ERRORS = 200

Array = NDArray[np.float64]


class Spread(Frozen):
    """The usual size of a system's error by predicted points, and the shape of the errors in units of that size."""

    levels: tuple[float, ...]
    sizes: tuple[float, ...]
    shape: tuple[float, ...]

    @classmethod
    def of(cls, predicted: Array, actual: Array) -> Spread:
        """Fit on predictions of games that the system was not trained on. Raises ValueError if there are too few."""
        if len(predicted) < FEWEST_ERRORS:
            raise ValueError(f"{len(predicted)} errors are too few to learn a spread from: {FEWEST_ERRORS} are needed")
        errors = actual - predicted
        groups = np.array_split(np.argsort(predicted, kind="stable"), LEVEL_GROUPS)
        levels = [float(predicted[group].mean()) for group in groups]
        sizes = [float(np.sqrt((errors[group] ** 2).mean())) for group in groups]
        standard = errors / np.interp(predicted, levels, sizes)
        shape = np.quantile(standard, SHAPE_LEVELS)
        return cls(levels=tuple(levels), sizes=tuple(sizes), shape=tuple(float(value) for value in shape))

    def quantiles(self, predicted: Array, levels: tuple[float, ...] = QUANTILES) -> Array:
        """Points at each level, one row per prediction; never below 0, never crossing."""
        size = self._size(predicted)
        shape = np.interp(levels, SHAPE_LEVELS, self.shape)
        return np.maximum(predicted[:, None] + size[:, None] * shape[None, :], 0.0)

    def over_probability(self, predicted: Array, line: Array) -> Array:
        """Probability that the points end above the line, of those that do not push; NaN where line or prediction is."""
        low, high = self._below(predicted, np.ceil(line)), self._below(predicted, np.floor(line) + 1)
        under, over = low, 1 - high
        with np.errstate(invalid="ignore"):
            return over / (under + over)

    def _below(self, predicted: Array, points: Array) -> Array:
        """Probability of fewer than `points` (whole) points: the shape is continuous, points are not."""
        standard = (points - 0.5 - predicted) / self._size(predicted)
        inside = np.interp(standard, self.shape, SHAPE_LEVELS)
        return np.where(np.isnan(standard), np.nan, np.clip(inside, SHAPE_LEVELS[0], SHAPE_LEVELS[-1]))

    def _size(self, predicted: Array) -> Array:
        return np.interp(predicted, self.levels, self.sizes)


def pinball_loss(actual: Array, quantiles: Array, levels: tuple[float, ...]) -> float:
    """Mean pinball loss over all rows and levels (Koenker and Bassett, 1978), in points."""
    error = actual[:, None] - quantiles
    weights = np.asarray(levels)[None, :]
    return float(np.maximum(weights * error, (weights - 1) * error).mean())
