"""Walk-forward: the daily run's predictions over a range of past days, each by a model that saw only games before it.

Same features, same training, same prediction processor, one day at a time; refit at the start of each week or month.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from enum import StrEnum
from pathlib import Path

import polars as pl
from prefect import flow

from flows.backfill import backfill
from flows.narration import narrate
from flows.run import Run, home_of, new_run_id
from flows.slate import slate
from flows.train import train
from tasks.catalog import registry
from tasks.engine.plan import cutoffs, is_played, results_known_at
from tasks.engine.processor import Mode
from tasks.engine.runner import Outcome, run_processor
from tasks.precompute.ml_feature_store import FEATURE_SET_VERSION
from tasks.predictions.points_model import POINTS_FEATURES, library_versions
from tasks.sources.hindsight import Information

WORKERS = 2


class Refit(StrEnum):
    """How often the model is trained anew."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"


class WalkForwardFailed(Exception):
    """A day of the range that could not be predicted, with why."""


@flow(name="walk-forward", flow_run_name="walk-forward {start} to {end}")
def walk_forward(
    start: dt.date,
    end: dt.date,
    refit: Refit = Refit.MONTHLY,
    data: Path | None = None,
    home: Path | None = None,
    information: Information = Information.PUBLISHED,
    fingerprint: str = "unversioned",
    workers: int = WORKERS,
) -> list[Outcome]:
    """Predict every game day from `start` to `end` as the daily run would have, in `workers` processes.

    The range's features are built first where they are missing. Days that are predicted already are left alone, so an
    interrupted walk goes on where it stopped. Nothing is published. Raises WalkForwardFailed.
    """
    run = Run(
        run_id=new_run_id(Mode.BACKFILL, end),
        mode=Mode.BACKFILL,
        game_day=end,
        as_of=results_known_at(end),
        data=data,
        home=home_of(data, home, information),
        information=information,
        fingerprint=fingerprint,
    )
    schedule = slate(run).filter(is_played())
    built = run.workspace.warehouse.partitions("ml_feature_store")
    backfill(min(built, default=start), end, data, run.home, fingerprint, information)
    wanted = cutoffs(schedule.filter((pl.col("game_day") >= start) & (pl.col("game_day") <= end)))
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {pool.submit(predict_period, run, days): days for days in periods(wanted, refit)}
        for done in as_completed(jobs):
            days = jobs[done]
            made = done.result()
            outcomes += made
            failed = [outcome for outcome in made if not outcome.state.usable]
            if failed:
                raise WalkForwardFailed(f"{days[0][0]} to {days[-1][0]}: {failed[0].error}")
            rows = sum(outcome.rows for outcome in made)
            narrate(f"walk {days[0][0]}", "predicted", f"{len(made)} of {len(days)} game days anew, {rows:,} rows")
    return outcomes


def periods(targets: pl.DataFrame, refit: Refit) -> list[list[tuple[dt.date, dt.datetime]]]:
    """The target days in groups that share a model: by calendar month, or by week from Monday."""
    every = "1mo" if refit == Refit.MONTHLY else "1w"
    grouped = targets.with_columns(period=pl.col("game_day").dt.truncate(every)).partition_by(
        "period", maintain_order=True
    )
    return [list(group.select("game_day", "as_of").iter_rows()) for group in grouped]


def predict_period(run: Run, days: list[tuple[dt.date, dt.datetime]]) -> list[Outcome]:
    """Train on games before the first of these days, then predict each that has no predictions yet."""
    done = run.workspace.warehouse.partitions("predictions")
    missing = [(day, as_of) for day, as_of in days if day not in done]
    if not missing:
        return []
    first = run.model_copy(update={"game_day": days[0][0]})
    card = first.models.usable_for(
        days[0][0],
        newest_age=dt.timedelta(days=1),
        feature_set_version=FEATURE_SET_VERSION,
        features=POINTS_FEATURES,
        libraries=library_versions(),
    ) or train.fn(first)
    outcomes = []
    for day, as_of in missing:
        targets = pl.DataFrame(
            {"game_day": [day], "as_of": [as_of]}, schema={"game_day": pl.Date, "as_of": pl.Datetime("us", "UTC")}
        )
        outcomes.append(run_processor(registry()["predictions"], run.job(targets), run.shop({}, card.id)))
    return outcomes
