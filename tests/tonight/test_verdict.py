"""Is tonight fine: the answer at any hour, one cause told once, and nothing called fine that nobody could count."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from flows.home import home_of, options_of
from tasks.engine.expected import GameDay
from tasks.engine.incidents import Incident, IncidentKind
from tasks.engine.ledger import State
from tasks.engine.processor import Mode
from tasks.tonight.compose import tonight
from tasks.tonight.gathering import Facts, tonight_of
from tasks.tonight.snapshot import Level, Stamp
from tests.leagues import DAY
from tests.tonight.nights import at, days, manifest, night, run

LATE_INCIDENT = Incident(
    kind=IncidentKind.DEADLINE_MISSED,
    subject="publication",
    mode=Mode.SAME_DAY,
    game_day=DAY,
    what="publication is LATE",
    since=at(13, 30),
    impact="2 games.",
    next_step="python -m flows.daily --mode same_day",
)


def test_a_complete_night_is_fine_and_says_how_long_before_the_deadline() -> None:
    found = tonight(night(at(13), manifest=manifest(at(12, 41))))
    assert found.verdict.level == Level.FINE
    assert "100 of 100 predictions" in found.verdict.says
    assert "49 minutes before the deadline" in found.verdict.says
    assert found.troubles == ()
    assert found.left == dt.timedelta(minutes=30)


def test_before_its_hour_nothing_is_due_and_that_is_fine() -> None:
    found = tonight(night(at(9), State.NOT_DUE))
    assert (found.verdict.level, found.rows) == (Level.FINE, 0)
    assert "Nothing is due yet" in found.verdict.says
    assert "Mon Dec 29, 12:30 PM ET" in found.verdict.says


def test_a_run_at_work_is_on_its_way() -> None:
    states = {"ml_feature_store": State.RUNNING, "predictions": State.EXPECTED, "publication": State.EXPECTED}
    found = tonight(night(at(12, 50), states))
    assert found.verdict.level == Level.FINE
    assert "precompute at work" in found.verdict.says
    assert "in 40 minutes" in found.verdict.says


@pytest.mark.parametrize(
    ("output", "state", "hour", "level"),
    [
        ("predictions", State.FAILED, 12, Level.FAILING),
        ("predictions", State.BLOCKED, 12, Level.FAILING),
        ("predictions", State.LATE, 14, Level.FAILING),
        ("predictions", State.PARTIAL, 12, Level.DEGRADED),  # there is time left
        ("predictions", State.PARTIAL, 14, Level.FAILING),
        ("predictions", State.DEGRADED, 14, Level.DEGRADED),
        ("upcoming_team_game_context", State.FAILED, 12, Level.DEGRADED),  # the gate can do without it
    ],
)
def test_how_bad_a_state_is_depends_on_whether_the_night_can_do_without(
    output: str, state: State, hour: int, level: Level
) -> None:
    assert tonight(night(at(hour), {output: state})).verdict.level == level


def test_one_cause_is_one_trouble_and_what_waits_for_it_is_counted() -> None:
    late = [
        "upcoming_player_game_context",
        "player_composite_factors",
        "ml_feature_store",
        "predictions",
        "publication",
    ]
    found = tonight(night(at(14), dict.fromkeys(late, State.LATE)))
    [trouble] = found.troubles
    assert trouble.title == "Analytics: upcoming_player_game_context is LATE"
    assert trouble.impact == "4 more outputs wait for it."
    assert trouble.next_step == f"python -m flows.daily --mode same_day --game-day {DAY}"
    assert trouble.runbook.endswith("#state-late")
    assert found.verdict.level.exit_code == 2


def test_what_an_open_incident_says_is_not_said_twice_and_a_resolved_one_is_only_a_mark() -> None:
    states = {"predictions": State.LATE, "publication": State.LATE}
    [trouble] = tonight(night(at(14), states, incidents=[(LATE_INCIDENT, at(13, 30), None)])).troubles
    assert trouble.title == "Deadline missed: publication"
    healed = night(at(14), manifest=manifest(at(13, 20)), incidents=[(LATE_INCIDENT, at(13, 30), at(13, 40))])
    found = tonight(healed)
    assert found.verdict.level == Level.FINE
    assert [mark.kind for mark in found.marks] == ["deadline", "tip-off", "published", "opened", "resolved"]


def test_a_label_of_the_publication_degrades_the_night_with_its_reasons() -> None:
    found = tonight(night(at(13), manifest=manifest(at(12, 41), degraded=True, reasons=("no injury report",))))
    assert (found.verdict.level, found.troubles[0].what) == (Level.DEGRADED, "no injury report")


def test_publishing_late_is_told_unless_the_day_was_only_replayed() -> None:
    late = night(at(15), manifest=manifest(at(14, 30)))
    assert "Published 60 minutes after the deadline" in tonight(late).verdict.says
    replay = night(
        at(15, days=30),
        days=days(seen_at=at(14, days=30)),
        manifest=manifest(at(14, days=30)),
        runs=[run("predictions", at(14, days=30))],
    )
    found = tonight(replay)
    assert (found.replayed, found.left, found.verdict.level) == (True, None, Level.FINE)


def test_a_phase_made_by_other_code_than_the_rest_is_seen() -> None:
    runs = [
        run("upcoming_player_game_context", at(12, 31), fingerprint="41+aaaaaaaaaaaa"),
        run("predictions", at(12, 33)),
    ]
    found = tonight(night(at(13), manifest=manifest(at(12, 41)), runs=runs))
    assert found.verdict.says.endswith("Wrong code: phase analytics.")
    assert [stamp.matches for stamp in found.stamps] == [False, True, True]


def test_a_refused_worker_is_wrong_code_whatever_its_number_says() -> None:
    stamp = Stamp(
        who="precompute", what="worker of pool", release="42", expected="42", refused="manifest.role: analytics"
    )
    found = tonight(night(at(12, 31), State.NOT_DUE, stamps=[stamp]))
    assert (found.verdict.level, found.troubles[0].what) == (Level.DEGRADED, "manifest.role: analytics")


def test_what_cannot_be_read_is_never_fine() -> None:
    found = tonight(night(at(13), manifest=manifest(at(12, 41)), unreadable=("the ledger cannot be read: disk full",)))
    assert found.verdict.level == Level.FAILING
    assert "The ledger cannot be read: disk full" in found.verdict.says
    assert found.troubles[0].runbook.endswith("#ledger-unreadable")


def test_nothing_has_ever_run_is_said_and_is_not_fine() -> None:
    found = tonight(Facts(DAY, at(12), "a test", ever_run=False))
    assert (found.verdict.level, found.verdict.says[:23]) == (Level.FAILING, "Nothing has ever run he")


def test_a_day_that_nobody_has_looked_at_is_not_a_day_without_games() -> None:
    facts = Facts(DAY + dt.timedelta(days=9), at(12, days=9), "a test", days=days(), last_known=DAY)
    found = tonight(facts)
    assert (found.verdict.level, found.verdict.next_step[:21]) == (Level.FAILING, "python -m flows.daily")
    assert f"the last game day known here is {DAY}" in found.verdict.says
    tomorrow = tonight(replace(facts, now=at(12, days=8)))
    assert (tomorrow.verdict.level, tomorrow.verdict.next_step) == (Level.FAILING, "python -m flows.watch")


def test_of_a_day_far_ahead_nothing_is_due() -> None:
    found = tonight(Facts(DAY + dt.timedelta(days=43), at(12), "a test"))
    assert (found.verdict.level, found.verdict.next_step) == (Level.FINE, "Nothing.")
    assert "2026-02-10 is 43 days ahead" in found.verdict.says


def test_the_next_step_works_on_the_workspace_that_was_looked_at() -> None:
    late = night(at(14), {"predictions": State.LATE}, options=" --data seasons --home 'my nights'")
    command = f"python -m flows.daily --mode same_day --game-day {DAY} --data seasons --home 'my nights'"
    assert tonight(late).verdict.next_step == command
    assert options_of(Path("seasons"), Path("my nights")) == " --data seasons --home 'my nights'"
    assert options_of(None, home_of(None, None)) == options_of(None, None) == ""
    assert options_of(Path("live:"), home_of(Path("live:"), None)) == " --data live:"


def test_a_day_without_games_is_no_trouble_and_names_the_next_one() -> None:
    found = tonight(Facts(DAY - dt.timedelta(days=2), at(12, days=-2), "a test", days=days()))
    assert (found.verdict.level, found.verdict.level.exit_code) == (Level.NO_GAMES, 0)
    assert (
        found.verdict.says
        == f"No games on {DAY - dt.timedelta(days=2)}. The next game day is {DAY - dt.timedelta(days=1)}."
    )


def test_in_the_off_season_the_season_is_over() -> None:
    summer = dt.date(2026, 7, 4)
    known = [GameDay(game_day=summer, games=0, seen_at=at(4))]
    assert "the season is over" in tonight(Facts(summer, at(12), "a test", days=known)).verdict.says


def test_tonight_is_yesterdays_until_its_results_count_as_known() -> None:
    assert tonight_of(at(23, 59)) == DAY
    assert tonight_of(at(3, 59, days=1)) == DAY
    assert tonight_of(at(4, 0, days=1)) == DAY + dt.timedelta(days=1)


def test_the_calendar_names_what_each_day_lacks() -> None:
    calendar = tonight(night(at(14), {"predictions": State.PARTIAL})).calendar
    of_day = {day.game_day: day for day in calendar}
    assert (of_day[DAY].state, of_day[DAY].lacking) == (State.PARTIAL, ("predictions PARTIAL",))
    assert of_day[DAY - dt.timedelta(days=1)].state == State.COMPLETE
    assert of_day[DAY - dt.timedelta(days=2)].state is None
