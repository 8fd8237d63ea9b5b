"""The traps that each source is known for, one by one, on answers of their shapes."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import polars as pl
import pytest

from blocks.live_sources import LiveSettings
from blocks.warehouse import DayRange
from tasks.identity import TEAM_IDS, resolve_on_teams, season_of_game, season_type_of_game
from tasks.sources.base import Kind
from tasks.sources.live import balldontlie, directory, espn_rosters, injury_report, nba_box_scores, nba_schedule
from tasks.sources.live import odds_api as odds
from tasks.sources.live.web import Clock, NotData, Response, Web
from tests.leagues import DAY, GAME_ID, clean, eastern, game, table
from tests.sources.live import pages

NOW = eastern(DAY, 12)


def answer(document: Any, label: str = "site", site: str = "site") -> Response:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Response(site, label, "http://127.0.0.1/x", NOW, {}, body)


def a_game(**changes: Any) -> dict[str, Any]:
    """LAL at home to BOS on DAY at 10:30 PM Eastern, not begun."""
    found = {
        "gameId": GAME_ID,
        "gameStatus": 1,
        "gameStatusText": "10:30 pm ET",
        "gameDateEst": f"{DAY}T00:00:00Z",
        "gameDateTimeEst": f"{DAY}T22:30:00Z",
        "gameDateTimeUTC": "2025-12-30T03:30:00Z",
        "postponedStatus": "N",
        "homeTeam": {"teamId": TEAM_IDS["LAL"], "teamTricode": "LAL", "score": 0},
        "awayTeam": {"teamId": TEAM_IDS["BOS"], "teamTricode": "BOS", "score": 0},
    }
    return found | changes


def read_games(*games: dict[str, Any]) -> list[dict[str, Any]]:
    season = {"seasonYear": "2025-26", "gameDates": [{"gameDate": "12/29/2025", "games": list(games)}]}
    return nba_schedule.rows(answer({"leagueSchedule": season}), "f").to_dicts()


@pytest.mark.parametrize("utc", ["2025-12-30T03:30:00Z", None, ""])
def test_the_schedules_est_field_is_eastern_though_it_ends_in_z(utc: str | None) -> None:
    """10:30 PM in New York is 3:30 AM in UTC; read as UTC the game would be five hours early and over by night."""
    row = read_games(a_game(gameDateTimeUTC=utc))[0]
    assert dt.datetime.fromisoformat(row["tip_utc"]) == eastern(DAY, 22, 30)
    made = clean(Kind.SCHEDULE, table([game(tip_utc=row["tip_utc"], game_date=row["game_date"])]))
    assert made.rows["tip_off"][0] == eastern(DAY, 22, 30)


def test_a_game_under_way_has_a_score_but_no_result() -> None:
    sides = {"homeTeam": {"teamId": 1, "teamTricode": "LAL", "score": 51}}
    (row,) = read_games(a_game(gameStatus=2, **sides))
    assert (row["home_pts"], row["away_pts"], row["status"]) == (None, None, "scheduled")


def test_a_postponed_game_says_so_and_one_that_has_moved_stands_on_its_new_day() -> None:
    moved = a_game(gameDateEst="2026-02-03T00:00:00Z", gameDateTimeUTC="2026-02-04T00:30:00Z")
    postponed, later = read_games(a_game(postponedStatus="Y"), moved)
    assert (postponed["status"], postponed["game_date"]) == ("postponed", str(DAY))
    assert (later["status"], later["game_date"]) == ("scheduled", "2026-02-03")


def test_a_time_that_is_not_fixed_yet_is_no_midnight_tip_off() -> None:
    (row,) = read_games(a_game(gameStatusText="TBD", gameDateTimeUTC="2025-12-29T05:00:00Z"))
    assert row["tip_utc"] is None


def test_preseason_all_star_and_places_kept_for_unknown_teams_are_no_games() -> None:
    nobody = {"teamId": 0, "teamTricode": None, "score": 0}
    kept = read_games(
        a_game(gameId="0012500001"), a_game(gameId="0032500001"), a_game(gameId="0042500101", awayTeam=nobody), a_game()
    )
    assert [row["game_id"] for row in kept] == [GAME_ID]


@pytest.mark.parametrize(
    ("game_id", "season", "kind"),
    [
        ("0022500447", "2025-26", "regular"),
        ("0062500001", "2025-26", "cup"),
        ("0052400111", "2024-25", "play-in"),
        ("0042300405", "2023-24", "playoffs"),
        ("0029900001", "1999-00", "regular"),
        ("22500447", None, None),
        ("00２2500447", None, None),
        ("0092500447", "2025-26", None),
    ],
)
def test_a_game_id_says_season_and_kind(game_id: str, season: str | None, kind: str | None) -> None:
    assert (season_of_game(game_id), season_type_of_game(game_id)) == (season, kind)


def test_a_neutral_sites_matchup_is_not_believed() -> None:
    """In Paris both teams are "@" in the log: who is at home, and who the opponent is, stands in the schedule."""
    headers = pages.LOG_HEADERS
    values = dict.fromkeys(headers, 1) | {"GAME_ID": GAME_ID, "GAME_DATE": str(DAY), "PLAYER_NAME": "A B", "WL": "W"}
    rows = [
        [(values | {"TEAM_ABBREVIATION": team, "MATCHUP": "LAL @ BOS", "PLAYER_ID": n})[name] for name in headers]
        for n, team in enumerate(("LAL", "BOS"))
    ]
    log = {"resultSets": [{"name": "LeagueGameLog", "headers": headers, "rowSet": rows}]}
    games = pl.DataFrame({"game_id": [GAME_ID], "game_date": [str(DAY)], "home": ["LAL"], "away": ["BOS"]})
    found = nba_box_scores.rows(answer(log, nba_box_scores.LOG), Kind.PLAYER_BOX_SCORES, games, "f")
    assert found.select("team", "opponent", "is_home").rows() == [("LAL", "BOS", "true"), ("BOS", "LAL", "false")]


def test_who_did_not_play_has_no_statistics_though_the_box_score_shows_zeros() -> None:
    zeros = {"minutes": "", "points": 0, "fieldGoalsMade": 0, "threePointersMade": 0, "freeThrowsMade": 0}
    player = {"personId": 7, "firstName": "A", "familyName": "B", "position": "", "comment": "DNP", "statistics": zeros}
    played = player | {"personId": 8, "position": "F", "statistics": zeros | {"minutes": "PT35M22.00S", "points": 4}}
    side = {"teamTricode": "LAL", "players": [player, played], "statistics": {"points": 100}}
    box = {"gameId": GAME_ID, "homeTeam": side, "awayTeam": side | {"teamTricode": "BOS", "players": [player]}}
    response = answer({"boxScoreTraditional": box}, f"{nba_box_scores.GAME} {GAME_ID}")
    found = nba_box_scores.rows(response, Kind.PLAYER_BOX_SCORES, nba_box_scores.NO_GAMES, "f")
    assert found.select("player_id", "minutes", "pts", "started").rows()[:2] == [
        ("7", None, None, None),
        ("8", "PT35M22.00S", "4", "true"),
    ]


def test_a_log_row_that_is_out_of_step_with_its_header_is_refused() -> None:
    headers = pages.LOG_HEADERS
    log = {"resultSets": [{"name": "LeagueGameLog", "headers": headers, "rowSet": [[1] * (len(headers) + 1)]}]}
    games = pl.DataFrame({"game_id": [GAME_ID], "game_date": [str(DAY)], "home": ["LAL"], "away": ["BOS"]})
    found = nba_box_scores.rows(answer(log, nba_box_scores.LOG), Kind.PLAYER_BOX_SCORES, games, "f")
    refused = clean(Kind.PLAYER_BOX_SCORES, found).refused
    assert refused["reason"].to_list() == ["stands beyond the last column of the header"]


@pytest.mark.parametrize("team", ["GSW", "NOP", "NYK", "SAS", "UTA", "WAS"])
def test_espns_team_codes_lead_to_nbas(team: str) -> None:
    squad = [{"player_id": n, "player": f"Player Number{n}", "team": team, "position": "F"} for n in range(8)]
    players = pl.DataFrame(
        [{"player_id": row["player_id"], "player_name": row["player"], "team": team} for row in squad]
    )
    found = espn_rosters.rows([("f", answer(pages.roster(squad, team)))], players, {})
    assert found["team"].unique().to_list() == [espn_rosters.ESPN_CODES[team]]
    assert found["player_id"].to_list() == [str(n) for n in range(8)]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("Gary Trent Jr.", 1),
        ("GARYTRENTJR", 1),
        ("G. Trent", 1),
        ("Nikola Jokic", 2),
        ("N. Jokić", 2),
        ("Bub Carrington", 3),
        ("Hansen Yang", 4),
        ("Yang Hansen", 4),
        ("G. Payton", None),
        ("Somebody Else", None),
    ],
)
def test_spellings_meet_on_a_team_and_nobody_is_guessed(written: str, found: int | None) -> None:
    names = ["Gary Trent Jr.", "Nikola Jokić", "Carlton Carrington", "Yang Hansen", "Gary Payton II", "Gail Payton"]
    players = pl.DataFrame({"player_id": range(1, 7), "player_name": names, "team": ["MIL"] * 6})
    asked = pl.DataFrame({"player": [written], "team": ["MIL"]})
    assert resolve_on_teams(asked, players)["player_id"].item() == found


def test_a_player_who_changed_teams_is_found_by_his_full_name_and_never_by_an_initial() -> None:
    players = pl.DataFrame({"player_id": [1, 2], "player_name": ["Luka Dončić", "Luke Donner"], "team": ["DAL", "DAL"]})
    asked = pl.DataFrame({"player": ["Luka Doncic", "L. Doncic"], "team": ["LAL", "LAL"]})
    assert resolve_on_teams(asked, players)["player_id"].to_list() == [1, None]


def test_two_players_of_one_name_in_the_league_are_not_guessed_from_another_team() -> None:
    players = pl.DataFrame({"player_id": [1, 2], "player_name": ["Tim Smith"] * 2, "team": ["DAL", "BOS"]})
    asked = pl.DataFrame({"player": ["Tim Smith", "Tim Smith"], "team": ["LAL", "BOS"]})
    assert resolve_on_teams(asked, players)["player_id"].to_list() == [None, 2]


def _report(silent: tuple[str, ...] = (), listed: int = 40) -> bytes:
    rows = [
        {
            "player": f"First{n} Last{n} Jr.",
            "team": "LAL" if n % 2 else "BOS",
            "status": "OUT",
            "reason": "Left Knee; Sprain",
        }
        for n in range(listed)
    ]
    scheduled = {"game_date": DAY, "tip_utc": eastern(DAY, 22, 30), "home": "LAL", "away": "BOS"}
    return pages.injury_report([scheduled], rows, NOW, silent)


def test_the_reports_names_times_and_pages_are_read() -> None:
    report = injury_report.read(answer(_report()))
    assert report.reported_at == NOW
    assert len(report.listed) == 40
    assert report.listed[0] | {"player": None} == {
        "game_date": str(DAY),
        "player": None,
        "team": "Boston Celtics",
        "status": "Out",
        "reason": "Injury/Illness - Left Knee; Sprain",
        "reported_at": NOW.isoformat(),
    }
    assert {row["player"] for row in report.listed} == {f"First{n} Last{n} Jr." for n in range(40)}


def test_a_team_that_has_not_reported_is_not_a_healthy_team() -> None:
    response = answer(_report(silent=("LAL",)))
    assert {row["team"] for row in injury_report.read(response).listed} == {"Boston Celtics"}
    told = injury_report.notes(response, DayRange.on(DAY))
    assert told == ["NBA injury report: not yet submitted by Los Angeles Lakers"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"<html>403 Forbidden</html>", "no PDF"),
        (_report()[:-200], "breaks off"),
        (_report()[:900] + b"%%EOF", "damaged PDF|without text"),
        (b"%PDF-1.4 %%EOF", "damaged PDF|without text"),
        (pages._pdf([[(100, 500, "Practice schedule")]]), "no title"),
        (pages._pdf([[(100, 500, "Injury Report: 12/29/25 12:00 PM")]]), "no line with the headings Game Date"),
    ],
    ids=["a page", "truncated", "half of it", "empty", "another document", "no table"],
)
def test_what_is_no_whole_report_is_never_an_empty_one(body: bytes, told: str) -> None:
    with pytest.raises(NotData, match=told):
        injury_report.read(answer(body))


def test_a_report_with_a_page_missing_is_no_report() -> None:
    whole = _report()
    assert b"Page 3 of 3" in whole
    with pytest.raises(NotData, match="3 of 4 pages"):
        injury_report.read(answer(whole.replace(b"Page 3 of 3", b"Page 3 of 4")))


def test_both_forms_of_the_reports_address_are_tried_newest_first() -> None:
    """It changed once, in December 2025, and the 403 pages were taken for reports without players for nine days."""
    names = list(injury_report._names(eastern(DAY, 18, 7)))
    assert names[:2] == ["2025-12-29_06_00PM", "2025-12-29_05_45PM"]
    assert "2025-12-29_06PM" in names
    assert "2025-12-29_12PM" in names
    assert list(injury_report._names(eastern(DAY, 0, 20)))[1] == "2025-12-29_12_00AM"


def _odds(**changes: Any) -> Response:
    outcome = {"name": "Over", "description": "Gary Trent", "price": -110, "point": 12.5}
    market = {
        "key": "player_points",
        "last_update": f"{DAY}T17:00:00Z",
        "outcomes": [outcome, outcome | {"name": "Under", "price": -120}],
    }
    event = {
        "id": "e1",
        "commence_time": "2025-12-30T03:30:00Z",
        "home_team": "Los Angeles Lakers",
        "away_team": "Boston Celtics",
        "bookmakers": [{"key": "one", "markets": [market]}, {"key": "two", "markets": [market]}],
    }
    return answer(event | changes)


def test_a_late_games_line_belongs_to_its_eastern_day_and_each_book_keeps_its_own_number() -> None:
    found = odds.rows(_odds(), "f")
    assert found.select("game_date", "bookmaker", "line", "over_price", "under_price").rows() == [
        (str(DAY), "one", "12.5", "-110", "-120"),
        (str(DAY), "two", "12.5", "-110", "-120"),
    ]


def test_a_line_taken_during_the_game_is_refused_as_leakage() -> None:
    late = "2025-12-30T03:31:00Z"
    market = {
        "key": "player_points",
        "last_update": late,
        "outcomes": [{"name": "Over", "description": "LeBron James", "price": -110, "point": 24.5}],
    }
    found = odds.rows(_odds(bookmakers=[{"key": "one", "markets": [market]}]), "f")
    schedule = clean(Kind.SCHEDULE, table([game(tip_utc="2025-12-30T03:30:00Z")])).rows
    refused = clean(Kind.PROP_LINES, found.with_columns(player_id=pl.lit("2544")), schedule=schedule).refused
    assert refused["reason"].to_list() == ["is at or after tip-off: not a line but leakage"]


def test_an_outcome_that_is_neither_over_nor_under_is_refused() -> None:
    market = {
        "key": "player_points",
        "last_update": f"{DAY}T17:00:00Z",
        "outcomes": [{"name": "Yes", "description": "LeBron James", "price": -110, "point": 24.5}],
    }
    found = odds.rows(_odds(bookmakers=[{"key": "one", "markets": [market]}]), "f")
    assert clean(Kind.PROP_LINES, found).refused.select("field", "value").rows() == [("line", "Yes 24.5")]


def test_balldontlies_duplicates_are_refused_and_its_players_get_nbas_ids() -> None:
    games = [{"game_id": GAME_ID, "game_date": DAY, "home": "LAL", "away": "BOS", "home_pts": 100, "away_pts": 90}]
    line = dict.fromkeys(pages.COUNTS, 0) | {"plus_minus": 1, "minutes": 35.0, "game_id": GAME_ID}
    line |= {"team": "LAL", "player_id": 2544, "player_name": "LeBron James"}
    schedule = pl.DataFrame({"game_id": [GAME_ID], "game_date": [str(DAY)], "home": ["LAL"], "away": ["BOS"]})
    players = pl.DataFrame({"player_id": [2544], "player_name": ["LeBron James"], "team": ["LAL"]})
    response = answer(pages.balldontlie(games, [line, line]), balldontlie.LABEL, balldontlie.SITE)
    found = balldontlie.rows(response, Kind.PLAYER_BOX_SCORES, schedule, players, {}, "f")
    made = clean(Kind.PLAYER_BOX_SCORES, found)
    assert made.rows.select("player_id", "game_id", "minutes").rows() == [(2544, GAME_ID, 35.0)]
    assert made.refused["reason"].to_list() == ["repeats a row with the same game_id, player_id"]


def test_an_empty_list_on_a_game_day_is_an_error() -> None:
    settings = LiveSettings()
    web = Web(settings, Clock(lambda: NOW, lambda: 0.0, lambda _: None))
    with pytest.raises(NotData, match="not one game on 2025-12-29, though the schedule has some"):
        odds._events(answer([], "Odds API events"), DayRange.on(DAY))
    with pytest.raises(NotData, match="not one game in the season"):
        nba_schedule.games_of(answer({"leagueSchedule": {"seasonYear": "2025-26", "gameDates": []}}))
    with pytest.raises(NotData, match="not one points line"):
        odds.notes([_odds(bookmakers=[])])
    assert web.quota == {}
    empty = {"resultSets": [{"name": "PlayerIndex", "headers": list(directory._COLUMNS.values()), "rowSet": []}]}
    assert directory.indexed(answer(empty)).is_empty()
