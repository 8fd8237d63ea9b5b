"""Whether a trained model may predict: its out-of-time metrics are sound, unsuspicious, and hold against the current.

The current model is compared on the games since its own training, which neither it nor the candidate's provisional
booster has seen: the same rows, one difference per game.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from tasks.engine.plan import Frozen
from tasks.grading.accuracy import ALL, WITH_LINE
from tasks.grading.suspicion import suspicions
from tasks.predictions.models import ModelCard
from tasks.predictions.predictions import SYSTEMS
from tasks.predictions.training import Trained

JUDGED = ("lightgbm", "ensemble")  # what a new training changes; the other systems follow from the features
BASELINE = "moving_average"
COVERAGE, COVERAGE_WITHIN = 0.80, 0.03
WORSE_BY = 0.02  # points of MAE that a candidate may lose against the current model
FEWEST_SHARED = 500  # games since the current model's training, below which they say nothing
# Two systems' absolute errors of the same game differ by about a point: chance must not decide on small samples.
PAIRED_SPREAD, STANDARD_ERRORS = 1.0, 3.0


class Comparison(Frozen):
    """A candidate beside the current model on games that neither has seen: mean of its error less the other's."""

    current: str
    rows: int
    worse_by: Mapping[str, float]
    standard_error: Mapping[str, float]


def compared(trained: Trained, current: str, theirs: pl.DataFrame) -> Comparison:
    """The candidate's training beside what the current model said (`said_by`) of the same games."""
    seen = trained.seen
    mine = seen.rows.select("game_id", "player_id").with_columns(
        pl.Series("points", seen.actual),
        *(pl.Series(f"{name}_new", seen.every(trained.tested.blend)[name]) for name in JUDGED),
    )
    both = mine.join(theirs, on=["game_id", "player_id"], how="inner").drop_nulls()
    errors = {
        name: ((both[f"{name}_new"] - both["points"]).abs() - (both[name] - both["points"]).abs()).to_numpy()
        for name in JUDGED
    }
    many = both.height > 1
    return Comparison(
        current=current,
        rows=both.height,
        worse_by={name: float(error.mean()) if many else 0.0 for name, error in errors.items()},
        standard_error={
            name: float(error.std(ddof=1) / np.sqrt(both.height)) if many else 0.0 for name, error in errors.items()
        },
    )


def objections(card: ModelCard, comparison: Comparison | None = None, *, simulated: bool = False) -> tuple[str, ...]:
    """Why a model must not predict; none if it may. `simulated`: its games are of the simulated league."""
    return (
        *(str(suspicion) for suspicion in suspicions(_as_accuracy(card.metrics), simulated=simulated)),
        *_unsound(card.metrics),
        *(_lost_ground(comparison) if comparison is not None else ()),
    )


def _unsound(metrics: Mapping[str, float]) -> Iterator[str]:
    rows = metrics["out_of_time_rows"]
    chance = STANDARD_ERRORS * PAIRED_SPREAD / np.sqrt(rows)
    for name in JUDGED:
        mae, baseline = metrics[f"{name}_mae"], metrics[f"{BASELINE}_mae"]
        if mae > baseline + chance:
            yield f"{name}: MAE {mae:.3f} is above the moving average's {baseline:.3f} (n {rows:,.0f})"
        covers = metrics[f"{name}_coverage_80"]
        allowed = COVERAGE_WITHIN + STANDARD_ERRORS * np.sqrt(COVERAGE * (1 - COVERAGE) / rows)
        if abs(covers - COVERAGE) > allowed:
            yield f"{name}: the 80 % interval covers {covers:.1%}, not within {allowed:.1%} of 80 % (n {rows:,.0f})"
    if lines := metrics["line_rows"]:
        lost = metrics["ensemble_mae_with_line"] - metrics["line_mae"]
        if lost > WORSE_BY + STANDARD_ERRORS * PAIRED_SPREAD / np.sqrt(lines):
            yield f"ensemble: MAE is {lost:.3f} above the line's (n {lines:,.0f})"


def _lost_ground(comparison: Comparison) -> Iterator[str]:
    if comparison.rows < FEWEST_SHARED:
        return
    for name, lost in comparison.worse_by.items():
        error = comparison.standard_error[name]
        if lost - 2 * error > WORSE_BY:
            yield (
                f"{name}: MAE is {lost:.3f} (standard error {error:.3f}) above that of the current model "
                f"{comparison.current} on the same {comparison.rows:,} games since its training"
            )


def _as_accuracy(metrics: Mapping[str, float]) -> pl.DataFrame:
    """Metrics in the form that the suspicion rule reads (`tasks.grading.accuracy.accuracy`)."""
    rows: list[tuple[str, str, float, float, float | None, float, float | None]] = []
    for system in (system.name for system in SYSTEMS):
        rows.append((system, ALL, metrics["out_of_time_rows"], metrics[f"{system}_mae"], None, 0.0, None))
        if lines := metrics["line_rows"]:
            bets, won = metrics[f"{system}_bets"], metrics[f"{system}_bets_won"]
            mae = metrics[f"{system}_mae_with_line"]
            rows.append((system, WITH_LINE, lines, mae, metrics["line_mae"], bets, won / bets if bets else None))
    names = ("system", "population", "n", "mae", "line_mae", "bets", "hit_rate")
    return pl.DataFrame(
        rows,
        schema={name: pl.String if name in names[:2] else pl.Float64 for name in names},
        orient="row",
    ).with_columns(pl.col("n", "bets").cast(pl.Int64))
