"""Ensemble: the other systems' mean by weights learned out of time, drawn to the line where one is known."""

from __future__ import annotations

import numpy as np

from tasks.predictions.distribution import Array
from tasks.predictions.system import Night, System


def _points(night: Night) -> Array:
    weights = night.model.blend.weights
    stacked = np.column_stack([night.so_far[name] for name in weights])
    known = ~np.isnan(stacked)
    share = np.where(known, np.asarray(list(weights.values()))[None, :], 0.0)
    total = share.sum(axis=1)
    with np.errstate(invalid="ignore"):
        without_line = np.where(known, stacked * share, 0.0).sum(axis=1) / np.where(total > 0, total, np.nan)
    line = night.column("line")
    with_line = line + night.model.blend.own_share * (without_line - line)
    return np.where(np.isnan(line), without_line, with_line)


SYSTEM = System("ensemble", "learned mean of the others, drawn to the consensus line where it is known", _points)
