"""What self-heal decides: the smallest rerun, a bounded number of times, and nothing that trying cannot help."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tasks.engine.faults import Fault
from tasks.engine.healing import Action, HealPolicy, Remedy, attempts, history, outdated, remedy
from tasks.engine.ledger import State
from tasks.engine.plan import Step
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


LINES = owed("lines", Phase.RAW, critical=False)
PUBLISHED = owed("publication", Phase.PUBLISH)
STEPS = (
    Step(processor="lines", phase=Phase.RAW, need=Need.REQUIRED, critical=False, patience=20 * MINUTE),
    Step(processor="context", phase=Phase.ANALYTICS, need=Need.REQUIRED, critical=True, after=("lines",)),
    Step(processor="predictions", phase=Phase.PREDICTIONS, need=Need.REQUIRED, critical=True, after=("context",)),
)
USUAL = {("same_day", "context"): 120.0, ("same_day", "predictions"): 300.0}
WITHOUT_LINES = [judged(State.FAILED, LINES), judged(State.DEGRADED, CONTEXT), judged(State.DEGRADED)]


def lines(at: dt.datetime, state: State = State.FAILED, run_id: str = "run-1") -> dict[str, Any]:
    """A run that found what its source had published by then; of nothing it says so, without an error."""
    said = {"error_class": None, "error_message": None, "degraded_reasons": ["11 of 11 expected keys are missing"]}
    return run(state, at, processor="lines", phase=int(Phase.RAW), run_id=run_id) | said


def went_on_without(at: dt.datetime) -> list[dict[str, Any]]:
    """The runs of a day that waited twenty minutes for lines in vain, and went on at `at`."""
    waited = [lines(at - n * MINUTE) for n in (20, 10, 1)]
    made = [run(State.DEGRADED, at, processor="context", phase=3), run(State.DEGRADED, at + MINUTE)]
    return [*waited, *made]


def helped(runs: list[dict[str, Any]], minutes: float) -> Remedy:
    return remedy(WITHOUT_LINES, runs, START + minutes * MINUTE, steps=STEPS, usual=USUAL)


def test_a_run_that_waits_for_a_late_source_is_not_disturbed() -> None:
    waiting = [lines(START), lines(START + 10 * MINUTE)]
    assert helped(waiting, 19) == Remedy(action=Action.WAIT, why="the day's run waits for lines")
    assert "was asked a moment ago" in helped(went_on_without(START + 20 * MINUTE), 21.5).why  # it has gone on
    assert helped(waiting, 30).action == Action.ASK  # it has died


def test_a_late_source_is_asked_again_every_few_minutes_as_long_as_its_lines_would_be_made_use_of_in_time() -> None:
    runs = went_on_without(START + 20 * MINUTE)
    asked = []
    for minutes in range(22, 120):
        found = helped(runs, minutes)
        if found.action == Action.ASK:
            assert found.outputs == ("lines",)
            asked.append(minutes)
            runs = [*runs, lines(START + minutes * MINUTE, run_id=f"heal-{minutes}")]
    # seven minutes and one in reserve are needed to make use of them before 1:30 PM
    assert asked == [25, 31, 37, 43, 49]
    assert helped(runs, 51.9).action in (Action.WAIT, Action.ASK)
    assert helped(runs, 53).action == Action.ESCALATE
    assert [item.owed.output for item in helped(runs, 53).given_up] == ["lines"]


def test_a_source_that_fails_is_no_late_source_and_costs_attempts() -> None:
    broken = [failed(START + n * 30 * MINUTE, f"heal-{n}", processor="lines", phase=2) for n in range(3)]
    assert remedy([judged(State.FAILED, LINES)], broken[:1], DUE, steps=STEPS).action == Action.RERUN
    assert remedy([judged(State.FAILED, LINES)], broken, DUE, steps=STEPS).action == Action.ESCALATE


def test_what_was_made_before_its_input_became_better_is_made_again_once() -> None:
    runs = [*went_on_without(START + 20 * MINUTE), lines(START + 30 * MINUTE, State.COMPLETE, "heal-1")]
    outputs = [judged(State.COMPLETE, LINES), judged(State.DEGRADED, CONTEXT), judged(State.DEGRADED)]
    found = remedy(outputs, runs, START + 31 * MINUTE, steps=STEPS)
    assert (found.action, found.outputs) == (Action.RERUN, ("context",))
    again = [run(processor="context", at=START + 32 * MINUTE, run_id="heal-2", phase=3)]
    then = remedy(outputs, [*runs, *again], START + 33 * MINUTE, steps=STEPS)
    assert then.outputs == ("predictions",)  # the heal broke off after the context
    again.append(run(at=START + 34 * MINUTE, run_id="heal-3"))
    assert remedy(outputs, [*runs, *again], START + 40 * MINUTE, steps=STEPS).action == Action.NOTHING


def test_an_input_that_is_newer_but_no_better_makes_nothing_again() -> None:
    runs = [*went_on_without(START + 20 * MINUTE), lines(START + 30 * MINUTE, State.FAILED, "heal-1")]
    assert outdated(WITHOUT_LINES, runs, STEPS) == []


def test_a_publication_is_of_the_predictions_as_they_are() -> None:
    published = run(State.DEGRADED, START + 22 * MINUTE, processor="publication", phase=6)
    runs = [*went_on_without(START + 20 * MINUTE), published, run(at=START + 30 * MINUTE, run_id="heal-1")]
    assert [item.owed.output for item in outdated([judged(State.DEGRADED, PUBLISHED)], runs, STEPS)] == ["publication"]


def test_making_again_what_is_outdated_is_tried_three_times_too() -> None:
    runs = [*went_on_without(START + 20 * MINUTE), lines(START + 30 * MINUTE, State.COMPLETE, "heal-0")]
    runs += [failed(START + (32 + n) * MINUTE, f"heal-{n}", processor="context", phase=3) for n in range(3)]
    outputs = [judged(State.COMPLETE, LINES), judged(State.DEGRADED, CONTEXT)]
    assert remedy(outputs, runs, DUE + 24 * 60 * MINUTE, steps=STEPS).action == Action.NOTHING


TIP_OFF = START + 390 * MINUTE  # 7 PM
WITH_OLD_ROSTERS = [judged(State.DEGRADED, ROSTERS), judged(State.DEGRADED)]


def rosters(at: dt.datetime, run_id: str = "run-1", stands_in: bool = True) -> dict[str, Any]:
    """A run that made rosters of the payload that was there, or of what the source gave."""
    state = State.DEGRADED if stands_in else State.COMPLETE
    return run(state, at, processor="rosters", phase=2, run_id=run_id, stand_ins=["rosters"] if stands_in else [])


def replaced(runs: list[dict[str, Any]], at: dt.datetime, **known: Any) -> Remedy:
    return remedy(WITH_OLD_ROSTERS, runs, at, steps=[], **{"first_tip_off": TIP_OFF, **known})


def test_a_source_is_asked_again_for_what_an_older_payload_stands_in_for() -> None:
    runs = [rosters(START), run(State.DEGRADED, START + MINUTE)]
    assert replaced(runs, START + 5 * MINUTE).action == Action.NOTHING  # its run ended at 12:31
    found = replaced(runs, START + 6 * MINUTE)
    assert (found.action, found.outputs) == (Action.ASK, ("rosters",))
    fresh = [*runs, rosters(START + 7 * MINUTE, "heal-1", stands_in=False)]
    assert replaced(fresh, START + 60 * MINUTE).action == Action.NOTHING


def test_a_source_that_stays_down_for_a_day_is_asked_three_times_for_what_stands_in() -> None:
    runs, asked = [rosters(START)], []
    for minutes in range(0, 24 * 60, 5):
        if replaced(runs, START + minutes * MINUTE, first_tip_off=START + 48 * 60 * MINUTE).action == Action.ASK:
            asked.append(minutes)
            runs.append(rosters(START + minutes * MINUTE, f"heal-{minutes}"))
    assert asked == [10, 45, 230]


def test_what_stands_in_is_left_until_the_scheduled_run_during_games_and_while_its_source_is_left_alone() -> None:
    runs = [rosters(START - 120 * MINUTE)]
    assert replaced(runs, START - MINUTE).action == Action.NOTHING
    assert replaced(runs, START).action == Action.ASK
    assert replaced(runs, START, left_alone=["rosters"]).action == Action.NOTHING
    assert replaced(runs, START, left_alone=["prop_lines"]).action == Action.ASK
    assert replaced(runs, TIP_OFF - MINUTE).action == Action.ASK
    assert replaced(runs, TIP_OFF).action == Action.NOTHING


def test_what_is_wrong_goes_before_what_stands_in_and_a_run_at_work_before_both() -> None:
    runs = [rosters(START), run(State.FAILED, START, fault=Fault.TRANSIENT)]
    both = [judged(State.DEGRADED, ROSTERS), judged(State.FAILED)]
    at = START + 10 * MINUTE
    found = remedy(both, runs, at, first_tip_off=TIP_OFF)
    assert (found.action, found.outputs) == (Action.RERUN, ("predictions",))
    assert replaced([*runs, run(State.RUNNING, at - MINUTE)], at).action != Action.ASK
    hopeless = [rosters(START), *(failed(START + n * MINUTE, f"heal-{n}") for n in range(3))]
    found = remedy(both, hopeless, at, first_tip_off=TIP_OFF)
    assert (found.action, found.outputs) == (Action.ASK, ("rosters",))
    assert [item.owed.output for item in found.given_up] == ["predictions"]  # and a person is told of it all the same
