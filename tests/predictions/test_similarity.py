"""Similarity: the past is searched once a night, and the reasons are those of the points."""

from __future__ import annotations

import lightgbm
import numpy as np
import polars as pl
import pytest

from tasks.predictions import similarity
from tasks.predictions.distribution import Array
from tasks.predictions.points_model import PointsModel, Projection
from tasks.predictions.system import Night, predicted
from tasks.predictions.training import NO_LESSONS


def games(rows: int, seed: int) -> pl.DataFrame:
    """Rows of whatever makes games alike, with what came of them."""
    rng = np.random.default_rng(seed)
    likeness = {name: rng.normal(12, 4, rows) for name in similarity.LIKENESS}
    return pl.DataFrame({**likeness, "points": rng.integers(0, 40, rows)})


def night_of(features: pl.DataFrame, past: pl.DataFrame) -> Night:
    nothing = np.zeros(features.height)
    # Similarity looks at no booster: one that is never asked stands for all three.
    unasked = lightgbm.train({"verbose": -1}, lightgbm.Dataset(np.zeros((1, 1)), [0.0]), 1)
    model = PointsModel(unasked, unasked, unasked, NO_LESSONS)
    return Night(features, past, model, Projection(features, nothing, nothing, nothing))


def test_the_past_is_searched_once_for_points_and_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []
    search = similarity._surprise

    def counted(night: Night) -> Array:
        searched.append(night.features.height)
        return search(night)

    monkeypatch.setattr(similarity, "_surprise", counted)
    night = night_of(games(70, seed=1), games(3_000, seed=2))
    points = predicted((similarity.SYSTEM,), night)["similarity"]
    reasons = similarity.SYSTEM.why(night)
    assert searched == [70]
    level = night.column(similarity.LEVEL)
    surprise = search(night)
    assert np.array_equal(points, np.maximum(level + surprise, 0.0))
    said = [f"ten game memory {own:.1f}, similar games {more:.1f}" for own, more in zip(level, surprise, strict=True)]
    assert reasons == said


def test_another_night_is_searched_anew() -> None:
    past = games(3_000, seed=2)
    for seed in (1, 3):
        night = night_of(games(5, seed), past)
        assert np.array_equal(night.once("surprise", similarity._surprise), similarity._surprise(night))
