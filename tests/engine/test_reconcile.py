"""What an output is, by rows counted in the store: nobody's word makes it complete, and no mode answers for another."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.engine.coverage import Counted, count
from tasks.engine.ledger import State
from tasks.engine.processor import Need, Registry
from tasks.engine.reconcile import judge
from tests.engine import house as small
from tests.engine.days import DUE, MINUTE, START, judged, owed, run
from tests.leagues import steady

FULL = Counted(rows=790, expected=790)
SHORT = Counted(rows=340, expected=790, missing=450, sample=("0022500447 / 2544 / ensemble",))
NONE = Counted(rows=0, expected=790, missing=790)
UNKNOWN = Counted()


def state(counted: Counted, *runs: dict[str, Any], now: dt.datetime = DUE, item: Any = None) -> State:
    return judge(judged(item=item), counted, runs, now).state


@pytest.mark.parametrize(
    ("minutes", "expected"), [(-1, State.NOT_DUE), (0, State.EXPECTED), (59, State.EXPECTED), (60, State.LATE)]
)
def test_what_nobody_has_begun_is_late_by_the_clock_alone(minutes: int, expected: State) -> None:
    assert state(UNKNOWN, now=START + minutes * MINUTE) == expected


def test_rows_counted_make_it_complete_and_nothing_else_does() -> None:
    assert state(FULL, run()) == State.COMPLETE
    gone = judge(judged(), NONE, [run()], DUE)
    assert gone.state == State.FAILED
    assert "its rows are not in the store" in gone.why


def test_part_of_the_rows_is_partial_by_name_whatever_the_run_said() -> None:
    for said in (State.COMPLETE, State.FAILED, State.DEGRADED):
        found = judge(judged(), SHORT, [run(said, rows_actual=340)], DUE)
        assert found.state == State.PARTIAL
        assert found.why == "340 of 790 expected keys are in the store"
        assert found.missing_sample == ("0022500447 / 2544 / ensemble",)
        assert (found.counted_rows, found.expected_rows) == (340, 790)


def test_as_many_as_are_usual_are_enough() -> None:
    assert (
        judge(judged(), Counted(rows=9, expected=11, missing=2), [run()], DUE, complete_at=0.8).state == State.COMPLETE
    )
    assert (
        judge(judged(), Counted(rows=8, expected=11, missing=3), [run()], DUE, complete_at=0.8).state == State.PARTIAL
    )


def test_one_modes_rows_never_answer_for_anothers() -> None:
    assert state(FULL, run(mode="overnight"), now=DUE) == State.LATE
    assert state(FULL, run(mode="overnight"), run()) == State.COMPLETE
    assert state(FULL, run(mode="backfill")) == State.COMPLETE


def test_rows_of_which_there_is_no_record_count_because_a_ledger_may_lose_rows() -> None:
    assert state(FULL) == State.COMPLETE


def test_a_failed_run_is_a_failure_with_its_reason_and_the_rows_of_an_earlier_run_are_labelled() -> None:
    failed = judge(judged(), NONE, [run(State.FAILED)], START + MINUTE)
    assert failed.state == State.FAILED
    assert "LostRows: 790 rows were written" in failed.why
    assert state(NONE, run(State.BLOCKED)) == State.BLOCKED
    earlier = judge(judged(), FULL, [run(), run(State.FAILED, START + 2 * MINUTE, attempt=2)], DUE)
    assert earlier.state == State.DEGRADED
    assert "rows are of an earlier run" in earlier.why


def test_a_run_at_work_is_running_until_it_must_have_died() -> None:
    assert state(NONE, run(State.RUNNING), now=START + 29 * MINUTE) == State.RUNNING
    assert state(SHORT, run(State.RUNNING, rows_actual=1), now=START + MINUTE) == State.RUNNING
    dead = judge(judged(), NONE, [run(State.RUNNING)], START + 30 * MINUTE)
    assert dead.state == State.FAILED
    assert "never ended" in dead.why


def test_what_a_run_waits_for_is_expected_and_has_not_failed_yet() -> None:
    nothing_yet = {"error_class": None, "error_message": None, "degraded_reasons": ["11 of 11 keys are missing"]}
    waiting = [run(State.FAILED, START + n * MINUTE, attempt=n + 1, **nothing_yet) for n in (0, 10)]

    def judged_after(minutes: int, runs: list[dict[str, Any]]) -> Any:
        return judge(judged(), NONE, runs, START + minutes * MINUTE, patience=20 * MINUTE)

    found = judged_after(19, waiting)
    assert (found.state, found.evidence[-1]) == (State.EXPECTED, "its source is asked again until 17:50 UTC")
    assert judged_after(20, waiting).state == State.FAILED
    assert judged_after(19, [run(State.FAILED)]).state == State.FAILED  # an error is no lateness
    heal = run(State.FAILED, START + 15 * MINUTE, run_id="heal-1", **nothing_yet)
    assert judged_after(19, [*waiting, heal]).state == State.FAILED  # nobody waits: a healer comes back


def test_labels_of_the_run_stay_on_its_rows() -> None:
    found = judge(judged(), FULL, [run(State.DEGRADED, degraded_reasons=["no injury report"])], DUE)
    assert (found.state, found.why) == (State.DEGRADED, "no injury report")


def test_nothing_is_right_only_where_the_schedule_or_the_inputs_say_so() -> None:
    assert state(UNKNOWN, item=owed(games=0)) == State.EMPTY_OK
    optional = owed("prediction_grades", need=Need.OPTIONAL, critical=False)
    assert state(Counted(expected=0), item=optional) == State.EMPTY_OK
    assert state(Counted(expected=5, missing=5), item=optional) == State.LATE
    assert state(Counted(expected=0)) == State.LATE
    # of the season's first days, whose players have no games behind them yet
    factors = owed("player_composite_factors", critical=False)
    assert state(Counted(expected=0), run(), item=factors) == State.EMPTY_OK
    assert state(Counted(expected=0), item=factors) == State.LATE
    assert state(Counted(expected=0), run()) == State.FAILED
    assert state(UNKNOWN, run(State.EMPTY_OK)) == State.FAILED


def test_since_is_when_it_came_into_its_state() -> None:
    late = judge(judged(), UNKNOWN, [], DUE)
    assert (late.state, late.since) == (State.LATE, DUE)
    assert judge(late, UNKNOWN, [], DUE + 5 * MINUTE).since == DUE
    assert judge(late, FULL, [run()], DUE + 9 * MINUTE).since == DUE + 9 * MINUTE


RUNS = st.lists(
    st.builds(run, st.sampled_from(State), mode=st.sampled_from(["same_day", "overnight", "backfill"])), max_size=4
)
COUNTS = st.builds(
    lambda expected, missing: Counted(
        rows=expected - min(expected, missing), expected=expected, missing=min(expected, missing)
    ),
    st.integers(0, 5),
    st.integers(0, 5),
)


@steady(200)
@given(COUNTS, RUNS, st.integers(-60, 120))
def test_complete_means_that_every_expected_row_was_counted(
    counted: Counted, runs: list[dict[str, Any]], minutes: int
) -> None:
    found = judge(judged(), counted, runs, START + minutes * MINUTE)
    if found.state in (State.COMPLETE, State.DEGRADED):
        assert counted.rows
        assert not counted.missing
    if not counted.rows and minutes >= 60 and not runs:
        assert found.state == State.LATE


def test_the_store_is_counted_by_the_expectation_that_the_run_was_held_to(house: small.House) -> None:
    tickets = small.declared(small.sell, expects=small.every_seat)
    house.has(small.seats_of(small.EVE, 3), small.seats_of(small.DAY, 5))
    house.warehouse.replace(small.TICKETS.spec, small.DAY, small.tickets_of(small.seats_of(small.DAY, 3)))
    counts = count(tickets, house.warehouse, Registry.of(small.seats, tickets), [small.EVE, small.DAY])
    assert counts == {
        small.EVE: Counted(rows=0, expected=3, missing=3, sample=tuple(f"{small.EVE} / {n}" for n in range(3))),
        small.DAY: Counted(rows=3, expected=5, missing=2, sample=(f"{small.DAY} / 3", f"{small.DAY} / 4")),
    }
