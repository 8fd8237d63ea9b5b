"""What a prediction system is: a name, what it does, and one pure function from a night's features to points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from tasks.predictions.distribution import Array
from tasks.predictions.points_model import PointsModel


@dataclass(frozen=True)
class Night:
    """All that a system may see.

    `features`: feature store rows to predict. `past`: feature store rows of earlier days with the `points` that came of
    them. `model`: what was trained on days before. `so_far`: points of the systems that were asked before.
    """

    features: pl.DataFrame
    past: pl.DataFrame
    model: PointsModel
    so_far: Mapping[str, Array] = field(default_factory=dict)

    def column(self, name: str) -> Array:
        """A feature as floats; NaN where it is null."""
        return self.features[name].cast(pl.Float64).to_numpy()


@dataclass(frozen=True)
class System:
    """A prediction system. `points` gives one number per feature row, NaN where it cannot say."""

    name: str
    says: str
    points: Callable[[Night], Array]


def predicted(systems: tuple[System, ...], night: Night) -> dict[str, Array]:
    """Every system's points for the night, in order; later systems see what earlier ones said."""
    so_far: dict[str, Array] = {}
    for system in systems:
        seen = Night(night.features, night.past, night.model, dict(so_far))
        so_far[system.name] = np.maximum(system.points(seen), 0.0)
    return so_far
