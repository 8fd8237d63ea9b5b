"""How far a stated probability of over at the market's line is to be believed, learned from lines of the past.

A system that did not see the line is bolder against it than it should be: the line knows most of what the system
knows. The map is a logistic one (Platt, 1999), so it can neither reorder probabilities nor leave 0 to 1.
"""

from __future__ import annotations

import numpy as np

from tasks.engine.plan import Frozen
from tasks.predictions.distribution import Array

SUREST = 0.995  # no stated probability is taken for more certain than this
STEEPEST = 1.5  # past boldness is never more than so much too timid


class Calibration(Frozen):
    """logit(calibrated) = intercept + slope x logit(stated). Slope 1 and intercept 0 leave it as it is."""

    intercept: float
    slope: float

    @classmethod
    def of(cls, said: Array, over: Array) -> Calibration:
        """The map of greatest likelihood for probabilities `said` of lines that went `over` (1.0) or under (0.0)."""
        from scipy.optimize import minimize  # a third of a second that only those wait for who train

        stated = _logit(said)

        def loss(parameters: Array) -> tuple[float, Array]:
            at = parameters[0] + parameters[1] * stated
            wrong = _expit(at) - over
            return float((np.logaddexp(0.0, at) - over * at).mean()), np.array([wrong.mean(), (wrong * stated).mean()])

        found = minimize(loss, np.array([0.0, 1.0]), jac=True, bounds=[(-1.0, 1.0), (0.0, STEEPEST)], method="L-BFGS-B")
        return cls(intercept=float(found.x[0]), slope=float(found.x[1]))

    def towards(self, usual: Calibration, lines: int, usual_lines: int) -> Calibration:
        """Learned from `lines` lines, drawn to what was usual before as if that had been seen on `usual_lines`."""
        trust = lines / (lines + usual_lines)
        return Calibration(
            intercept=trust * self.intercept + (1 - trust) * usual.intercept,
            slope=trust * self.slope + (1 - trust) * usual.slope,
        )

    def calibrated(self, said: Array) -> Array:
        """The calibrated probabilities; NaN stays NaN."""
        return np.asarray(_expit(self.intercept + self.slope * _logit(said)))


def _logit(said: Array) -> Array:
    bounded = np.clip(said, 1 - SUREST, SUREST)
    return np.asarray(np.log(bounded / (1 - bounded)))


def _expit(at: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-at)))
