"""What self-heal decides: the smallest rerun, a bounded number of times, and nothing that trying cannot help."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tasks.engine.faults import Fault
from tasks.engine.healing import Action, HealPolicy, attempts, history, remedy
from tasks.engine.ledger import State
from tasks.engine.processor import Need, Phase
from tests.engine.days import DUE, MINUTE, START, judged, owed, run
from tests.leagues import steady

ROSTERS = owed("rosters", Phase.RAW, critical=False)
CONTEXT = owed("context", Phase.ANALYTICS)


def failed(
    at: dt.datetime = START, run_id: str = "run-1", fault: str = Fault.TRANSIENT, **other: Any
) -> dict[str, Any]:
    return run(State.FAILED, at, run_id=run_id, fault=fault, **other)


def test_a_day_that_is_right_is_left_alone() -> None:
    assert remedy([judged(State.COMPLETE), judged(State.DEGRADED, CONTEXT)], [], DUE).action == Action.NOTHING
    assert remedy([judged(State.LATE, owed(games=0))], [], DUE).action == Action.NOTHING
    assert remedy([judged(State.LATE, owed(need=Need.OPTIONAL, critical=False))], [], DUE).action == Action.NOTHING
    assert remedy([], [], DUE).action == Action.NOTHING


def test_only_what_is_wrong_is_made_again() -> None:
    found = remedy([judged(State.PARTIAL), judged(State.COMPLETE, CONTEXT)], [run(), run(processor="context")], DUE)
    assert (found.action, found.outputs) == (Action.RERUN, ("predictions",))


def test_a_run_at_work_is_not_disturbed() -> None:
    working = [run(State.RUNNING, DUE - MINUTE, processor="context")]
    assert remedy([judged(State.RUNNING, CONTEXT), judged(State.LATE)], working, DUE).action == Action.WAIT
    assert remedy([judged(State.LATE)], working, DUE).action == Action.WAIT


def test_a_day_that_nobody_started_is_started_when_its_run_is_late() -> None:
    outputs = [judged(State.EXPECTED, CONTEXT), judged(State.EXPECTED)]
    assert remedy(outputs, [], START + 29 * MINUTE).action == Action.WAIT
    found = remedy(outputs, [], START + 30 * MINUTE)
    assert (found.action, found.outputs) == (Action.RERUN, ("context", "predictions"))


def test_what_failed_in_the_morning_is_healed_and_what_comes_at_noon_is_not_hurried() -> None:
    outputs = [judged(State.FAILED, ROSTERS), judged(State.NOT_DUE)]
    morning = START - 120 * MINUTE
    found = remedy(outputs, [failed(morning, processor="rosters")], morning + 10 * MINUTE)
    assert found.outputs == ("rosters",)


def test_attempts_only_count_up_and_the_waits_between_them_grow() -> None:
    first = failed()
    assert remedy([judged(State.FAILED)], [first], START + 5 * MINUTE).action == Action.WAIT
    assert remedy([judged(State.FAILED)], [first], START + 6 * MINUTE).action == Action.RERUN
    second = failed(START + 6 * MINUTE, "heal-2")
    assert remedy([judged(State.FAILED)], [first, second], START + 20 * MINUTE).action == Action.WAIT
    assert remedy([judged(State.FAILED)], [first, second], START + 22 * MINUTE).action == Action.RERUN
    third = failed(START + 22 * MINUTE, "heal-3")
    found = remedy([judged(State.FAILED)], [first, second, third], START + 24 * 60 * MINUTE)
    assert found.action == Action.ESCALATE
    assert [item.owed.output for item in found.given_up] == ["predictions"]
    assert history("predictions", [first, second, third]).count("FAILED (790 rows were written") == 3


def test_a_heal_that_seems_to_work_counts_too_so_that_no_circle_is_endless() -> None:
    lost_again = [run(), *(run(at=START + n * 60 * MINUTE, run_id=f"heal-{n}") for n in (1, 2, 3))]
    assert remedy([judged(State.PARTIAL)], lost_again, DUE + 24 * 60 * MINUTE).action == Action.ESCALATE


def test_tries_inside_one_run_are_one_attempt() -> None:
    assert len(attempts("predictions", [failed(), failed(START + MINUTE), failed(START + 2 * MINUTE)])) == 1


def test_a_permanent_fault_is_not_tried_again() -> None:
    found = remedy([judged(State.FAILED)], [failed(fault=Fault.PERMANENT)], DUE)
    assert found.action == Action.ESCALATE
    # unless what it is made of is wrong too, and is made again
    both = [judged(State.FAILED), judged(State.LATE, CONTEXT)]
    assert remedy(both, [failed(fault=Fault.PERMANENT)], DUE).outputs == ("context", "predictions")
    # a missing input is worth a try when the input is there
    assert remedy([judged(State.FAILED)], [failed(fault=Fault.INPUT)], DUE).action == Action.RERUN


def test_one_hopeless_output_does_not_stop_the_healing_of_another() -> None:
    runs = [failed(processor="rosters", fault=Fault.PERMANENT), failed()]
    found = remedy([judged(State.FAILED, ROSTERS), judged(State.PARTIAL)], runs, DUE)
    assert (found.action, found.outputs) == (Action.RERUN, ("predictions",))
    assert [item.owed.output for item in found.given_up] == ["rosters"]


def test_what_needs_a_hopeless_critical_output_is_not_tried_in_vain() -> None:
    runs = [failed(processor="context", fault=Fault.PERMANENT)]
    found = remedy([judged(State.FAILED, CONTEXT), judged(State.LATE)], runs, DUE)
    assert found.action == Action.ESCALATE


@steady(60)
@given(st.lists(st.sampled_from([State.FAILED, State.COMPLETE, State.PARTIAL]), min_size=300, max_size=300))
def test_a_day_of_triggers_every_five_minutes_makes_at_most_three_attempts(came_to: list[State]) -> None:
    """Whatever the attempts come to, and however long it lasts."""
    runs: list[dict[str, Any]] = []
    for tick, state in enumerate(came_to):
        now = START + (30 + 5 * tick) * MINUTE
        found = remedy([judged(State.PARTIAL if runs else State.LATE)], runs, now, HealPolicy())
        if found.action == Action.RERUN:
            runs.append(run(state, now, run_id=f"heal-{tick}", fault=Fault.TRANSIENT, attempt=len(runs) + 1))
    assert len(runs) == 3
