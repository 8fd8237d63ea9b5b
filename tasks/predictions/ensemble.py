"""Ensemble: the other systems' mean by weights learned out of time, drawn to the line and its prices where known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tasks.predictions.distribution import Array
from tasks.predictions.points_model import Blend
from tasks.predictions.system import Night, System, terms


def _points(night: Night) -> Array:
    prices = night.column("line_over_probability")
    return combined(night.so_far, night.column("line"), prices, night.model.lessons.blend)


def combined(points: Mapping[str, Array], line: Array, over_probability: Array, blend: Blend) -> Array:
    """The weighted mean of the systems, drawn to the line where there is one."""
    own = blended(points, blend)
    return np.where(np.isnan(line), own, at_line(own, line, over_probability, blend))


def blended(points: Mapping[str, Array], blend: Blend) -> Array:
    """The weighted mean of the systems that say something."""
    stacked = np.column_stack([points[name] for name in blend.weights])
    share = np.where(np.isnan(stacked), 0.0, np.asarray(list(blend.weights.values()))[None, :])
    total = share.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (np.nan_to_num(stacked) * share).sum(axis=1) / np.where(total > 0, total, np.nan)


def at_line(own: Array, line: Array, over_probability: Array, blend: Blend) -> Array:
    """From the line some way towards the systems, and towards the side that the books' prices favour."""
    prices = np.nan_to_num(over_probability - 0.5)
    return line + blend.own_share * (own - line) + blend.price_pull * 10 * prices


def _why(night: Night) -> list[str]:
    return terms(systems=blended(night.so_far, night.model.lessons.blend), line=night.column("line"))


SYSTEM = System("ensemble", "learned mean of the others, drawn to the consensus line where it is known", _points, _why)
