"""Walk-forward: the daily run's predictions over a range of past days, each by a model that saw only games before it.

Same features, same training, same prediction processor, one day at a time; refit at the start of each week or month.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from prefect import flow
from rich.console import Console

from blocks.workspace import WorkspaceError
from flows.backfill import BackfillFailed, backfill
from flows.grade import GradingFailed, NothingToGrade, grade, show_grades
from flows.narration import narrate
from flows.run import Run, code_fingerprint, home_of, new_run_id
from flows.slate import slate
from flows.terminal import local_run
from flows.train import train
from tasks.catalog import registry
from tasks.engine.plan import cutoffs, is_played, results_known_at
from tasks.engine.processor import Mode
from tasks.engine.runner import Outcome, run_processor
from tasks.precompute.ml_feature_store import FEATURE_SET_VERSION
from tasks.predictions.points_model import POINTS_FEATURES, library_versions
from tasks.predictions.training import TrainingError
from tasks.sources.base import SourceError
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
    run = _run(end, data, home, information, fingerprint)
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


def _run(end: dt.date, data: Path | None, home: Path | None, information: Information, fingerprint: str) -> Run:
    return Run(
        run_id=new_run_id(Mode.BACKFILL, end),
        mode=Mode.BACKFILL,
        game_day=end,
        as_of=results_known_at(end),
        data=data,
        home=home_of(data, home, information),
        information=information,
        fingerprint=fingerprint,
    )


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


cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def main(
    start: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="First game day to predict.")],
    end: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="Last game day to predict.")],
    refit: Annotated[Refit, typer.Option(help="How often the model is trained anew.")] = Refit.MONTHLY,
    data: Annotated[
        Path | None, typer.Option(help="Folder of seasons (docs/data.md). Default: the bundled simulated league.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Folder of tables. Default: one per source in .pipeline.")] = None,
    information: Annotated[
        Information,
        typer.Option(help="What may be known of rosters and absences: no_news and perfect_report are hindsight."),
    ] = Information.PUBLISHED,
    workers: Annotated[int, typer.Option(min=1, help="Processes; one a core is best.")] = WORKERS,
    json: Annotated[Path | None, typer.Option(help="Write the accuracy by system and population here.")] = None,
) -> None:
    """Predict past game days as the daily run would have, then grade them. What is predicted already is left alone.

    Exit code 0: predicted and graded. 1: a day could not be. 2: something that you can put right.
    """
    console = Console()
    first, last, fingerprint = start.date(), end.date(), code_fingerprint()
    try:
        with local_run(console):
            walk_forward(first, last, refit, data, home, information, fingerprint, workers)
            report = grade(_run(last, data, home, information, fingerprint), first, last)
    except (WalkForwardFailed, BackfillFailed, GradingFailed) as error:
        console.print(f"[bold red]failed:[/] {error}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from None
    except (SourceError, WorkspaceError, TrainingError, NothingToGrade) as error:
        console.print(f"[bold red]error:[/] {error}", soft_wrap=True, highlight=False)
        raise typer.Exit(2) from None
    show_grades(console, report)
    if json is not None:
        report.accuracy.write_json(json)


if __name__ == "__main__":
    cli()
