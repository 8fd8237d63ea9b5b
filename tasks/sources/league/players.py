"""Who plays: invented players with lasting traits, their careers from season to season, and the squads.

Traits are struct-of-arrays, one entry per player ever created; a player is an index into them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

from .names import invent_names
from .seeds import stream

FIRST_PLAYER_ID = 9_000_001  # far above every real id, so that the two can never be mistaken for each other
SQUAD_SIZES = (15, 16, 17)
MAX_SQUAD = max(SQUAD_SIZES)
POSITIONS = ("G", "G-F", "F", "F-C", "C")
POSITION_SHARE = (0.40, 0.08, 0.32, 0.08, 0.12)

# Usage weight (shot attempts per minute, league mean about 1) and planned minutes, by standing in the squad.
_USAGE_TEXT = "1.42 1.26 1.10 0.98 0.97 0.92 0.86 0.83 0.79 0.83 0.81 0.82 0.82 0.81 0.80 0.80 0.80"
USAGE_BY_RANK = tuple(float(u) for u in _USAGE_TEXT.split())
_MINUTES_TEXT = "34.4 33.0 31.4 29.7 27.6 25.4 23.2 21.2 19.2 16.8 13.2 8.8 6.0 4.6 3.4 2.8 2.2"
MINUTES_BY_RANK = tuple(float(m) for m in _MINUTES_TEXT.split())


@dataclass(frozen=True)
class Players:
    """Lasting traits. `talent` orders a squad; `threes` (share of attempts from three) and `free_throws`
    (per field-goal attempt) say how he shoots; `two`, `three`, `free` are chances of a make.
    """

    name: list[str] = field(default_factory=list)
    position: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    age: np.ndarray = field(default_factory=lambda: np.empty(0))  # at the start of the season at hand, years
    talent: np.ndarray = field(default_factory=lambda: np.empty(0))
    taste: np.ndarray = field(default_factory=lambda: np.empty(0))  # log usage beyond what standing explains
    threes: np.ndarray = field(default_factory=lambda: np.empty(0))
    free_throws: np.ndarray = field(default_factory=lambda: np.empty(0))
    two: np.ndarray = field(default_factory=lambda: np.empty(0))
    three: np.ndarray = field(default_factory=lambda: np.empty(0))
    free: np.ndarray = field(default_factory=lambda: np.empty(0))
    frailty: np.ndarray = field(default_factory=lambda: np.empty(0))  # multiplies the hazard of injury
    passing: np.ndarray = field(default_factory=lambda: np.empty(0))
    rebounding: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        """Number of players ever created."""
        return len(self.name)


def create(rng: np.random.Generator, count: int, taken: set[str], rookies: bool = False) -> Players:
    """`count` new players; rookies are young and a little less able."""
    position = rng.choice(len(POSITIONS), size=count, p=POSITION_SHARE)
    big = position / 4.0
    threes = np.clip(rng.normal(0.485 - 0.28 * big**2, 0.15), 0.01, 0.82)
    free_throws = np.clip(rng.normal(0.25 - 0.35 * (threes - 0.40), 0.07), 0.06, 0.60)
    age = rng.uniform(19, 23, count) if rookies else 19.0 + rng.gamma(3.2, 2.3, count)
    return Players(
        name=invent_names(rng, count, taken),
        position=position,
        age=np.minimum(age, 39.0),
        talent=rng.normal(-0.35 if rookies else 0.0, 1.0, count),
        taste=rng.normal(0.0, 0.21, count),
        threes=threes,
        free_throws=free_throws,
        two=np.clip(rng.normal(0.522 + 0.05 * big - 0.05 * (threes - 0.40), 0.036), 0.40, 0.72),
        three=np.clip(rng.normal(0.359 + 0.05 * (threes - 0.40), 0.022), 0.22, 0.44),
        free=np.clip(rng.normal(0.775 + 0.08 * (threes - 0.40), 0.065), 0.45, 0.93),
        frailty=np.exp(rng.normal(0.0, 0.45, count)) * 0.9,
        passing=np.exp(rng.normal(0.25 - 0.6 * big, 0.40, count)),
        rebounding=np.exp(rng.normal(-0.35 + 0.75 * big, 0.25, count)),
    )


def _joined(a: Players, b: Players) -> Players:
    parts = {f.name: np.concatenate([getattr(a, f.name), getattr(b, f.name)]) for f in fields(a) if f.name != "name"}
    return Players(name=a.name + b.name, **parts)


@dataclass(frozen=True)
class Squads:
    """Membership through one season: `club[d, p]` is the club of player p on season day d, -1 for none."""

    players: Players
    club: np.ndarray
    base_minutes: np.ndarray  # by player: planned minutes when everyone is fit, as his standing at the start says
    usage: np.ndarray  # by player: shot attempts per minute, relative
    trades: list[tuple[int, int, int]]  # (day, player, new club)


def first_season(seed: int, season: str, clubs: int) -> tuple[Players, np.ndarray]:
    """The league's founding players and the club of each."""
    rng = stream(seed, season, "founding")
    sizes = rng.choice(SQUAD_SIZES, size=clubs, p=(0.25, 0.5, 0.25))
    club = np.repeat(np.arange(clubs), sizes)
    return create(rng, len(club), set()), club


def next_season(seed: int, season: str, players: Players, club: np.ndarray, clubs: int) -> tuple[Players, np.ndarray]:
    """A summer: players age and develop, some retire, some change clubs, rookies fill the squads."""
    rng = stream(seed, season, "summer")
    count = len(players)
    growth = np.interp(players.age, [19, 23, 27, 31, 38], [0.30, 0.14, 0.0, -0.12, -0.45])
    standing = players.talent + growth + rng.normal(0.0, 0.20, count)
    older = replace(
        players,
        age=players.age + 1.0,
        talent=standing,
        taste=0.92 * players.taste + rng.normal(0.0, 0.06, count),
        two=np.clip(players.two + rng.normal(0.0, 0.010, count), 0.40, 0.72),
        three=np.clip(players.three + rng.normal(0.0, 0.008, count), 0.22, 0.44),
        threes=np.clip(players.threes + rng.normal(0.0, 0.03, count), 0.01, 0.85),
    )
    gone = rng.random(count) < 1.0 / (1.0 + np.exp(2.1 + 1.5 * standing - 0.22 * (older.age - 30.0)))
    club = np.where(gone, -1, club)
    movers = np.flatnonzero((club >= 0) & (rng.random(count) < 0.22))
    club[movers] = club[rng.permutation(movers)]
    sizes = rng.choice(SQUAD_SIZES, size=clubs, p=(0.25, 0.5, 0.25))
    for c in range(clubs):  # release the least able beyond the squad's size
        members = np.flatnonzero(club == c)
        surplus = len(members) - sizes[c]
        if surplus > 0:
            club[members[np.argsort(standing[members], kind="stable")[:surplus]]] = -1
    missing = sizes - np.bincount(club[club >= 0], minlength=clubs)
    taken = {_plain(n) for n in players.name}
    rookies = create(rng, int(missing.sum()), taken, rookies=True)
    return _joined(older, rookies), np.concatenate([club, np.repeat(np.arange(clubs), missing)])


def _plain(name: str) -> str:
    return " ".join(name.split(" ")[:2])


def season_squads(seed: int, season: str, players: Players, club: np.ndarray, clubs: int, days: int) -> Squads:
    """Standing within each squad, and the season's trades (players of like standing change places).

    `days` is the length of the season in calendar days; the deadline is about two thirds through.
    """
    rng = stream(seed, season, "squads")
    count = len(players)
    rank = np.full(count, MAX_SQUAD - 1)
    for c in range(clubs):
        members = np.flatnonzero(club == c)
        order = members[np.argsort(-players.talent[members], kind="stable")]
        rank[order] = np.arange(len(order))
    minutes = np.array(MINUTES_BY_RANK)[rank] * np.exp(rng.normal(0.0, 0.07, count))
    usage = np.array(USAGE_BY_RANK)[rank] * np.exp(players.taste)
    by_day = np.broadcast_to(club, (days, count)).copy()
    trades: list[tuple[int, int, int]] = []
    moved: set[int] = set()
    for _ in range(int(rng.integers(4, 8)) if clubs > 1 else 0):
        day = int(rng.integers(days // 4, max(days // 4 + 1, int(days * 0.63))))
        one, other = (int(c) for c in rng.choice(clubs, 2, replace=False))
        for standing in rng.choice(11, int(rng.integers(1, 3)), replace=False).tolist():
            a = np.flatnonzero((club == one) & (rank == standing))
            b = np.flatnonzero((club == other) & (rank == standing))
            if not len(a) or not len(b) or {int(a[0]), int(b[0])} & moved:
                continue
            by_day[day:, a[0]], by_day[day:, b[0]] = other, one
            trades += [(day, int(a[0]), other), (day, int(b[0]), one)]
            moved |= {int(a[0]), int(b[0])}
    return Squads(players, by_day, np.clip(minutes, 1.0, 39.0), usage, sorted(trades))
