"""Moving average: a player's long and middle memory of his own points. The baseline that everything must beat."""

from __future__ import annotations

from tasks.predictions.distribution import Array
from tasks.predictions.system import Night, System, terms


def _points(night: Night) -> Array:
    return (night.column("points_ewm_03") + night.column("points_ewm_10")) / 2


def _why(night: Night) -> list[str]:
    return terms(season_memory=night.column("points_ewm_03"), ten_game_memory=night.column("points_ewm_10"))


SYSTEM = System("moving_average", "mean of two exponentially weighted averages of his points", _points, _why)
