"""The coordinator: every system for every eligible player, priced against his line, with provenance on each row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from tasks import parsing
from tasks.engine.contracts import Column, Contract
from tasks.engine.processor import Artifact, Mode, Need, Phase, Provenance, Read, Span, Stamp, processor
from tasks.precompute.ml_feature_store import FEATURE_SET_VERSION
from tasks.predictions import ensemble, lightgbm_points, moving_average, similarity, zone_matchup
from tasks.predictions.distribution import QUANTILES, Array
from tasks.predictions.models import StoredModel
from tasks.predictions.out_of_time import EDGE_THRESHOLD
from tasks.predictions.points_model import PointsModel, Projection
from tasks.predictions.system import Night, System, predicted
from tasks.predictions.training import in_population, population, with_results

SYSTEMS: tuple[System, ...] = (
    moving_average.SYSTEM,
    zone_matchup.SYSTEM,
    similarity.SYSTEM,
    lightgbm_points.SYSTEM,
    ensemble.SYSTEM,  # last: it is made of the others
)
QUANTILE_NAMES = tuple(f"points_q{round(100 * level):02d}" for level in QUANTILES)

CONTRACT = Contract(
    table="predictions",
    grain="a system's prediction for a player in a coming game",
    key=("game_id", "player_id", "system"),
    columns=(
        Column("game_day", pl.Date),
        Column("game_id", pl.String),
        Column("player_id", pl.Int64),
        Column("player_name", pl.String),
        Column("team", pl.String),
        Column("opponent", pl.String),
        Column("is_home", pl.Boolean),
        Column("tip_off", parsing.UTC_INSTANT, max_null=None),
        Column("system", pl.String),
        Column("line", pl.Float64, "points", max_null=None, ge=0.5, le=80),
        Column("line_bookmaker", pl.String, says="which book, or the consensus of how many", max_null=None),
        Column("line_snapshot_at", parsing.UTC_INSTANT, max_null=None),
        Column("predicted_points", pl.Float64, "points", ge=0, le=80, varies=True),
        Column("projected_minutes", pl.Float64, "minutes", "if he plays", ge=0, le=48),
        *(Column(name, pl.Float64, "points", ge=0, le=110) for name in QUANTILE_NAMES),
        Column(
            "over_probability",
            pl.Float64,
            "probability",
            "of those that do not push, calibrated on earlier lines",
            max_null=None,
            ge=0,
            le=1,
        ),
        Column("edge", pl.Float64, "points", "predicted points - line", max_null=None, ge=-60, le=60),
        Column("recommendation", pl.String, says="OVER, UNDER, PASS or NO_LINE"),
        Column("confidence", pl.Float64, "probability", "of the recommended side", max_null=None, ge=0, le=1),
        Column("reasons", pl.String, says="what the prediction is made of"),
        Column("status", pl.String, says="injury status used; null: no report", max_null=None),
        Column("feature_quality", pl.Float64, "0-100", ge=0, le=100),
        Column("degraded", pl.Boolean),
        Column("degraded_reasons", pl.String, says="separated by ' | '", max_null=None),
        Column("model_id", pl.String),
        Column("model_hash", pl.String),
        Column("feature_set_version", pl.Int64),
        Column("release", pl.String, says="fingerprint of the code", max_null=None),
        Column("run_id", pl.String),
        Column("created_at", parsing.UTC_INSTANT),
    ),
)


def every_eligible_player_and_system(inputs: Mapping[str, Any]) -> pl.DataFrame:
    """The grid: eligible players x systems."""
    eligible = inputs["ml_feature_store"].filter("eligible").select("game_day", "game_id", "player_id")
    return eligible.join(pl.DataFrame({"system": [system.name for system in SYSTEMS]}), how="cross")


def only_players(inputs: Mapping[str, Any], missing: pl.DataFrame) -> Mapping[str, Any]:
    """Inputs by which the missing players alone are predicted, beside the squads that they will play with."""
    asked = missing.select("game_id", "player_id").unique().with_columns(asked=pl.lit(value=True))
    features = inputs["ml_feature_store"].join(asked, on=["game_id", "player_id"], how="left", maintain_order="left")
    chosen = pl.col("eligible") & pl.col("asked").is_not_null()
    return {**inputs, "ml_feature_store": features.with_columns(eligible=chosen).drop("asked")}


@processor(
    phase=Phase.PREDICTIONS,
    writes=CONTRACT,
    reads={
        "ml_feature_store": Read("ml_feature_store", Span.ON),
        "past_features": Read("ml_feature_store", Span.BEFORE, columns=similarity.PAST_COLUMNS),
        "player_game_summary": Read(
            "player_game_summary",
            Span.BEFORE,
            columns=("game_day", "game_id", "player_id", "played", "points", "minutes"),
        ),
        "model": Artifact("points"),
        "stamp": Provenance(),
    },
    runs_in={Mode.SAME_DAY: Need.REQUIRED},
    critical=True,
    expects=every_eligible_player_and_system,
    floor=0.95,
    narrows=only_players,
)
def predictions(
    ml_feature_store: pl.DataFrame,
    past_features: pl.DataFrame,
    player_game_summary: pl.DataFrame,
    model: StoredModel,
    stamp: Stamp,
    targets: pl.DataFrame,
) -> pl.DataFrame:
    """One row per eligible player and system. A system that cannot say anything of a player leaves its row out."""
    points_model = PointsModel.of(model)
    past = population(with_results(past_features, player_game_summary))
    wanted = ml_feature_store.join(targets.select("game_day"), on="game_day", how="semi")
    days = wanted.partition_by("game_day", maintain_order=True)
    rows = pl.concat(_evening(day, past, points_model) for day in days)
    return rows.with_columns(*_provenance(points_model, stamp), *_label(stamp))


def _evening(features: pl.DataFrame, past: pl.DataFrame, model: PointsModel) -> pl.DataFrame:
    """The predictions of one game day. Of `past` it sees the days before, however far the range goes."""
    night = _night(features, model, past.filter(pl.col("game_day") < features["game_day"].first()))
    points = predicted(SYSTEMS, night)
    rows = pl.concat(_priced(night, system, points) for system in SYSTEMS)
    return rows.filter(pl.col("predicted_points").is_not_null())


def _night(features: pl.DataFrame, model: PointsModel, past: pl.DataFrame, whom: str = "eligible") -> Night:
    """The players of whole squads who are `whom`: who is not predicted still takes minutes from those who are."""
    projection = model.project(features.sort("game_id", "player_id"))
    chosen = projection.rows[whom].to_numpy()
    rows = projection.rows.filter(whom)
    mine = Projection(rows, projection.minutes[chosen], projection.points[chosen], projection.size[chosen])
    return Night(rows, past, model, mine)


def said_by(model: PointsModel, grid: pl.DataFrame, since: dt.date) -> pl.DataFrame:
    """What every system says with this model of the population's games after `since`, by game_id and player_id.

    `grid`: feature rows with results (see `with_results`). All is said as of `since`: similarity sees no later game.
    """
    later = grid.filter(pl.col("game_day") > since).with_columns(wanted=in_population())
    night = _night(later, model, population(grid.filter(pl.col("game_day") <= since)), "wanted")
    return night.features.select("game_id", "player_id").with_columns(
        pl.Series(name, values, nan_to_null=True) for name, values in predicted(SYSTEMS, night).items()
    )


def _priced(night: Night, system: System, points: Mapping[str, Array]) -> pl.DataFrame:
    """One system's points with reasons, quantiles, edge and recommendation against each player's line."""
    lessons, values, size = night.model.lessons, points[system.name], night.projection.size
    spread, calibration = lessons.spreads[system.name], lessons.calibrations[system.name]
    quantiles = spread.quantiles(values, size)
    over = calibration.calibrated(spread.over_probability(values, size, night.column("line")))
    rows = night.features.with_columns(
        pl.lit(system.name).alias("system"),
        pl.Series("predicted_points", values, nan_to_null=True),
        pl.Series("projected_minutes", night.projection.minutes),
        *(pl.Series(name, quantiles[:, at], nan_to_null=True) for at, name in enumerate(QUANTILE_NAMES)),
        pl.Series("over_probability", over, nan_to_null=True),
        pl.Series("reasons", system.why(replace(night, so_far=dict(points))), dtype=pl.String),
        line_bookmaker=pl.when(pl.col("line").is_not_null()).then(
            pl.format("consensus of {} books", pl.col("line_books"))
        ),
    )
    edge = pl.col("predicted_points") - pl.col("line")
    recommendation = (
        pl.when(pl.col("line").is_null())
        .then(pl.lit("NO_LINE"))
        .when(edge > EDGE_THRESHOLD)
        .then(pl.lit("OVER"))
        .when(edge < -EDGE_THRESHOLD)
        .then(pl.lit("UNDER"))
        .otherwise(pl.lit("PASS"))
    )
    side = pl.col("recommendation")
    probability = pl.col("over_probability")
    return rows.with_columns(edge=edge, recommendation=recommendation).with_columns(
        confidence=pl.when(side == "OVER")
        .then(probability)
        .when(side == "UNDER")
        .then(1 - probability)
        .when(side == "PASS")
        .then(pl.max_horizontal(probability, 1 - probability))
    )


def _provenance(model: PointsModel, stamp: Stamp) -> Iterator[pl.Expr]:
    yield pl.lit(model.id).alias("model_id")
    yield pl.lit(model.content_hash).alias("model_hash")
    yield pl.lit(FEATURE_SET_VERSION, dtype=pl.Int64).alias("feature_set_version")
    yield pl.lit(stamp.fingerprint, dtype=pl.String).alias("release")
    yield pl.lit(stamp.run_id).alias("run_id")
    yield pl.lit(stamp.created_at).cast(parsing.UTC_INSTANT).alias("created_at")


def _label(stamp: Stamp) -> Iterator[pl.Expr]:
    reasons = " | ".join(stamp.degraded)
    yield pl.lit(bool(stamp.degraded)).alias("degraded")
    yield pl.lit(reasons or None, dtype=pl.String).alias("degraded_reasons")
