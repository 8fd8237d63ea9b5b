"""What the measures of accuracy promise: each on its stated rows, and no comparison of unlike rows."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from tasks.grading.accuracy import EDGES, accuracy, by_edge, calibration, wilson
from tasks.grading.accuracy_daily import CONTRACT as DAILY
from tasks.grading.prediction_grades import BASELINE
from tests.grading.frames import DAY, GAME, TEAM_MATE, Row, features, game, grades, prediction, result

UNPRICED = {"line": None, "line_snapshot_at": None, "over_probability": None, "edge": None}


def evening(*players: dict[str, Any], day: dt.date = DAY) -> pl.DataFrame:
    """Grades of players, each with his own `points` and changes to the prediction."""
    predictions, results, store = [], [], []
    for number, given in enumerate(players):
        changes = dict(given)
        who = {"player_id": number, "game_day": day}
        results.append(result(**who, points=changes.pop("points")))
        store.append(features(**who, **{BASELINE: changes.pop("ewm", 25.0)}))
        predictions.append(_priced(prediction(**who, **changes)))
    return grades(day, predictions=predictions, results=results, store=store, schedule=[game(game_day=day)])


def _priced(row: Row) -> Row:
    if row["line"] is None:
        return row | UNPRICED | {"recommendation": "NO_LINE"}
    edge = row["predicted_points"] - row["line"]
    return row | {"edge": edge, "recommendation": "OVER" if edge > 1 else "UNDER" if edge < -1 else "PASS"}


def only(frame: pl.DataFrame, **where: Any) -> Row:
    found = frame.filter(pl.all_horizontal(pl.col(name) == value for name, value in where.items()))
    assert found.height == 1, found
    return found.row(0, named=True)


def test_errors_are_those_of_the_definition() -> None:
    row = only(accuracy(evening({"points": 20}, {"points": 28}, {"points": 29})), population="all")
    # 26.0 predicted: 6 too many, 2 and 3 too few.
    assert (row["n"], row["mae"], row["bias"]) == (3, pytest.approx(11 / 3), pytest.approx(1 / 3))
    assert row["rmse"] == pytest.approx(np.sqrt((36 + 4 + 9) / 3))
    assert (row["coverage_80"], row["width_80"]) == (1.0, 20.0)
    assert row["pinball"] > 0


def test_the_line_and_the_average_are_measured_on_the_same_rows_or_not_at_all() -> None:
    measured = accuracy(evening({"points": 20}, {"points": 40, "line": None}, {"points": 28, "ewm": 21.0}))
    assert only(measured, population="all")["line_mae"] is None
    assert only(measured, population="all")["ewm_mae"] == pytest.approx((5 + 15 + 7) / 3)
    lined = only(measured, population="with_line")
    assert (lined["n"], lined["mae"], lined["line_mae"]) == (2, 4.0, pytest.approx((4.5 + 3.5) / 2))
    partly = evening({"points": 20}, {"points": 40}).with_columns(
        pl.when(pl.col("actual_points") == 20).then(BASELINE).alias(BASELINE)
    )
    assert only(accuracy(partly), population="all")["ewm_mae"] is None


def test_only_the_population_counts() -> None:
    counted = evening({"points": 20}, {"points": 30})
    others = counted.with_columns(
        in_population=pl.Series([False, None]), game_id=pl.lit("other"), absolute_error=pl.lit(99.0)
    )
    assert accuracy(pl.concat([counted, others])).equals(accuracy(counted))


def test_void_and_push_are_no_bets() -> None:
    graded = evening({"points": 30}, {"points": 20}, {"points": 25, "line": 25.0, "predicted_points": 27.0})
    sat = grades(predictions=[prediction(player_id=9)], results=[TEAM_MATE])
    row = only(accuracy(pl.concat([graded, sat])), population="with_line")
    assert (row["n"], row["bets"], row["wins"], row["pushes"], row["hit_rate"]) == (3, 2, 1, 1, 0.5)


def test_without_bets_there_is_no_hit_rate() -> None:
    row = only(accuracy(evening({"points": 30, "predicted_points": 25.0})), population="with_line")
    assert (row["bets"], row["hit_rate"], row["hit_low"], row["hit_high"]) == (0, None, None, None)


def test_groups_are_measured_apart() -> None:
    january = dt.date(2026, 1, 2)
    both = pl.concat([evening({"points": 20}), evening({"points": 21}), evening({"points": 30}, day=january)])
    measured = accuracy(both, by=("month",)).filter(population="all")
    assert measured.select("month", "n", "mae").rows() == [
        (dt.date(2025, 12, 1), 2, 5.5),
        (dt.date(2026, 1, 1), 1, 4.0),
    ]
    by_day = accuracy(both, by=("season", "game_day"))
    assert by_day["game_day"].unique().sort().to_list() == [DAY, january]
    assert by_day["season"].unique().to_list() == ["2025-26"]


@pytest.mark.parametrize("measure", [accuracy, by_edge, calibration])
def test_no_grades_give_an_empty_table_of_the_same_columns(measure: Any) -> None:
    some = evening({"points": 20}, {"points": 30})
    assert measure(some).height
    nothing = measure(some.clear())
    assert nothing.is_empty()
    assert nothing.schema == measure(some).schema


def test_the_daily_table_takes_what_is_measured() -> None:
    measured = DAILY.conform(accuracy(evening({"points": 20}, {"points": 30, "line": None}), by=("game_day",)))
    assert set(measured.columns) == set(accuracy(evening({"points": 20}), by=("game_day",)).columns)
    assert DAILY.check(measured) == []


@pytest.mark.parametrize("counts", [(0, 1), (1, 1), (0, 40), (40, 40), (7, 13), (512, 1000), (8001, 15085)])
def test_the_interval_is_wilsons(counts: tuple[int, int]) -> None:
    hits, n = counts
    frame = pl.DataFrame({"hits": [hits], "n": [n]})
    expected = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert frame.select(wilson("hits", "n", "low", "high")).row(0) == pytest.approx(
        (expected.low, expected.high), abs=1e-12
    )


def test_an_interval_stays_between_0_and_1() -> None:
    """Also where rounding would carry its end a hair beyond: the contract of accuracy_daily refuses that."""
    many = pl.DataFrame({"n": range(1, 20_000)}).with_columns(none=pl.lit(0))
    low = many.select(wilson("none", "n", "low", "high"))["low"]
    high = many.select(wilson("n", "n", "low", "high"))["high"]
    assert low.min() == 0.0
    assert high.max() == 1.0


def test_an_edge_belongs_to_the_bucket_that_it_ends() -> None:
    """As with the threshold: an edge of exactly 1.0 recommends nothing, and is not with those that do."""
    away = (0.0, 0.5, 1.0, 1.01, 1.5, 2.0, 3.0, 4.0, 4.01, -4.01)
    table = by_edge(evening(*({"points": 30, "line": 20.0, "predicted_points": 20.0 + edge} for edge in away)))
    assert dict(table.select("bucket", "n").iter_rows()) == {
        "0-1": 3,
        "1-1.5": 2,
        "1.5-2": 1,
        "2-3": 1,
        "3-4": 1,
        "over 4": 2,
    }
    assert table["edge_up_to"].to_list() == [*EDGES, None]
    near, far = only(table, bucket="0-1"), only(table, bucket="over 4")
    assert (near["decided"], near["right"]) == (2, 2)  # the prediction on the line itself is on no side
    assert (far["decided"], far["right"], far["hit_rate"]) == (2, 1, 0.5)
    assert (far["line_mae"], far["mae"]) == (10.0, pytest.approx((5.99 + 14.01) / 2))


def test_a_push_is_on_no_side() -> None:
    row = only(by_edge(evening({"points": 20, "line": 20.0}, {"points": 30, "line": 20.0})), bucket="over 4")
    assert (row["n"], row["decided"], row["right"]) == (2, 1, 1)
    row = only(by_edge(evening({"points": 20, "line": 20.0, "predicted_points": 20.0})), bucket="0-1")
    assert (row["n"], row["decided"], row["right"], row["hit_rate"]) == (1, 0, 0, None)


def test_who_has_no_line_is_in_no_bucket() -> None:
    assert by_edge(evening({"points": 30}, {"points": 30, "line": None}))["n"].to_list() == [1]


def test_calibration_sets_what_was_said_beside_what_came() -> None:
    said = np.linspace(0.305, 0.695, 40)
    went_over = [number % 4 < number // 8 for number in range(40)]
    players = [
        {"points": 30 if over else 10, "over_probability": p} for p, over in zip(said.tolist(), went_over, strict=True)
    ]
    push = {"points": 25, "line": 25.0, "over_probability": 0.01}
    table = calibration(evening(*players, push))
    assert table["decile"].to_list() == list(range(1, 11))
    assert table["n"].to_list() == [4] * 10
    assert table["said"].to_list() == pytest.approx(said.reshape(10, 4).mean(axis=1))
    assert table["came"].to_list() == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1, 1]
    assert table["gap"].to_list() == pytest.approx((table["came"] - table["said"]).to_list())


def test_equal_probabilities_still_make_ten_deciles_of_equal_size() -> None:
    table = calibration(evening(*({"points": 30, "over_probability": 0.5} for _ in range(30))))
    assert table["n"].to_list() == [3] * 10


def test_the_order_of_the_rows_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    many = evening(*({"points": int(p), "predicted_points": float(q)} for p, q in rng.uniform(3, 40, (500, 2))))
    shuffled = many.sample(fraction=1, shuffle=True, seed=1)
    for measure in (accuracy, by_edge, calibration):
        assert measure(many).equals(measure(shuffled))
    assert GAME in many["game_id"]
