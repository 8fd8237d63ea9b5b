"""Measures of the report that grading does not state by itself: paired differences to the line, and signs of drift.

Errors, intervals, calibration and hit rates are those of tasks/grading/accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tasks.grading.accuracy import ALL, WITH_LINE, accuracy, wilson
from tasks.grading.prediction_grades import BASELINE, KEY

ALL_SEASONS = "all seasons"
VARIANT = "variant"
NEEDED = (
    *("game_day", *KEY, "season", "player_name", "line", "has_line", "predicted_points", "points_q10", "points_q90"),
    *("over_probability", "edge", "feature_quality", "tip_off", "line_snapshot_at", "model_id", "actual_points"),
    *(
        "actual_minutes",
        "error",
        "absolute_error",
        "pinball",
        "covered_80",
        "quantiles_passed",
        "over_result",
        "outcome",
        "in_population",
    ),
    BASELINE,
)


class GradesError(Exception):
    """Grades that no report can be made of, with what is wrong and what to do."""


def population_of(grades: pl.DataFrame, variant: str) -> pl.DataFrame:
    """The graded rows of the population, labelled `variant` where no column says what their predictions knew.

    Raises GradesError where a column is missing.
    """
    missing = [name for name in NEEDED if name not in grades.columns]
    if missing:
        raise GradesError(f"the grades have no column {', '.join(missing)}: grade the game days again (flows/grade.py)")
    label = pl.col(VARIANT).fill_null(variant) if VARIANT in grades.columns else pl.lit(variant)
    rows = grades.with_columns(label.alias(VARIANT), month=pl.col("game_day").dt.truncate("1mo"))
    return rows.filter(pl.col("in_population") & pl.col("absolute_error").is_not_null())


def with_all_seasons(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, and where there are several seasons once more as one: `season` is then ALL_SEASONS."""
    if rows["season"].n_unique() < 2:
        return rows
    return pl.concat([rows, rows.with_columns(season=pl.lit(ALL_SEASONS))])


def measures(rows: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """The rows of `accuracy`, with more columns.

    `over_line`: MAE less the line's, and `over_line_se`, the standard error of that mean of paired differences, players
    of one game counted as independent; both null unless every row has a line. `mean_edge`: mean of predicted - line
    where there is one. `feature_quality`: its mean. `covered_low` and `covered_high`: the 95 % interval of coverage_80.
    """
    difference = pl.col("absolute_error") - (pl.col("line") - pl.col("actual_points")).abs()
    whole = pl.col("line").null_count() == 0
    keys = [*by, "system", "population"]
    both = [
        rows.with_columns(population=pl.lit(ALL)),
        rows.filter("has_line").with_columns(population=pl.lit(WITH_LINE)),
    ]
    more = (
        pl.concat(both)
        .group_by(keys)
        .agg(
            over_line=pl.when(whole).then(difference.mean()),
            over_line_se=pl.when(whole).then(difference.std() / pl.len().sqrt()),
            mean_edge=pl.col("edge").mean(),
            feature_quality=pl.col("feature_quality").mean(),
            covered=pl.col("covered_80").sum(),
            intervals=pl.col("covered_80").count(),
        )
        .with_columns(wilson("covered", "intervals", "covered_low", "covered_high"))
    )
    return accuracy(rows, by).join(more, on=keys, how="left", validate="1:1", maintain_order="left")
