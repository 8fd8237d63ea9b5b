"""The simulated league as a whole: configuration, generation season by season, and writing it to a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from . import boxscore, market, players, report, season, truth
from .players import FIRST_PLAYER_ID, POSITIONS, Players, Squads
from .schedule import Game, season_bounds, season_games
from .seeds import stream
from .teams import Team, teams

GAME_LENGTH = timedelta(hours=2, minutes=20)
ROSTER_SNAPSHOT_DAYS = 1


@dataclass(frozen=True)
class LeagueConfig:
    """What to simulate. `worlds`: extra playings of each season from which the truth's quantiles are pooled.

    Raises ValueError, naming the field, for a league that can't be scheduled.
    """

    seed: int = 20251229
    seasons: tuple[str, ...] = ("2023-24", "2024-25", "2025-26")
    teams: int = 30
    games_per_team: int = 82
    worlds: int = 5

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}: give a whole number of 0 or more")
        if self.teams < 4 or self.teams % 2:
            raise ValueError(f"teams is {self.teams}: give an even number of at least 4")
        if not 2 <= self.games_per_team <= 82:
            raise ValueError(f"games_per_team is {self.games_per_team}: give 2 to 82")
        if self.worlds < 1:
            raise ValueError(f"worlds is {self.worlds}: give at least 1")
        if not self.seasons:
            raise ValueError("seasons is empty: give at least one, such as 2025-26")
        for name in self.seasons:
            if not re.fullmatch(r"20\d\d-\d\d", name) or (int(name[2:4]) + 1) % 100 != int(name[5:]):
                raise ValueError(f"seasons holds {name!r}: write a season as 2025-26")
        if list(self.seasons) != sorted(set(self.seasons)):
            raise ValueError(f"seasons is {self.seasons}: give each once, in order of time")


@dataclass(frozen=True)
class League:
    """A simulated league as frames in the folder layout; `truth` is for checking models, never a feature."""

    schedule: pl.DataFrame
    player_games: pl.DataFrame
    team_games: pl.DataFrame
    lines: pl.DataFrame
    rosters: pl.DataFrame
    injuries: pl.DataFrame
    positions: pl.DataFrame
    truth: pl.DataFrame

    def write(self, folder: Path) -> list[Path]:
        """Write Parquet in the folder layout (player_games one file a season); returns the files written."""
        written = []
        for part in fields(self):
            frame: pl.DataFrame = getattr(self, part.name)
            for name, piece in _files(part.name, frame):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                piece.write_parquet(path)
                written.append(path)
        return written


def _files(part: str, frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    if part == "player_games":
        seasons = frame["season"].unique(maintain_order=True)
        return [
            (f"player_games/player_games_{s}_regular.parquet", frame.filter(pl.col("season") == s)) for s in seasons
        ]
    name = {"lines": "lines/points_lines", "positions": "rosters/positions"}.get(part, f"{part}/{part}")
    return [(f"{name}.parquet", frame)]


def generate_league(config: LeagueConfig | None = None) -> League:
    """Simulate every season of `config`; equal configurations give equal leagues."""
    config = config or LeagueConfig()
    clubs = teams(config.teams)
    parts = [_season(config, *prepared, clubs) for prepared in prepared_seasons(config)]
    return League(*(pl.concat([getattr(p, f.name) for p in parts]) for f in fields(League)))


def prepared_seasons(config: LeagueConfig) -> Iterator[tuple[season.Setting, list[Game], Squads, date]]:
    """What is settled of each season before it is played: setting, schedule, squads, first day."""
    clubs = teams(config.teams)
    everyone, club = players.first_season(config.seed, config.seasons[0], config.teams)
    before: season.Drifts | None = None
    for number, name in enumerate(config.seasons):
        if number:
            everyone, club = players.next_season(config.seed, name, everyone, club, config.teams)
        first_day, last_day = season_bounds(name)
        games = season_games(config.seed, name, clubs, config.games_per_team)
        days = (last_day - first_day).days + 1
        squads = players.season_squads(config.seed, name, everyone, club, config.teams, days)
        setting = season.prepare(config.seed, name, games, squads, first_day, config.teams, before)
        yield setting, games, squads, first_day
        club, before = squads.club[-1], setting.ending


def playing_of(seed: int, setting: season.Setting) -> season.Played:
    """How the season of this setting went: the same each time."""
    known = setting.availability
    return season.play(stream(seed, setting.season, "games"), setting, known.absent, known.left_hurt)


def _season(
    config: LeagueConfig,
    setting: season.Setting,
    games: list[Game],
    squads: Squads,
    first_day: date,
    clubs: tuple[Team, ...],
) -> League:
    seed, name = config.seed, setting.season
    played = playing_of(seed, setting)
    lines = boxscore.player_lines(stream(seed, name, "box"), setting, played, squads.players, clubs)
    overtimes = pl.DataFrame({"game_id": [g.game_id for g in setting.games], "overtimes": played.overtimes[::2]})
    curves = truth.learn_curves(seed, setting, config.worlds)
    published = report.publish(stream(seed, name, "report"), setting, squads.players, clubs)
    points = played.shots.points
    market_rng = stream(seed, name, "market")
    return League(
        schedule=_schedule_frame(name, games, setting, points.sum(1), played.overtimes, clubs),
        player_games=lines,
        team_games=boxscore.team_lines(lines, overtimes),
        lines=market.post_lines(market_rng, setting, published, curves, points, squads.players, clubs),
        rosters=_roster_frame(squads, clubs, first_day),
        injuries=published.frame,
        positions=_position_frame(name, squads, clubs),
        truth=truth.truth_frame(setting, curves),
    )


def _schedule_frame(
    name: str,
    games: list[Game],
    setting: season.Setting,
    points: np.ndarray,
    overtimes: np.ndarray,
    clubs: tuple[Team, ...],
) -> pl.DataFrame:
    """One row per game id. `status_at`: when the status became known; `announced_at`: null from the start."""
    number = {g.game_id: i for i, g in enumerate(setting.games)}
    score = [
        (int(points[2 * i]), int(points[2 * i + 1])) if (i := number.get(g.game_id)) is not None else (None, None)
        for g in games
    ]
    ends = [
        g.postponed_at or g.tip + GAME_LENGTH + timedelta(minutes=20 * int(overtimes[2 * number[g.game_id]]))
        for g in games
    ]
    return pl.DataFrame(
        {
            "season": [name] * len(games),
            "season_type": ["regular"] * len(games),
            "game_id": [g.game_id for g in games],
            "game_date": [g.day for g in games],
            "home": [clubs[g.home].code for g in games],
            "away": [clubs[g.away].code for g in games],
            "home_pts": pl.Series([h for h, _ in score], dtype=pl.Int16),
            "away_pts": pl.Series([a for _, a in score], dtype=pl.Int16),
            "tip_utc": pl.Series([g.tip for g in games], dtype=pl.Datetime("us", "UTC")),
            "arena": [clubs[g.home].arena for g in games],
            "status": ["postponed" if g.postponed_at else "final" for g in games],
            "status_at": pl.Series(ends, dtype=pl.Datetime("us", "UTC")),
            "announced_at": pl.Series([g.announced_at for g in games], dtype=pl.Datetime("us", "UTC")),
        }
    )


def _roster_frame(squads: Squads, clubs: tuple[Team, ...], first_day: date) -> pl.DataFrame:
    """Full squads on the first day, every seventh day after, and on the day of each trade."""
    days, _ = squads.club.shape
    snapshots = sorted({*range(0, days, ROSTER_SNAPSHOT_DAYS), *(d for d, _, _ in squads.trades)})
    member = [np.flatnonzero(squads.club[d] >= 0) for d in snapshots]
    who = np.concatenate(member)
    day = np.repeat(snapshots, [len(m) for m in member])
    return _people(squads.players, clubs, who, squads.club[day, who]).select(
        snapshot_date=pl.Series([first_day + timedelta(days=int(d)) for d in day], dtype=pl.Date),
        player_id="player_id",
        player="player",
        team_id="team_id",
        team="team",
        position="position",
    )


def _position_frame(name: str, squads: Squads, clubs: tuple[Team, ...]) -> pl.DataFrame:
    """Position of each squad member of the season, with the club he began it with."""
    who = np.flatnonzero(squads.club[0] >= 0)
    people = _people(squads.players, clubs, who, squads.club[0, who])
    return people.select(pl.lit(name).alias("season"), "player_id", "position", "team_id")


def _people(who_is: Players, clubs: tuple[Team, ...], who: np.ndarray, club: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "player_id": who + FIRST_PLAYER_ID,
            "player": pl.Series(who_is.name).gather(who),
            "team_id": pl.Series([c.team_id for c in clubs]).gather(club),
            "team": pl.Series([c.code for c in clubs]).gather(club),
            "position": pl.Series(POSITIONS).gather(who_is.position[who]),
        }
    )
