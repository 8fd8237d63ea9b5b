"""What grading promises: every finished prediction graded or void by the rules, nothing taken for what it is not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from blocks.warehouse import LocalWarehouse
from tasks.catalog import registry
from tasks.engine.contracts import ContractError
from tasks.engine.ledger import Ledger, State
from tasks.engine.plan import results_known_at, targets_frame
from tasks.engine.processor import Mode
from tasks.engine.runner import Job, Outcome, Shop, run_processor
from tasks.grading.prediction_grades import BASELINE, LEVEL_COLUMNS, waiting
from tasks.predictions.distribution import NINE_LEVELS, pinball_loss
from tests.grading.frames import (
    DAY,
    GAME,
    LEBRON,
    OTHER_GAME,
    QUANTILES,
    REAVES,
    TATUM,
    TEAM_MATE,
    Row,
    features,
    game,
    grade,
    grades,
    inputs,
    prediction,
    result,
)

VOID = {"actual_points": None, "error": None, "absolute_error": None, "pinball": None, "covered_80": None}


def of(row: Row, *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_a_grade_says_how_far_off_and_on_which_side_of_the_line() -> None:
    row = grade()
    assert of(row, "actual_points", "actual_minutes", "error", "absolute_error") == (30, 36.0, -4.0, 4.0)
    assert of(row, "covered_80", "over_result", "outcome", "void_reason") == (True, "OVER", "WIN", None)
    assert of(row, "in_population", "has_line", BASELINE, "season") == (True, True, 25.0, "2025-26")
    assert of(row, "model_id", "release", "degraded") == ("points-2025-12-28-abc", "sha256:abc", False)


@pytest.mark.parametrize("points", [0, 15, 24, 60])
def test_pinball_is_the_mean_over_the_nine_levels(points: int) -> None:
    quantiles = np.array([[QUANTILES[name] for name in LEVEL_COLUMNS]])
    assert tuple(LEVEL_COLUMNS.values()) == NINE_LEVELS
    expected = pinball_loss(np.array([float(points)]), quantiles, NINE_LEVELS)
    assert grade(results=[result(points=points)])["pinball"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("points", "covered"), [(14, False), (15, True), (35, True), (36, False)])
def test_the_ends_of_the_interval_belong_to_it(points: int, covered: bool) -> None:
    assert grade(results=[result(points=points)])["covered_80"] is covered


@pytest.mark.parametrize(
    ("recommendation", "points", "outcome"),
    [
        ("OVER", 25, "WIN"),
        ("OVER", 24, "LOSS"),
        ("UNDER", 24, "WIN"),
        ("UNDER", 25, "LOSS"),
        ("PASS", 25, "NO_BET"),
        ("PASS", 24, "NO_BET"),
    ],
)
def test_only_over_and_under_win_or_lose(recommendation: str, points: int, outcome: str) -> None:
    row = grade(predictions=[prediction(recommendation=recommendation)], results=[result(points=points)])
    assert of(row, "outcome", "over_result") == (outcome, "OVER" if points == 25 else "UNDER")


@pytest.mark.parametrize("recommendation", ["OVER", "UNDER"])
def test_points_on_a_whole_number_line_are_a_push_and_still_an_error(recommendation: str) -> None:
    row = grade(
        predictions=[prediction(line=25.0, edge=1.0, recommendation=recommendation)], results=[result(points=25)]
    )
    assert of(row, "over_result", "outcome", "absolute_error", "void_reason") == ("PUSH", "PUSH", 1.0, None)


def test_without_a_line_there_is_an_error_but_no_side_and_no_bet() -> None:
    unpriced = prediction(line=None, line_snapshot_at=None, over_probability=None, edge=None, recommendation="NO_LINE")
    row = grade(predictions=[unpriced])
    assert of(row, "absolute_error", "over_result", "outcome", "has_line") == (4.0, None, "NO_BET", False)


def test_a_bet_on_no_line_is_refused() -> None:
    with pytest.raises(ContractError, match=r"prediction_grades\.outcome"):
        grade(predictions=[prediction(line=None)])


@pytest.mark.parametrize(
    "results",
    [
        [TEAM_MATE],
        [TEAM_MATE, result(played=False, minutes=None, points=None)],
        [TEAM_MATE, result(played=False, minutes=0.0, points=0)],
    ],
    ids=["no box score", "null minutes", "0 minutes"],
)
def test_who_did_not_play_is_void_not_wrong(results: list[Row]) -> None:
    row = grade(results=results)
    assert row | VOID == row
    assert of(row, "void_reason", "outcome", "over_result", "in_population") == ("DNP", "VOID", None, False)


def test_a_void_prediction_that_recommended_nothing_is_no_bet() -> None:
    row = grade(predictions=[prediction(recommendation="PASS")], results=[TEAM_MATE])
    assert of(row, "void_reason", "outcome") == ("DNP", "NO_BET")


@pytest.mark.parametrize("status", ["postponed", "cancelled"])
def test_a_game_that_was_called_off_is_void(status: str) -> None:
    row = grade(results=[], schedule=[game(status=status)])
    assert row | VOID == row
    assert of(row, "void_reason", "outcome", "in_population") == ("POSTPONED", "VOID", False)


def test_a_game_that_was_moved_off_its_day_is_void() -> None:
    row = grade(results=[], schedule=[game(game_id=OTHER_GAME)])
    assert of(row, "void_reason", "season", "in_population") == ("POSTPONED", None, False)


def test_who_was_traded_and_played_elsewhere_that_day_did_not_play_in_this_game() -> None:
    elsewhere = result(game_id=OTHER_GAME, team="DAL", points=41)
    row = grade(results=[TEAM_MATE, elsewhere], schedule=[game(), game(game_id=OTHER_GAME)])
    assert of(row, "void_reason", "actual_points") == ("DNP", None)


def test_who_was_traded_to_the_opponent_is_graded_by_what_he_did_in_the_game() -> None:
    for others in ([TEAM_MATE], []):  # his own result is one, whether or not his old team's is in
        row = grade(results=[*others, result(team="BOS", points=22)])
        assert of(row, "void_reason", "actual_points", "outcome") == (None, 22, "LOSS")


def test_overtime_counts_as_it_is() -> None:
    row = grade(results=[result(minutes=58.0, points=61)])
    assert of(row, "actual_minutes", "actual_points", "outcome", "in_population") == (58.0, 61, "WIN", True)


@pytest.mark.parametrize(
    ("results", "schedule"),
    [
        ([], game(status="scheduled")),
        ([result(points=12, minutes=20.0)], game(status="scheduled")),  # half-time
        ([], game()),
        ([result(player_id=TATUM, team="BOS")], game()),
        ([result()], game(game_id=OTHER_GAME)),
    ],
    ids=["not begun", "going on", "final without box scores", "final without his team's", "played but not scheduled"],
)
def test_what_has_no_certain_result_is_left_out_and_counted(results: list[Row], schedule: Row) -> None:
    given = {"results": results, "schedule": [schedule]}
    assert grades(**given).is_empty()
    read = inputs(**given)
    read.pop("ml_feature_store")
    assert waiting(**read).rows() == [(DAY, GAME, LEBRON, "ensemble")]


def test_graded_void_and_waiting_are_all_predictions() -> None:
    rows = {
        "predictions": [
            prediction(),
            prediction(player_id=REAVES),
            prediction(player_id=1),  # sat
            prediction(player_id=2, game_id="off"),
            prediction(player_id=3, game_id="late"),
        ],
        "schedule": [game(), game(game_id="off", status="postponed"), game(game_id="late", status="scheduled")],
    }
    made, read = grades(**rows), inputs(**rows)
    read.pop("ml_feature_store")
    assert dict(zip(made["player_id"], made["void_reason"], strict=True)) == {
        LEBRON: None,
        REAVES: None,
        1: "DNP",
        2: "POSTPONED",
    }
    assert waiting(**read)["player_id"].to_list() == [3]


@pytest.mark.parametrize(
    ("store", "schedule", "counts"),
    [
        (features(games_regular_season=5, minutes_last_10_regular_season=10.0), game(), True),
        (features(games_regular_season=4), game(), False),
        (features(minutes_last_10_regular_season=9.9), game(), False),
        (features(), game(season_type="playoffs"), False),
        (features(), game(season_type="cup"), False),
        (features(games_regular_season=None), game(), False),
        (features(player_id=TATUM), game(), None),
    ],
    ids=["just enough", "4 games", "9.9 minutes", "playoffs", "cup final", "playoffs alone", "features unknown"],
)
def test_the_population_is_the_one_in_which_accuracy_is_stated(store: Row, schedule: Row, counts: bool | None) -> None:
    assert grade(store=[store], schedule=[schedule])["in_population"] is counts


def test_no_predictions_are_no_grades() -> None:
    assert grades(predictions=[]).is_empty()


def test_a_prediction_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ContractError, match=f"is unique, found 1 repeats, as .*{GAME}.*{LEBRON}.*ensemble"):
        grades(predictions=[prediction(), prediction(predicted_points=20.0)])


@pytest.mark.parametrize(
    "twice", [{"results": [result(), result(points=12)]}, {"schedule": [game()] * 2}, {"store": [features()] * 2}]
)
def test_a_result_that_is_there_twice_is_not_chosen_from(twice: dict[str, list[Row]]) -> None:
    with pytest.raises(pl.exceptions.ComputeError, match="m:1"):
        grades(**twice)


def test_days_between_the_targets_are_left_alone() -> None:
    between = DAY + dt.timedelta(days=1)
    rows = {
        "predictions": [prediction(), prediction(game_day=between, game_id=OTHER_GAME)],
        "schedule": [game(), game(game_day=between, game_id=OTHER_GAME, status="postponed")],
    }
    assert grades(DAY, **rows)["game_day"].to_list() == [DAY]
    assert grades(DAY, between, **rows)["game_day"].to_list() == [DAY, between]


class Night:
    """A store in which the declared processors are run as an overnight run does."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = LocalWarehouse(folder=folder / "warehouse")
        self.shop = Shop(
            registry(),
            self.warehouse,
            Ledger(f"sqlite:///{folder}/ledger.sqlite"),
            lambda kind, days: pl.DataFrame(),
            lambda name, day: None,
            lambda: results_known_at(DAY),
        )

    def has(self, **tables: pl.DataFrame) -> Night:
        """Put these columns of tables into the store; the columns that grading does not read are null."""
        for table, rows in tables.items():
            spec = registry()[table].writes.spec
            absent = [
                pl.lit(None, dtype=dtype).alias(name)
                for name, dtype in spec.polars_schema.items()
                if name not in rows.columns
            ]
            self.warehouse.replace(spec, DAY, rows.with_columns(absent).select(spec.polars_schema.names()))
        return self

    def run(self, table: str) -> Outcome:
        """Run the processor of a table for the evening."""
        return run_processor(
            registry()[table], Job("run-1", Mode.OVERNIGHT, targets_frame([(DAY, results_known_at(DAY))])), self.shop
        )


def test_a_night_is_graded_counted_and_measured(tmp_path: Path) -> None:
    night = Night(tmp_path).has(**inputs())
    graded, measured = night.run("prediction_grades"), night.run("accuracy_daily")
    assert of(graded.model_dump(), "state", "rows", "expected") == (State.COMPLETE, 1, 1)
    assert of(measured.model_dump(), "state", "rows") == (State.COMPLETE, 2)
    held = night.warehouse.partitions("prediction_grades") | night.warehouse.partitions("accuracy_daily")
    night.run("prediction_grades")
    night.run("accuracy_daily")
    assert night.warehouse.partitions("prediction_grades") | night.warehouse.partitions("accuracy_daily") == held


def test_a_night_that_was_never_predicted_is_no_failure(tmp_path: Path) -> None:
    night = Night(tmp_path).has(**inputs(predictions=[]))
    assert night.run("prediction_grades").state == State.EMPTY_OK
    assert night.run("accuracy_daily").state == State.EMPTY_OK


def test_a_game_that_is_not_final_by_morning_is_missing_by_name(tmp_path: Path) -> None:
    rows = {
        "predictions": [prediction(), prediction(player_id=TATUM, game_id=OTHER_GAME)],
        "schedule": [game(), game(game_id=OTHER_GAME, status="scheduled")],
    }
    outcome = Night(tmp_path).has(**inputs(**rows)).run("prediction_grades")
    assert of(outcome.model_dump(), "state", "rows", "expected") == (State.PARTIAL, 1, 2)
    assert outcome.missing == (f"{DAY} / {OTHER_GAME} / {TATUM} / ensemble",)


def test_without_features_the_grades_are_there_and_say_that_the_population_is_unknown(tmp_path: Path) -> None:
    night = Night(tmp_path).has(**inputs(store=[]))
    outcome = night.run("prediction_grades")
    assert outcome.state == State.DEGRADED
    assert "ml_feature_store has no rows" in outcome.reasons[0]
    assert night.run("accuracy_daily").state == State.EMPTY_OK
