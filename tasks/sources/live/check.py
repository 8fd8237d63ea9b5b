"""Each site asked for a little: does it answer, how fast, with how much, how fresh, in the documented shape?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from blocks.live_sources import LiveSettings
from blocks.warehouse import DayRange
from tasks.engine.plan import EASTERN
from tasks.sources.base import Kind, SourceError
from tasks.sources.live import balldontlie, directory, espn_rosters, injury_report, nba_box_scores, nba_schedule
from tasks.sources.live import odds_api as odds
from tasks.sources.live.web import Clock, Response, Web

AHEAD = dt.timedelta(days=7)  # as far as the books are asked for a game
AS_DOCUMENTED = "as documented"


@dataclass(frozen=True)
class Check:
    """What one source came to. `problem` says what is wrong; not `set_up` (no key) is no fault."""

    source: str
    seconds: float | None = None
    rows: int | None = None
    freshest: str = ""
    schema: str = ""
    quota: str = ""
    problem: str = ""
    set_up: bool = True


@dataclass(frozen=True)
class _Seen:
    """What a probe saw."""

    responses: list[Response]
    rows: int
    freshest: object
    notes: list[str]


def check(settings: LiveSettings, clock: Clock) -> list[Check]:
    """Ask every source. One that fails costs no other its check."""
    web = Web(settings, clock)
    today = clock.now().astimezone(EASTERN).date()
    games = _Games()
    probes: dict[str, Callable[[], _Seen | None]] = {
        "NBA schedule": lambda: _schedule(web, games),
        "NBA game log": lambda: _log(web, today, games),
        "NBA box score": lambda: _box_score(web, games),
        "NBA player index": lambda: _index(web, today),
        "ESPN rosters": lambda: _rosters(web),
        "NBA injury report": lambda: _injuries(web),
        "Odds API": lambda: _odds(web, today),
        "BallDontLie": lambda: _balldontlie(web, games),
    }
    return [_checked(name, probe, web) for name, probe in probes.items()]


@dataclass
class _Games:
    """The season's finished games, once the schedule is known."""

    finished: pl.DataFrame | None = None

    def last(self) -> dict[str, str]:
        """The last finished game. Raises SourceError where the schedule gives none."""
        if self.finished is None or self.finished.is_empty():
            raise SourceError("no finished game is known to ask for: see the schedule")
        return self.finished.sort("game_date").row(-1, named=True)


def _checked(name: str, probe: Callable[[], _Seen | None], web: Web) -> Check:
    try:
        seen = probe()
    except SourceError as error:
        return Check(name, problem=str(error), quota=(odds.quota(web) or "") if name == "Odds API" else "")
    if seen is None:
        return Check(name, set_up=False, problem="no key: docs/sources.md says where to get one")
    return Check(
        name,
        seconds=max(response.seconds for response in seen.responses),
        rows=seen.rows,
        freshest=str(seen.freshest or ""),
        schema="; ".join(seen.notes) or AS_DOCUMENTED,
        quota=(odds.quota(web) or "") if name == "Odds API" else "",
    )


def _schedule(web: Web, games: _Games) -> _Seen:
    response = nba_schedule.fetch(web)
    table = nba_schedule.rows(response, "")
    games.finished = table.filter(pl.col("home_pts").is_not_null())
    last = games.finished["game_date"].max()
    return _Seen([response], table.height, f"results to {last!s}" if last else "", nba_schedule.notes(response))


def _log(web: Web, today: dt.date, games: _Games) -> _Seen:
    season = games.last()["season"] if games.finished is not None else nba_schedule.season_of_day(today)
    response = nba_box_scores.log(web, season, "regular", nba_box_scores.TEAMS)
    known = games.finished if games.finished is not None else nba_box_scores.NO_GAMES
    table = nba_box_scores.rows(response, Kind.TEAM_BOX_SCORES, known, "")
    return _Seen([response], table.height, table["game_date"].max(), [])


def _box_score(web: Web, games: _Games) -> _Seen:
    game = games.last()
    response = nba_box_scores.single(web, game["game_id"])
    table = nba_box_scores.rows(response, Kind.PLAYER_BOX_SCORES, nba_box_scores.NO_GAMES, "")
    return _Seen([response], table.height, game["game_date"], nba_box_scores.notes(response))


def _index(web: Web, today: dt.date) -> _Seen:
    response = directory.fetch(web, nba_schedule.season_of_day(today))
    return _Seen([response], directory.indexed(response).height, "", [])


def _rosters(web: Web) -> _Seen:
    responses, notes = espn_rosters.fetch(web, [])
    found = espn_rosters.players_in(responses)
    return _Seen(responses, found, f"{len(responses)} of {len(espn_rosters.TEAMS)} teams", notes)


def _injuries(web: Web) -> _Seen:
    response = injury_report.fetch(web, web.clock.now())
    report = injury_report.read(response)
    return _Seen([response], len(report.listed), f"{report.reported_at.astimezone(EASTERN):%Y-%m-%d %I:%M %p} ET", [])


def _odds(web: Web, today: dt.date) -> _Seen | None:
    if web.settings.odds_key is None:
        return None
    responses, notes = odds.fetch(web, DayRange(today, today + AHEAD), most=1)
    table = pl.concat(odds.rows(response, "") for response in responses)
    return _Seen(responses, table.height, table["snapshot"].max(), notes + odds.notes(responses))


def _balldontlie(web: Web, games: _Games) -> _Seen | None:
    if web.settings.balldontlie_key is None:
        return None
    day = games.last()["game_date"]
    response = balldontlie.fetch(web, dt.date.fromisoformat(day))
    nobody = directory.SCHEMA.to_frame()
    table = balldontlie.rows(response, Kind.PLAYER_BOX_SCORES, nba_box_scores.NO_GAMES, nobody, {}, "")
    return _Seen([response], table.height, day, balldontlie.notes(response))
