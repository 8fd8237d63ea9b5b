"""The best that can be had in the simulated league: a filter that knows its laws, and learns its players as it goes.

`truth` knows every player's true traits and form, which nobody can: they have to be guessed from box scores. What is
fair to ask of a forecaster is what a Bayesian gets who knows how the league works (how traits are spread over players,
how form drifts, how minutes and shots come about, the clubs' pace and defence, what the report makes likely) and of the
players only what has happened: an extended Kalman filter over minutes, usage and shooting, a game day at a time. It
never sees a line. `python -m benchmarks.league_filter --home WORKSPACE` holds a workspace's grades against it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from blocks.warehouse import DayRange, LocalWarehouse
from tasks.grading.prediction_grades import CONTRACT as GRADES
from tasks.sources.league import LeagueConfig, generate_league, rotation, scoring, truth
from tasks.sources.league.generate import playing_of, prepared_seasons
from tasks.sources.league.players import FIRST_PLAYER_ID, MINUTES_BY_RANK, USAGE_BY_RANK, Players, Squads
from tasks.sources.league.season import CARRIED, MINUTES_DRIFT, USAGE_DRIFT, Played, Setting, plan

Array = NDArray[np.float64]
Who = NDArray[np.int64]

OVERTIME_MINUTES = 25.0
RETURNING = 0.35  # on the scale of minutes: how much less who comes back from a spell is planned for
# How far a player's level moves in a summer, as he and his club change: spread on the scale of minutes, of log usage.
SUMMER_MINUTES, SUMMER_USAGE = 0.9, 0.16
SUMMER_SKILL = {"threes": 0.03, "free_throws": 0.0, "two": 0.010, "three": 0.008, "free": 0.0}
FEWEST_SHOTS = 1.0  # due to a player; below that his share of the shots says too little
ABOVE_THE_BEST = 0.02  # the bar: how far a forecaster's error may be above the filter's
JUDGED = ("lightgbm", "ensemble")


@dataclass
class Level:
    """A level that stays and a drift around it, of every player: means, and their joint uncertainty."""

    kind: tuple[float, float]  # the drift's stationary spread, and its persistence a day
    mean: Array  # (2, players)
    variance: Array  # (3, players): of the level, of the drift, their covariance

    @classmethod
    def of(cls, kind: tuple[float, float], values: Array, spread: float, count: int) -> Level:
        """Before any game: the levels of squads are spread like `values`, and `spread` more."""
        level = float(np.var(values)) + spread**2
        mean = np.zeros((2, count))
        mean[0] = values.mean()
        variance = np.stack([np.full(count, level), np.full(count, kind[0] ** 2), np.zeros(count)])
        return cls(kind, mean, variance)

    @property
    def now(self) -> Array:
        """What is expected of each player today."""
        return self.mean.sum(0)

    def joined_by(self, others: Level) -> None:
        """Newcomers, after those who are there."""
        self.mean = np.concatenate([self.mean, others.mean[:, self.mean.shape[1] :]], axis=1)
        self.variance = np.concatenate([self.variance, others.variance[:, self.variance.shape[1] :]], axis=1)

    def pass_days(self, days: int) -> None:
        self._drift(self.kind[1] ** days)

    def summer(self, spread: float) -> None:
        self._drift(CARRIED)
        self.variance[0] += spread**2

    def _drift(self, kept: float) -> None:
        self.mean[1] *= kept
        self.variance[2] *= kept
        self.variance[1] = kept**2 * self.variance[1] + (1 - kept**2) * self.kind[0] ** 2

    def learn(self, who: Who, surprise: Array, noise: Array) -> None:
        """Kalman's update by a surprise in the sum of both, `noise` being its own variance."""
        level, drift, shared = self.variance[:, who]
        to_level, to_drift = level + shared, drift + shared
        total = to_level + to_drift + noise
        self.mean[0, who] += to_level / total * surprise
        self.mean[1, who] += to_drift / total * surprise
        self.variance[0, who] -= to_level**2 / total
        self.variance[1, who] -= to_drift**2 / total
        self.variance[2, who] -= to_level * to_drift / total


@dataclass
class Skill:
    """A lasting trait of every player: mean and variance."""

    mean: Array
    variance: Array

    def learn(self, who: Who, seen: Array, noise: Array) -> None:
        gain = self.variance[who] / (self.variance[who] + noise)
        self.mean[who] += gain * (seen - self.mean[who])
        self.variance[who] *= 1 - gain


@dataclass
class Belief:
    """What is believed of every player ever seen."""

    minutes: Level
    usage: Level
    skills: dict[str, Skill]


def prior(players: Players) -> Belief:
    """Before any game: what the league is known to be like, and each player's position."""
    count, big = len(players), players.position / 4.0
    threes = np.clip(0.485 - 0.28 * big**2, 0.01, 0.82)
    lean = threes - 0.40
    means = {
        "threes": (threes, 0.15),
        "free_throws": (0.25 - 0.35 * lean, 0.09),
        "two": (0.522 + 0.05 * big - 0.05 * lean, 0.036),
        "three": (0.359 + 0.05 * lean, 0.022),
        "free": (0.775 + 0.08 * lean, 0.065),
    }
    return Belief(
        minutes=Level.of(MINUTES_DRIFT, rotation.logit(np.array(MINUTES_BY_RANK)), 0.1, count),
        usage=Level.of(USAGE_DRIFT, np.log(USAGE_BY_RANK), 0.21, count),
        skills={
            name: Skill(mean.astype(float).copy(), np.full(count, spread**2)) for name, (mean, spread) in means.items()
        },
    )


def after_summer(belief: Belief, players: Players) -> Belief:
    """Everyone's level may have moved, and there are newcomers."""
    known, fresh = len(belief.skills["two"].mean), prior(players)
    belief.minutes.summer(SUMMER_MINUTES)
    belief.usage.summer(SUMMER_USAGE)
    belief.minutes.joined_by(fresh.minutes)
    belief.usage.joined_by(fresh.usage)
    for name, skill in belief.skills.items():
        new = fresh.skills[name]
        skill.mean = np.concatenate([skill.mean, new.mean[known:]])
        skill.variance = np.concatenate([skill.variance + SUMMER_SKILL[name] ** 2, new.variance[known:]])
    return belief


def filtered(setting: Setting, played: Played, belief: Belief) -> pl.DataFrame:
    """Expected points (raw, as the league reckons) of everyone in every game of a season, from the days before it.

    `belief` is carried on through the season.
    """
    before, found = int(setting.day[0]), []
    for day in np.unique(setting.day):
        rows = np.flatnonzero(setting.day == day)
        belief.minutes.pass_days(int(day) - before)
        belief.usage.pass_days(int(day) - before)
        before = int(day)
        tonight = _believed(setting, rows, belief)
        _, _, expected = plan(tonight, setting.availability.p_absent[rows])
        row, slot = np.nonzero(tonight.there & (setting.availability.p_absent[rows] < 1.0))
        found.append(
            pl.DataFrame(
                {
                    "game_id": [setting.games[rows[at] // 2].game_id for at in row],
                    "player_id": tonight.roster[row, slot] + FIRST_PLAYER_ID,
                    "raw": expected.points[row, slot],
                }
            )
        )
        _learn(tonight, played, rows, belief)
    return pl.concat(found).with_columns(season=pl.lit(setting.season))


def _believed(setting: Setting, rows: Who, belief: Belief) -> Setting:
    """The day's games with what is believed of the players in place of what they are."""
    roster = setting.roster[rows]
    index, there = np.maximum(roster, 0), roster >= 0
    easing = np.where(setting.availability.returning[rows], RETURNING, 0.0)
    base = rotation.CEILING / (1.0 + np.exp(-(belief.minutes.now[index] - easing)))
    skill = {name: found.mean[index] for name, found in belief.skills.items()}
    match = setting.match
    return replace(
        setting,
        day=setting.day[rows],
        club=setting.club[rows],
        roster=roster,
        base=np.where(there, base, 0.0),
        position=setting.position[rows],
        shooters=scoring.Shooters(usage=np.where(there, np.exp(belief.usage.now[index]), 0.0), **skill),
        match=scoring.Matchup(**{part.name: getattr(match, part.name)[rows] for part in fields(match)}),
        back_to_back=setting.back_to_back[rows],
    )


def _learn(tonight: Setting, played: Played, rows: Who, belief: Belief) -> None:
    """From the day's box scores: who was on court how long, who took and made which shots."""
    box = Played(
        minutes=played.minutes[rows],
        on_court=played.on_court[rows] & tonight.there,
        shots=scoring.Shots(**{part.name: getattr(played.shots, part.name)[rows] for part in fields(played.shots)}),
        overtimes=played.overtimes[rows],
        plan=played.plan[rows],
    )
    known = tonight.availability
    _learn_minutes(tonight, box, known.absent[rows], known.left_hurt[rows], belief)
    _learn_usage(tonight, box, belief)
    _learn_skills(tonight, box, belief)


def _learn_minutes(tonight: Setting, box: Played, absent: Array, hurt: Array, belief: Belief) -> None:
    """Against the minutes that the coach would have given those who could play, by what was believed of them."""
    gone = np.where(tonight.there, absent, True).astype(float)
    planned = rotation.settle(rotation.desires(tonight.base, tonight.position, gone * tonight.there), 1.0 - gone)
    total = box.shots.points.sum(1)
    blowout = rotation.garbage_time(np.repeat(total[::2] - total[1::2], 2))
    role = (planned - 20.0) / 15.0
    swing = np.where(role > 0, -0.36 * role, -0.95 * role) * blowout[:, None] + np.where(planned < 9.0, -0.75, 0.0)
    due = rotation.settle(rotation.logit(planned) + swing, box.on_court.astype(float))
    whole_game = rotation.GAME_MINUTES + OVERTIME_MINUTES * box.overtimes[:, None]
    minutes = box.minutes * rotation.GAME_MINUTES / whole_game
    share = np.clip(minutes / rotation.CEILING, 0.02, 0.97)
    rounding = (1 / 12) / (rotation.CEILING * share * (1 - share)) ** 2
    noise = np.where(planned > 24, 0.45, np.where(planned > 13, 0.62, 0.85)) ** 2 + rounding
    seen = box.on_court & ~hurt
    surprise = rotation.logit(minutes) - rotation.logit(due)
    belief.minutes.learn(tonight.roster[seen], surprise[seen], noise[seen])


def _learn_usage(tonight: Setting, box: Played, belief: Belief) -> None:
    """Against the share of the team's shots that his minutes made due to him."""
    attempts = _attempts(box.shots)
    load = tonight.shooters.usage * np.where(box.on_court, np.maximum(box.minutes, 0.4), 0.0)
    due = np.maximum(load / load.sum(1, keepdims=True) * attempts.sum(1, keepdims=True), 1e-9)
    seen = box.on_court & (due >= FEWEST_SHOTS)
    noise = 1 / (scoring.USAGE_SHAPE + scoring.USAGE_SHAPE_PER_MINUTE * box.minutes) + 1 / due
    belief.usage.learn(tonight.roster[seen], (attempts / due - 1)[seen], noise[seen])


def _learn_skills(tonight: Setting, box: Played, belief: Belief) -> None:
    """His mix of shots, and how many of each kind go in once the opponent and the home court are allowed for."""
    skill, match, shots = tonight.shooters, tonight.match, box.shots
    twos, threes = shots.two_made + shots.two_missed, shots.three_made + shots.three_missed
    frees, attempts = shots.free_made + shots.free_missed, _attempts(shots)
    night = (scoring.HOME_EDGE * match.home)[:, None]
    whistle = scoring.FREE_THROWS / scoring.FIELD_GOALS / 0.25 * match.allow_free[:, None]

    def learn(name: str, hits: Array, of: Array, allowed: Array, more_noise: Array) -> None:
        mean, tries, seen = getattr(skill, name), np.maximum(of, 1), (of > 0) & tonight.there
        noise = np.maximum(mean * (1 - mean), 0.01) / tries + more_noise
        belief.skills[name].learn(tonight.roster[seen], (hits / tries - allowed)[seen], noise[seen])

    nothing = np.zeros_like(skill.two)
    learn("threes", threes, attempts, nothing, skill.threes**2 / scoring.MIX_SHAPE)
    learn("free_throws", frees / whistle, attempts, nothing, skill.free_throws**2 / scoring.FREE_SHAPE)
    learn("two", shots.two_made, twos, match.allow_two[:, None] + night, nothing)
    learn("three", shots.three_made, threes, match.allow_three[:, None] + night, nothing)
    learn("free", shots.free_made, frees, nothing, nothing)


def _attempts(shots: scoring.Shots) -> Array:
    attempts: Array = shots.two_made + shots.two_missed + shots.three_made + shots.three_missed
    return attempts


def forecasts(config: LeagueConfig, *, traits_known: bool = False) -> Iterator[pl.DataFrame]:
    """The filter's raw expectations, season by season; if asked, told everybody's lasting traits beforehand."""
    belief: Belief | None = None
    for setting, _, squads, _ in prepared_seasons(config):
        belief = prior(squads.players) if belief is None else after_summer(belief, squads.players)
        if traits_known:
            _tell(belief, squads)
        yield filtered(setting, playing_of(config.seed, setting), belief)


def _tell(belief: Belief, squads: Squads) -> None:
    for level, true in ((belief.minutes, rotation.logit(squads.base_minutes)), (belief.usage, np.log(squads.usage))):
        level.mean[0], level.variance[0], level.variance[2] = true, 1e-9, 0.0
    for name, skill in belief.skills.items():
        skill.mean, skill.variance = getattr(squads.players, name).astype(float), np.full_like(skill.variance, 1e-9)


def medians(found: pl.DataFrame, player_games: pl.DataFrame, learned_in: str) -> pl.DataFrame:
    """game_id, player_id and `median`: what players of like expectation scored in the season `learned_in`."""
    past = found.filter(pl.col("season") == learned_in).join(player_games, on=["game_id", "player_id"])
    raw, points = past["raw"].to_numpy(), past["pts"].cast(pl.Float64).to_numpy()
    # Points are whole numbers: spreading each over its unit makes the pooled medians smooth.
    points = points + np.random.default_rng(0).uniform(-0.5, 0.5, len(points))
    at, bins = truth.equal_bins(raw)
    pooled = np.maximum([np.median(points[bins == b]) for b in range(len(at))], 0.0)
    return found.select("game_id", "player_id", median=pl.Series(np.interp(found["raw"].to_numpy(), at, pooled)))


def best_possible(config: LeagueConfig, rows: pl.DataFrame, learned_in: str) -> dict[str, float]:
    """The mean absolute errors on `rows` (game_id, player_id, points) of three who know ever more of the players."""
    league = generate_league(config)
    asked = rows.join(league.truth.select("game_id", "player_id", "q50"), on=["game_id", "player_id"], how="left")
    if unknown := asked["q50"].null_count():
        raise ValueError(f"{unknown} of the rows are of no player-game of the simulated league {config.seed}")
    found = {"everything, form too": asked["q50"]}
    for who, told in (("lasting traits", True), ("box scores: the filter", False)):
        told_of = medians(pl.concat(forecasts(config, traits_known=told)), league.player_games, learned_in)
        found[who] = asked.join(told_of, on=["game_id", "player_id"], how="left", maintain_order="left")["median"]
    return {who: float((values - asked["points"]).abs().mean()) for who, values in found.items()}  # type: ignore[arg-type]


def main(arguments: list[str] | None = None) -> int:
    """Print the best possible errors and those of a workspace's predictions; 1 if one is too far above the filter's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(".pipeline/backfill-simulated-published"))
    home: Path = parser.parse_args(arguments).home
    grades = LocalWarehouse(folder=home / "warehouse").read(GRADES.spec, DayRange())
    counted = grades.filter(pl.col("in_population") & pl.col("absolute_error").is_not_null())
    if counted.is_empty():
        print(f"{home} holds no grades of the population: run make report without REAL_DATA_DIR", file=sys.stderr)
        return 2
    rows = counted.select("game_id", "player_id", "season", points="actual_points").unique(["game_id", "player_id"])
    config = LeagueConfig()
    before = [season for season in config.seasons if season < rows["season"].min()]  # type: ignore[operator]
    best = best_possible(config, rows, before[-1])
    errors = {
        system: float(part["absolute_error"].mean())  # type: ignore[arg-type]
        for (system,), part in counted.partition_by("system", as_dict=True).items()
    }
    return show(best, errors, rows.height)


def show(best: dict[str, float], errors: dict[str, float], count: int) -> int:
    """Print the errors beside the filter's; 1 if one of JUDGED is more than ABOVE_THE_BEST above it."""
    floor = best["box scores: the filter"]
    table = Table(title=f"The simulated league, n {count:,}", title_justify="left")
    table.add_column("forecaster")
    for name in ("MAE", "above the filter's"):
        table.add_column(name, justify="right")
    for who, error in (*((f"knows {who}", error) for who, error in best.items()), *sorted(errors.items())):
        table.add_row(who, f"{error:.3f}", f"{error / floor - 1:+.1%}")
    Console().print(table)
    missing = [system for system in JUDGED if system not in errors]
    too_far = [system for system in JUDGED if system in errors and errors[system] > floor * (1 + ABOVE_THE_BEST)]
    for system in missing:
        print(f"{system}: no grades", file=sys.stderr)
    for system in too_far:
        print(f"{system} is more than {ABOVE_THE_BEST:.0%} above the filter", file=sys.stderr)
    return 1 if missing or too_far else 0


if __name__ == "__main__":
    sys.exit(main())
