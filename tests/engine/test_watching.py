"""What a person is told, and when: by the clock, one cause one message, once when it begins and once when it ends."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from tasks.engine.expected import Judged
from tasks.engine.incident_log import Edges, IncidentLog
from tasks.engine.incidents import Incident, IncidentKind
from tasks.engine.ledger import Ledger, State
from tasks.engine.processor import Mode, Need, Phase
from tasks.engine.watching import WATCHED, forgotten, incidents, undecided
from tests.engine.days import DAY, DUE, MINUTE, START, judged, owed, run

FIVE = tuple("abcde")
ANALYTICS = {name: owed(name, Phase.ANALYTICS, critical=name == "a") for name in FIVE}
LAST = owed("publication", Phase.PUBLISH)


def day(published: State = State.EXPECTED, **states: State) -> list[Judged]:
    """Five outputs of analytics, expected unless told otherwise, and the publication."""
    outputs = [judged(states.get(name, State.EXPECTED), item) for name, item in ANALYTICS.items()]
    return [*outputs, judged(published, LAST)]


def kinds(outputs: list[Judged], now: dt.datetime, *runs: dict[str, Any], **other: Any) -> list[tuple[str, str]]:
    return [(item.kind.value, item.subject) for item in incidents(outputs, runs, now, **other)]


def of_a(state: State = State.COMPLETE, at: dt.datetime = START) -> dict[str, Any]:
    return run(state, at, processor="a", phase=3)


def test_a_day_on_its_way_is_no_incident() -> None:
    assert kinds(day(), START + 29 * MINUTE) == []
    assert kinds(day(a=State.COMPLETE), START + 29 * MINUTE, of_a()) == []


def test_a_phase_that_never_started_is_told_although_no_message_ever_arrived() -> None:
    [incident] = incidents(day(), [], START + 30 * MINUTE)
    assert (incident.kind, incident.subject) == (IncidentKind.PHASE_STUCK, "analytics")
    assert incident.what.startswith("analytics was never started: a is EXPECTED")
    assert incident.since == START
    assert "11 games" in incident.impact
    assert "30 minutes left" in incident.impact
    [known] = incidents(day(), [], START + 30 * MINUTE, players={DAY: 342})
    assert known.impact.startswith("11 games, 342 players.")


def test_one_of_five_after_half_an_hour_is_stuck() -> None:
    """The evening of the incident: one of five outputs came, and everything waited for the other four."""
    now = START + 45 * MINUTE
    assert kinds(day(a=State.COMPLETE), now - 16 * MINUTE, of_a(at=START + 15 * MINUTE)) == []
    [incident] = incidents(day(a=State.COMPLETE), [of_a(at=START + 15 * MINUTE)], now)
    assert incident.kind == IncidentKind.PHASE_STUCK
    assert incident.what.startswith("analytics has 1 of 5: b is EXPECTED")
    assert incident.since == START + 15 * MINUTE


def test_a_later_phase_that_never_starts_is_stuck_from_the_end_of_the_one_before() -> None:
    done = dict.fromkeys(FIVE, State.COMPLETE)
    assert kinds(day(**done), START + 40 * MINUTE, of_a(at=START + 15 * MINUTE)) == []
    assert kinds(day(**done), START + 46 * MINUTE, of_a(at=START + 15 * MINUTE)) == [("phase-stuck", "publish")]


def test_the_deadline_is_missed_by_the_clock_even_if_nothing_was_ever_scheduled() -> None:
    late = [judged(State.LATE, item.owed) for item in day()]
    assert kinds(late, DUE) == [("deadline-missed", "publication"), ("phase-stuck", "analytics")]
    assert incidents(late, [], DUE)[0].since == DUE
    assert kinds(day(State.COMPLETE, **dict.fromkeys(FIVE, State.COMPLETE)), DUE) == []


def test_what_waits_for_a_failed_output_is_told_with_it() -> None:
    outputs = [judged(State.FAILED, ANALYTICS["a"]), *day()[1:]]
    [incident] = incidents(outputs, [of_a(State.FAILED)], START + 5 * MINUTE)
    assert (incident.kind, incident.subject) == (IncidentKind.OUTPUT_FAILED, "analytics")
    assert "5 more outputs wait for it" in incident.impact


def test_partial_is_told_at_once_where_it_is_critical_and_when_due_elsewhere() -> None:
    lines = judged(State.PARTIAL, owed("prop_lines", Phase.RAW, critical=False))
    assert kinds([lines], START) == []
    assert kinds([lines, judged(State.COMPLETE, LAST)], DUE) == [("output-partial", "raw")]
    assert kinds([judged(State.PARTIAL)], START + MINUTE, run(State.PARTIAL)) == [("output-partial", "predictions")]


def test_what_is_optional_is_never_an_incident() -> None:
    optional = judged(State.LATE, owed("grades", need=Need.OPTIONAL, critical=False))
    assert kinds([optional, judged(State.COMPLETE, LAST)], DUE + 60 * MINUTE) == []


def test_results_that_were_not_taken_in_are_late() -> None:
    morning = owed("box_scores", Phase.RAW, mode=Mode.OVERNIGHT)
    assert kinds([judged(State.LATE, morning)], DUE, run(at=DUE, phase=2, mode="overnight")) == [("output-late", "raw")]


def test_a_day_whose_games_were_called_off_is_no_incident() -> None:
    assert kinds([judged(State.LATE, owed(games=0))], DUE) == []


def test_it_warns_before_the_deadline_when_the_time_left_is_too_short() -> None:
    needed = {("same_day", "publication"): 600.0, ("same_day", "a"): 900.0}
    outputs, runs = day(**dict.fromkeys("bcde", State.COMPLETE)), [of_a(State.RUNNING, START + 20 * MINUTE)]
    assert kinds(outputs, START + 34 * MINUTE, *runs, needed=needed) == []
    [warning] = incidents(outputs, runs, START + 36 * MINUTE, needed=needed)
    assert warning.kind == IncidentKind.DEADLINE_AT_RISK
    assert "25 minutes" in warning.what


def test_many_forgotten_days_are_one_incident() -> None:
    days = [
        judged(State.LATE, owed("box_scores", mode=Mode.OVERNIGHT, game_day=DAY - n * dt.timedelta(days=1)))
        for n in range(1, 110)
    ]
    [incident] = forgotten(days, DUE)
    assert incident.what.startswith("109 earlier game days lack outputs (box_scores): ")
    assert "and 104 more" in incident.what
    assert "flows.history --start 2025-09-11 --end 2025-12-28" in incident.next_step
    assert forgotten([judged(State.COMPLETE, item.owed) for item in days], DUE) == []


@pytest.fixture
def log(tmp_path: Path) -> IncidentLog:
    return IncidentLog(Ledger(f"sqlite:///{tmp_path}/ledger.sqlite"))


def test_every_edge_is_told_once(log: IncidentLog) -> None:
    told: list[tuple[str, bool]] = []
    stuck = incidents(day(), [], START + 30 * MINUTE)

    def look(found: list[Incident], minutes: int, held: bool = False) -> Edges:
        at = START + minutes * MINUTE
        return log.settle(
            WATCHED, found, at, lambda item, opened: told.append((item.kind.value, opened)), held=lambda _: held
        )

    for minutes in range(30, 60, 5):
        look(stuck, minutes)
    assert told == [("phase-stuck", True)]
    assert look([], 60, held=True) == Edges()
    assert look([], 65).resolved == tuple(stuck)
    look([], 70)
    assert told == [("phase-stuck", True), ("phase-stuck", False)]
    look(stuck, 75)
    assert told[2:] == [("phase-stuck", True)]
    [(_, opened, resolved), (_, _, still_open)] = log.history(START)
    assert (opened, resolved, still_open) == (START + 30 * MINUTE, START + 65 * MINUTE, None)


def test_an_incident_that_could_not_be_told_is_told_at_the_next_look(log: IncidentLog) -> None:
    stuck = incidents(day(), [], START + 30 * MINUTE)

    def silent(item: Incident, opened: bool) -> None:
        raise ConnectionError("no server")

    with pytest.raises(ConnectionError):
        log.settle(WATCHED, stuck, DUE, silent)
    assert log.open() == []
    told: list[bool] = []
    log.settle(WATCHED, stuck, DUE, lambda item, opened: told.append(opened))
    assert told == [True]


def test_a_retry_at_work_does_not_end_an_incident() -> None:
    outputs = day(a=State.RUNNING)
    assert undecided(outputs) == {(Mode.SAME_DAY, DAY)}
