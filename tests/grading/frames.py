"""One evening to change a field of: LeBron James at home to Boston, predicted 26.0 against a line of 24.5."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from tasks.catalog import registry
from tasks.engine.contracts import ContractError
from tasks.engine.plan import results_known_at, targets_frame
from tasks.grading.prediction_grades import (
    BASELINE,
    CONTRACT,
    FEATURE_COLUMNS,
    PREDICTION_COLUMNS,
    RESULT_COLUMNS,
    SCHEDULE_COLUMNS,
    prediction_grades,
)

DAY = dt.date(2025, 12, 29)
GAME, OTHER_GAME = "0022500447", "0022500448"
LEBRON, REAVES, TATUM = 2544, 1630559, 1628369
TIP_OFF = dt.datetime(2025, 12, 30, 0, 30, tzinfo=dt.UTC)
# Each level's points, from the 10 % to the 90 % quantile.
QUANTILES = {f"points_q{level}": 15.0 + 2.5 * at for at, level in enumerate(range(10, 100, 10))}

Row = dict[str, Any]


def prediction(**changes: Any) -> Row:
    """Over 24.5, by 1.5 points; the 80 % interval is 15.0 to 35.0."""
    row: Row = {
        "game_day": DAY,
        "game_id": GAME,
        "player_id": LEBRON,
        "system": "ensemble",
        "player_name": "LeBron James",
        "team": "LAL",
        "opponent": "BOS",
        "tip_off": TIP_OFF,
        "line": 24.5,
        "line_snapshot_at": TIP_OFF - dt.timedelta(hours=8),
        "predicted_points": 26.0,
        "over_probability": 0.56,
        "edge": 1.5,
        "recommendation": "OVER",
        "feature_quality": 100.0,
        "degraded": False,
        "model_id": "points-2025-12-28-abc",
        "release": "sha256:abc",
    }
    return row | QUANTILES | changes


def result(**changes: Any) -> Row:
    """30 points in 36 minutes."""
    row: Row = {"game_day": DAY, "game_id": GAME, "player_id": LEBRON, "team": "LAL", "played": True}
    return row | {"minutes": 36.0, "points": 30} | changes


def game(**changes: Any) -> Row:
    """A regular-season game that is over."""
    row: Row = {"game_day": DAY, "game_id": GAME, "season": "2025-26", "season_type": "regular", "status": "final"}
    return row | changes


def features(**changes: Any) -> Row:
    """Enough games and minutes to count; the average says 25.0."""
    row: Row = {"game_day": DAY, "game_id": GAME, "player_id": LEBRON}
    state = {"games_regular_season": 1_500, "minutes_last_10_regular_season": 33.0, BASELINE: 25.0}
    return row | state | changes


# A team-mate's box score: that the Lakers' are in.
TEAM_MATE = result(player_id=REAVES, points=18, minutes=34.0)


def frame(rows: Sequence[Row], table: str, columns: tuple[str, ...]) -> pl.DataFrame:
    """Rows as the warehouse reads these columns of a table."""
    schema: Mapping[str, Any] = registry()[table].writes.spec.polars_schema
    return pl.DataFrame(list(rows), schema={name: schema[name] for name in columns}, orient="row")


def inputs(
    predictions: Sequence[Row] | None = None,
    results: Sequence[Row] | None = None,
    schedule: Sequence[Row] | None = None,
    store: Sequence[Row] | None = None,
) -> dict[str, pl.DataFrame]:
    """What the processor reads; what is not given is the one evening."""
    return {
        "predictions": frame([prediction()] if predictions is None else predictions, "predictions", PREDICTION_COLUMNS),
        "player_game_summary": frame(
            [result(), TEAM_MATE] if results is None else results, "player_game_summary", RESULT_COLUMNS
        ),
        "schedule": frame([game()] if schedule is None else schedule, "schedule", SCHEDULE_COLUMNS),
        "ml_feature_store": frame([features()] if store is None else store, "ml_feature_store", FEATURE_COLUMNS),
    }


def grades(*days: dt.date, **rows: Sequence[Row]) -> pl.DataFrame:
    """The table that the processor makes of them. Raises ContractError for what would not be written."""
    targets = targets_frame((day, results_known_at(day)) for day in days or (DAY,))
    made = CONTRACT.conform(prediction_grades(**inputs(**rows), targets=targets))
    if violations := CONTRACT.check(made):
        raise ContractError(violations)
    return made


def grade(**rows: Sequence[Row]) -> Row:
    """The one grade of the evening."""
    made = grades(**rows)
    assert made.height == 1
    return made.row(0, named=True)
