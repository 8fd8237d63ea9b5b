"""Backfill: the daily run's predictions for past days, each by a model that saw only games before it, graded.

Same features, same training, same prediction processor as the daily run; a new model at the start of each week or
month. A period that shares a model is one piece of work: `predict_period` may run in any process or on any machine.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from concurrent.futures import as_completed
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from prefect import flow
from prefect.client.schemas.objects import StateType
from pydantic import Field
from rich.console import Console

from blocks.objects import ObjectConflict
from blocks.partition import WarehouseError
from blocks.workspace import WorkspaceError
from deployments.integrity.digest import read_tree
from flows.command import FirstDay, Home, Known, LastDay, Seasons, commands, exit_codes
from flows.grade import GradeReport, GradingFailed, NothingToGrade, grade_run, show_grades
from flows.history import HistoryFailed, HistoryMissing, beginning, build_tables
from flows.home import HOME, is_saved
from flows.narration import narrate
from flows.parts import ended_parts
from flows.progress import Pace, progress_bar
from flows.run import Run, code_fingerprint, new_run_id
from flows.slate import in_order, slate
from flows.terminal import local_run
from flows.train import fit
from flows.workers import WorkersError, pool_of
from tasks.catalog import registry
from tasks.engine.plan import cutoffs, is_played, results_known_at, targets_frame
from tasks.engine.processor import Mode
from tasks.engine.runner import Outcome, run_processor
from tasks.precompute.ml_feature_store import FEATURE_SET_VERSION
from tasks.predictions.models import ModelError
from tasks.predictions.points_model import POINTS_FEATURES, library_versions
from tasks.predictions.training import TrainingError
from tasks.sources.base import SourceError
from tasks.sources.hindsight import Information
from tasks.sources.named import absolute, name_of

WORKERS = 2
SEASONS = 5  # of history before the first: four to train on, and one for averages to settle
RECIPE = "RECIPE"
ROOT = Path(__file__).resolve().parent.parent
# Whose code decides what features and predictions are; grading and reports may change without them.
RECIPE_CODE = (
    *("tasks/*.py", "tasks/sources/*.py"),
    *(f"tasks/{room}/**/*.py" for room in ("raw", "analytics", "precompute", "predictions")),
)

Days = list[tuple[dt.date, dt.datetime]]


class Refit(StrEnum):
    """How often the model is trained anew."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"


class BackfillFailed(Exception):
    """A day of the range that could not be predicted, with why."""


class OtherRecipe(Exception):
    """A workspace whose predictions were made by other code or another refit, with what to do."""


@flow(name="backfill", flow_run_name="backfill {start} to {end}")
def backfill(
    start: Annotated[dt.date, Field(description="First game day to predict.")],
    end: Annotated[dt.date, Field(description="Last game day to predict.")],
    refit: Annotated[Refit, Field(description="How often the model is trained anew.")] = Refit.MONTHLY,
    data: Annotated[Path | None, Field(description="Folder of seasons. None: the simulated league.")] = None,
    home: Annotated[Path | None, Field(description="Workspace folder. None: one of its own in .pipeline.")] = None,
    information: Annotated[
        Information, Field(description="What may be known of rosters and absences; two kinds are hindsight.")
    ] = Information.PUBLISHED,
    workers: Annotated[int, Field(ge=1, description="Processes; one a core is best.")] = WORKERS,
    seasons: Annotated[int, Field(ge=0, description="Seasons of history before the range's first.")] = SEASONS,
    dask: Annotated[
        str | None, Field(description="A Dask scheduler's address, or local: its workers predict. None: processes.")
    ] = None,
    pool: Annotated[
        bool,
        Field(description="Periods are runs of backfill/part on its work pool, `workers` of them at once."),
    ] = False,
) -> GradeReport:
    """Predict every game day from `start` to `end` as the daily run would have, grade them, and measure the accuracy.

    Tables are built first where they are missing. Days that are predicted already are left alone, so an interrupted
    backfill goes on where it stopped; predictions of another recipe are never mixed in. Nothing is published.
    Raises BackfillFailed, HistoryFailed, HistoryMissing, OtherRecipe, SourceError, TrainingError, WorkersError.
    """
    if pool and dask is not None:
        raise WorkersError("the work goes to Dask or to a work pool: choose one of them")
    in_order(start, end)
    run = run_of(end, data, home, information)
    run.source.covers()  # that there is something to read, before a workspace is made for it
    hold_recipe(run, refit)
    first_day = run.model_copy(update={"game_day": start})
    first = beginning(first_day, slate(first_day).filter(is_played()), seasons)
    if start < first:
        raise HistoryMissing(f"{run.home} holds history from {first} on, and {start} is before that: choose another")
    build_tables(first, end, data, run.home, run.fingerprint, information)

    schedule = slate(run).filter(is_played() & (pl.col("game_day") >= start))
    groups = periods(cutoffs(schedule), refit)
    there = set(run.workspace.warehouse.partitions("predictions"))
    pace = Pace(total=schedule["game_day"].n_unique(), there=sum(day in there for days in groups for day, _ in days))
    made = _on_pool(run, groups, workers, refit, seasons) if pool else _predicted(run, groups, workers, dask)
    for days, rows in made:
        what = f"{rows:,} rows anew" if rows else "all there already"
        pace.advance(sum(day not in there for day, _ in days))
        narrate(_span(days), "predicted", f"{what}; {pace.says()}")
    return grade_run(run, start, end)


def run_of(end: dt.date, data: Path | None, home: Path | None, information: Information) -> Run:
    """The run of a backfill that ends on `end`."""
    return Run(
        run_id=new_run_id(Mode.BACKFILL, end),
        mode=Mode.BACKFILL,
        game_day=end,
        as_of=results_known_at(end),
        data=data,
        home=home or backfill_home(data, information),
        information=information,
        fingerprint=code_fingerprint(),
    )


def backfill_home(data: Path | None, information: Information) -> Path:
    """The workspace of a backfill: never the daily run's own, whose predictions are what was really published."""
    return HOME / f"backfill-{name_of(data)}-{information.replace('_', '-')}"


def hold_recipe(run: Run, refit: Refit) -> None:
    """Mark a new workspace with what its tables and predictions are made by. Raises OtherRecipe if they are not."""
    mine = f"{refit} refits of features and models by {recipe()}"
    objects, theirs = run.workspace.models, "a daily run"
    if objects.names(RECIPE) or not run.workspace.warehouse.partitions("predictions"):
        try:
            objects.create(RECIPE, mine.encode())
        except ObjectConflict:
            theirs = objects.get(RECIPE).decode()
        else:
            return
    raise OtherRecipe(
        f"{run.home} holds predictions of {theirs}, and these would be {mine}: "
        "give another folder with --home, or remove it to start anew"
    )


def recipe() -> str:
    """The digest over the code that makes features and predictions, and its libraries."""
    tree = read_tree(ROOT, RECIPE_CODE)
    return hashlib.sha256(f"{tree.digest} {sorted(library_versions().items())}".encode()).hexdigest()[:16]


def periods(targets: pl.DataFrame, refit: Refit) -> list[Days]:
    """The target days in groups that share a model: by calendar month, or by week from Monday."""
    every = "1mo" if refit == Refit.MONTHLY else "1w"
    grouped = targets.with_columns(period=pl.col("game_day").dt.truncate(every)).partition_by(
        "period", maintain_order=True
    )
    return [list(group.select("game_day", "as_of").iter_rows()) for group in grouped]


def _predicted(run: Run, groups: list[Days], workers: int, dask: str | None) -> Iterator[tuple[Days, int]]:
    """Each period with its new rows, in the order in which they are done. Raises BackfillFailed."""
    if workers == 1 and dask is None:
        yield from ((days, _rows(days, predict_period(run, days))) for days in groups)
        return
    with pool_of(workers, dask) as pool:
        jobs = {pool.submit(predict_period, run, days): days for days in groups}
        for job in as_completed(jobs):
            yield jobs[job], _rows(jobs[job], job.result())


def _rows(days: Days, made: list[Outcome]) -> int:
    failed = [outcome for outcome in made if not outcome.state.usable]
    if failed:
        raise BackfillFailed(f"{_span(days)}: {failed[0].error}")
    return sum(outcome.rows for outcome in made)


def _on_pool(run: Run, groups: list[Days], at_once: int, refit: Refit, seasons: int) -> Iterator[tuple[Days, int]]:
    """The same from runs of their own, which other machines may work on. Raises BackfillFailed."""
    stored = run.workspace.warehouse.partitions
    before = stored("predictions")
    spans = {(days[0][0], days[-1][0]): days for days in groups}
    missing = [span for span, days in spans.items() if any(day not in before for day, _ in days)]
    yield from ((days, 0) for span, days in spans.items() if span not in missing)
    given = {
        "refit": refit,
        "data": absolute(run.data) if run.data else None,
        "home": run.home if is_saved(run.home) else run.home.resolve(),
        "information": run.information,
        "workers": 1,
        "seasons": seasons,
    }
    for span, child in ended_parts(missing, given, at_once, run.run_id):
        there, days = stored("predictions"), [day for day, _ in spans[span]]
        if child.state_type != StateType.COMPLETED or not there.keys() >= set(days):
            said = child.state.message if child.state else None
            raise BackfillFailed(f"{_span(spans[span])}: its run {child.name} is {child.state_name} ({said})")
        yield spans[span], sum(there[day].rows for day in days if day not in before)


def _span(days: Days) -> str:
    return f"{days[0][0]} to {days[-1][0]}"


def predict_period(run: Run, days: Days) -> list[Outcome]:
    """Train on games before the first of these days, then predict those that have no predictions yet."""
    done = run.workspace.warehouse.partitions("predictions")
    missing = [(day, as_of) for day, as_of in days if day not in done]
    if not missing:
        return []
    first = run.model_copy(update={"game_day": days[0][0]})
    card = (
        first.models.usable_for(
            days[0][0],
            newest_age=dt.timedelta(days=1),
            feature_set_version=FEATURE_SET_VERSION,
            features=POINTS_FEATURES,
            libraries=library_versions(),
            promoted_only=False,  # what is measured here is how good a model is that nobody chose
        )
        or fit(first).card
    )
    targets = targets_frame(missing)
    return [run_processor(registry()["predictions"], run.job(targets), run.shop({}, card.id))]


FAILED = (BackfillFailed, HistoryFailed, GradingFailed)
BAD_INPUT = (
    *(SourceError, WorkspaceError, WarehouseError, OtherRecipe, WorkersError),
    *(HistoryMissing, TrainingError, ModelError, NothingToGrade),
)
cli = commands()


@cli.command()
def main(
    start: FirstDay,
    end: LastDay,
    refit: Annotated[Refit, typer.Option(help="How often the model is trained anew.")] = Refit.MONTHLY,
    data: Seasons = None,
    home: Home = None,
    information: Known = Information.PUBLISHED,
    workers: Annotated[int, typer.Option(min=1, help="Processes; one a core is best.")] = WORKERS,
    seasons: Annotated[int, typer.Option(min=0, help="Seasons of history before the range's first.")] = SEASONS,
    dask: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler, or local: its workers predict.")
    ] = None,
    pool: Annotated[
        bool, typer.Option(help="Periods are runs of backfill/part on its work pool, --workers of them at once.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the accuracy by system and population here.")
    ] = None,
) -> None:
    """Predict past game days as the daily run would have, then grade them. What is predicted already is left alone.

    Exit code 0: predicted and graded. 1: a day could not be. 2: something that you can put right.
    """
    console = Console()
    with exit_codes(console, BAD_INPUT, FAILED), local_run(console), progress_bar(console):
        report = backfill(start.date(), end.date(), refit, data, home, information, workers, seasons, dask, pool)
    show_grades(console, report)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        report.accuracy.write_json(json_file)


if __name__ == "__main__":
    cli()
