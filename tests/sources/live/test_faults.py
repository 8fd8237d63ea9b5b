"""What goes wrong on the web: for each fault what a person is told, what goes through, and that nothing is lost."""

from __future__ import annotations

import datetime as dt
import io
import json
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from blocks.landing import Landing
from blocks.warehouse import DayRange
from tasks.engine.faults import Fault as FaultClass
from tasks.engine.faults import fault_of
from tasks.sources.base import Kind, SourceError
from tasks.sources.live.source import LiveSource
from tasks.sources.live.web import NotData, Refused, SchemaChanged, Unreachable
from tests.leagues import clean
from tests.sources.live.conftest import GAP, NOW, TODAY
from tests.sources.live.sites import BALLDONTLIE_KEY, ODDS_KEY, Answer, Sites

Live = Callable[..., LiveSource]
ON = DayRange.on(TODAY)
FORBIDDEN = Answer(403, b"<!DOCTYPE html><title>Access Denied</title>", {"Content-Type": "text/html"})
PAGE = Answer(200, b"<!DOCTYPE html><title>Just a moment...</title>", {"Content-Type": "text/html"})


def rows(source: LiveSource, kind: Kind, days: DayRange = ON) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """What a fetch gives phase 2, and its notes."""
    payload = source.fetch(kind, days, NOW, NOW)
    return source.parse(payload.body, payload.name), payload.notes


def changed(change: Callable[[Any], Any]) -> Callable[[Answer], Answer]:
    """An answer whose document is changed."""
    return lambda answer: replace(answer, body=json.dumps(change(json.loads(answer.body))).encode())


def cut(answer: Answer) -> Answer:
    """Half an answer, sent as a whole one."""
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def dropped(answer: Answer) -> Answer:
    """Half an answer, and then the line goes dead."""
    return replace(answer, body=answer.body[: len(answer.body) // 2], headers={"X-Promised": str(len(answer.body))})


KIND_OF = {
    "scheduleLeagueV2": Kind.SCHEDULE,
    "espn/": Kind.ROSTERS,
    "injuries/": Kind.INJURY_REPORT,
    "odds/": Kind.PROP_LINES,
}


@pytest.mark.slow
@pytest.mark.parametrize("where", list(KIND_OF))
@pytest.mark.parametrize(
    "fault",
    [
        Answer(500, b"oops"),
        Answer(503, b"", {"Retry-After": "2"}),
        Answer(429, b"slow down", {"Retry-After": "3"}),
        Answer(0),
        dropped,
    ],
    ids=["500", "503", "429 with Retry-After", "line cut", "breaks off"],
)
def test_what_passes_is_waited_out_and_nobody_notices(live: Live, sites: Sites, where: str, fault: Any) -> None:
    sites.break_(where, fault, times=2)
    found, notes = rows(live(), KIND_OF[where])
    assert found.height > 0
    assert not [note for note in notes if "answered" in note or "reached" in note]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["espn/", "injuries/", "odds/"])
@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        (Answer(500, b"oops"), Unreachable, "answered 500; 4 attempts"),
        (Answer(0), Unreachable, "cannot be reached"),
        (PAGE, NotData, "DOCTYPE"),
        (cut, NotData, "breaks off"),
        (Answer(200, b""), NotData, "nothing in it"),
        (Answer(401, b"{}"), Refused, "key is missing or not accepted"),
    ],
    ids=["500", "line cut", "a page", "half a file", "empty", "401"],
)
def test_what_does_not_pass_is_an_error_that_says_which_site_and_what_it_sent(
    live: Live, sites: Sites, where: str, fault: Any, error: type[SourceError], told: str
) -> None:
    sites.break_(where, fault)
    with pytest.raises(SourceError, match=told) as caught:
        rows(live(), KIND_OF[where])
    assert {"espn/": "ESPN", "injuries/": "injury report", "odds/": "Odds API"}[where] in str(caught.value)
    if where != "espn/":  # thirty teams that fail are one error of their own
        assert isinstance(caught.value, error)
        passing = error is not Refused
        assert fault_of(caught.value) == (FaultClass.TRANSIENT if passing else FaultClass.PERMANENT)


def test_a_refusal_is_not_asked_for_again(live: Live, sites: Sites) -> None:
    sites.break_("odds/", FORBIDDEN)
    with pytest.raises(Refused, match="answered 403"):
        rows(live(), Kind.PROP_LINES)
    assert sites.count("odds/") == 1


def test_a_site_that_asks_for_an_hour_of_peace_gets_it(live: Live, sites: Sites) -> None:
    sites.break_("odds/", Answer(429, b"", {"Retry-After": "3600"}))
    with pytest.raises(Unreachable, match="asks to be left alone for 3600 s"):
        rows(live(), Kind.PROP_LINES)
    assert sites.count("odds/") == 1


def test_a_slow_site_is_given_up_after_the_time_out(live: Live, sites: Sites) -> None:
    released = threading.Event()

    def held(answer: Answer) -> Answer:
        released.wait(30)
        return answer

    sites.break_("odds/", held)
    source = live(timeout_s=0.05, attempts=2)
    try:
        with pytest.raises(Unreachable, match=r"cannot be reached \(ReadTimeout.*2 attempts"):
            rows(source, Kind.PROP_LINES)
    finally:
        released.set()


@pytest.mark.slow
def test_one_team_that_fails_costs_itself_and_keeps_its_last_roster(live: Live, sites: Sites, landing: Landing) -> None:
    source = live()
    landing.put(source.fetch(Kind.ROSTERS, ON, NOW, NOW))
    whole = clean(Kind.ROSTERS, rows(source, Kind.ROSTERS)[0], [TODAY]).rows
    tomorrow = TODAY + dt.timedelta(days=1)
    sites.now = NOW + dt.timedelta(days=1)
    sites.break_("teams/mia", Answer(500, b"oops"))
    source = live()
    payload = source.fetch(Kind.ROSTERS, DayRange.on(tomorrow), sites.now, sites.now)
    found = clean(Kind.ROSTERS, source.parse(payload.body, payload.name), [tomorrow]).rows
    assert len(payload.notes) == 1
    assert "ESPN roster MIA" in payload.notes[0]
    assert "its roster of 2025-12-29 17:20 UTC stands in" in payload.notes[0]
    ages = dict(found.group_by("team").agg(pl.col("age_days").max()).iter_rows())
    assert ages == {team: int(team == "MIA") for team in whole["team"].unique()}
    assert found.filter(team="MIA").height == whole.filter(team="MIA").height


def test_one_team_that_fails_with_no_roster_from_before_loses_no_other(live: Live, sites: Sites) -> None:
    sites.break_("teams/mia", PAGE)
    found, notes = rows(live(), Kind.ROSTERS)
    assert found["team"].n_unique() == 29
    assert len(notes) == 1
    assert "ESPN roster MIA: a page, not data" in notes[0]
    assert notes[0].endswith("none is known from before")


def test_one_game_without_odds_loses_no_other(live: Live, sites: Sites) -> None:
    game = sites._games()["game_id"][0]
    sites.break_(f"event{game}", Answer(404, b"{}"))
    found, notes = rows(live(), Kind.PROP_LINES)
    assert found.select("home_team", "away_team").n_unique() == 10
    assert len(notes) == 1
    assert "answered 404" in notes[0]


def _add_columns(document: Any) -> Any:
    if isinstance(document, dict):
        return {"added": {"by": ["the", "site"]}} | {name: _add_columns(value) for name, value in document.items()}
    return [_add_columns(item) for item in document] if isinstance(document, list) else document


@pytest.mark.slow
@pytest.mark.parametrize("where", ["scheduleLeagueV2", "espn/", "odds/", "stats/"])
def test_new_fields_change_nothing(live: Live, sites: Sites, where: str) -> None:
    kind, days = (Kind.PLAYER_BOX_SCORES, GAP) if where == "stats/" else (KIND_OF[where], ON)
    before, _ = rows(live(), kind, days)
    sites.break_(where, changed(_add_columns))
    after, notes = rows(live(), kind, days)
    assert after.drop("_file").equals(before.drop("_file"))
    assert notes == ()


def _renamed(old: str, new: str) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, body=answer.body.replace(f'"{old}"'.encode(), f'"{new}"'.encode()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "kind", "old", "told"),
    [
        ("scheduleLeagueV2", Kind.SCHEDULE, "teamTricode", "homeTeam.teamTricode: Field required"),
        ("scheduleLeagueV2", Kind.SCHEDULE, "gameDates", "leagueSchedule.gameDates: Field required"),
        ("espn/", Kind.ROSTERS, "fullName", "fullName: Field required"),
        ("espn/", Kind.ROSTERS, "athletes", "team.athletes: Field required"),
        ("/odds?", Kind.PROP_LINES, "point", "point: Field required"),
        ("/odds?", Kind.PROP_LINES, "last_update", "last_update: Field required"),
        ("leaguegamelog", Kind.PLAYER_BOX_SCORES, "PTS", "no column PTS"),
        ("leaguegamelog", Kind.TEAM_BOX_SCORES, "rowSet", "resultSets.0.rowSet: Field required"),
    ],
)
def test_a_renamed_field_is_named_and_never_a_column_of_nothing(
    live: Live, sites: Sites, where: str, kind: Kind, old: str, told: str
) -> None:
    sites.break_(where, _renamed(old, "renamed"))
    sites.break_("stats/scheduleleaguev2", Answer(500, b""))
    sites.break_("stats/boxscore", Answer(500, b""))
    with pytest.raises(SourceError, match=told) as caught:
        rows(live(balldontlie_key=None, attempts=1), kind, GAP if "box" in kind else ON)
    if where != "espn/":
        assert isinstance(caught.value, SchemaChanged)
        assert fault_of(caught.value) == FaultClass.PERMANENT


@pytest.mark.slow
def test_rows_sent_twice_and_in_another_order_are_the_same_rows(live: Live, sites: Sites) -> None:
    """Duplicates are refused by name where the second could be another fact, and merged where it is the same number."""
    before = {kind: clean(kind, rows(live(), kind)[0], [TODAY]).rows for kind in (Kind.SCHEDULE, Kind.ROSTERS)}
    lines = rows(live(), Kind.PROP_LINES)[0]

    def twice(value: Any) -> Any:
        if isinstance(value, list):
            return [twice(item) for item in reversed([*value, *value])]
        return {name: twice(item) for name, item in value.items()} if isinstance(value, dict) else value

    for where in ("scheduleLeagueV2", "espn/", "odds/"):
        sites.break_(where, changed(twice))
    for kind, expected in before.items():
        made = clean(kind, rows(live(), kind)[0], [TODAY])
        key = "game_id" if kind == Kind.SCHEDULE else "player_id"
        assert made.rows.sort(key).equals(expected.sort(key))
        assert made.refused["reason"].str.starts_with("repeats a row").all()
    again = rows(live(), Kind.PROP_LINES)[0]
    key = ["home_team", "player", "bookmaker", "line"]
    assert again.drop("_row", "_file").sort(key).equals(lines.drop("_row", "_file").sort(key))


def test_a_few_broken_entities_are_noted_and_refused_and_the_others_go_through(live: Live, sites: Sites) -> None:
    def spoil(document: Any) -> Any:
        today = next(day for day in document["leagueSchedule"]["gameDates"] if day["gameDate"].startswith("12/29/2025"))
        today["games"][0]["homeTeam"]["teamTricode"] = 42
        del today["games"][1]["awayTeam"]
        return document

    sites.break_("scheduleLeagueV2", changed(spoil))
    found, notes = rows(live(), Kind.SCHEDULE)
    made = clean(Kind.SCHEDULE, found, [TODAY])
    assert made.rows.height == 9
    assert made.refused.select("field", "value").rows() == [("home", "42"), ("away", None)]
    assert len(notes) == 1
    assert "2 of 1" in notes[0]


@pytest.mark.slow
def test_where_nbas_statistics_fail_the_second_source_takes_over_and_gives_the_same_results(
    live: Live, sites: Sites
) -> None:
    days = [GAP.first + dt.timedelta(days=n) for n in range(2)] if GAP.first else []
    kept = {
        kind: clean(kind, rows(live(), kind, GAP)[0], days).rows
        for kind in (Kind.PLAYER_BOX_SCORES, Kind.TEAM_BOX_SCORES)
    }
    sites.break_("stats/leaguegamelog", Answer(500, b""))
    sites.break_("stats/boxscore", Answer(500, b""))
    for kind, expected in kept.items():
        found, notes = rows(live(attempts=1), kind, GAP)
        made = clean(kind, found, days)
        same = [name for name in expected.columns if name not in ("started", "minutes", "plus_minus")]
        played = made.rows.filter(pl.col("points").is_not_null())
        key = [name for name in ("game_id", "team_id", "player_id") if name in same]
        assert played.select(same).sort(key).equals(expected.select(same).sort(key))
        assert any("answered 500" in note for note in notes)
        assert any("BallDontLie box scores stand in for" in note for note in notes)


@pytest.mark.slow
def test_where_both_answer_they_are_compared_and_a_difference_is_told(live: Live, sites: Sites) -> None:
    assert rows(live(), Kind.PLAYER_BOX_SCORES, GAP)[1] == ()

    def other(document: Any) -> Any:
        line = next(line for line in document["data"][0]["home_team"]["players"] if line["min"] != "00")
        line["pts"] += 3
        line["fg3m"] += 1
        return document

    sites.break_("balldontlie/", changed(other))
    found, notes = rows(live(), Kind.PLAYER_BOX_SCORES, GAP)
    assert len(notes) == 1
    assert notes[0].startswith("NBA and BallDontLie differ on 1 of ")
    assert clean(Kind.PLAYER_BOX_SCORES, found, [TODAY - dt.timedelta(days=1)]).rows.height > 0


@pytest.mark.slow
def test_a_log_without_rows_is_made_good_game_by_game(live: Live, sites: Sites) -> None:
    """The statistics at times answer 200 with no rows."""

    def emptied(document: Any) -> Any:
        document["resultSets"][0]["rowSet"] = []
        return document

    days = [GAP.first + dt.timedelta(days=n) for n in range(2)] if GAP.first else []
    expected = clean(Kind.PLAYER_BOX_SCORES, rows(live(), Kind.PLAYER_BOX_SCORES, GAP)[0], days).rows
    sites.break_("leaguegamelog", changed(emptied))
    found, notes = rows(live(), Kind.PLAYER_BOX_SCORES, GAP)
    made = clean(Kind.PLAYER_BOX_SCORES, found, days).rows.filter(pl.col("minutes") > 0)
    assert notes == ()
    assert (
        made.drop("started").sort("game_id", "player_id").equals(expected.drop("started").sort("game_id", "player_id"))
    )


@pytest.mark.slow
def test_where_nothing_gives_a_games_box_score_its_absence_is_told_and_the_others_are_there(
    live: Live, sites: Sites
) -> None:
    gone = sites._over(Kind.PLAYER_BOX_SCORES).filter(pl.col("game_date") == GAP.last)["game_id"][0]

    def without(document: Any) -> Any:
        document["resultSets"][0]["rowSet"] = [row for row in document["resultSets"][0]["rowSet"] if gone not in row]
        return document

    sites.break_("leaguegamelog", changed(without))
    sites.break_(f"GameID={gone}", Answer(500, b""))
    found, notes = rows(live(balldontlie_key=None, attempts=1), Kind.PLAYER_BOX_SCORES, GAP)
    assert gone not in found["game_id"].to_list()
    assert found["game_id"].n_unique() > 3
    assert any("1 of" in note and "finished games are missing" in note for note in notes)


def test_the_quota_is_never_used_up(live: Live, sites: Sites) -> None:
    sites.remaining = 30
    with pytest.raises(Refused, match="30 requests of the month's quota are left and 11 games cost 11, with 20 held"):
        rows(live(), Kind.PROP_LINES)
    assert sites.remaining == 30
    assert rows(live(odds_reserve=10), Kind.PROP_LINES)[0].height > 0


def test_no_key_is_in_a_payload_an_address_or_an_error(live: Live, sites: Sites, landing: Landing) -> None:
    source = live()
    for kind, days in ((Kind.PROP_LINES, ON), (Kind.PLAYER_BOX_SCORES, GAP)):
        with zipfile.ZipFile(io.BytesIO(source.fetch(kind, days, NOW, NOW).body)) as archive:
            for name in archive.namelist():
                assert ODDS_KEY.encode() not in archive.read(name)
                assert BALLDONTLIE_KEY.encode() not in archive.read(name)
    sites.break_("odds/", Answer(401, b'{"message": "key odds-key-1234 is not valid"}'))
    with pytest.raises(Refused) as caught:
        rows(live(), Kind.PROP_LINES)
    assert ODDS_KEY not in str(caught.value)


@pytest.mark.slow
def test_what_has_not_changed_is_not_sent_again(live: Live, sites: Sites, landing: Landing) -> None:
    landing.put(live().fetch(Kind.SCHEDULE, ON, NOW, NOW))
    before = rows(live(), Kind.SCHEDULE)[0]
    asked = [headers.get("If-None-Match") for headers in sites.headers]
    assert asked[0] is None
    assert asked[1] is not None
    assert before.height == 11


def test_a_player_whom_nobody_knows_is_told_by_name_and_an_alias_finds_him(live: Live, sites: Sites) -> None:
    known = sites._squads().row(0, named=True)

    def renamed(answer: Answer) -> Answer:
        return replace(answer, body=answer.body.replace(known["player"].encode(), b"Totally Else"))

    sites.break_("espn/", renamed)
    found, notes = rows(live(), Kind.ROSTERS)
    assert notes == (f"ESPN rosters: 1 of {found.height} names lead to no NBA player: Totally Else ({known['team']})",)
    refused = clean(Kind.ROSTERS, found, [TODAY]).refused
    assert refused.select("field", "value").rows() == [("player_id", f"Totally Else ({known['team']})")]
    found, notes = rows(live(aliases={"Totally Else": known["player"]}), Kind.ROSTERS)
    assert notes == ()
    assert str(known["player_id"]) in found["player_id"].to_list()


@pytest.mark.slow
def test_a_source_most_of_whose_names_lead_nowhere_is_not_believed(live: Live, sites: Sites) -> None:
    sites.break_("espn/", lambda answer: replace(answer, body=answer.body.replace(b'"fullName": "', b'"fullName": "X')))
    with pytest.raises(NotData, match="at least 85% must"):
        rows(live(), Kind.ROSTERS)


def test_without_the_player_index_names_are_looked_up_in_the_history(live: Live, sites: Sites) -> None:
    sites.break_("playerindex", FORBIDDEN)
    source = live()
    found, notes = rows(source, Kind.ROSTERS)
    assert any("names are looked up among the players of the history alone" in note for note in notes)
    assert found["player_id"].cast(pl.Int64, strict=False).is_not_null().mean() > 0.85  # type: ignore[operator]
    rows(source, Kind.INJURY_REPORT)
    assert sites.count("playerindex") == 1
