"""LightGBM: boosted trees on every feature but the line, trained on earlier games only."""

from __future__ import annotations

from tasks.predictions.distribution import Array
from tasks.predictions.system import Night, System


def _points(night: Night) -> Array:
    return night.model.points(night.features)


SYSTEM = System("lightgbm", "gradient boosted trees on all features without the line", _points)
