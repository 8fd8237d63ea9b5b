"""Who can play: injury spells, rest, the injury report about them, and what the report makes likely.

A spell is a Markov chain over a player's team games, so that the chance of missing the next game, given all
that came before, is known exactly; the report is drawn given the truth, so that Bayes' rule turns it into the
exact chance that a listed player plays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NONE, PROBABLE, QUESTIONABLE, DOUBTFUL, OUT = range(5)
STATUS_NAMES = ("", "PROBABLE", "QUESTIONABLE", "DOUBTFUL", "OUT")

FIT, SHORT, MEDIUM, LONG, REST = range(5)
# By kind of spell: chance per game that it starts (times the player's frailty), and that it goes on.
START = np.array([0.0, 0.0465, 0.0240, 0.0090, 0.0])
GO_ON = np.array([0.0, 0.22, 0.78, 0.965, 0.0])
FEWEST = 9  # players a team always has; clubs sign or recall someone before they come to fewer
LEFT_HURT = 0.30  # of spells that began in the game before, with the player leaving it early
REST_MINUTES, REST_AGE, REST_CHANCE = 29.0, 30.0, 0.11  # veterans of the second night of a back-to-back
AWAY_AT_START = (0.86, 0.03, 0.06, 0.05)  # fit, short, medium, long on opening night

# Chance of each noon status (none, probable, questionable, doubtful, out) given what will be true at tip-off.
ABSENT_FIRST = np.array([0.17, 0.01, 0.27, 0.08, 0.47])  # a spell or a rest that begins with this game
ABSENT_AGAIN = np.array(
    [
        [0.0] * 5,
        [0.04, 0.00, 0.14, 0.07, 0.75],
        [0.01, 0.00, 0.06, 0.04, 0.89],
        [0.0, 0.0, 0.003, 0.007, 0.99],
    ]
)
PLAYS = np.array([0.944, 0.034, 0.0208, 0.0012, 0.0])
PLAYS_AGAIN = np.array([0.36, 0.27, 0.32, 0.05, 0.0])  # back from a spell


@dataclass(frozen=True)
class Availability:
    """Per team game (row) and squad slot (column).

    `absent`: true at tip-off. `first`: no spell was under way before this game. `kind`: of the spell.
    `evening`, `noon`: status on the report of the evening before and at noon ET; `known_early`: his noon
    status was out by 10:00. `p_absent`: chance of absence given all up to the noon report; `p_absent_early`:
    given the report until 10:00. `returning`: if he plays, it is his first game after a spell of several.
    `left_hurt`: he leaves this game early.
    """

    absent: np.ndarray
    first: np.ndarray
    kind: np.ndarray
    evening: np.ndarray
    noon: np.ndarray
    known_early: np.ndarray
    p_absent: np.ndarray
    p_absent_early: np.ndarray
    returning: np.ndarray
    left_hurt: np.ndarray


def simulate(
    rng: np.random.Generator,
    roster: np.ndarray,
    order: list[np.ndarray],
    frailty: np.ndarray,
    rested: np.ndarray,
    back_to_back: np.ndarray,
    players: int,
) -> Availability:
    """Walk through the season's days and return who is absent and what the report says.

    roster: (team games, slots) player index or -1; order: team-game rows of each day in turn; frailty:
    per player; rested: per cell, whether he is of those who sit out second nights.
    """
    shape = roster.shape
    kind = np.zeros(shape, np.int8)
    first = np.zeros(shape, bool)
    spell = np.zeros(shape, np.int8)  # under way before this game
    prior = np.zeros(shape)
    returning = np.zeros(shape, bool)
    state = rng.choice(4, size=players, p=AWAY_AT_START).astype(np.int8)
    last_row = np.full(players, -1)
    left_hurt = np.zeros(shape, bool)
    slot_of = np.zeros(players, int)
    for rows in order:
        who = roster[rows]
        cells = who >= 0
        at, slots = np.nonzero(cells)
        p = who[cells]
        was = state[p]
        fresh = (was == FIT) | (was == REST)
        rest_chance = np.where(rested[rows][cells] & back_to_back[rows][at], REST_CHANCE, 0.0)
        starts = np.where(fresh[:, None], START[None, SHORT : LONG + 1] * frailty[p][:, None], 0.0)
        chance = np.where(fresh, starts.sum(1) + rest_chance, GO_ON[was])
        draw = rng.random(len(p))
        edges = np.cumsum(starts, 1)
        new = np.where(draw < edges[:, 0], SHORT, np.where(draw < edges[:, 1], MEDIUM, LONG))
        new = np.where(draw >= edges[:, 2], REST, new)
        now = np.where(draw < chance, np.where(fresh, new, was), FIT).astype(np.int8)
        _keep_enough(now, at)
        kind[rows[at], slots] = now
        first[rows[at], slots] = fresh
        spell[rows[at], slots] = was
        prior[rows[at], slots] = chance
        returning[rows[at], slots] = (was >= MEDIUM) & (was <= LONG)
        hurt = fresh & (now >= SHORT) & (now <= LONG) & (last_row[p] >= 0) & (rng.random(len(p)) < LEFT_HURT)
        left_hurt[last_row[p[hurt]], slot_of[p[hurt]]] = True
        state[p], last_row[p], slot_of[p] = now, rows[at], slots
    return _report(rng, roster, kind, first, spell, prior, returning, left_hurt, back_to_back)


def _keep_enough(now: np.ndarray, at: np.ndarray) -> None:
    """Where fewer than `FEWEST` of a squad are left, the least hurt play after all (in place)."""
    fit = np.bincount(at, weights=now == FIT)
    for row in np.flatnonzero(fit < FEWEST):
        hurt = np.flatnonzero((at == row) & (now != FIT))
        least = np.argsort(np.where(now[hurt] == REST, FIT, now[hurt]), kind="stable")
        now[hurt[least[: FEWEST - int(fit[row])]]] = FIT


def _report(
    rng: np.random.Generator,
    roster: np.ndarray,
    kind: np.ndarray,
    first: np.ndarray,
    spell: np.ndarray,
    prior: np.ndarray,
    returning: np.ndarray,
    left_hurt: np.ndarray,
    back_to_back: np.ndarray,
) -> Availability:
    """Draw the report given the truth, then turn it round by Bayes' rule."""
    there = roster >= 0
    absent = (kind != FIT) & there
    # The reason on the report names the kind of a spell that is under way, so the forecaster knows it.
    likely_absent = np.where(first[..., None], ABSENT_FIRST, ABSENT_AGAIN[np.where(first, FIT, spell)])
    likely_plays = np.where(first[..., None], PLAYS, PLAYS_AGAIN)
    table = np.where(absent[..., None], likely_absent, likely_plays)
    noon = (rng.random(kind.shape)[..., None] > np.cumsum(table, -1)[..., :-1]).sum(-1).astype(np.int8)
    noon[~there] = NONE
    foretold = rng.random(kind.shape) < np.where(first, 0.45, 0.92)
    evening = np.where(foretold & ~back_to_back[:, None], noon, NONE).astype(np.int8)
    unsure = (evening == OUT) & first & (rng.random(kind.shape) < 0.25)
    evening[unsure] = QUESTIONABLE
    known_early = (evening != NONE) | (rng.random(kind.shape) < 0.45)
    early = np.where(evening != NONE, evening, np.where(known_early, noon, NONE))
    return Availability(
        absent=absent,
        first=first,
        kind=kind,
        evening=evening,
        noon=noon,
        known_early=known_early,
        p_absent=_posterior(prior, likely_absent, likely_plays, noon) * there + ~there,
        p_absent_early=_posterior(prior, likely_absent, likely_plays, early) * there + ~there,
        returning=returning,
        left_hurt=left_hurt & ~absent,
    )


def _posterior(prior: np.ndarray, absent: np.ndarray, plays: np.ndarray, status: np.ndarray) -> np.ndarray:
    """Chance of absence given the status: prior odds times the likelihood ratio."""
    pick = status[..., None].astype(int)
    a = prior * np.take_along_axis(absent, pick, -1)[..., 0]
    b = (1.0 - prior) * np.take_along_axis(plays, pick, -1)[..., 0]
    total = a + b
    return np.divide(a, total, out=np.zeros_like(a), where=total > 0)
