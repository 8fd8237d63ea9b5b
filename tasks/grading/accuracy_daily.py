"""The accuracy of each system on one game day, as a table that grows by a few rows a night."""

from __future__ import annotations

import polars as pl

from tasks.engine.contracts import Column, Contract
from tasks.engine.processor import Mode, Need, Phase, Read, Span, processor
from tasks.grading.accuracy import accuracy

CONTRACT = Contract(
    table="accuracy_daily",
    grain="a system's accuracy on a game day in a population",
    key=("game_day", "system", "population"),
    columns=(
        Column("game_day", pl.Date),
        Column("system", pl.String),
        Column("population", pl.String, says="all, or with_line: those of them with a line"),
        Column("n", pl.Int64, "predictions", ge=1),
        Column("mae", pl.Float64, "points", ge=0, le=120),
        Column("rmse", pl.Float64, "points", ge=0, le=120),
        Column("bias", pl.Float64, "points", "mean of predicted - actual", ge=-120, le=120),
        Column("pinball", pl.Float64, "points", "mean over the levels 0.1 to 0.9", max_null=None, ge=0, le=120),
        Column("coverage_80", pl.Float64, "share", "inside the 80 % interval", max_null=None, ge=0, le=1),
        Column("width_80", pl.Float64, "points", "mean width of the 80 % interval", max_null=None, ge=0, le=110),
        Column("line_mae", pl.Float64, "points", "of the line on the same rows", max_null=None, ge=0, le=120),
        Column("ewm_mae", pl.Float64, "points", "of the weighted average on the same rows", max_null=None, ge=0),
        Column("bets", pl.Int64, "recommendations", "won or lost", ge=0),
        Column("wins", pl.Int64, "recommendations", ge=0),
        Column("pushes", pl.Int64, "recommendations", "points == line: stake back", ge=0),
        Column("hit_rate", pl.Float64, "share", "wins of bets; null: no bets", max_null=None, ge=0, le=1),
        Column("hit_low", pl.Float64, "share", "95 % interval (Wilson)", max_null=None, ge=0, le=1),
        Column("hit_high", pl.Float64, "share", "95 % interval (Wilson)", max_null=None, ge=0, le=1),
    ),
)


@processor(
    phase=Phase.PUBLISH,
    writes=CONTRACT,
    reads={"prediction_grades": Read("prediction_grades", Span.ON, optional=True)},
    runs_in={Mode.OVERNIGHT: Need.OPTIONAL},
)
def accuracy_daily(prediction_grades: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
    """One row per system and population of each target day; a day without graded rows of the population has none."""
    return accuracy(prediction_grades.join(targets.select("game_day"), on="game_day", how="semi"), by=("game_day",))
