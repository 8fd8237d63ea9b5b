"""ESPN's rosters: thirty calls, one a team. A team that fails costs itself, and keeps its last roster."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import polars as pl

from tasks.engine.plan import EASTERN
from tasks.identity import TEAM_IDS
from tasks.sources.base import REQUIRED_COLUMNS, Kind, SourceError
from tasks.sources.live.directory import coverage, with_ids
from tasks.sources.live.shape import Found, Row, dig, envelope, frame, judge
from tasks.sources.live.web import NotData, Response, Unreachable, Web

LABEL = "ESPN roster"
PATH = "/apis/site/v2/sports/basketball/nba/teams/{code}"
# ESPN's own codes; every other team has NBA's.
ESPN_CODES = {"GSW": "GS", "NOP": "NO", "NYK": "NY", "SAS": "SA", "UTA": "UTAH", "WAS": "WSH"}
TEAMS = tuple(TEAM_IDS)
FEWEST_PLAYERS = 8  # a roster of fewer is a broken answer, not a team


class _Athlete(Found):
    id: str
    fullName: str


class _Team(Found):
    abbreviation: str
    athletes: list[Any]


class _Answer(Found):
    team: _Team


def fetch(web: Web, earlier: Sequence[Response]) -> tuple[list[Response], list[str]]:
    """Every team's roster now; where one cannot be had, that team's answer in `earlier`, as old as it is, and a note.

    Raises SourceError where not one team could be had.
    """
    answers = web.each(partial(_one, web), TEAMS)
    last = {answer.label: answer for answer in sorted(earlier, key=lambda item: item.fetched_at)}
    responses, said = [], []
    failures = [answer for answer in answers if isinstance(answer, SourceError)]
    if len(failures) == len(TEAMS):
        kind = Unreachable if all(isinstance(item, Unreachable) for item in failures) else NotData
        raise kind(f"ESPN rosters: not one of {len(TEAMS)} teams; {failures[0]}")
    for team, answer in zip(TEAMS, answers, strict=True):
        if isinstance(answer, Response):
            responses.append(answer)
            continue
        held = last.get(f"{LABEL} {team}")
        if held is not None:
            responses.append(held)
            said.append(f"{answer}; its roster of {held.fetched_at:%Y-%m-%d %H:%M} UTC stands in")
        else:
            said.append(f"{answer}; none is known from before")
    return responses, said


def rows(named: Iterable[tuple[str, Response]], players: pl.DataFrame, aliases: dict[str, str]) -> pl.DataFrame:
    """A row a player of each answer, as found, with NBA's id where the name leads to one."""
    found = pl.concat(_team_rows(response, file) for file, response in named)
    return with_ids(found, players, "player", aliases)


def _team_rows(response: Response, file: str) -> pl.DataFrame:
    team = envelope(response, _Answer).team
    taken = response.fetched_at.astimezone(EASTERN).date().isoformat()
    found: list[Row] = [
        {
            "snapshot_date": taken,
            "player": dig(athlete, "fullName"),
            "team": team.abbreviation,
            "position": dig(athlete, "position.abbreviation"),
        }
        for athlete in team.athletes
    ]
    return frame(found, REQUIRED_COLUMNS[Kind.ROSTERS], file)


def players_in(responses: Sequence[Response]) -> int:
    """How many players the answers list."""
    return sum(len(envelope(response, _Answer).team.athletes) for response in responses)


def notes(responses: Sequence[Response], table: pl.DataFrame) -> list[str]:
    """What is not as documented, and who is unknown. Raises NotData where that is most of it."""
    athletes = [item for response in responses for item in envelope(response, _Answer).team.athletes]
    return judge("ESPN rosters", "players", athletes, _Athlete) + coverage(table, "ESPN rosters")


def _one(web: Web, team: str) -> Response:
    code = ESPN_CODES.get(team, team).lower()
    label = f"{LABEL} {team}"
    response = web.get("espn", PATH.format(code=code), label=label, params={"enable": "roster"})
    assert response is not None
    found = envelope(response, _Answer).team
    if len(found.athletes) < FEWEST_PLAYERS:
        raise NotData(f"{label}: {len(found.athletes)} players, which is no roster")
    if found.abbreviation != ESPN_CODES.get(team, team):
        raise NotData(f"{label}: the answer is about {found.abbreviation}")
    _ = judge(label, "players", found.athletes, _Athlete)
    return response
