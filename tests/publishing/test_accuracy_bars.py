"""The bar beside the measured figures: known answers hold or fall short, at the bar's own decimals."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from tasks.grading.prediction_grades import BASELINE
from tasks.publishing.accuracy_bars import Held
from tasks.publishing.accuracy_report import Evidence, accuracy_of, accuracy_report
from tests.publishing.test_accuracy_report import WRITTEN, grade, grades


def bars(*rows: dict[str, Any], variant: str = "no news", **more: Any) -> dict[tuple[str, str], Held]:
    graded = grades(*rows).with_columns(variant=pl.lit(variant))
    found = accuracy_of(Evidence(graded, WRITTEN, **more)).bars
    return {(bar.what, bar.season): bar for bar in found}


def trees(error: float, season: str = "2023-24", **changes: Any) -> dict[str, Any]:
    return grade(20 + error, 20, **({"system": "lightgbm", "season": season} | changes))


@pytest.mark.parametrize(("error", "shown", "holds"), [(4.6549, "4.655", True), (4.66, "4.660", False)])
def test_an_error_is_held_against_its_bar_at_the_bars_decimals(error: float, shown: str, holds: bool) -> None:
    bar = bars(trees(error), trees(-error))["LightGBM, MAE", "2023-24"]
    assert (bar.n, bar.figure, bar.bar, bar.holds) == (2, shown, "at most 4.65", holds)


def test_this_seasons_error_is_held_against_the_average_on_the_same_rows() -> None:
    enough = bars(trees(4.0, "2025-26", **{BASELINE: 24.14}))["LightGBM, MAE, less the weighted average's", "2025-26"]
    short = bars(trees(4.0, "2025-26", **{BASELINE: 24.13}))["LightGBM, MAE, less the weighted average's", "2025-26"]
    assert (enough.figure, enough.holds) == ("−0.140", True)
    assert (short.figure, short.holds) == ("−0.130", False)


def test_the_ensemble_must_be_below_the_line_itself() -> None:
    def beside(error: float) -> Held:
        row = grade(20 + error, 20, 20 + 5, season="2024-25")
        return bars(row, row | {"game_id": "other"})["Ensemble with the line, MAE less the line's", "2024-25"]

    assert beside(4.9).holds
    assert not beside(5.0).holds
    assert not beside(5.1).holds


def test_a_report_in_hindsight_has_bars_of_its_own_and_the_simulated_league_none() -> None:
    assert ("LightGBM with the absences report, MAE", "2023-24") in bars(trees(4.5), variant="perfect report")
    assert ("LightGBM, MAE", "2023-24") not in bars(trees(4.5), variant="perfect report")
    assert bars(trees(4.5), simulated=frozenset({"no news"})) == {}


def test_calibration_at_nine_lines_counts_how_often_the_points_passed_each_quantile() -> None:
    # Of ten games, k pass the quantile below which k should lie: as calibrated as can be.
    fair = [trees(1, quantiles_passed=passed) for passed in range(10)]
    name = "P(over) at nine lines of every player, LightGBM", "2023-24"
    bar = bars(*fair)[name]
    assert bar.figure.startswith("9 of 9, the largest")
    assert (bar.n, bar.holds) == (10, True)
    over = [trees(1, quantiles_passed=9) for _ in range(10)]
    assert (bars(*over)[name].figure, bars(*over)[name].holds) == ("0 of 9, the largest +90.0 ± 0.0", False)


def test_the_page_marks_what_falls_short() -> None:
    day = {"game_day": dt.date(2024, 1, 5)}
    graded = grades(trees(4.9, **day, pinball=1.8)).with_columns(variant=pl.lit("no news"))
    section = accuracy_report(accuracy_of(Evidence(graded, WRITTEN))).sections[0]
    assert section.name == "bar"
    table = section.tables[0]
    assert {table.rows[at][-1] for at in table.marked} == {"no"}
    assert {row[-1] for at, row in enumerate(table.rows) if at not in table.marked} == {"yes"}
