"""How points come about: team totals by shot kind, then the share of each made and missed shot by player.

Team totals first, players second: a team's attempts hardly vary, so team-mates' points are negatively
related, as they are in real box scores. Allocation is multinomial with gamma-distributed weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FIELD_GOALS, FREE_THROWS = 88.6, 21.4  # attempts per team and 240 minutes
FIELD_GOALS_SPREAD, FREE_THROWS_SPREAD = 3.2, 4.8
HOME_EDGE = 0.0054  # added to each chance of a make at home, taken away on the road
# Teams' makes scatter less than independent shots would: leaders ease up, the others press.
CALM = 0.80
# Gamma shapes: how steady a player's share of threes and of his team's free throws is from game to game.
MIX_SHAPE, FREE_SHAPE = 10.0, 3.2
# The same for his share of the team's shots, which steadies with his minutes.
USAGE_SHAPE, USAGE_SHAPE_PER_MINUTE = 1.2, 2.2


@dataclass(frozen=True)
class Matchup:
    """Per team game: pace (attempts relative to average), and how the opponent changes what is allowed."""

    pace: np.ndarray
    home: np.ndarray  # +1 at home, -1 on the road
    allow_two: np.ndarray  # added to the chance of a two-pointer
    allow_three: np.ndarray
    allow_free: np.ndarray  # multiplies free-throw attempts


@dataclass(frozen=True)
class Shooters:
    """Per cell (team game x slot): attempts per minute (relative), mix and chances of a make on the day."""

    usage: np.ndarray
    threes: np.ndarray
    free_throws: np.ndarray
    two: np.ndarray
    three: np.ndarray
    free: np.ndarray


@dataclass(frozen=True)
class Expected:
    """What a line-up is expected to do. Shares sum to one over a row; points are per cell."""

    share_two: np.ndarray
    share_three: np.ndarray
    share_free: np.ndarray
    twos: np.ndarray  # attempts per team game
    threes: np.ndarray
    frees: np.ndarray
    points: np.ndarray  # per cell
    team_points: np.ndarray


def expect(shooters: Shooters, match: Matchup, minutes: np.ndarray, weight: np.ndarray) -> Expected:
    """Expected attempts, shares and points of a line-up with these minutes (weight: chance of playing)."""
    load = shooters.usage * minutes
    team = (load * weight).sum(1, keepdims=True) + load * (1.0 - weight)  # his own playing taken for certain
    two, three, free = load * (1.0 - shooters.threes), load * shooters.threes, load * shooters.free_throws
    attempts = FIELD_GOALS * match.pace
    # How many of the shots are threes, or lead to free throws, follows from who plays.
    three_share = three / team
    two_share = two / team
    free_share = free / team
    mean_three = (three_share * weight).sum(1)
    mean_free = (free_share * weight).sum(1)
    frees = attempts * mean_free * match.allow_free * FREE_THROWS / FIELD_GOALS / 0.25
    scale = (frees / np.maximum(attempts * mean_free, 1e-9))[:, None]
    night = (HOME_EDGE * match.home)[:, None]
    points = attempts[:, None] * (
        2.0 * two_share * (shooters.two + match.allow_two[:, None] + night)
        + 3.0 * three_share * (shooters.three + match.allow_three[:, None] + night)
        + free_share * scale * shooters.free
    )
    return Expected(
        share_two=two_share,
        share_three=three_share,
        share_free=free_share,
        twos=attempts * (1.0 - mean_three),
        threes=attempts * mean_three,
        frees=frees,
        points=points,
        team_points=(points * weight).sum(1),
    )


@dataclass(frozen=True)
class TeamTotals:
    """Made and missed shots of each team game, by kind."""

    two_made: np.ndarray
    two_missed: np.ndarray
    three_made: np.ndarray
    three_missed: np.ndarray
    free_made: np.ndarray
    free_missed: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """Team points."""
        return 2 * self.two_made + 3 * self.three_made + self.free_made


def team_totals(
    rng: np.random.Generator, expected: Expected, shooters: Shooters, match: Matchup, weight: np.ndarray
) -> tuple[TeamTotals, np.ndarray]:
    """Draw team totals and overtimes; rows come in pairs (home, away) and never end level."""
    rows = len(match.pace)
    games = rows // 2
    tempo = np.repeat(rng.normal(0.0, 0.050, games), 2)  # shared by both teams
    attempts = (expected.twos + expected.threes) * (1.0 + tempo)
    attempts = np.maximum(np.round(attempts + rng.normal(0.0, FIELD_GOALS_SPREAD, rows)), 60).astype(int)
    three_share = expected.threes / (expected.twos + expected.threes) + rng.normal(0.0, 0.045, rows)
    threes = rng.binomial(attempts, np.clip(three_share, 0.1, 0.8))
    whistle = np.repeat(rng.normal(0.0, 0.11, games), 2)
    frees = expected.frees * (1.0 + whistle) + rng.normal(0.0, FREE_THROWS_SPREAD * 0.85, rows)
    frees = np.maximum(np.round(frees), 2).astype(int)
    night = HOME_EDGE * match.home
    pct = [
        _mean(expected.share_two, shooters.two, weight) + match.allow_two + night,
        _mean(expected.share_three, shooters.three, weight) + match.allow_three + night,
        _mean(expected.share_free, shooters.free, weight),
    ]
    shots = [attempts - threes, threes, frees]
    made = [_makes(rng, n, np.clip(p, 0.05, 0.95)) for n, p in zip(shots, pct, strict=True)]
    overtimes = _overtimes(rng, shots, made, pct)
    missed = [n - m for n, m in zip(shots, made, strict=True)]
    totals = TeamTotals(made[0], missed[0], made[1], missed[1], made[2], missed[2])
    return totals, overtimes


def _makes(rng: np.random.Generator, shots: np.ndarray, chance: np.ndarray) -> np.ndarray:
    mean = shots * chance
    made = np.round(mean + CALM * (rng.binomial(shots, chance) - mean))
    return np.clip(made, 0, shots).astype(int)


def _mean(share: np.ndarray, chance: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (share * chance * weight).sum(1) / np.maximum((share * weight).sum(1), 1e-9)


def _overtimes(
    rng: np.random.Generator, attempts: list[np.ndarray], made: list[np.ndarray], pct: list[np.ndarray]
) -> np.ndarray:
    """Level games, and some that ended close, went to overtime: adds its shots in place; returns periods."""
    rows = len(made[0])
    points = 2 * made[0] + 3 * made[1] + made[2]
    margin = points[::2] - points[1::2]
    extra = (margin == 0) | ((np.abs(margin) <= 4) & (rng.random(rows // 2) < 0.13))
    overtimes = np.zeros(rows // 2, int)
    for period in range(1, 8):
        playing = np.repeat(extra, 2)
        for kind, per_period in enumerate((5.4, 3.8, 2.6)):
            more = rng.poisson(per_period, rows) * playing
            attempts[kind] += more
            made[kind] += rng.binomial(more, np.clip(pct[kind], 0.05, 0.95))
        overtimes += extra
        points = 2 * made[0] + 3 * made[1] + made[2]
        extra = points[::2] == points[1::2]
        if period == 6 or not extra.any():
            break
    for game in np.flatnonzero(extra):  # still level after six periods: the home team's last shot falls
        made[0][2 * game] += 1
        attempts[0][2 * game] += 1
    return np.repeat(overtimes, 2)


@dataclass(frozen=True)
class Shots:
    """Shots per cell."""

    two_made: np.ndarray
    two_missed: np.ndarray
    three_made: np.ndarray
    three_missed: np.ndarray
    free_made: np.ndarray
    free_missed: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """Points per cell."""
        return 2 * self.two_made + 3 * self.three_made + self.free_made


def share_out(rng: np.random.Generator, totals: TeamTotals, shooters: Shooters, minutes: np.ndarray) -> Shots:
    """Allocate each team's made and missed shots to its players by usage, minutes and skill."""
    shape = minutes.shape
    steadiness = USAGE_SHAPE + USAGE_SHAPE_PER_MINUTE * minutes
    load = shooters.usage * minutes * rng.gamma(steadiness) / steadiness
    tilt = rng.gamma(MIX_SHAPE, 1.0 / MIX_SHAPE, shape)  # more threes than usual on the day, or fewer
    threes = shooters.threes * tilt
    free = load * shooters.free_throws * rng.gamma(FREE_SHAPE, 1.0 / FREE_SHAPE, shape)
    two = load * np.maximum(1.0 - threes, 0.05)
    three = load * np.minimum(threes, 0.95)

    def split(count: np.ndarray, weight: np.ndarray) -> np.ndarray:
        chance = np.maximum(weight, 0.0) + 1e-12 * (minutes > 0)
        return rng.multinomial(count, chance / chance.sum(1, keepdims=True))

    return Shots(
        two_made=split(totals.two_made, two * shooters.two),
        two_missed=split(totals.two_missed, two * (1.0 - shooters.two)),
        three_made=split(totals.three_made, three * shooters.three),
        three_missed=split(totals.three_missed, three * (1.0 - shooters.three)),
        free_made=split(totals.free_made, free * shooters.free),
        free_missed=split(totals.free_missed, free * (1.0 - shooters.free)),
    )
