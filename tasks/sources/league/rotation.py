"""How a team's minutes are shared: the coach's plan among those available, and what the game makes of it.

The plan lives on a logit scale of minutes (0 to `CEILING`); one shift per team game makes it sum to the
minutes there are, so that whoever is missing leaves his minutes to the others, most to those in the middle.
"""

from __future__ import annotations

import numpy as np

CEILING = 41.5  # minutes; a plan never comes closer than this to the full 48
GAME_MINUTES = 240.0  # five players, 48 minutes
NEWTON_STEPS = 7


def logit(minutes: np.ndarray) -> np.ndarray:
    """Minutes to the plan's scale."""
    share = np.clip(minutes / CEILING, 0.01, 0.97)
    return np.log(share / (1.0 - share))


def settle(desire: np.ndarray, weight: np.ndarray, total: np.ndarray | float = GAME_MINUTES) -> np.ndarray:
    """Minutes per cell so that the row's sum of weight x minutes is `total`.

    desire: (rows, slots) wishes on the logit scale; weight: chance of playing, 0 to 1. Newton's method on one
    shift per row. With weights below one the result is what a player gets *if he plays*, the others in
    expectation; his own playing for certain is allowed for by one more Newton step.
    """
    target = np.broadcast_to(np.asarray(total, float), desire.shape[:1])
    shift = np.zeros(desire.shape[0])
    for _ in range(NEWTON_STEPS):
        share = 1.0 / (1.0 + np.exp(-(desire + shift[:, None])))
        sums = (weight * share).sum(1) * CEILING
        slope = (weight * share * (1.0 - share)).sum(1) * CEILING
        shift += np.clip((target - sums) / np.maximum(slope, 1e-6), -1.5, 1.5)
    share = 1.0 / (1.0 + np.exp(-(desire + shift[:, None])))
    slope = (weight * share * (1.0 - share)).sum(1) * CEILING
    own = (1.0 - weight) * share * CEILING / np.maximum(slope[:, None] + share * (1.0 - share) * CEILING, 1e-6)
    certain = np.where(weight > 0.999, 0.0, np.clip(own, 0.0, 1.5))
    return CEILING / (1.0 + np.exp(-(desire + shift[:, None] - certain)))


def desires(base: np.ndarray, position: np.ndarray, out_weight: np.ndarray) -> np.ndarray:
    """Wishes on the logit scale, raised where players of the same position are missing.

    base: planned minutes when all are fit; position: 0 (guard) to 4 (centre); out_weight: chance of absence.
    """
    missing = base * out_weight
    near = np.zeros_like(base)
    for place in range(5):
        same = np.clip(1.0 - np.abs(position - place) / 2.0, 0.0, 1.0)
        near += np.where(position == place, (missing * same).sum(1, keepdims=True), 0.0)
    overall = missing.sum(1, keepdims=True) * 0.5
    return logit(base) + np.clip((near - overall) / 85.0, -0.6, 0.6)


def chance_to_enter(minutes: np.ndarray) -> np.ndarray:
    """Chance that the coach uses an available player at all, by his planned minutes."""
    return 1.0 / (1.0 + np.exp(-(minutes - 6.2) / 2.0))


def garbage_time(margin: np.ndarray) -> np.ndarray:
    """0 for a contest, growing to 1.6 with the final margin: how far the starters are rested."""
    return np.clip((np.abs(margin) - 11.0) / 12.0, 0.0, 1.6)


def played_minutes(
    rng: np.random.Generator,
    desire: np.ndarray,
    available: np.ndarray,
    blowout: np.ndarray,
    left_hurt: np.ndarray,
    overtimes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Minutes actually played, whole, and who got on court.

    blowout: per row, from `garbage_time`; left_hurt: cells who leave the game early; overtimes: per row.
    """
    plan = settle(desire, available)
    role = (plan - 20.0) / 15.0  # about +1 for a starter, -1 for the end of the bench
    swing = np.where(role > 0, -0.36 * role, -0.95 * role) * blowout[:, None]
    noise = rng.normal(0.0, 1.0, desire.shape) * np.where(plan > 24, 0.45, np.where(plan > 13, 0.62, 0.85))
    enters = rng.random(desire.shape) < chance_to_enter(plan + 8.0 * blowout[:, None] * (plan < 12))
    on_court = available * enters
    short = on_court.sum(1) < 8  # no team goes with fewer than eight if it has them
    on_court[short] = available[short]
    token = np.where(plan < 9.0, -0.75, 0.0)  # the end of the bench comes on for the last minutes
    early = np.where(left_hurt, rng.uniform(-2.6, -0.3, desire.shape), 0.0)
    minutes = settle(logit(plan) + swing + noise + early + token, on_court) * on_court
    # Overtime goes to those who were on court most.
    weight = minutes**2
    extra = 25.0 * overtimes[:, None] * weight / weight.sum(1, keepdims=True)
    return np.round(minutes + extra), on_court > 0
