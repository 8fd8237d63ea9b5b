"""The circuit breaker, derived from the ledger: like transient failures open it, time lets one through, data closes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.engine.breaker import Position, breaker
from tasks.engine.faults import Fault
from tasks.engine.ledger import State
from tests.engine.days import MINUTE, START, run
from tests.leagues import steady


def fetch(
    state: State, at: dt.datetime = START, cause: str = "ConnectError", fault: str = Fault.TRANSIENT
) -> dict[str, Any]:
    failed = state == State.FAILED
    return run(state, at, phase=1, error_class=cause if failed else None, fault=fault if failed else None)


def failures(count: int, cause: str = "ConnectError", fault: str = Fault.TRANSIENT) -> list[dict[str, Any]]:
    return [fetch(State.FAILED, START + n * 5 * MINUTE, cause, fault) for n in range(count)]


LATER = START + 20 * MINUTE


def test_three_like_failures_open_it_and_say_why() -> None:
    assert breaker(failures(2), LATER).position == Position.CLOSED
    found = breaker(failures(3), LATER)
    assert (found.position, found.failures, found.cause) == (Position.OPEN, 3, "ConnectError")
    assert found.since == START + 11 * MINUTE
    assert found.until == START + 41 * MINUTE


def test_time_lets_one_attempt_through_and_each_failure_doubles_the_rest() -> None:
    assert breaker(failures(3), START + 41 * MINUTE).position == Position.HALF_OPEN
    again = [*failures(3), fetch(State.FAILED, START + 41 * MINUTE)]
    found = breaker(again, START + 90 * MINUTE)
    assert (found.position, found.until) == (Position.OPEN, START + 102 * MINUTE)
    long = breaker(failures(40), START)
    assert long.until == START + 39 * 5 * MINUTE + MINUTE + dt.timedelta(hours=4)


def test_data_that_arrives_closes_it() -> None:
    found = breaker([*failures(5), fetch(State.COMPLETE, START + 60 * MINUTE)], START + 62 * MINUTE)
    assert (found.position, found.failures) == (Position.CLOSED, 0)


def test_unlike_failures_are_not_added_up() -> None:
    mixed = [*failures(2), *failures(2, "ReadTimeout"), *failures(2)]
    assert breaker(mixed, LATER).position == Position.CLOSED


@pytest.mark.parametrize("state", [State.EMPTY_OK, State.RUNNING])
def test_nothing_due_is_neither_failure_nor_evidence(state: State) -> None:
    assert breaker([fetch(state)] * 9, LATER).position == Position.CLOSED
    assert breaker([*failures(3), fetch(state)], LATER).position == Position.OPEN


def test_a_permanent_fault_never_opens_it_because_waiting_will_not_help() -> None:
    assert breaker(failures(50, fault=Fault.PERMANENT), LATER).position == Position.CLOSED


@steady(150)
@given(st.lists(st.sampled_from(["fails", "data", "empty", "permanent"]), max_size=12))
def test_it_is_open_exactly_after_three_failures_since_the_last_data(history: list[str]) -> None:
    rows = {
        "fails": fetch(State.FAILED),
        "data": fetch(State.COMPLETE),
        "empty": fetch(State.EMPTY_OK),
        "permanent": fetch(State.FAILED, fault=Fault.PERMANENT),
    }
    since = history[len(history) - history[::-1].index("data") :] if "data" in history else history
    found = breaker([rows[what] for what in history], START + 2 * MINUTE)
    assert (found.position == Position.OPEN) == (since.count("fails") >= 3)
