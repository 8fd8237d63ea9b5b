"""The trained part of the systems: the booster, the ensemble's weights and each system's spread, as one artifact."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import lightgbm
import numpy as np
import polars as pl

from tasks.engine.plan import Frozen
from tasks.predictions.distribution import Array, Spread
from tasks.predictions.models import ModelError, StoredModel

LIBRARIES = ("lightgbm", "numpy", "polars", "scipy")
# What the trees see: every feature that says nothing of the line.
LINE_FEATURES = ("line", "opening_line", "line_movement", "line_over_probability")


class Blend(Frozen):
    """The ensemble: a weight per system (they sum to 1), and how far it goes from the line towards the systems."""

    weights: Mapping[str, float]
    own_share: float


@dataclass(frozen=True)
class PointsModel:
    """A points model ready to predict."""

    booster: lightgbm.Booster
    blend: Blend
    spreads: Mapping[str, Spread]
    features: tuple[str, ...]
    id: str = "unsaved"
    content_hash: str = ""

    def points(self, rows: pl.DataFrame) -> Array:
        """The trees' points for each row."""
        return np.asarray(self.booster.predict(matrix(rows, self.features), num_threads=1))

    def files(self) -> dict[str, bytes]:
        """The artifact as files, byte for byte the same for the same training."""
        other = {
            "blend": self.blend.model_dump(),
            "spreads": {name: spread.model_dump() for name, spread in self.spreads.items()},
        }
        return {
            "points.txt": self.booster.model_to_string().encode(),
            "blend_and_spreads.json": json.dumps(other, sort_keys=True, indent=1).encode(),
        }

    @classmethod
    def of(cls, stored: StoredModel) -> PointsModel:
        """The model in verified files. Raises ModelError if it was trained with other library versions."""
        differing = [
            f"{name} {version} then, {here[name]} now"
            for name, version in stored.card.libraries.items()
            if (here := library_versions())[name] != version
        ]
        if differing:
            raise ModelError(f"{stored.card.id} was trained with other libraries ({'; '.join(differing)}): train anew")
        other = json.loads(stored.files["blend_and_spreads.json"])
        return cls(
            booster=lightgbm.Booster(model_str=stored.files["points.txt"].decode()),
            blend=Blend(**other["blend"]),
            spreads={name: Spread(**spread) for name, spread in other["spreads"].items()},
            features=stored.card.features,
            id=stored.card.id,
            content_hash=stored.card.content_hash,
        )

    @cached_property
    def importance(self) -> dict[str, float]:
        """Each feature's share of the total gain."""
        gain = self.booster.feature_importance("gain")
        return dict(zip(self.features, (gain / gain.sum()).tolist(), strict=True))


def library_versions() -> dict[str, str]:
    """The versions that a model depends on."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def matrix(rows: pl.DataFrame, features: tuple[str, ...]) -> np.ndarray:
    """Features as a float matrix; NaN where a value is null, which the trees treat as unknown."""
    return rows.select(pl.col(name).cast(pl.Float32) for name in features).to_numpy()
