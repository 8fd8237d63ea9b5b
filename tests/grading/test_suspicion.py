"""What the suspicion rule promises: leakage is named from a believable size on, honest results are left in peace."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tasks.grading.accuracy import accuracy
from tasks.grading.suspicion import Rule, suspicions
from tests.grading.frames import DAY, grades, prediction

HONEST: dict[str, Any] = {
    "system": "lightgbm",
    "population": "all",
    "n": 23_054,
    "mae": 4.65,
    "line_mae": None,
    "bets": 0,
    "hit_rate": None,
}
WITH_LINE = HONEST | {"population": "with_line", "n": 15_085, "mae": 5.0045, "line_mae": 5.013, "bets": 4_000}
LINED = WITH_LINE | {"hit_rate": 0.523}


def rules(*rows: dict[str, Any], simulated: bool = False) -> list[Rule]:
    return [item.rule for item in suspicions(pl.DataFrame(rows, infer_schema_length=None), simulated=simulated)]


def test_honest_results_are_not_suspected() -> None:
    assert rules(HONEST, LINED) == []


@pytest.mark.parametrize(
    ("changes", "suspected"),
    [
        ({"mae": 4.499, "n": 9_000}, True),
        ({"mae": 4.5, "n": 9_000}, False),
        ({"mae": 4.30, "n": 8_999}, False),
        ({"mae": 2.19}, True),
    ],
)
def test_an_error_too_low_on_enough_rows_is_suspected(changes: dict[str, Any], suspected: bool) -> None:
    assert rules(HONEST | changes) == [Rule.ERROR_TOO_LOW] * suspected


def test_the_absolute_rule_is_for_the_whole_population() -> None:
    """Who has a line scores more and errs more: 4.4 there is no anchor of anything, and the line's error says more."""
    assert rules(LINED | {"mae": 4.4, "line_mae": 4.42}) == []


@pytest.mark.parametrize(
    ("changes", "suspected"),
    [
        ({"mae": 4.98, "line_mae": 5.0101, "n": 2_000}, True),
        ({"mae": 4.98, "line_mae": 5.0099, "n": 2_000}, False),
        ({"mae": 4.90, "line_mae": 5.01, "n": 1_999}, False),
        ({"mae": 5.10, "line_mae": 5.01}, False),
    ],
)
def test_beating_the_line_by_too_much_is_suspected(changes: dict[str, Any], suspected: bool) -> None:
    assert rules(LINED | changes) == [Rule.LINE_BEATEN_BY_TOO_MUCH] * suspected


@pytest.mark.parametrize(
    ("changes", "suspected"),
    [
        ({"bets": 501, "hit_rate": 0.601}, True),
        ({"bets": 500, "hit_rate": 0.85}, False),
        ({"bets": 501, "hit_rate": 0.60}, False),
    ],
)
def test_too_many_bets_won_are_suspected(changes: dict[str, Any], suspected: bool) -> None:
    assert rules(LINED | changes) == [Rule.TOO_MANY_BETS_WON] * suspected


def test_the_same_bets_are_suspected_once() -> None:
    won = {"bets": 2_000, "hit_rate": 0.70}
    assert rules(HONEST | won, LINED | won) == [Rule.TOO_MANY_BETS_WON]


def test_the_simulated_league_has_limits_of_its_own() -> None:
    """Its truth is at 4.48 and 0.19 below its market: as good as that is honest there, and better is not."""
    assert rules(HONEST | {"mae": 4.48}, simulated=True) == []
    assert rules(HONEST | {"mae": 4.35}, simulated=True) == [Rule.ERROR_TOO_LOW]
    best = LINED | {"mae": LINED["line_mae"] - 0.19, "bets": 900, "hit_rate": 0.66}
    assert rules(best, simulated=True) == []
    leaking = LINED | {"mae": 3.4, "bets": 900, "hit_rate": 0.85}
    assert rules(leaking, simulated=True) == [Rule.LINE_BEATEN_BY_TOO_MUCH, Rule.TOO_MANY_BETS_WON]


def test_a_suspicion_names_system_group_figures_and_size() -> None:
    rows = pl.DataFrame([{"season": "2025-26"} | HONEST | {"mae": 3.4}], infer_schema_length=None)
    (found,) = suspicions(rows)
    assert str(found) == ("lightgbm: error too low, probably leakage: MAE 3.400, below 4.5 (n 23,054), season 2025-26")


def test_a_model_that_knows_the_result_is_found_out() -> None:
    """Grades whose predictions lean on the points themselves, large enough to be judged."""
    honest = grades(predictions=[prediction()])
    count = 9_000
    many = pl.concat([honest] * count).with_columns(
        player_id=pl.int_range(count), actual_points=(pl.int_range(count) * 7) % 40
    )
    # Ten points off where the line is ten off, but a prediction that has seen the score is two off.
    leaking = many.with_columns(
        line=pl.col("actual_points") + 10.5,
        predicted_points=pl.col("actual_points") + 2.0,
        error=pl.lit(2.0),
        absolute_error=pl.lit(2.0),
        outcome=pl.lit("WIN"),
    )
    assert {item.rule for item in suspicions(accuracy(leaking))} == set(Rule)
    assert many["game_day"].unique().to_list() == [DAY]


@pytest.mark.parametrize(
    ("lead", "hindsight", "explained"),
    [(0.04, True, True), (0.129, True, True), (0.14, True, False), (0.04, False, False)],
    ids=["as the report is worth", "just so", "more than it is worth", "without the report"],
)
def test_a_lead_is_explained_by_a_perfect_report_as_far_as_it_is_worth(
    lead: float, hindsight: bool, explained: bool
) -> None:
    rows = pl.DataFrame([LINED | {"mae": LINED["line_mae"] - lead}], infer_schema_length=None)
    (found,) = suspicions(rows, perfect_report=hindsight)
    assert (found.explained is not None) is explained
    assert ("hindsight: MAE" in str(found), "probably leakage" in str(found)) == (explained, not explained)


def test_a_perfect_report_explains_neither_a_small_error_nor_too_many_bets_won() -> None:
    rows = pl.DataFrame(
        [HONEST | {"mae": 4.4}, LINED | {"mae": 4.97, "bets": 900, "hit_rate": 0.7}], infer_schema_length=None
    )
    found = {item.rule: item.explained is None for item in suspicions(rows, perfect_report=True)}
    assert found == {Rule.ERROR_TOO_LOW: True, Rule.LINE_BEATEN_BY_TOO_MUCH: False, Rule.TOO_MANY_BETS_WON: True}
