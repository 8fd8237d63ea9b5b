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
    """What became of players, as functions of their planned minutes or of their raw expected points.

    All but `entry` are of those who played.
    """

    entry_at: np.ndarray
    entry: np.ndarray  # chance that the coach uses him, given that he is available
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
    start = availability.START.sum() * availability.LEFT_HURT
    seen = []
    for world in range(worlds):
        rng = stream(seed, setting.season, "worlds", str(world))
        absent = rng.random(planned.shape) < setting.availability.p_absent
        hurt = ~absent & (rng.random(planned.shape) < start)
        again = play(rng, setting, absent, hurt)
        could = setting.there & ~absent
        # Points are whole numbers: spreading each over its unit makes the pooled quantiles smooth.
        points = again.shots.points[could] + rng.uniform(-0.5, 0.5, int(could.sum()))
        seen.append(
            np.stack([planned[could], again.on_court[could], again.minutes[could], expected.points[could], points])
        )
    plans, entered, minutes, raw, points = np.concatenate(seen, axis=1)
    on = entered > 0
    entry_at, entry = _means(plans, entered)
    minutes_at, minutes_mean = _means(plans[on], minutes[on])
    at, bins = equal_bins(raw[on])
    pooled = [points[on][bins == b] for b in range(len(at))]
    quantiles = np.array([np.quantile(p, LEVELS) for p in pooled]).T
    return Curves(
        entry_at=entry_at,
        entry=entry,
        minutes_at=minutes_at,
        minutes=minutes_mean,
        points_at=at,
        points=np.array([p.mean() for p in pooled]),
        spread=np.array([p.std() for p in pooled]),
        quantiles=np.maximum(quantiles, 0.0),
    )


def _means(at: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of `values` over bins of `at`."""
    centres, bins = equal_bins(at)
    return centres, np.array([values[bins == b].mean() for b in range(len(centres))])


def equal_bins(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
    planned, _, expected = plan(setting, chance_absent)
    row, slot = np.nonzero(setting.there & (chance_absent < 1.0))
    raw = expected.points[row, slot]
    columns = {
        f"q{round(q * 100)}": np.interp(raw, curves.points_at, curves.quantiles[i]) for i, q in enumerate(LEVELS)
    }
    ids = pl.Series([g.game_id for g in setting.games])
    return pl.DataFrame(
        {
            "game_id": ids.gather(row // 2),
            "player_id": setting.roster[row, slot] + FIRST_PLAYER_ID,
            "play_probability": (1.0 - chance_absent[row, slot])
            * np.interp(planned[row, slot], curves.entry_at, curves.entry),
            "expected_minutes": np.interp(planned[row, slot], curves.minutes_at, curves.minutes),
            "expected_points": np.interp(raw, curves.points_at, curves.points),
            "std": np.interp(raw, curves.points_at, curves.spread),
            **columns,
        }
    ).select(pl.lit(setting.season).alias("season"), pl.all())
