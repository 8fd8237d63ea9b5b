"""LightGBM: minutes first, then points beside those who should play; boosted trees that see everything but the line."""

from __future__ import annotations

import numpy as np

from tasks.predictions.distribution import Array
from tasks.predictions.points_model import POINTS_FEATURES
from tasks.predictions.system import Night, System

REASONS = 4


def _points(night: Night) -> Array:
    return night.projection.points


def _why(night: Night) -> list[str]:
    """The features that add or take the most, in points (TreeSHAP; Lundberg et al., 2020)."""
    contributions = night.model.contributions(night.projection.rows)[:, :-1]
    largest = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :REASONS]
    return [
        ", ".join(f"{POINTS_FEATURES[at].replace('_', ' ')} {row[at]:+.1f}" for at in order)
        for row, order in zip(contributions, largest, strict=True)
    ]


SYSTEM = System("lightgbm", "gradient boosted trees on all features without the line", _points, _why)
