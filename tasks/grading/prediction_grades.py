"""What became of each prediction: its error, whether its interval held, whether its recommendation won or was void."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

import polars as pl

from tasks.analytics.player_game_summary import CONTRACT as RESULTS
from tasks.engine.contracts import Column, Contract
from tasks.engine.plan import NOT_PLAYED
from tasks.engine.processor import Mode, Need, Phase, Read, Span, processor
from tasks.precompute.ml_feature_store import POPULATION_COLUMNS, of_population
from tasks.predictions.distribution import NINE_LEVELS
from tasks.predictions.predictions import CONTRACT as PREDICTIONS

BASELINE = "points_ewm_10_regular_season"  # the exponentially weighted average that every system has to beat
FINAL = "final"
POPULATION_SEASON_TYPE = "regular"
LEVEL_COLUMNS = {f"points_q{round(100 * level):02d}": level for level in NINE_LEVELS}
KEY = ("game_id", "player_id", "system")


class VoidReason(StrEnum):
    """Why a prediction has no error: NO_RESULT may still get one, the others never will."""

    DNP = "DNP"
    POSTPONED = "POSTPONED"
    NO_RESULT = "NO_RESULT"


class BetResult(StrEnum):
    """What became of a recommendation. Only OVER and UNDER are bets: anything else is NO_BET, whatever happened."""

    WIN = "WIN"
    LOSS = "LOSS"
    PUSH = "PUSH"
    VOID = "VOID"
    NO_BET = "NO_BET"


# Of the prediction, kept beside its grade so that a grade explains itself.
_KEPT = (
    *("game_day", "game_id", "player_id", "system", "player_name", "team", "opponent", "tip_off"),
    *("line", "line_snapshot_at", "predicted_points", "points_q10", "points_q90", "over_probability"),
    *("edge", "recommendation", "feature_quality", "degraded", "model_id", "release"),
)
PREDICTION_COLUMNS = tuple(dict.fromkeys((*_KEPT, *LEVEL_COLUMNS)))
RESULT_COLUMNS = ("game_day", "game_id", "player_id", "team", "played", "minutes", "points")
SCHEDULE_COLUMNS = ("game_day", "game_id", "season", "season_type", "status")
FEATURE_COLUMNS = ("game_day", "game_id", "player_id", *POPULATION_COLUMNS, BASELINE)

CONTRACT = Contract(
    table="prediction_grades",
    grain="a prediction whose game is over or was called off",
    key=KEY,
    columns=(
        *(replace(PREDICTIONS[name], varies=False) for name in _KEPT),  # one game of the evening may be all there is
        Column("season", pl.String, says="as 2025-26; null: the game is off the schedule", max_null=None),
        Column("season_type", pl.String, max_null=None),
        Column("actual_points", pl.Int64, "points", "null: void", max_null=None, ge=0, le=RESULTS["points"].le),
        Column("actual_minutes", pl.Float64, "minutes", "overtime included", max_null=None, ge=0, le=70),
        Column("error", pl.Float64, "points", "predicted - actual", max_null=None, ge=-120, le=80),
        Column("absolute_error", pl.Float64, "points", max_null=None, ge=0, le=120),
        Column("pinball", pl.Float64, "points", "mean over the levels 0.1 to 0.9", max_null=None, ge=0, le=120),
        Column("covered_80", pl.Boolean, says="10 % quantile <= actual <= 90 % quantile", max_null=None),
        Column("quantiles_passed", pl.Int64, "of nine", "quantiles 10 to 90 % below the points", None, ge=0, le=9),
        Column("over_result", pl.String, says="OVER, UNDER or PUSH; null: no line, or void", max_null=None),
        Column("outcome", pl.String, says="of the recommendation: WIN, LOSS, PUSH, VOID or NO_BET"),
        Column("void_reason", pl.String, says="DNP or POSTPONED; null: graded", max_null=None),
        Column("in_population", pl.Boolean, says="counts for accuracy; null: features unknown", max_null=None),
        Column("has_line", pl.Boolean),
        Column(BASELINE, pl.Float64, "points", "what the exponentially weighted average said", max_null=None, ge=0),
    ),
)


def every_prediction(inputs: Mapping[str, Any]) -> pl.DataFrame:
    """Whatever was predicted is to be graded: a game without a result is counted as missing, by name."""
    keys: pl.DataFrame = inputs["predictions"].select("game_day", *KEY)
    return keys


@processor(
    phase=Phase.PUBLISH,
    writes=CONTRACT,
    reads={
        "predictions": Read("predictions", Span.ON, optional=True, columns=PREDICTION_COLUMNS),
        "player_game_summary": Read("player_game_summary", Span.ON, optional=True, columns=RESULT_COLUMNS),
        "schedule": Read("schedule", Span.ON, columns=SCHEDULE_COLUMNS),
        "ml_feature_store": Read("ml_feature_store", Span.ON, optional=True, columns=FEATURE_COLUMNS),
    },
    runs_in={Mode.OVERNIGHT: Need.OPTIONAL},
    expects=every_prediction,
)
def prediction_grades(
    predictions: pl.DataFrame,
    player_game_summary: pl.DataFrame,
    schedule: pl.DataFrame,
    ml_feature_store: pl.DataFrame,
    targets: pl.DataFrame,
) -> pl.DataFrame:
    """One row per prediction of the target days whose game has a result or was called off.

    The population in which accuracy is stated: regular season, minutes > 0, at least 5 earlier games, at least 10
    minutes on average over the last 10. A push (points == line) is neither won nor lost.
    """
    wanted = predictions.join(targets.select("game_day"), on="game_day", how="semi")
    rows = settled(wanted, player_game_summary, schedule)
    rows = rows.filter(pl.col("void_reason").ne_missing(pl.lit(VoidReason.NO_RESULT.value)))
    features = ml_feature_store.select("game_id", "player_id", BASELINE, in_population=of_population())
    rows = rows.join(features, on=["game_id", "player_id"], how="left", validate="m:1")
    actual = pl.when(pl.col("void_reason").is_null()).then("points")
    return (
        rows.with_columns(actual_points=actual, actual_minutes="minutes", has_line=pl.col("line").is_not_null())
        .with_columns(error=pl.col("predicted_points") - pl.col("actual_points"), over_result=_over_result())
        .with_columns(
            absolute_error=pl.col("error").abs(),
            pinball=_pinball(),
            quantiles_passed=_quantiles_passed(),
            covered_80=pl.col("actual_points").is_between("points_q10", "points_q90"),
            outcome=_outcome(),
            in_population=_in_population(),
        )
        .select(CONTRACT.names)
    )


def settled(predictions: pl.DataFrame, player_game_summary: pl.DataFrame, schedule: pl.DataFrame) -> pl.DataFrame:
    """Predictions with their game's season and season_type, the player's points and minutes, and void_reason.

    A player without a box score is DNP only where his team's box scores are in, else NO_RESULT: a failed download is no
    evening off. He is looked for in the predicted game, on whichever side: one who was traded that day and played
    elsewhere did not play in this game. A game that has left its day's schedule without a result was moved: POSTPONED.
    """
    own = player_game_summary.select("game_id", "player_id", "played", "points", "minutes")
    teams = player_game_summary.select("game_id", "team").unique().with_columns(team_in=pl.lit(value=True))
    games = teams.select("game_id").unique().with_columns(game_in=pl.lit(value=True))
    rows = (
        predictions.join(
            schedule.select("game_id", "season", "season_type", "status"), on="game_id", how="left", validate="m:1"
        )
        .join(own, on=["game_id", "player_id"], how="left", validate="m:1")
        .join(teams, on=["game_id", "team"], how="left")
        .join(games, on="game_id", how="left")
    )
    called_off = pl.col("status").is_in(NOT_PLAYED) | (pl.col("status").is_null() & pl.col("game_in").is_null())
    reported = pl.col("played").is_not_null() | pl.col("team_in").is_not_null()
    void_reason = (
        pl.when(called_off)
        .then(pl.lit(VoidReason.POSTPONED.value))
        .when((pl.col("status") == FINAL) & reported)
        .then(pl.when(~pl.col("played").fill_null(value=False)).then(pl.lit(VoidReason.DNP.value)))
        .otherwise(pl.lit(VoidReason.NO_RESULT.value))
    )
    return rows.with_columns(void_reason=void_reason).drop("status", "team_in", "game_in")


def waiting(predictions: pl.DataFrame, player_game_summary: pl.DataFrame, schedule: pl.DataFrame) -> pl.DataFrame:
    """game_day, game_id, player_id and system of the predictions whose game has no result yet: not graded, counted."""
    rows = settled(predictions, player_game_summary, schedule)
    return rows.filter(pl.col("void_reason") == VoidReason.NO_RESULT.value).select("game_day", *KEY)


def _over_result() -> pl.Expr:
    """Null where there is no line or no result."""
    points, line = pl.col("actual_points"), pl.col("line")
    above = pl.when(points > line).then(pl.lit("OVER")).when(points < line).then(pl.lit("UNDER"))
    return above.when(points == line).then(pl.lit(BetResult.PUSH.value))


def _outcome() -> pl.Expr:
    result = pl.col("over_result")
    return (
        pl.when(~pl.col("recommendation").is_in(["OVER", "UNDER"]))
        .then(pl.lit(BetResult.NO_BET.value))
        .when(pl.col("void_reason").is_not_null())
        .then(pl.lit(BetResult.VOID.value))
        .when(result == BetResult.PUSH.value)
        .then(pl.lit(BetResult.PUSH.value))
        .when(result == pl.col("recommendation"))
        .then(pl.lit(BetResult.WIN.value))
        .when(result.is_not_null())
        .then(pl.lit(BetResult.LOSS.value))
    )  # else null, which the contract refuses: a bet on no line


def _pinball() -> pl.Expr:
    """Mean over the nine levels (Koenker and Bassett, 1978): quantile_loss(level, e) = max(level e, (level - 1) e)."""
    losses = []
    for name, level in LEVEL_COLUMNS.items():
        above = pl.col("actual_points") - pl.col(name)
        losses.append(pl.when(above >= 0).then(level * above).otherwise((level - 1) * above))
    graded = pl.col("actual_points").is_not_null()
    return pl.when(graded).then(pl.mean_horizontal(losses, ignore_nulls=False))


def _quantiles_passed() -> pl.Expr:
    """How many of the nine quantiles he scored above; they do not cross, so these are the lowest."""
    passed = [pl.col("actual_points") > pl.col(name) for name in LEVEL_COLUMNS]
    counted = pl.sum_horizontal(level.cast(pl.Int64) for level in passed)
    return pl.when(pl.col("actual_points").is_not_null()).then(counted)


def _in_population() -> pl.Expr:
    played = pl.col("void_reason").is_null() & (pl.col("season_type") == POPULATION_SEASON_TYPE)
    return played & pl.col("in_population")
