"""What a prediction system is: a name, what it does, points for a night's features, and the reasons for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from tasks.predictions.distribution import Array
from tasks.predictions.points_model import PointsModel, Projection


@dataclass(frozen=True)
class Night:
    """All that a system may see.

    `features`: feature store rows to predict. `past`: feature store rows of earlier days with the `points` that came of
    them. `model`: what was trained on days before. `projection`: the model's, of the same rows. `so_far`: points of the
    systems that were asked before. `worked_out`: what a system's points and its reasons both need (see `once`); it is
    of these rows, so other rows are another Night.
    """

    features: pl.DataFrame
    past: pl.DataFrame
    model: PointsModel
    projection: Projection
    so_far: Mapping[str, Array] = field(default_factory=dict)
    worked_out: dict[str, Array] = field(default_factory=dict, repr=False, compare=False)

    def once(self, name: str, work: Callable[[Night], Array]) -> Array:
        """What `work` gives for this night, worked out the first time: `work` must not look at `so_far`."""
        if name not in self.worked_out:
            self.worked_out[name] = work(self)
        return self.worked_out[name]

    def column(self, name: str) -> Array:
        """A feature as floats; NaN where it is null."""
        return self.features[name].cast(pl.Float64).to_numpy()


@dataclass(frozen=True)
class System:
    """A prediction system.

    `points` gives one number per feature row, NaN where it cannot say; `why` names for each row what it is made of.
    """

    name: str
    says: str
    points: Callable[[Night], Array]
    why: Callable[[Night], list[str]]


def predicted(systems: tuple[System, ...], night: Night) -> dict[str, Array]:
    """Every system's points for the night, in order; later systems see what earlier ones said."""
    so_far: dict[str, Array] = {}
    for system in systems:
        so_far[system.name] = np.maximum(system.points(replace(night, so_far=dict(so_far))), 0.0)
    return so_far


def terms(**columns: Array) -> list[str]:
    """Reasons as text, one per row: each term's name and value."""
    names = [name.replace("_", " ") for name in columns]
    return [
        ", ".join(f"{name} {value:.1f}" for name, value in zip(names, row, strict=True) if not np.isnan(value))
        for row in np.column_stack(list(columns.values()))
    ]
