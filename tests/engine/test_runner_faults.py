"""What the runner promises of a run that goes wrong: nothing half-written, nothing lost, never a success."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from blocks.partition import Partition, PartitionFolder
from tasks.engine.ledger import Ledger, State
from tasks.engine.processor import Artifact, Cleaned, Landed, Registry
from tasks.engine.runner import quarantine_of
from tests.engine.house import (
    DAY,
    EVE,
    REFUSED,
    TICKETS,
    House,
    declared,
    every_seat,
    seats,
    seats_of,
    sell,
    tickets_of,
)


def nothing_was_written(house: House) -> bool:
    return "tickets" not in house.warehouse.tables()


def test_a_missing_required_input_fails_with_a_sentence_and_nothing_is_run_or_written(house: House) -> None:
    def never(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
        raise AssertionError("was run without its input")

    outcome = house.has(seats_of(EVE, 3)).run(declared(never))
    assert outcome.state == State.FAILED
    assert outcome.error == "MissingInput: never needs seats for 2025-12-29, and there are no rows of it"
    assert (house.row["error_class"], house.row["state"]) == ("MissingInput", "FAILED")
    assert nothing_was_written(house)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pl.lit(-1.0).alias("price"), "tickets.price: is at least 0 dollars, found -1"),
        (pl.lit(None, pl.Float64).alias("price"), "tickets.price: is null in at most 0% of rows, found 100.0%"),
        (pl.lit(0).alias("seat"), "is unique, found 2 repeats"),
        (pl.lit("cheap").alias("price"), "tickets.*: has the contract's types"),
    ],
    ids=["range", "null", "key", "type"],
)
def test_a_broken_contract_writes_nothing_and_leaves_what_was_there(house: House, change: pl.Expr, said: str) -> None:
    house.has(seats_of(DAY, 3)).run(declared(sell))
    before = house.tickets()

    def wrong(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
        return tickets_of(seats, 99.0).with_columns(change)

    outcome = house.run(declared(wrong))
    assert outcome.state == State.FAILED
    assert said in str(outcome.error)
    assert house.row["error_class"] == "ContractError"
    assert house.tickets().equals(before)


def lose(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """From now on the store keeps only the first rows of what it is given, and says that all is well."""
    keep = PartitionFolder.replace

    def losing(self: PartitionFolder, frame: pl.DataFrame) -> Partition:
        return replace(keep(self, frame.head(kept)))

    monkeypatch.setattr(PartitionFolder, "replace", losing)


@pytest.mark.parametrize("expects", [every_seat, None], ids=["with a grid", "without a grid"])
def test_ninety_rows_of_158_lost_on_the_way_to_the_store_are_found_and_named(
    house: House, monkeypatch: pytest.MonkeyPatch, expects: Callable[..., pl.DataFrame] | None
) -> None:
    """Incident C1: 1,700 of 3,950 were written, and 158 of 158 reported, because they were counted in memory."""
    house.has(seats_of(DAY, 158))
    lose(monkeypatch, 68)
    outcome = house.run(declared(sell, expects=expects))
    assert (outcome.state, outcome.rows) == (State.FAILED, 68)
    assert outcome.error is not None
    assert outcome.error.startswith("LostRows: tickets: 158 rows were written and 68 are in the store; missing: ")
    assert outcome.missing[:2] == ("2025-12-29 / 68", "2025-12-29 / 69")
    assert (house.row["state"], house.row["rows_actual"], house.row["error_class"]) == ("FAILED", 68, "LostRows")


def test_rows_in_the_store_that_nobody_wrote_are_found(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    write = PartitionFolder.replace

    def doubling(self: PartitionFolder, frame: pl.DataFrame) -> Partition:
        return write(self, pl.concat([frame, frame]))

    house.has(seats_of(DAY, 3))
    monkeypatch.setattr(PartitionFolder, "replace", doubling)
    outcome = house.run(declared(sell, expects=every_seat))
    assert outcome.state == State.FAILED
    assert "3 rows were written and 6 are in the store; missing: none, but there are others" in str(outcome.error)


def refusing(refused: int) -> Callable[..., Cleaned]:
    def clean(found: pl.DataFrame, targets: pl.DataFrame) -> Cleaned:
        rows = {
            "game_day": [DAY] * refused,
            "file": ["seats.csv"] * refused,
            "row": list(range(refused)),
            "field": ["seat"] * refused,
            "value": ["Z9", None][:refused],
            "reason": ["is not a whole number"] * refused,
        }
        return Cleaned(tickets_of(found), pl.DataFrame(rows, schema=REFUSED))

    return clean


FOUND = {"found": Landed("seats")}


def test_refused_rows_are_kept_beside_the_table_and_the_others_go_on(tmp_path: Path) -> None:
    house = House(tmp_path, landed=lambda kind, days: seats_of(DAY, 3))
    outcome = house.run(declared(refusing(2), reads=FOUND))
    assert (outcome.state, outcome.rows, outcome.refused) == (State.COMPLETE, 3, 2)
    assert house.row["rows_refused"] == 2
    kept = house.warehouse.read(quarantine_of(TICKETS).spec, [DAY])
    assert kept.rows() == [
        (DAY, "seats.csv", 0, "seat", "Z9", "is not a whole number"),
        (DAY, "seats.csv", 1, "seat", None, "is not a whole number"),
    ]


def test_a_clean_rerun_empties_the_quarantine(tmp_path: Path) -> None:
    house = House(tmp_path, landed=lambda kind, days: seats_of(DAY, 3))
    house.run(declared(refusing(2), reads=FOUND))
    house.run(declared(refusing(0), reads=FOUND))
    assert house.warehouse.partitions("tickets__refused")[DAY].rows == 0


def test_a_payload_of_which_every_row_is_refused_is_not_an_empty_day(tmp_path: Path) -> None:
    house = House(tmp_path, landed=lambda kind, days: seats_of(DAY, 0))
    outcome = house.run(declared(refusing(2), reads=FOUND))
    assert (outcome.state, outcome.rows, outcome.refused) == (State.DEGRADED, 0, 2)


def test_what_was_refused_is_kept_even_if_the_rest_breaks_the_contract(tmp_path: Path) -> None:
    house = House(tmp_path, landed=lambda kind, days: seats_of(DAY, 3).with_columns(seat=pl.lit(1)))
    assert house.run(declared(refusing(2), reads=FOUND)).state == State.FAILED
    assert house.warehouse.partitions("tickets__refused")[DAY].rows == 2
    assert nothing_was_written(house)


@pytest.mark.parametrize(
    "error",
    [ValueError("a bad value"), KeyError("a key"), pl.exceptions.ColumnNotFoundError("a column"), SystemError("odd")],
    ids=lambda error: type(error).__name__,
)
def test_an_error_in_a_transform_never_becomes_a_success(house: House, error: Exception) -> None:
    def broken(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
        raise error

    outcome = house.has(seats_of(DAY, 3)).run(declared(broken))
    assert outcome.state == State.FAILED
    assert outcome.error == f"{type(error).__name__}: {error}"
    assert (house.row["state"], house.row["error_class"]) == ("FAILED", type(error).__name__)
    assert house.row["error_message"] == str(error)
    assert nothing_was_written(house)


def test_an_error_in_the_expectation_never_becomes_a_success(house: House) -> None:
    def odd(inputs: Mapping[str, Any]) -> pl.DataFrame:
        raise ValueError("the grid is unknown")

    assert house.has(seats_of(DAY, 3)).run(declared(sell, expects=odd)).state == State.FAILED


def test_an_error_in_the_write_never_becomes_a_success(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: PartitionFolder, frame: pl.DataFrame) -> Partition:
        raise OSError(28, "No space left on device")

    house.has(seats_of(DAY, 3))
    monkeypatch.setattr(PartitionFolder, "replace", full)
    outcome = house.run(declared(sell, expects=every_seat))
    assert outcome.state == State.FAILED
    assert outcome.rows == 0
    assert "No space left on device" in str(outcome.error)


def test_a_damaged_input_fails_by_name(house: House) -> None:
    house.has(seats_of(DAY, 3))
    [file] = house.warehouse.files("seats")
    file.write_bytes(b"damaged")
    outcome = house.run(declared(sell))
    assert outcome.state == State.FAILED
    assert f"{file.name} is not what was committed" in str(outcome.error)


def test_a_model_that_cannot_be_loaded_fails_and_no_other_is_used(tmp_path: Path) -> None:
    def unknown(name: str, day: dt.date) -> Any:
        raise LookupError(f"no model {name} for {day}")

    house = House(tmp_path, artifact=unknown)
    outcome = house.run(declared(lambda model, targets: model, reads={"model": Artifact("points")}))
    assert outcome.state == State.FAILED
    assert "no model points for 2025-12-29" in str(outcome.error)


def test_an_interrupted_run_is_not_recorded_as_ended(house: House) -> None:
    def interrupted(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        house.has(seats_of(DAY, 3)).run(declared(interrupted))
    assert (house.row["state"], house.row["ended_at"]) == ("RUNNING", None)


def test_a_broken_ledger_costs_no_output(house: House) -> None:
    house.ledger = Ledger("sqlite:////nowhere/at/all/ledger.sqlite")
    outcome = house.has(seats_of(DAY, 3)).run(declared(sell, expects=every_seat))
    assert (outcome.state, outcome.rows) == (State.COMPLETE, 3)
    assert house.ledger.faults == 2


def test_rows_of_days_that_are_no_target_fail_and_nothing_is_written(house: House) -> None:
    def sell_yesterday_too(seats: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
        return tickets_of(pl.concat([seats, seats_of(EVE, 1)]))

    outcome = house.has(seats_of(DAY, 3)).run(declared(sell_yesterday_too))
    assert outcome.state == State.FAILED
    assert "rows for game days that were not asked for: 2025-12-28" in str(outcome.error)
    assert nothing_was_written(house)


def test_two_processors_of_one_table_are_refused() -> None:
    with pytest.raises(ValueError, match="sell and sell both write tickets"):
        Registry.of(seats, declared(sell), declared(sell))


def test_a_read_that_nobody_writes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sell reads \['seats'\], which no processor writes"):
        Registry.of(declared(sell))
