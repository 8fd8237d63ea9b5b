"""Zone match-up: points by kind of shot at tonight's pace and minutes, scaled by what the opponent allows of each."""

from __future__ import annotations

import numpy as np

from tasks.predictions.distribution import Array
from tasks.predictions.system import Night, System, terms

KINDS = {"two_points_rate": "two", "three_points_rate": "three", "free_throws_rate": "free_throw"}
PACE_OF_RATES = 100.0  # rates are per minute at 100 possessions a game
# An opponent's fifteen games are a small sample: half of its deviation from the league is believed.
BELIEVED = 0.5


def _by_kind(night: Night) -> dict[str, Array]:
    minutes = night.column("minutes_normalised")
    minutes = np.where(np.isnan(minutes), night.column("minutes_ewm_10"), minutes)
    pace = night.column("expected_pace") / PACE_OF_RATES
    # Without the opponent's or the pace's numbers the player's own rates stand as they are.
    usual = night.column("recent_pace") / PACE_OF_RATES
    pace = np.where(np.isnan(pace), np.where(np.isnan(usual), 1.0, usual), pace)
    return {
        kind: night.column(rate)
        * (1 + BELIEVED * np.nan_to_num(night.column(f"opponent_{kind}_allowance")))
        * minutes
        * pace
        for rate, kind in KINDS.items()
    }


def _points(night: Night) -> Array:
    return np.sum(list(_by_kind(night).values()), axis=0)


def _why(night: Night) -> list[str]:
    return terms(**{f"{kind}s": points for kind, points in _by_kind(night).items()})


SYSTEM = System("zone_matchup", "shot mix x minutes x pace x what the opponent allows of each kind", _points, _why)
