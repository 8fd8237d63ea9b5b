"""One season: the setting (who could play where, with what form) and the playing of its games."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from . import availability, rotation, scoring
from .availability import Availability
from .players import MAX_SQUAD, Squads
from .schedule import Game
from .seeds import stream

# Slow drifts, by player and calendar day: stationary spread, and persistence a day.
MINUTES_DRIFT = (0.56, 0.987)  # on the logit scale of `rotation`
USAGE_DRIFT = (0.11, 0.991)  # of log usage
FORM_DRIFT = (0.010, 0.90)  # hot and cold hands, of the chance of a make
CARRIED = 0.85  # share of the first two that a player takes into the next season


@dataclass(frozen=True)
class Drifts:
    """How far each player has drifted from his standing: planned minutes (logit scale) and log usage."""

    minutes: np.ndarray
    usage: np.ndarray


@dataclass(frozen=True)
class Setting:
    """All that is settled before the season's games are played.

    Team games are rows (game g has rows 2g, home, and 2g+1, away), squad slots are columns.
    """

    season: str
    games: list[Game]  # the played ones, in order of day
    day: np.ndarray  # by row, days since the season's first day
    club: np.ndarray  # by row
    roster: np.ndarray  # by cell, player index or -1
    base: np.ndarray  # by cell, planned minutes if everyone were fit, drift included
    position: np.ndarray
    shooters: scoring.Shooters
    match: scoring.Matchup
    back_to_back: np.ndarray  # by row
    availability: Availability
    ending: Drifts

    @property
    def there(self) -> np.ndarray:
        """Cells that hold a player."""
        return self.roster >= 0


def prepare(
    seed: int,
    season: str,
    games: list[Game],
    squads: Squads,
    first_day: date,
    clubs: int,
    before: Drifts | None,
) -> Setting:
    """Lay out rosters, form and availability for the season's played games.

    before: where the season before left the players who were in it; None for the first.
    """
    played = sorted((g for g in games if g.postponed_at is None), key=lambda g: (g.day, g.game_id))
    day = np.repeat([(g.day - first_day).days for g in played], 2)
    club = np.array([c for g in played for c in (g.home, g.away)])
    roster = _rosters(squads, day, club, clubs)
    index = np.maximum(roster, 0)
    there = roster >= 0
    players = squads.players
    rng = stream(seed, season, "form")
    days, count = squads.club.shape
    at = (day[:, None], index)
    form = _drift(rng, days, count, FORM_DRIFT)[at]
    minutes_drift = _drift(rng, days, count, MINUTES_DRIFT, before.minutes if before else None)
    usage_drift = _drift(rng, days, count, USAGE_DRIFT, before.usage if before else None)
    drifted = rotation.logit(squads.base_minutes)[index] + minutes_drift[at]
    shooters = scoring.Shooters(
        usage=np.where(there, squads.usage[index] * np.exp(usage_drift[at]), 0.0),
        threes=players.threes[index],
        free_throws=players.free_throws[index],
        two=players.two[index] + form,
        three=players.three[index] + form,
        free=players.free[index],
    )
    back_to_back = _back_to_back(day, club)
    base = rotation.CEILING / (1.0 + np.exp(-drifted))
    rested = (players.age[index] >= availability.REST_AGE) & (base >= availability.REST_MINUTES) & there
    report = availability.simulate(
        stream(seed, season, "availability"),
        roster,
        [np.flatnonzero(day == d) for d in np.unique(day)],
        players.frailty,
        rested,
        back_to_back,
        count,
    )
    returning = np.where(report.returning, -0.35, 0.0)  # eased back in
    base = rotation.CEILING / (1.0 + np.exp(-(drifted + returning)))
    return Setting(
        season=season,
        games=played,
        day=day,
        club=club,
        roster=roster,
        base=np.where(there, base, 0.0),
        position=np.where(there, players.position[index], -9),
        shooters=shooters,
        match=_match_ups(seed, season, club, clubs),
        back_to_back=back_to_back,
        availability=report,
        ending=Drifts(minutes_drift[-1], usage_drift[-1]),
    )


def _rosters(squads: Squads, day: np.ndarray, club: np.ndarray, clubs: int) -> np.ndarray:
    roster = np.full((len(day), MAX_SQUAD), -1)
    starts = [0, *sorted({d for d, _, _ in squads.trades})]
    segment = np.searchsorted(starts, day, side="right") - 1
    for number, start in enumerate(starts):
        for c in range(clubs):
            members = np.flatnonzero(squads.club[start] == c)
            roster[(segment == number) & (club == c), : len(members)] = members
    return roster


def _drift(
    rng: np.random.Generator,
    days: int,
    count: int,
    kind: tuple[float, float],
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Stationary first-order autoregression, (days, players); `start` is carried over."""
    spread, persistence = kind
    steps = rng.normal(0.0, spread, (days, count))
    steps[1:] *= np.sqrt(1.0 - persistence**2)
    if start is not None:
        known = len(start)
        steps[0, :known] = CARRIED * start + np.sqrt(1.0 - CARRIED**2) * steps[0, :known]
    for d in range(1, days):
        steps[d] += persistence * steps[d - 1]
    return steps


def _back_to_back(day: np.ndarray, club: np.ndarray) -> np.ndarray:
    played = set(zip(club.tolist(), day.tolist(), strict=True))
    return np.array([(c, d - 1) in played for c, d in zip(club.tolist(), day.tolist(), strict=True)])


def _match_ups(seed: int, season: str, club: np.ndarray, clubs: int) -> scoring.Matchup:
    """Club traits of the season and what they make of each meeting."""
    rng = stream(seed, season, "clubs")
    pace = rng.normal(0.0, 0.016, clubs)
    two, three = rng.normal(0.0, 0.012, clubs), rng.normal(0.0, 0.005, clubs)
    free = np.exp(rng.normal(0.0, 0.07, clubs))
    other = club.reshape(-1, 2)[:, ::-1].ravel()
    attack = rng.normal(0.0, 0.010, clubs)
    return scoring.Matchup(
        pace=1.0 + pace[club] + pace[other],
        home=np.where(np.arange(len(club)) % 2 == 0, 1.0, -1.0),
        allow_two=two[other] + attack[club],
        allow_three=three[other] + 0.6 * attack[club],
        allow_free=free[other],
    )


@dataclass(frozen=True)
class Played:
    """One playing of all games: minutes and shots per cell, overtimes per row, who got on court."""

    minutes: np.ndarray
    on_court: np.ndarray
    shots: scoring.Shots
    overtimes: np.ndarray
    plan: np.ndarray


def plan(setting: Setting, p_absent: np.ndarray) -> tuple[np.ndarray, np.ndarray, scoring.Expected]:
    """Planned minutes, the chance of playing and what is expected, given each player's chance of absence."""
    available = 1.0 - p_absent
    desire = rotation.desires(setting.base, setting.position, p_absent * setting.there)
    first = rotation.settle(desire, available)
    weight = available * rotation.chance_to_enter(first)
    minutes = rotation.settle(desire, weight)
    return minutes, weight, scoring.expect(setting.shooters, setting.match, minutes, weight)


def play(rng: np.random.Generator, setting: Setting, absent: np.ndarray, hurt: np.ndarray) -> Played:
    """Play every game once with these absences and early exits: team totals, minutes, each player's shots."""
    gone = np.where(setting.there, absent, True).astype(float)
    minutes, weight, expected = plan(setting, gone)
    totals, overtimes = scoring.team_totals(rng, expected, setting.shooters, setting.match, weight)
    margin = np.repeat(totals.points[::2] - totals.points[1::2], 2)
    desire = rotation.desires(setting.base, setting.position, gone * setting.there)
    blowout = rotation.garbage_time(margin)
    actual, on_court = rotation.played_minutes(rng, desire, 1.0 - gone, blowout, hurt, overtimes)
    shots = scoring.share_out(rng, totals, setting.shooters, np.where(on_court, np.maximum(actual, 0.4), 0.0))
    return Played(actual, on_court, shots, overtimes, minutes)
