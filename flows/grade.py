"""Grade: what became of the predictions of finished game days, and how accurate each system was."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run
from pydantic import Field
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from blocks.partition import WarehouseError
from blocks.warehouse import DayRange
from blocks.workspace import WorkspaceError
from flows.choice import is_simulated
from flows.clock import utc_now
from flows.command import FirstDay, Home, Known, LastDay, Seasons, commands, exit_codes
from flows.home import home_of, is_saved
from flows.narration import narrate
from flows.phases import grading, told
from flows.run import Run, code_fingerprint, new_run_id
from flows.slate import in_order
from flows.terminal import local_run
from tasks.catalog import registry
from tasks.engine.plan import EASTERN, results_known_at, steps_of
from tasks.engine.processor import Mode, Phase
from tasks.engine.runner import Outcome
from tasks.grading.accuracy import ALL, WITH_LINE, accuracy
from tasks.grading.prediction_grades import RESULT_COLUMNS, SCHEDULE_COLUMNS, waiting
from tasks.grading.suspicion import Suspicion, suspicions
from tasks.publishing.wording import NONE, count, interval, number, percent
from tasks.sources.base import SourceError
from tasks.sources.hindsight import Information

SHOWN_DAYS = 5
A_WEEK = dt.timedelta(days=6)  # before its last day


class NothingToGrade(Exception):
    """A range in which nothing was predicted, with where predictions are and what to do."""


class GradingFailed(Exception):
    """A grading whose tables could not be made, with which and why."""


@dataclass(frozen=True)
class GradeReport:
    """What a grading came to: predictions == graded + the sum of void + the sum of waiting.

    `void` counts by reason, `waiting` by game day the predictions of games without a result. `accuracy` is that of
    `tasks.grading.accuracy.accuracy` over all graded days of the range.
    """

    run_id: str
    first: dt.date
    last: dt.date
    days: int
    predictions: int
    graded: int
    void: dict[str, int]
    waiting: dict[dt.date, int]
    outcomes: tuple[Outcome, ...]
    accuracy: pl.DataFrame
    suspicions: tuple[Suspicion, ...]


@flow(name="grade")
def grade(
    last: Annotated[dt.date | None, Field(description="Last game day. None: the day before this run's.")] = None,
    first: Annotated[dt.date | None, Field(description="First game day. None: a week up to the last.")] = None,
    data: Annotated[Path | None, Field(description="Folder of seasons. None: the simulated league.")] = None,
    home: Annotated[Path | None, Field(description="Workspace folder. None: one per source in .pipeline.")] = None,
    information: Annotated[
        Information, Field(description="What was known of rosters and absences when the tables were built.")
    ] = Information.PUBLISHED,
) -> GradeReport:
    """Grade a range of game days (see `grade_run`); by default the week up to yesterday in New York."""
    today = (flow_run.scheduled_start_time or utc_now()).astimezone(EASTERN).date()
    last = last or today - dt.timedelta(days=1)
    return grade_run(run_of(last, data, home, information), first or last - A_WEEK, last)


def run_of(last: dt.date, data: Path | None, home: Path | None, information: Information) -> Run:
    """The run of a grading that ends on `last`."""
    return Run(
        run_id=new_run_id(Mode.OVERNIGHT, last),
        mode=Mode.OVERNIGHT,
        game_day=last,
        as_of=results_known_at(last),
        data=data,
        home=home_of(data, home, information),
        information=information,
        fingerprint=code_fingerprint(),
    )


def grade_run(run: Run, first: dt.date, last: dt.date) -> GradeReport:
    """Grade every prediction of the game days `first` to `last` whose game has a result or was called off.

    Results are those in the store: overnight runs and backfills bring them in. Grading again gives the same rows.
    Raises NothingToGrade, GradingFailed; SourceError for days in the wrong order.
    """
    in_order(first, last)
    predicted = _predicted_days(run, first, last)
    without = _waiting(run, predicted)
    outcomes: list[Outcome] = []
    days = [day for day, count in predicted.items() if without.get(day, 0) < count]
    steps = [step for step in steps_of(Mode.OVERNIGHT, registry()) if step.phase == Phase.PUBLISH]
    for month, of_month in groupby(days, key=lambda day: day.replace(day=1)):
        targets = [(day, results_known_at(day)) for day in of_month]
        narrate(f"grade {month:%Y-%m}", "grading", f"{_days(len(targets))}, {targets[0][0]} to {targets[-1][0]}")
        outcomes += grading(run, targets, steps)
    failed = [f"{outcome.processor}: {told(outcome)}" for outcome in outcomes if not outcome.state.usable]
    if failed:
        raise GradingFailed("; ".join(failed))
    return _report(run, first, last, predicted, without, days, outcomes)


def _predicted_days(run: Run, first: dt.date, last: dt.date) -> dict[dt.date, int]:
    """The number of predictions of each game day of the range that has any. Raises NothingToGrade."""
    held = {day: found.rows for day, found in sorted(run.workspace.warehouse.partitions("predictions").items())}
    known = [day for day, rows in held.items() if rows]
    found = {day: held[day] for day in known if first <= day <= last}
    if not found:
        there = f"there are predictions from {known[0]} to {known[-1]}" if known else "there are none of any day"
        raise NothingToGrade(
            f"no predictions of {DayRange(first, last)} in {run.home}, {there}: choose other days or another --home, "
            "or predict first with `python -m flows.daily --mode same_day --game-day DAY`"
        )
    return found


def _waiting(run: Run, predicted: dict[dt.date, int]) -> dict[dt.date, int]:
    """How many predictions of each day cannot be graded yet; said day by day."""
    warehouse, tables = run.workspace.warehouse, registry()
    predictions = warehouse.read(
        tables["predictions"].writes.spec, predicted, ("game_day", "game_id", "player_id", "system", "team")
    )
    results = warehouse.read(tables["player_game_summary"].writes.spec, predicted, RESULT_COLUMNS)
    schedule = warehouse.read(tables["schedule"].writes.spec, predicted, SCHEDULE_COLUMNS)
    counts = waiting(predictions, results, schedule).group_by("game_day").len().sort("game_day")
    found = dict(counts.iter_rows())
    for day, left in list(found.items())[:SHOWN_DAYS]:
        narrate(str(day), "waiting", f"{left:,} of {predicted[day]:,} predictions have no result in the store yet")
    if len(found) > SHOWN_DAYS:
        narrate("other days", "waiting", f"{len(found) - SHOWN_DAYS} more have predictions without a result")
    return found


def _report(
    run: Run,
    first: dt.date,
    last: dt.date,
    predicted: dict[dt.date, int],
    without: dict[dt.date, int],
    days: list[dt.date],
    outcomes: list[Outcome],
) -> GradeReport:
    """The report, counted from the store, and its accuracy as an artifact of the flow run."""
    grades = run.workspace.warehouse.read(registry()["prediction_grades"].writes.spec, days)
    measured = accuracy(grades)
    void = grades.drop_nulls("void_reason").group_by("void_reason").len().sort("void_reason")
    report = GradeReport(
        run_id=run.run_id,
        first=first,
        last=last,
        days=len(days),
        predictions=sum(predicted.values()),
        graded=grades["absolute_error"].count(),
        void=dict(void.iter_rows()),
        waiting=without,
        outcomes=tuple(outcomes),
        accuracy=measured,
        suspicions=suspicions(
            measured,
            simulated=is_simulated(run.data),
            perfect_report=run.information == Information.PERFECT_REPORT,
        ),
    )
    if measured.height:
        create_table_artifact(measured.to_dicts(), key="accuracy", description=_counts(report))
    return report


def _counts(report: GradeReport) -> str:
    void = sum(report.void.values())
    why = f" ({', '.join(f'{count:,} {reason}' for reason, count in report.void.items())})" if void else ""
    left = sum(report.waiting.values())
    late = f", {left:,} without a result yet" if left else ""
    return f"{report.predictions:,} predictions: {report.graded:,} graded, {void:,} void{why}{late}"


def _days(count: int) -> str:
    return f"{count:,} game day{'' if count == 1 else 's'}"


def accuracy_tables(measured: pl.DataFrame) -> Iterator[Table]:
    """Accuracy by system for the terminal, a table for each population, none wider than 80 columns."""
    wholes = {
        ALL: "Accuracy: played, 5+ earlier games, 10+ minutes over the last 10",
        WITH_LINE: "Of those, players with a line",
    }
    for population, title in wholes.items():
        lined = population == WITH_LINE
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("system", no_wrap=True)
        names = ("line's MAE", "bets", "won (95 % interval)") if lined else ("average's MAE", "pinball", "80 % covers")
        for name in ("n", "MAE", *names):
            table.add_column(name, justify="right", no_wrap=True)
        for row in measured.filter(population=population).sort("mae", "system").iter_rows(named=True):
            cells = _beside_the_line(row) if lined else _spread(row)
            table.add_row(row["system"], count(row["n"]), number(row["mae"]), *cells)
        if table.row_count:
            yield table


def _spread(row: dict[str, Any]) -> tuple[str, str, str]:
    return number(row["ewm_mae"]), number(row["pinball"]), percent(row["coverage_80"])


def _beside_the_line(row: dict[str, Any]) -> tuple[str, str, str]:
    won = f"{percent(row['hit_rate'])} ({interval(row['hit_low'], row['hit_high'])})" if row["bets"] else NONE
    return number(row["line_mae"]), count(row["bets"]), won


def show_grades(console: Console, report: GradeReport) -> None:
    """Print the accuracy table, what was graded, what was not and why, and what is too good to be true."""
    console.print()
    for table in accuracy_tables(report.accuracy):
        console.print(table)
    console.print(f"{_days(report.days)}, {_counts(report)}", highlight=False)
    if report.waiting:
        days = ", ".join(map(str, list(report.waiting)[:SHOWN_DAYS]))
        more = f" and {len(report.waiting) - SHOWN_DAYS} more" if len(report.waiting) > SHOWN_DAYS else ""
        advice = "`python -m flows.daily --mode overnight --game-day DAY` brings results in"
        console.print(Text(f"  waiting: {days}{more}; {advice}", style="yellow"), soft_wrap=True)
    for suspicion in report.suspicions:
        console.print(Text(f"  {suspicion}", style="bold red"), soft_wrap=True)
    console.print(f"  run {report.run_id}", highlight=False)


BAD_INPUT = (NothingToGrade, SourceError, WorkspaceError, WarehouseError)
cli = commands()


@cli.command()
def main(
    start: FirstDay,
    end: LastDay,
    data: Seasons = None,
    home: Home = None,
    information: Known = Information.PUBLISHED,
) -> None:
    """Grade the predictions of a range of game days against the results in the store, and say how accurate they were.

    Exit code 0: every finished day with predictions is graded. 1: a table could not be made. 2: something you can put
    right.
    """
    console = Console()
    last, folder = end.date(), home_of(data, home, information)
    with exit_codes(console, BAD_INPUT, failed=(GradingFailed,)):
        if not is_saved(folder) and not folder.is_dir():
            raise NothingToGrade(f"there is no folder {folder}: give the one that the predictions are in with --home")
        with local_run(console):
            report = grade(last, start.date(), data, folder, information)
    show_grades(console, report)


if __name__ == "__main__":
    cli()
