"""The trained part of the systems as one artifact: minutes, points and spread boosters, and their lessons."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks.engine.plan import Frozen
from tasks.precompute import ml_feature_store as store
from tasks.precompute import player_composite_factors as factors
from tasks.precompute.player_daily_cache import REGULAR_SEASON_STATE
from tasks.predictions.active_roster import ACTIVE_FEATURES, with_active_roster
from tasks.predictions.calibration import Calibration
from tasks.predictions.distribution import SMALLEST_SIZE, Array, Spread
from tasks.predictions.models import ModelError, StoredModel

if TYPE_CHECKING:
    import lightgbm

LIBRARIES = ("lightgbm", "numpy", "polars", "scipy")
MOST_MINUTES, FEWEST_MINUTES = 44.0, 1.0

LINE_FEATURES = ("line", "opening_line", "line_movement", "line_over_probability")
# Of the composite factors, those about the game rather than about who plays in it.
_GAME_FACTORS = (
    *("expected_pace", "implied_team_points", "net_rating_edge"),
    *("fatigue_factor", "matchup_factor", "pace_factor", "usage_factor"),
)
_LINEUP = tuple(name for name in factors.CONTRACT.names if name in store.FACTOR_FEATURES and name not in _GAME_FACTORS)
_SITUATION = (
    *(name for name in store.CONTEXT_FEATURES if name not in LINE_FEATURES),
    *("team_game_number", "team_rest_days", "opponent_team_rest_days", "season_share"),
)
_PLAYER = (*(name for name in store.CACHE_FEATURES if name not in REGULAR_SEASON_STATE), *store.ZONE_FEATURES)
_OPPONENT = (
    *("recent_offensive_rating", "recent_defensive_rating", "recent_pace"),
    *("opponent_recent_offensive_rating", "opponent_recent_defensive_rating", "opponent_recent_pace"),
    *(f"opponent_{name}" for name in store.DEFENCE_FEATURES),
    *("role_allowance", "points_versus_opponent", "games_versus_opponent", "playoff_game", "streak", "starters_out"),
)
# First who plays how long, then what he scores beside those who should play: neither sees a line.
MINUTES_FEATURES = (*_SITUATION, *_PLAYER, *_LINEUP)
POINTS_FEATURES = (*_SITUATION, *_PLAYER, *_OPPONENT, *_GAME_FACTORS, *_LINEUP, *ACTIVE_FEATURES)
SPREAD_FEATURES = (
    *("expected_points", "projected_minutes", "points_sd_10", "minutes_sd_10", "games", "minutes_last_10"),
    *("games_missed", "days_since_played", "points_per_minute_ewm_03", "three_share", "active_minutes"),
    "top_five_ewm_15",
)


class Blend(Frozen):
    """The ensemble: each system's weight without a line, and with one how far to go from it, and with its prices.

    points = line + own_share x (blend - line) + price_pull x 10 x (vig-free probability of over - 0.5)
    """

    weights: Mapping[str, float]
    own_share: float
    price_pull: float


class Lessons(Frozen):
    """What games after the boosters' training taught: the blend, each system's error shapes and calibration."""

    blend: Blend
    spreads: Mapping[str, Spread]
    calibrations: Mapping[str, Calibration]


@dataclass(frozen=True)
class Projection:
    """What the boosters say of each row: minutes if he plays, points, and the usual size of the error there."""

    rows: pl.DataFrame
    minutes: Array
    points: Array
    size: Array


@dataclass(frozen=True)
class PointsModel:
    """A points model ready to predict."""

    minutes: lightgbm.Booster
    points: lightgbm.Booster
    spread: lightgbm.Booster
    lessons: Lessons
    id: str = "unsaved"
    content_hash: str = ""

    def project(self, squads: pl.DataFrame) -> Projection:
        """Minutes, points and error sizes for feature rows of whole teams: a player's evening depends on the others."""
        minutes = predict(self.minutes, squads, MINUTES_FEATURES).clip(FEWEST_MINUTES, MOST_MINUTES)
        rows = with_active_roster(squads.with_columns(projected_minutes=pl.Series(minutes)))
        points = predict(self.points, rows, POINTS_FEATURES).clip(min=0.0)
        rows = rows.with_columns(expected_points=pl.Series(points))
        size = predict(self.spread, rows, SPREAD_FEATURES).clip(min=SMALLEST_SIZE)
        return Projection(rows, minutes, points, size)

    def contributions(self, rows: pl.DataFrame) -> Array:
        """How many points each of POINTS_FEATURES adds to a projected row (TreeSHAP), with the base value last."""
        return np.asarray(self.points.predict(matrix(rows, POINTS_FEATURES), pred_contrib=True, num_threads=1))

    def files(self) -> dict[str, bytes]:
        """The artifact as files, byte for byte the same for the same training."""
        return {
            "minutes.txt": self.minutes.model_to_string().encode(),
            "points.txt": self.points.model_to_string().encode(),
            "spread.txt": self.spread.model_to_string().encode(),
            "lessons.json": json.dumps(self.lessons.model_dump(), sort_keys=True, indent=1).encode(),
        }

    @classmethod
    def of(cls, stored: StoredModel) -> PointsModel:
        """The model in verified files. Raises ModelError if it was trained with other libraries or features."""
        card, here = stored.card, library_versions()
        differing = [
            f"{name} {card.libraries.get(name, 'unknown')} then, {here[name]} now"
            for name in here
            if card.libraries.get(name) != here[name]
        ]
        if differing:
            raise ModelError(f"{card.id} was trained with other libraries ({'; '.join(differing)}): train anew")
        if card.features != POINTS_FEATURES:
            raise ModelError(f"{card.id} was trained on other features than this code makes: train anew")
        return cls(
            minutes=_booster(stored, "minutes.txt"),
            points=_booster(stored, "points.txt"),
            spread=_booster(stored, "spread.txt"),
            lessons=Lessons.model_validate_json(stored.files["lessons.json"]),
            id=card.id,
            content_hash=card.content_hash,
        )

    @cached_property
    def importance(self) -> dict[str, float]:
        """Each feature's share of the points model's total gain."""
        gain = self.points.feature_importance("gain")
        return dict(zip(POINTS_FEATURES, (gain / gain.sum()).tolist(), strict=True))


def library_versions() -> dict[str, str]:
    """The versions that a model depends on."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def predict(booster: lightgbm.Booster, rows: pl.DataFrame, features: tuple[str, ...]) -> Array:
    """A booster's value for each row, on one thread."""
    if rows.is_empty():
        return np.empty(0)
    return np.asarray(booster.predict(matrix(rows, features), num_threads=1), dtype=np.float64)


def matrix(rows: pl.DataFrame, features: tuple[str, ...]) -> np.ndarray:
    """Features as a float matrix; NaN where a value is null, which the trees treat as unknown."""
    return rows.select(pl.col(name).cast(pl.Float32) for name in features).to_numpy()


def _booster(stored: StoredModel, name: str) -> lightgbm.Booster:
    import lightgbm  # half a second that only those wait for who predict

    return lightgbm.Booster(model_str=stored.files[name].decode())
