"""BallDontLie's box scores: the second source, which takes over where NBA's fail and is compared with them else."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from tasks import parsing
from tasks.identity import season_of_game, season_type_of_game, team_code
from tasks.sources.base import REQUIRED_COLUMNS, Kind
from tasks.sources.live.directory import with_ids
from tasks.sources.live.shape import Found, Row, dig, envelope, frame, items, judge
from tasks.sources.live.web import NotData, Refused, Response, Web

SITE = "balldontlie"
LABEL = "BallDontLie box scores"
PATH = "/v1/box_scores"
FINAL = "Final"
_COUNTS = {
    name: name
    for name in ("fgm", "fga", "fg3m", "fg3a", "ftm", "fta", "oreb", "dreb", "ast", "stl", "blk", "pf", "pts")
} | {"tov": "turnover"}
COMPARED = ("pts", "fgm", "fg3m", "ftm", "oreb", "dreb", "ast")
NO_TIME = ("", "0", "00", "0:00", "00:00")


class _Person(Found):
    id: int
    first_name: str
    last_name: str


class _Line(Found):
    min: str | None
    fgm: int | None
    fg3m: int | None
    ftm: int | None
    pts: int | None
    player: _Person


class _Side(Found):
    abbreviation: str
    players: list[Any]


class _Game(Found):
    date: str
    status: str
    home_team_score: int
    visitor_team_score: int
    home_team: _Side
    visitor_team: _Side


class _Answer(Found):
    data: list[Any]


def fetch(web: Web, day: dt.date) -> Response:
    """Every box score of a game day. Raises SourceError without a key, or for a day without a game."""
    if web.settings.balldontlie_key is None:
        raise Refused(f"{LABEL}: no key; set balldontlie_key (docs/sources.md)")
    response = web.get(
        SITE,
        PATH,
        label=f"{LABEL} {day}",
        params={"date": day.isoformat()},
        headers={"Authorization": web.settings.balldontlie_key.get_secret_value()},
    )
    assert response is not None
    if not _final(response):
        raise NotData(f"{response.label}: not one finished game, though the schedule has some")
    return response


def rows(
    response: Response, kind: Kind, games: pl.DataFrame, players: pl.DataFrame, aliases: dict[str, str], file: str
) -> pl.DataFrame:
    """A row a player or team and game, as found. `games` gives the game ids, which this source has none of NBA's."""
    ids = {(game["game_date"], game["home"], game["away"]): game["game_id"] for game in games.to_dicts()}
    found: list[Row] = []
    for game in _final(response):
        home, away = (_code(dig(game, f"{side}.abbreviation")) for side in ("home_team", "visitor_team"))
        game_id = ids.get((dig(game, "date"), home, away))
        shared: Row = {
            "game_id": game_id,
            "game_date": dig(game, "date"),
            "season": season_of_game(game_id or ""),
            "season_type": season_type_of_game(game_id or ""),
        }
        scores = dig(game, "home_team_score"), dig(game, "visitor_team_score")
        for side, team, opponent, own, other in (
            ("home_team", home, away, *scores),
            ("visitor_team", away, home, *scores[::-1]),
        ):
            mine = shared | {
                "team": team,
                "opponent": opponent,
                "is_home": str(side == "home_team").lower(),
                "win": _won(own, other),
            }
            lines = items(game[side].get("players")) if isinstance(game.get(side), dict) else []
            found += (
                [mine | _team(lines, own)] if kind == Kind.TEAM_BOX_SCORES else [mine | _player(line) for line in lines]
            )
    table = frame(found, (*REQUIRED_COLUMNS[kind],), file)
    return table if kind == Kind.TEAM_BOX_SCORES else with_ids(table, players, "player_name", aliases)


def notes(response: Response) -> list[str]:
    """What is not as documented. Raises NotData where that is most of it."""
    games = _final(response)
    said = judge(response.label, "games", games, _Game)
    lines = [
        line
        for game in games
        for side in ("home_team", "visitor_team")
        for line in items(_side(game, side).get("players"))
    ]
    return said + judge(response.label, "player lines", lines, _Line)


def differences(nba: pl.DataFrame, other: pl.DataFrame) -> list[str]:
    """What the two sources say differently about the same players and games, both rows as found; in one note."""
    key = ["game_id", "player_id"]

    def numbers(table: pl.DataFrame, mark: str) -> pl.DataFrame:
        played = table.filter(parsing.minutes("minutes", pl.String()) > 0).unique(
            key, keep="first", maintain_order=True
        )
        return played.select(
            *key,
            "player_name",
            *(parsing.number(name, pl.String(), pl.Int64()).alias(f"{name}{mark}") for name in COMPARED),
        )

    both = numbers(nba, "").join(numbers(other, "~"), on=key)
    differing = both.filter(pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}~")) for name in COMPARED))
    if both.is_empty():
        return ["NBA and BallDontLie have not one player line in common to compare"]
    if differing.is_empty():
        return []
    shown = "; ".join(
        f"{row['player_name']} "
        + ", ".join(f"{name} {row[name]} / {row[f'{name}~']}" for name in COMPARED if row[name] != row[f"{name}~"])
        for row in differing.head(5).to_dicts()
    )
    return [f"NBA and BallDontLie differ on {differing.height} of {both.height} player lines: {shown}"]


def _final(response: Response) -> list[Any]:
    games = envelope(response, _Answer).data
    return [game for game in games if (dig(game, "status") or "").startswith(FINAL)]


def _side(game: Any, side: str) -> dict[str, Any]:
    found = game.get(side)
    return found if isinstance(found, dict) else {}


def _code(text: str | None) -> str | None:
    return pl.select(team_code(pl.lit(text, dtype=pl.String))).item()


def _won(own: str | None, other: str | None) -> str | None:
    if own is None or other is None or not (own.isdecimal() and other.isdecimal()):
        return None
    return str(int(own) > int(other)).lower()


def _team(lines: list[Any], points: str | None) -> Row:
    """The points, and the players' counts summed where they come to them: this source has no team totals."""
    played = [row for row in map(_player, lines) if "minutes" in row]
    totals: Row = {"pts": points}
    for name in _COUNTS:
        counts = [row[name] or "" for row in played]
        if not counts or not all(count.isdecimal() for count in counts):
            return {"pts": points}
        totals[name] = str(sum(map(int, counts)))
    return totals if totals["pts"] == points else {"pts": points}


def _player(line: Any) -> Row:
    first, last, minutes = dig(line, "player.first_name"), dig(line, "player.last_name"), dig(line, "min")
    name = " ".join(filter(None, (first, last)))
    if (minutes or "").strip() in NO_TIME:
        return {"player_name": name}
    counts = {ours: dig(line, theirs) for ours, theirs in _COUNTS.items()}
    return {"player_name": name, "minutes": minutes, "plus_minus": dig(line, "plus_minus")} | counts
