"""What the runner promises of a run: what it says was made is in the store, counted there, from the declared inputs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest

from tasks.engine.ledger import MISSING_SAMPLE, State
from tasks.engine.plan import targets_frame
from tasks.engine.processor import Landed, Provenance, Read, Span, Stamp
from tasks.engine.runner import Outcome
from tests.engine.house import (
    DAY,
    EVE,
    NOON,
    NOW,
    House,
    declared,
    every_seat,
    seats_of,
    sell,
    tickets_of,
)


def test_a_whole_output_is_complete_and_counted_in_the_store_and_the_ledger(house: House) -> None:
    outcome = house.has(seats_of(DAY, 158)).run(declared(sell, expects=every_seat))
    assert outcome == Outcome(
        processor="sell", phase=3, state=State.COMPLETE, rows=158, expected=158, seconds=outcome.seconds
    )
    assert house.tickets().height == 158
    assert {name: house.row[name] for name in ("run_id", "mode", "phase", "state", "rows_expected", "rows_actual")} == {
        "run_id": "run-1",
        "mode": "same_day",
        "phase": 3,
        "state": "COMPLETE",
        "rows_expected": 158,
        "rows_actual": 158,
    }
    assert house.row["rows_in"] == {"seats": 158}
    assert house.row["fingerprint"] == "sha256:abc"
    assert (house.row["started_at"], house.row["ended_at"]) == (NOW, NOW)


def test_the_same_run_again_changes_nothing_in_the_store(house: House) -> None:
    item = declared(sell, expects=every_seat)
    house.has(seats_of(DAY, 5)).run(item)
    before = house.warehouse.partitions("tickets")
    assert house.run(item).state == State.COMPLETE
    assert house.warehouse.partitions("tickets") == before
    assert [row["attempt"] for row in house.ledger.runs()] == [1, 2]


def test_a_missing_optional_input_degrades_with_the_reason(house: House) -> None:
    def without(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
        return tickets_of(seats_of(DAY, 2))

    outcome = house.run(declared(without, reads={"seats": Read("seats", Span.ON, optional=True)}))
    assert outcome.state == State.DEGRADED
    assert outcome.reasons == ("seats has no rows for 2025-12-29",)
    assert house.row["degraded_reasons"] == ["seats has no rows for 2025-12-29"]


def test_a_promise_that_only_degrades_is_written_with_its_reason(house: House) -> None:
    def dear(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
        return tickets_of(seats, 500.0)

    outcome = house.has(seats_of(DAY, 3)).run(declared(dear))
    assert outcome.state == State.DEGRADED
    assert outcome.reasons == ("tickets.price: is at most 100 dollars, found 500",)
    assert house.tickets().height == 3


def sell_only(count: int) -> Callable[..., pl.DataFrame]:
    def sell(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
        return tickets_of(seats.head(count))

    return sell


def test_expected_keys_that_are_missing_are_counted_and_named(house: House) -> None:
    outcome = house.has(seats_of(DAY, 158)).run(declared(sell_only(155), expects=every_seat, floor=0.5))
    assert (outcome.state, outcome.rows, outcome.expected) == (State.PARTIAL, 155, 158)
    assert outcome.missing == ("2025-12-29 / 155", "2025-12-29 / 156", "2025-12-29 / 157")
    assert outcome.reasons == ("tickets: 3 of 158 expected keys are missing",)
    assert house.row["missing_sample"] == list(outcome.missing)


def test_a_long_list_of_missing_keys_is_cut_to_a_sample_but_counted_whole(house: House) -> None:
    outcome = house.has(seats_of(DAY, 158)).run(declared(sell_only(68), expects=every_seat))
    assert len(outcome.missing) == MISSING_SAMPLE
    assert outcome.reasons == ("tickets: 90 of 158 expected keys are missing",)


@pytest.mark.parametrize(
    ("made", "complete_at", "floor", "state"),
    [
        (10, 1.0, 0.0, State.COMPLETE),
        (9, 1.0, 0.0, State.PARTIAL),
        (9, 0.9, 0.0, State.COMPLETE),
        (8, 0.9, 0.8, State.PARTIAL),
        (7, 0.9, 0.8, State.FAILED),
        (0, 1.0, 0.0, State.FAILED),
    ],
)
def test_the_share_that_was_made_decides_the_state(
    house: House, made: int, complete_at: float, floor: float, state: State
) -> None:
    house.has(seats_of(DAY, 10))
    item = declared(sell_only(made), expects=every_seat, complete_at=complete_at, floor=floor)
    outcome = house.run(item)
    assert (outcome.state, outcome.rows) == (state, made)


def test_a_day_that_owes_nothing_is_empty_and_sound(house: House) -> None:
    def none(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
        return tickets_of(seats).clear()

    nothing_due = declared(none, expects=lambda inputs: every_seat(inputs).clear())
    assert house.has(seats_of(DAY, 3)).run(nothing_due).state == State.EMPTY_OK
    assert house.warehouse.partitions("tickets")[DAY].rows == 0
    assert house.run(declared(none)).state == State.EMPTY_OK


def test_expectations_of_other_days_than_the_targets_are_not_held_against_it(house: House) -> None:
    both = {"seats": Read("seats", Span.THROUGH)}

    def sell(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
        return tickets_of(seats.filter(pl.col("game_day") == DAY))

    outcome = house.has(seats_of(EVE, 4), seats_of(DAY, 3)).run(declared(sell, reads=both, expects=every_seat))
    assert (outcome.state, outcome.expected) == (State.COMPLETE, 3)


@pytest.mark.parametrize(
    ("span", "seen"),
    [(Span.ON, [DAY]), (Span.BEFORE, [EVE]), (Span.THROUGH, [EVE, DAY])],
)
def test_a_processor_sees_exactly_the_days_that_it_declared(house: House, span: Span, seen: list[dt.date]) -> None:
    days = []

    def look(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
        days.extend(seats["game_day"].unique().sort())
        return tickets_of(seats_of(DAY, 1))

    tomorrow = seats_of(DAY + dt.timedelta(days=1), 3)
    house.has(seats_of(EVE, 3), seats_of(DAY, 3), tomorrow).run(declared(look, reads={"seats": Read("seats", span)}))
    assert days == seen


def test_a_processor_gets_only_the_columns_that_it_declared(house: House) -> None:
    def look(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
        assert seats.columns == ["seat"]
        return tickets_of(seats_of(DAY, 1))

    narrow = Read("seats", Span.ON, columns=("seat",))
    assert house.has(seats_of(DAY, 3)).run(declared(look, reads={"seats": narrow})).error is None


def test_every_target_day_gets_its_partition_even_without_rows(house: House) -> None:
    house.job = replace(house.job, targets=targets_frame([(EVE, NOON - dt.timedelta(days=1)), (DAY, NOON)]))
    outcome = house.has(seats_of(DAY, 3)).run(declared(sell))
    assert outcome.rows == 3
    assert {day: part.rows for day, part in house.warehouse.partitions("tickets").items()} == {EVE: 0, DAY: 3}
    assert (house.row["first_game_day"], house.row["game_day"]) == (EVE, DAY)


def test_the_stamp_says_who_made_it_with_which_code_when_and_how_degraded(house: House) -> None:
    stamps = []

    def look(stamp: Stamp, targets: pl.DataFrame) -> pl.DataFrame:
        stamps.append(stamp)
        return tickets_of(seats_of(DAY, 1))

    house.job = replace(house.job, degraded=("lines are late",))
    house.run(declared(look, reads={"stamp": Provenance()}))
    assert stamps == [Stamp("run-1", "sha256:abc", NOW, ("lines are late",))]


def test_what_is_made_of_an_older_payload_is_whole_but_degraded_and_says_of_which_kind(house: House) -> None:
    """Otherwise nobody could tell it from the real thing, and it would never be replaced."""
    why = "seating could not be fetched: the payload of Dec 27 stands in"
    item = declared(sell, reads={"seats": Landed("seating")})
    house.landed = lambda kind, days: seats_of(DAY, 3)
    usual = house.job
    house.job = replace(usual, stand_ins={"seating": why, "parking": "is not read here"})
    outcome = house.run(item)
    assert (outcome.state, outcome.rows, outcome.reasons) == (State.DEGRADED, 3, (why,))
    assert (house.row["degraded_reasons"], house.row["stand_ins"]) == ([why], ["seating"])
    house.job = usual
    assert house.run(item).state == State.COMPLETE
    assert [row["stand_ins"] for row in house.ledger.runs()] == [["seating"], []]
