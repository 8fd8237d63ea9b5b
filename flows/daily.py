"""The day: plan it, make sure of its history, run its phases, predict, publish, report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from prefect import flow
from prefect.runtime import flow_run
from pydantic import AwareDatetime, Field
from rich.console import Console

from blocks.workspace import WorkspaceError
from flows.clock import utc_now
from flows.command import DAY, INSTANT, Home, Seasons, commands, exit_codes
from flows.day import Day, DayFailed
from flows.exclusive import AlreadyRunning, alone
from flows.execution import PhaseCall, execution, placed
from flows.history import HistoryFailed, HistoryMissing, build_history
from flows.home import home_of
from flows.phases import PHASE_FLOWS, grading, predictions
from flows.report import DayReport, DayState
from flows.terminal import local_run, show_report
from flows.train import model_for
from tasks.engine.gate import GatePolicy
from tasks.engine.plan import EASTERN, PlanError, Step
from tasks.engine.processor import Mode, Phase
from tasks.engine.runner import Outcome
from tasks.predictions.models import ModelError
from tasks.predictions.training import TrainingError
from tasks.sources.base import SourceError

# What a person can put right, each with a sentence that says how.
BadInput = (SourceError, WorkspaceError, PlanError, HistoryMissing, TrainingError, ModelError, AlreadyRunning)


def _run_name() -> str:
    """As `same-day 2025-12-29`, also where the game day is left to the schedule."""
    given = flow_run.parameters
    mode = Mode(given["mode"])
    day = given.get("game_day") or scheduled_game_day(mode, flow_run.scheduled_start_time or utc_now())
    return f"{mode.value.replace('_', '-')} {day}"


@flow(name="daily", flow_run_name=_run_name)
def daily(
    mode: Annotated[Mode, Field(description="same_day predicts; overnight takes in the results of a finished day.")],
    game_day: Annotated[
        dt.date | None,
        Field(description="Date of the games in America/New_York. None: the day for which this run was scheduled."),
    ] = None,
    as_of: Annotated[
        AwareDatetime | None,
        Field(description="Use only facts known by then. None: the mode's usual hour of that day."),
    ] = None,
    data: Annotated[
        Path | None,
        Field(description="Folder of seasons (docs/data.md), or live: (docs/sources.md). None: the simulated league."),
    ] = None,
    home: Annotated[
        Path | None,
        Field(description="Folder of tables, models, publications. None: one per source in .pipeline."),
    ] = None,
    seasons: Annotated[
        int, Field(ge=0, description="Seasons of history before this one, where none is built yet.")
    ] = 4,
    gate: Annotated[
        GatePolicy | None, Field(description="When a phase may go on without everything it was promised.")
    ] = None,
    only: Annotated[
        list[str] | None,
        Field(description="Make these outputs again, and what is made of them. None: everything that the mode makes."),
    ] = None,
) -> DayReport:
    """Run one mode for one game day and return what came of it.

    Raises DayFailed if a critical output could not be made, HistoryFailed if one of an earlier day could not, and one
    of BadInput for what a person has to put right.
    """
    game_day = game_day or scheduled_game_day(mode, flow_run.scheduled_start_time or utc_now())
    day = Day(mode, game_day, as_of, data, home_of(data, home), gate, only)
    if not day.plan.games and not day.plan.steps:
        return day.finish(DayState.NO_GAMES, f"No games on {game_day}: nothing is expected and nothing is published.")
    with alone(day.run) as insist:
        _run_phases(day, seasons, insist)
    if not day.plan.games:
        return day.finish(DayState.NO_GAMES, f"Every game of {game_day} was called off; its predictions are void.")
    return day.finish(DayState.DEGRADED if day.reasons else DayState.COMPLETE)


def _run_phases(day: Day, seasons: int, insist: Callable[[], None]) -> None:
    """What the day stands on, then its phases in order, each on the pool where it belongs.

    `insist` ends a run that is alone with its day no longer: what its successor makes, it must not overwrite.
    """
    day.time("history", lambda: build_history(day.run, seasons))
    day.demand_freshness()
    day.time("ingest", day.ingest)
    where = execution()
    for phase, subflow in PHASE_FLOWS.items():
        insist()
        day.phase(phase, partial(_call, placed(subflow, where, day.waits_for), day))
    if day.run.mode == Mode.SAME_DAY:
        insist()
        model = _predict(day, placed(predictions, where, day.waits_for)) if day.plan.of(Phase.PREDICTIONS) else None
        insist()
        day.publish(model)
    else:
        day.phase(Phase.PUBLISH, lambda steps: grading(day.run, day.targets, steps))


def _call(subflow: PhaseCall, day: Day, steps: list[Step]) -> list[Outcome]:
    """A phase with what the day has landed and may know by now."""
    return subflow(day.run, day.targets, steps, landed=day.landed)


def _predict(day: Day, predict: PhaseCall) -> str:
    """Predictions by a model that may predict this day; returns its id."""
    model = day.time("model", lambda: model_for(day.run)).id
    day.phase(Phase.PREDICTIONS, lambda steps: predict(day.run, day.targets, steps, model=model, degraded=day.reasons))
    return model


def scheduled_game_day(mode: Mode, scheduled: dt.datetime) -> dt.date:
    """The game day of a run that a schedule made: New York's date then, or for overnight the day before.

    It follows from the instant for which the run was scheduled, so a run that starts late keeps its day.
    """
    day = scheduled.astimezone(EASTERN).date()
    return day - dt.timedelta(days=1) if mode == Mode.OVERNIGHT else day


cli = commands()


@cli.command()
def main(
    mode: Annotated[Mode, typer.Option(help="same_day predicts; overnight takes in a finished day's results.")],
    game_day: Annotated[dt.datetime, typer.Option(formats=DAY, help="Date of the games in New York.")],
    as_of: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=INSTANT,
            help="Use only facts known by then, as 2025-12-29T12:30-05:00. Default: the mode's usual hour.",
        ),
    ] = None,
    data: Seasons = None,
    home: Home = None,
    seasons: Annotated[
        int, typer.Option(min=0, help="Seasons of history before this one, where none is built yet.")
    ] = 4,
) -> None:
    """Run the pipeline for one game day, here and now.

    Exit code 0: done, complete or degraded, or there are no games. 1: a critical output could not be made.
    2: something that you can put right, with a sentence that says what.
    """
    if mode == Mode.BACKFILL:
        raise typer.BadParameter("backfill is a flow of its own: python -m flows.backfill --help", param_hint="--mode")
    console = Console()
    try:
        with exit_codes(console, BadInput, failed=(HistoryFailed,)), local_run(console):
            report = daily(mode, game_day.date(), as_of, data, home, seasons)
    except DayFailed as failed:
        show_report(console, failed.report)
        raise typer.Exit(1) from None
    show_report(console, report)


if __name__ == "__main__":
    cli()
