"""What a perfect forecaster could know in the morning: expected minutes and points, spread, quantiles.

The means follow from the league's own formulas; spread and quantiles come from playing the season again a few
times with everything unknown at noon drawn afresh, and pooling those players whose expectation is alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from . import availability
from .players import FIRST_PLAYER_ID
from .season import Setting, plan, play
from .seeds import stream

LEVELS = (0.10, 0.25, 0.50, 0.75, 0.90)
BINS = 32


@dataclass(frozen=True)
class Curves:
    """Outcome of players who played, as functions of the planned minutes or of the raw expected points."""

    minutes_at: np.ndarray
    minutes: np.ndarray
    points_at: np.ndarray
    points: np.ndarray
    spread: np.ndarray
    quantiles: np.ndarray  # (levels, bins)

    def median(self, raw: np.ndarray) -> np.ndarray:
        """Median points of a player who plays, by his raw expected points."""
        return np.interp(raw, self.points_at, self.quantiles[LEVELS.index(0.50)])


def learn_curves(seed: int, setting: Setting, worlds: int) -> Curves:
    """Play the season `worlds` times more, absences drawn from the noon report, and pool by expectation."""
    planned, _, expected = plan(setting, setting.availability.p_absent)
    raws, plans, points, minutes = [], [], [], []
    start = availability.START.sum() * availability.LEFT_HURT
    for world in range(worlds):
        rng = stream(seed, setting.season, "worlds", str(world))
        absent = rng.random(planned.shape) < setting.availability.p_absent
        hurt = ~absent & (rng.random(planned.shape) < start)
        again = play(rng, setting, absent, hurt)
        on = again.on_court
        raws.append(expected.points[on])
        plans.append(planned[on])
        # Points are whole numbers: spreading each over its unit makes the pooled quantiles smooth.
        points.append(again.shots.points[on] + rng.uniform(-0.5, 0.5, int(on.sum())))
        minutes.append(again.minutes[on])
    raw, pts = np.concatenate(raws), np.concatenate(points)
    at, bins = _bins(raw)
    plan_at, plan_bins = _bins(np.concatenate(plans))
    pooled = [pts[bins == b] for b in range(len(at))]
    quantiles = np.array([np.quantile(p, LEVELS) for p in pooled]).T
    mins = np.concatenate(minutes)
    return Curves(
        minutes_at=plan_at,
        minutes=np.array([mins[plan_bins == b].mean() for b in range(len(plan_at))]),
        points_at=at,
        points=np.array([p.mean() for p in pooled]),
        spread=np.array([p.std() for p in pooled]),
        quantiles=np.maximum(quantiles, 0.0),
    )


def _bins(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and membership of bins of equal size, the ends cut finer."""
    count = min(BINS, max(4, len(values) // 400))
    edges = np.quantile(values, np.linspace(0.0, 1.0, count + 1)[1:-1])
    edges = np.concatenate([edges, np.quantile(values, [0.985])])
    bins = np.searchsorted(edges, values)
    return np.array([values[bins == b].mean() for b in range(len(edges) + 1)]), bins


def truth_frame(setting: Setting, curves: Curves) -> pl.DataFrame:
    """One row per player of either squad who might play, for every game played.

    Conditions on: every player's true traits and form on the game day, the squads, clubs' pace and defence,
    home court, rest, who was absent before, and the injury report as of noon ET (90 minutes before tip-off
    where that is earlier). Not on: who sits without having been reported OUT by then, nor on the game.
    All values but `play_probability` are *given that he plays*. Units: minutes, points.
    """
    chance_absent = setting.availability.p_absent
    planned, weight, expected = plan(setting, chance_absent)
    row, slot = np.nonzero(setting.there & (chance_absent < 1.0))
    raw = expected.points[row, slot]
    columns = {
        f"q{round(q * 100)}": np.interp(raw, curves.points_at, curves.quantiles[i])
        for i, q in enumerate(LEVELS)
    }
    ids = pl.Series([g.game_id for g in setting.games])
    return pl.DataFrame(
        {
            "game_id": ids.gather(row // 2),
            "player_id": setting.roster[row, slot] + FIRST_PLAYER_ID,
            "play_probability": weight[row, slot],
            "expected_minutes": np.interp(planned[row, slot], curves.minutes_at, curves.minutes),
            "expected_points": np.interp(raw, curves.points_at, curves.points),
            "std": np.interp(raw, curves.points_at, curves.spread),
            **columns,
        }
    ).select(pl.lit(setting.season).alias("season"), pl.all())
