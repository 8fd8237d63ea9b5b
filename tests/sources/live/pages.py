"""The sites' answers, made from the tables of a simulated league: their shapes, our facts, and a PDF by hand."""

from __future__ import annotations

import datetime as dt
import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from tasks.engine.plan import EASTERN
from tasks.identity import TEAM_IDS
from tasks.sources.live.espn_rosters import ESPN_CODES

FULL_NAMES = {
    "ATL": "Atlanta Hawks", "BOS": "Boston Celtics", "CLE": "Cleveland Cavaliers", "NOP": "New Orleans Pelicans",
    "CHI": "Chicago Bulls", "DAL": "Dallas Mavericks", "DEN": "Denver Nuggets", "GSW": "Golden State Warriors",
    "HOU": "Houston Rockets", "LAC": "LA Clippers", "LAL": "Los Angeles Lakers", "MIA": "Miami Heat",
    "MIL": "Milwaukee Bucks", "MIN": "Minnesota Timberwolves", "BKN": "Brooklyn Nets", "NYK": "New York Knicks",
    "ORL": "Orlando Magic", "IND": "Indiana Pacers", "PHI": "Philadelphia 76ers", "PHX": "Phoenix Suns",
    "POR": "Portland Trail Blazers", "SAC": "Sacramento Kings", "SAS": "San Antonio Spurs",
    "OKC": "Oklahoma City Thunder", "TOR": "Toronto Raptors", "UTA": "Utah Jazz", "MEM": "Memphis Grizzlies",
    "WAS": "Washington Wizards", "DET": "Detroit Pistons", "CHA": "Charlotte Hornets",
}  # fmt: skip
COUNTS = ("fgm", "fga", "fg3m", "fg3a", "ftm", "fta", "oreb", "dreb", "ast", "stl", "blk", "tov", "pf", "pts")
LOG_HEADERS = [
    *("SEASON_ID", "PLAYER_ID", "PLAYER_NAME", "TEAM_ID", "TEAM_ABBREVIATION", "TEAM_NAME", "GAME_ID", "GAME_DATE"),
    *("MATCHUP", "WL", "MIN", *(name.upper() for name in COUNTS), "PLUS_MINUS", "VIDEO_AVAILABLE"),
]
Rows = Sequence[dict[str, Any]]


def schedule(games: Rows, season: str, now: dt.datetime) -> dict[str, Any]:
    """`scheduleLeagueV2.json` as it would read at `now`: a game that has begun has a score, final or not."""
    dates: dict[dt.date, list[dict[str, Any]]] = {}
    for row in games:
        dates.setdefault(row["game_date"], []).append(_game(row, now))
    listed = [{"gameDate": f"{day:%m/%d/%Y} 00:00:00", "games": dates[day]} for day in sorted(dates)]
    return {"meta": {"version": 1}, "leagueSchedule": {"seasonYear": season, "leagueId": "00", "gameDates": listed}}


def _game(row: dict[str, Any], now: dt.datetime) -> dict[str, Any]:
    tip: dt.datetime = row["tip_utc"]
    called_off = row["status"] == "postponed" and (row["status_at"] is None or row["status_at"] <= now)
    begun, over = tip <= now, tip + dt.timedelta(hours=2, minutes=30) <= now
    status = 1 if called_off or not begun else 3 if over else 2
    local = tip.astimezone(EASTERN)

    def side(team: str, points: int | None) -> dict[str, Any]:
        score = points if status == 3 else 51 if status == 2 else 0
        return {"teamId": TEAM_IDS[team], "teamTricode": team, "teamName": FULL_NAMES[team], "score": score}

    return {
        "gameId": row["game_id"],
        "gameCode": f"{row['game_date']:%Y%m%d}/{row['away']}{row['home']}",
        "gameStatus": status,
        "gameStatusText": "PPD" if called_off else {1: f"{local:%I:%M %p} ET", 2: "Q3 4:12", 3: "Final"}[status],
        "gameDateEst": f"{row['game_date']}T00:00:00Z",
        "gameDateTimeEst": f"{local:%Y-%m-%dT%H:%M:%S}Z",  # Eastern, whatever the Z says
        "gameDateTimeUTC": f"{tip:%Y-%m-%dT%H:%M:%SZ}",
        "gameLabel": "",
        "postponedStatus": "Y" if called_off else "N",
        "isNeutral": False,
        "homeTeam": side(row["home"], row["home_pts"]),
        "awayTeam": side(row["away"], row["away_pts"]),
    }


def game_log(rows: Rows, who: str) -> dict[str, Any]:
    """`leaguegamelog` of players (P) or teams (T): only those who played, minutes whole."""
    headers = LOG_HEADERS if who == "P" else [name for name in LOG_HEADERS if not name.startswith("PLAYER")]
    found = []
    for row in rows:
        if not row["minutes"]:
            continue
        at = "vs." if row["is_home"] else "@"
        values = {
            "SEASON_ID": f"2{row['season'][:4]}",
            "PLAYER_ID": row.get("player_id"),
            "PLAYER_NAME": row.get("player_name"),
            "TEAM_ID": TEAM_IDS[row["team"]],
            "TEAM_ABBREVIATION": row["team"],
            "TEAM_NAME": FULL_NAMES[row["team"]],
            "GAME_ID": row["game_id"],
            "GAME_DATE": str(row["game_date"]),
            "MATCHUP": f"{row['team']} {at} {row['opponent']}",
            "WL": "W" if row["win"] else "L",
            "MIN": int(row["minutes"]),
            **{name.upper(): row[name] for name in COUNTS},
            "PLUS_MINUS": row["plus_minus"],
            "VIDEO_AVAILABLE": 1,
        }
        found.append([values[name] for name in headers])
    return {"resource": "leaguegamelog", "resultSets": [{"name": "LeagueGameLog", "headers": headers, "rowSet": found}]}


def box_score(players: Rows, teams: Rows, game_id: str) -> dict[str, Any]:
    """`boxscoretraditionalv3` of one game, with who did not play."""

    def statistics(row: dict[str, Any], clock: str) -> dict[str, Any]:
        names = {"fieldGoalsMade": "fgm", "fieldGoalsAttempted": "fga", "threePointersMade": "fg3m"}
        names |= {"threePointersAttempted": "fg3a", "freeThrowsMade": "ftm", "freeThrowsAttempted": "fta"}
        names |= {"reboundsOffensive": "oreb", "reboundsDefensive": "dreb", "assists": "ast", "steals": "stl"}
        names |= {"blocks": "blk", "turnovers": "tov", "foulsPersonal": "pf", "points": "pts"}
        counts = {theirs: row[ours] or 0 for theirs, ours in names.items()}
        return {"minutes": clock, **counts, "plusMinusPoints": float(row["plus_minus"] or 0)}

    def side(team: dict[str, Any]) -> dict[str, Any]:
        listed = []
        for row in players:
            if row["team"] != team["team"]:
                continue
            first, _, last = row["player_name"].partition(" ")
            played = bool(row["minutes"])
            listed.append(
                {
                    "personId": row["player_id"],
                    "firstName": first,
                    "familyName": last,
                    "position": "F" if row["started"] else "",
                    "comment": "" if played else "DNP - Coach's Decision",
                    "statistics": statistics(row, f"{int(row['minutes'])}:00" if played else ""),
                }
            )
        totals = statistics(team, f"{team['minutes']}:00")
        return {"teamId": TEAM_IDS[team["team"]], "teamTricode": team["team"], "players": listed, "statistics": totals}

    home, away = (next(row for row in teams if row["is_home"] == at_home) for at_home in (True, False))
    return {"boxScoreTraditional": {"gameId": game_id, "homeTeam": side(home), "awayTeam": side(away)}}


def player_index(players: Rows) -> dict[str, Any]:
    """`playerindex`: who is with which team."""
    headers = ["PERSON_ID", "PLAYER_LAST_NAME", "PLAYER_FIRST_NAME", "TEAM_ID", "TEAM_ABBREVIATION", "POSITION"]
    found = []
    for row in players:
        first, _, last = row["player"].partition(" ")
        found.append([row["player_id"], last, first, TEAM_IDS[row["team"]], row["team"], row["position"]])
    return {"resource": "playerindex", "resultSets": [{"name": "PlayerIndex", "headers": headers, "rowSet": found}]}


def roster(players: Rows, team: str) -> dict[str, Any]:
    """ESPN's roster of a team, with ESPN's own codes and ids."""
    athletes = [
        {
            "id": str(4_000_000 + row["player_id"] % 1_000_000),
            "fullName": row["player"],
            "position": {"abbreviation": row["position"]},
            "injuries": [],
            "status": {"name": "Active"},
        }
        for row in players
    ]
    code = ESPN_CODES.get(team, team)
    return {"team": {"id": "1", "abbreviation": code, "displayName": FULL_NAMES[team], "athletes": athletes}}


def events(games: Rows) -> list[dict[str, Any]]:
    """The Odds API's list of games."""
    return [_event(row) for row in games]


def _event(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"event{row['game_id']}",
        "sport_key": "basketball_nba",
        "commence_time": f"{row['tip_utc']:%Y-%m-%dT%H:%M:%SZ}",
        "home_team": FULL_NAMES[row["home"]],
        "away_team": FULL_NAMES[row["away"]],
    }


def odds(game: dict[str, Any], lines: Rows) -> dict[str, Any]:
    """The Odds API's points lines of a game: both sides of each number, by book."""
    books: dict[str, list[dict[str, Any]]] = {}
    updates: dict[str, str] = {}
    for row in lines:
        updates[row["bookmaker"]] = row["snapshot"].removesuffix("Z") + ":00Z"
        for side in ("over", "under"):
            if row[f"{side}_price"] is not None:
                outcome = {"name": side.title(), "description": row["player"], "price": row[f"{side}_price"]}
                books.setdefault(row["bookmaker"], []).append(outcome | {"point": row["line"]})
    listed = [
        {"key": book, "title": book.title(),
         "markets": [{"key": "player_points", "last_update": updates[book], "outcomes": outcomes}]}
        for book, outcomes in books.items()
    ]  # fmt: skip
    return _event(game) | {"bookmakers": listed}


def balldontlie(games: Rows, players: Rows) -> dict[str, Any]:
    """BallDontLie's box scores of a day."""

    def side(game: dict[str, Any], team: str) -> dict[str, Any]:
        lines = []
        for row in players:
            if row["game_id"] != game["game_id"] or row["team"] != team:
                continue
            first, _, last = row["player_name"].partition(" ")
            counts = {name: row[name] for name in COUNTS if name != "tov"} | {"turnover": row["tov"]}
            clock = f"{int(row['minutes'])}:00" if row["minutes"] else "00"
            person = {"id": row["player_id"] % 100_000, "first_name": first, "last_name": last}
            lines.append({"min": clock, **counts, "plus_minus": row["plus_minus"], "player": person})
        return {"id": 1, "abbreviation": team, "full_name": FULL_NAMES[team], "players": lines}

    data = [
        {
            "id": 18_000_000 + int(game["game_id"]) % 100_000,
            "date": str(game["game_date"]),
            "status": "Final",
            "home_team_score": game["home_pts"],
            "visitor_team_score": game["away_pts"],
            "home_team": side(game, game["home"]),
            "visitor_team": side(game, game["away"]),
        }
        for game in games
    ]
    return {"data": data, "meta": {"per_page": 100}}


def injury_report(games: Rows, listed: Rows, at: dt.datetime, silent: Iterable[str] = ()) -> bytes:
    """The official report as a PDF: a table whose game, matchup and team stand only where they change."""
    columns = (24, 120, 200, 265, 426, 587, 667)
    lines: list[list[str]] = []
    for number, game in enumerate(games):
        day = f"{game['game_date']:%m/%d/%Y}" if number == 0 else ""
        head = [day, f"{game['tip_utc'].astimezone(EASTERN):%I:%M} (ET)", f"{game['away']}@{game['home']}"]
        for team in (game["away"], game["home"]):
            name = FULL_NAMES[team]
            rows = [row for row in listed if row["team"] == team]
            if team in set(silent) or not rows:
                lines.append([*head, name, "", "", "NOT YET SUBMITTED"])
                head = ["", "", ""]
                continue
            for row in rows:
                first, _, last = row["player"].partition(" ")
                status = row["status"].title()
                lines.append([*head, name, f"{last}, {first}", status, f"Injury/Illness - {row['reason']}"])
                head, name = ["", "", ""], ""
    title = f"Injury Report: {at.astimezone(EASTERN):%m/%d/%y %I:%M %p}"
    heading = ["Game Date", "Game Time", "Matchup", "Team", "Player Name", "Current Status", "Reason"]
    a_page = 18
    chunks = [lines[n : n + a_page] for n in range(0, len(lines), a_page)] or [[]]
    pages = []
    for number, chunk in enumerate(chunks, 1):
        texts = [(289, 540, title), (398, 45, f"Page {number} of {len(chunks)}")]
        table = [heading, *chunk] if number == 1 else chunk
        for at_line, cells in enumerate(table):
            texts += [(x, 490 - 23 * at_line, cell) for x, cell in zip(columns, cells, strict=True) if cell]
        pages.append(texts)
    return _pdf(pages)


def _pdf(pages: Sequence[Sequence[tuple[int, int, str]]]) -> bytes:
    """A PDF of plain Helvetica text at given points."""
    objects: list[bytes] = []
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects.append(b"<< /Type /Catalog /Pages 2 0 R >>")
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    for n, texts in enumerate(pages):
        content = b"\n".join(f"BT /F1 8 Tf {x} {y} Td ({_escaped(text)}) Tj ET".encode() for x, y, text in texts)
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 842 595] /Contents {5 + 2 * n} 0 R "
        objects.append((page + "/Resources << /Font << /F1 3 0 R >> >> >>").encode())
        objects.append(f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream")
    body = b"%PDF-1.4\n"
    offsets = []
    for number, item in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n".encode() + item + b"\nendobj\n"
    xref = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = (
        f"xref\n0 {size}\n0000000000 65535 f \n{xref}trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n"
    )
    return body + trailer.encode() + b"%%EOF\n"


def _escaped(text: str) -> str:
    """Without diacritics, as the report has it."""
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def as_json(document: Any) -> bytes:
    """A document as a site sends it."""
    return json.dumps(document).encode()


def rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """A table's rows as dicts."""
    return frame.to_dicts()
