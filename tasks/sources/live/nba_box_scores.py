"""NBA's box scores: the league's game log for any number of days at once, and a game's own where the log lacks it.

The log knows neither the Cup final nor who did not play; the opponent comes from the schedule, as the log's MATCHUP is
not to be relied on at neutral sites.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import polars as pl
from nba_api.stats.endpoints import BoxScoreTraditionalV3, LeagueGameLog

from tasks.identity import season_of_game, season_type_of_game
from tasks.sources.base import REQUIRED_COLUMNS, SURPLUS, Kind, SourceError
from tasks.sources.live.nba_stats import ask_stats, table_rows
from tasks.sources.live.shape import Found, Row, dig, envelope, frame, items, judge, row_of
from tasks.sources.live.web import NotData, Response, Web

LOG = "NBA game log"
GAME = "NBA box score"
# The seasons that the log keeps, by our season type. The Cup final is in none.
LOG_SEASON_TYPES = {"regular": "Regular Season", "playoffs": "Playoffs", "play-in": "PlayIn"}
# As many games as are asked for one by one where the log lacks them; more than that is a log that is not there.
MOST_SINGLE_GAMES = 20
PLAYERS, TEAMS = "P", "T"
COLUMNS = {
    kind: (*REQUIRED_COLUMNS[kind], "started", SURPLUS) for kind in (Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES)
}
_COUNTS = ("fgm", "fga", "fg3m", "fg3a", "ftm", "fta", "oreb", "dreb", "ast", "stl", "blk", "tov", "pf", "pts")
_LOG_COLUMNS = {
    "game_id": "GAME_ID",
    "game_date": "GAME_DATE",
    "team": "TEAM_ABBREVIATION",
    "win": "WL",
    "minutes": "MIN",
    **{name: name.upper() for name in (*_COUNTS, "plus_minus")},
}
_LOG_PLAYER_COLUMNS = {"player_id": "PLAYER_ID", "player_name": "PLAYER_NAME", **_LOG_COLUMNS}
_STATISTICS = {
    "minutes": "minutes",
    "fgm": "fieldGoalsMade",
    "fga": "fieldGoalsAttempted",
    "fg3m": "threePointersMade",
    "fg3a": "threePointersAttempted",
    "ftm": "freeThrowsMade",
    "fta": "freeThrowsAttempted",
    "oreb": "reboundsOffensive",
    "dreb": "reboundsDefensive",
    "ast": "assists",
    "stl": "steals",
    "blk": "blocks",
    "tov": "turnovers",
    "pf": "foulsPersonal",
    "pts": "points",
    "plus_minus": "plusMinusPoints",
}
NO_GAMES = pl.DataFrame(schema=dict.fromkeys(("game_id", "game_date", "home", "away"), pl.String))
Sides = dict[str, dict[str, str]]


class _Line(Found):
    minutes: str
    points: int
    fieldGoalsMade: int
    threePointersMade: int
    freeThrowsMade: int


class _Player(Found):
    personId: int
    firstName: str
    familyName: str
    position: str
    statistics: _Line


class _Team(Found):
    teamTricode: str
    players: list[Any]
    statistics: dict[str, Any]


class _Box(Found):
    gameId: str
    homeTeam: _Team
    awayTeam: _Team


class _Answer(Found):
    boxScoreTraditional: _Box


def fetch(web: Web, games: pl.DataFrame, kind: Kind) -> tuple[list[Response], list[str]]:
    """Answers that together hold every one of `games` (final ones, rows as of the schedule) if NBA has it, and notes.

    Raises SourceError where not one of the games could be had.
    """
    responses, errors = _logs(web, games, kind)
    held = [game_id for response in responses for game_id in rows(response, kind, games, "")["game_id"].unique()]
    lacking = games.filter(~pl.col("game_id").is_in(held))
    if lacking.height > MOST_SINGLE_GAMES:
        first = (
            errors[0] if errors else NotData(f"{LOG}: no rows for {lacking.height} of {games.height} finished games")
        )
        raise first
    for answer in web.each(partial(single, web), lacking["game_id"].to_list()):
        if isinstance(answer, SourceError):
            errors.append(answer)
        else:
            responses.append(answer)
    if not responses:
        raise errors[0]
    return responses, [str(error) for error in errors]


def log(web: Web, season: str, season_type: str, who: str, first: str = "", last: str = "") -> Response:
    """The game log of a season and type ("regular"), of players ("P") or teams ("T"), whole or from day to day."""
    endpoint = LeagueGameLog(
        season=season,
        season_type_all_star=LOG_SEASON_TYPES[season_type],
        player_or_team_abbreviation=who,
        date_from_nullable=first,
        date_to_nullable=last,
        get_request=False,
    )
    return ask_stats(web, endpoint, f"{LOG} {season} {season_type} {who}")


def rows(response: Response, kind: Kind, games: pl.DataFrame, file: str) -> pl.DataFrame:
    """A row a player or team and game, as found. `games` says who played whom, and where."""
    sides = _sides(games)
    if response.label.startswith(GAME):
        found = _single_rows(response, kind)
    else:
        columns = _LOG_PLAYER_COLUMNS if kind == Kind.PLAYER_BOX_SCORES else _LOG_COLUMNS
        found = table_rows(response, "LeagueGameLog", columns, SURPLUS)
    return frame((_completed(row, sides) for row in found), COLUMNS[kind], file)


def notes(response: Response) -> list[str]:
    """What is not as documented. Raises NotData where that is most of it."""
    if not response.label.startswith(GAME):
        return []
    box = envelope(response, _Answer).boxScoreTraditional
    return judge(response.label, "players", [*box.homeTeam.players, *box.awayTeam.players], _Player)


def _logs(web: Web, games: pl.DataFrame, kind: Kind) -> tuple[list[Response], list[SourceError]]:
    who = PLAYERS if kind == Kind.PLAYER_BOX_SCORES else TEAMS
    kept = games.filter(pl.col("season_type").is_in(list(LOG_SEASON_TYPES)))
    parts = kept.group_by("season", "season_type", maintain_order=True).agg(
        first=pl.col("game_date").min(), last=pl.col("game_date").max()
    )

    def ask(part: dict[str, Any]) -> Response:
        response = log(web, part["season"], part["season_type"], who, part["first"], part["last"])
        _ = rows(response, kind, games, "")  # an answer that cannot be read is an error of this request
        return response

    answers = web.each(ask, parts.to_dicts())
    return [item for item in answers if isinstance(item, Response)], [
        item for item in answers if isinstance(item, SourceError)
    ]


def single(web: Web, game_id: str) -> Response:
    """One game's own box score. Raises NotData for one without players."""
    response = ask_stats(web, BoxScoreTraditionalV3(game_id=game_id, get_request=False), f"{GAME} {game_id}")
    box = envelope(response, _Answer).boxScoreTraditional
    if not box.homeTeam.players or not box.awayTeam.players:
        raise NotData(f"{response.label}: a finished game without players")
    _ = notes(response)
    return response


def _single_rows(response: Response, kind: Kind) -> list[Row]:
    box = envelope(response, _Answer).boxScoreTraditional
    home, away = (dig(team.statistics, "points") for team in (box.homeTeam, box.awayTeam))
    won = None if home is None or away is None or not (home.isdecimal() and away.isdecimal()) else int(home) > int(away)
    found: list[Row] = []
    for team, win in ((box.homeTeam, won), (box.awayTeam, None if won is None else not won)):
        shared: Row = {"game_id": box.gameId, "team": team.teamTricode, "win": _flag(win)}
        if kind == Kind.TEAM_BOX_SCORES:
            found.append(shared | row_of(team.statistics, _STATISTICS))
        else:
            found += [shared | _player(player) for player in items(team.players)]
    return found


def _player(player: Any) -> Row:
    first, last = dig(player, "firstName"), dig(player, "familyName")
    row: Row = {
        "player_id": dig(player, "personId"),
        "player_name": " ".join(filter(None, (first, last))),
        # The five who start have their position; the others' is empty.
        "started": _flag(bool(dig(player, "position"))),
    }
    statistics = row_of(player.get("statistics") if isinstance(player, dict) else None, _STATISTICS)
    if not (statistics["minutes"] or "").strip():
        # Who did not play has no statistics: the answer's zeros are none.
        return row | dict.fromkeys(_STATISTICS) | {"started": None}
    return row | statistics


def _completed(row: Row, sides: Sides) -> Row:
    game_id = row["game_id"] or ""
    game = sides.get(game_id, {})
    team = row["team"]
    opponent = {game.get("home"): game.get("away"), game.get("away"): game.get("home")}.get(team) if game else None
    return row | {
        "season": season_of_game(game_id),
        "season_type": season_type_of_game(game_id),
        "game_date": row.get("game_date") or game.get("game_date"),
        "opponent": opponent,
        "is_home": _flag(team == game["home"]) if opponent else None,
    }


def _sides(games: pl.DataFrame) -> Sides:
    return {game["game_id"]: game for game in games.select("game_id", "game_date", "home", "away").to_dicts()}


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()
