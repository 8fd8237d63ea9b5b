"""NBA's schedule of the season: which games, when in New York, whether they take place, and what came of them."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import polars as pl
from nba_api.stats.endpoints import ScheduleLeagueV2
from pydantic import Field

from tasks.engine.plan import EASTERN
from tasks.identity import season_of_game, season_type_of_game
from tasks.sources.base import REQUIRED_COLUMNS, Kind, SourceError
from tasks.sources.live.nba_stats import ask_stats
from tasks.sources.live.shape import Found, Row, dig, envelope, frame, items, judge
from tasks.sources.live.web import NotData, Response, Web

LABEL = "NBA schedule"
PATH = "/static/json/staticData/scheduleLeagueV2.json"
COLUMNS = (*REQUIRED_COLUMNS[Kind.SCHEDULE], "status")
FINAL = "3"  # a game under way (2) has a score too, but no result
# Pre-season and All-Star games are no games of this pipeline.
LEFT_OUT = ("preseason", "all-star")


class _Side(Found):
    teamId: int
    teamTricode: str | None
    score: int | None = None


class _Game(Found):
    gameId: str = Field(pattern=r"^\d{10}$")
    gameStatus: Literal[1, 2, 3]
    gameDateEst: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}T")
    gameDateTimeUTC: str
    postponedStatus: str | None = None
    homeTeam: _Side
    awayTeam: _Side


class _Date(Found):
    games: list[Any]


class _Season(Found):
    seasonYear: str
    gameDates: list[_Date]


class _Schedule(Found):
    leagueSchedule: _Season


def fetch(web: Web, season: str | None = None) -> Response:
    """The whole season's schedule; of the current one from the static file, or where that fails from the statistics.

    Raises SourceError if no address gives one.
    """
    if season is not None:
        return _of_season(web, season)
    try:
        response = web.get("schedule", PATH, label=LABEL)
        assert response is not None
        _ = games_of(response)
    except SourceError as first:
        try:
            return _of_season(web, season_of_day(web.clock.now().astimezone(EASTERN).date()))
        except SourceError as second:
            raise type(first)(f"{first}; and its second address: {second}") from None
    return response


def season_of_day(day: dt.date) -> str:
    """The season that a day belongs to, as 2025-26: a new one begins in September."""
    start = day.year if day.month >= 9 else day.year - 1
    return f"{start}-{(start + 1) % 100:02}"


def rows(response: Response, file: str) -> pl.DataFrame:
    """A row a game, as found."""
    return frame((_row(game) for game in games_of(response)), COLUMNS, file)


def notes(response: Response) -> list[str]:
    """What is not as documented. Raises NotData where that is most of it."""
    return judge(LABEL, "games", games_of(response), _Game)


def games_of(response: Response) -> list[Any]:
    """The season's games whose teams are known. Raises NotData if there are none."""
    season = envelope(response, _Schedule).leagueSchedule
    games = [game for date in season.gameDates for game in items(date.games) if _is_game(game)]
    if not games:
        raise NotData(f"{LABEL}: not one game in the season {season.seasonYear}")
    return games


def _of_season(web: Web, season: str) -> Response:
    response = ask_stats(web, ScheduleLeagueV2(season=season, get_request=False), f"{LABEL} {season}")
    _ = games_of(response)
    return response


def _is_game(game: Any) -> bool:
    """Not of a kind that is left out, and not a place kept for teams that are yet to qualify (their id is 0)."""
    undecided = "0" in (dig(game, "homeTeam.teamId"), dig(game, "awayTeam.teamId"))
    return not undecided and season_type_of_game(dig(game, "gameId") or "") not in LEFT_OUT


def _row(game: Any) -> Row:
    game_id = dig(game, "gameId")
    day = dig(game, "gameDateEst")
    final = dig(game, "gameStatus") == FINAL
    return {
        "season": season_of_game(game_id or ""),
        "season_type": season_type_of_game(game_id or ""),
        "game_id": game_id,
        # A date in New York, whatever its midnight "Z" says.
        "game_date": day[:10] if day else None,
        "home": dig(game, "homeTeam.teamTricode"),
        "away": dig(game, "awayTeam.teamTricode"),
        "home_pts": dig(game, "homeTeam.score") if final else None,
        "away_pts": dig(game, "awayTeam.score") if final else None,
        "tip_utc": _tip_off(game),
        "status": _status(game),
    }


def _tip_off(game: Any) -> str | None:
    """The instant of tip-off. The `Est` field serves where the other is missing: it ends in Z but is Eastern time."""
    if dig(game, "gameStatusText") == "TBD":
        return None
    stated = dig(game, "gameDateTimeUTC")
    eastern = dig(game, "gameDateTimeEst")
    if stated or not eastern:
        return stated
    try:
        wall_clock = dt.datetime.fromisoformat(eastern.removesuffix("Z")).replace(tzinfo=EASTERN)
        return wall_clock.astimezone(dt.UTC).isoformat()
    except (ValueError, OverflowError):
        return eastern  # for phase 2 to refuse by its value


def _status(game: Any) -> str | None:
    stated = dig(game, "postponedStatus")
    return {None: "scheduled", "": "scheduled", "N": "scheduled", "Y": "postponed", "C": "cancelled"}.get(
        stated, stated
    )
