"""The day: plan it, make sure of its history, run its phases, predict, publish, report."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.runtime import flow_run
from pydantic import AwareDatetime, Field
from rich.console import Console

from blocks.workspace import WorkspaceError
from flows.exclusive import AlreadyRunning, alone
from flows.execution import execution, placed
from flows.history import HistoryMissing, build_history
from flows.narration import narrate
from flows.phases import PHASE_FLOWS, grading, ingest, predictions, publish, target_list
from flows.release import prove, stamp, unchanged
from flows.report import DayReport, DayState, PhaseReport, coverage_of, eastern, markdown, top_edges
from flows.run import Run, home_of, new_run_id, utc_now
from flows.slate import slate
from flows.terminal import local_run, show_report
from flows.train import model_for
from tasks.catalog import registry
from tasks.engine.gate import GatePolicy, Verdict, decide
from tasks.engine.plan import EASTERN, Plan, PlanError, Step, plan
from tasks.engine.processor import Mode, Phase
from tasks.engine.runner import Outcome
from tasks.predictions.models import ModelError
from tasks.predictions.predictions import every_eligible_player_and_system
from tasks.predictions.training import TrainingError
from tasks.sources.base import SourceError

# A source fails for reasons of its own, and what cannot be done without is critical by name: the rest degrades the day.
SOURCES_POLICY = GatePolicy(enough=0.0)
PROCESSORS_POLICY = GatePolicy()
T = TypeVar("T")
FEATURED_SYSTEM = "ensemble"

# What a person can put right, each with a sentence that says how.
BadInput = (SourceError, WorkspaceError, PlanError, HistoryMissing, TrainingError, ModelError, AlreadyRunning)


class DayFailed(Exception):
    """A day whose predictions could not be made: carries the report."""

    def __init__(self, report: DayReport) -> None:
        self.report = report
        super().__init__(f"{report.mode} {report.game_day}: " + "; ".join(report.reasons))


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
) -> DayReport:
    """Run one mode for one game day and return what came of it.

    Raises DayFailed if a critical output could not be made, and one of BadInput for what a person has to put right.
    """
    game_day = game_day or scheduled_game_day(mode, flow_run.scheduled_start_time or utc_now())
    day = _Day(mode, game_day, as_of, data, home_of(data, home))
    if not day.plan.games:
        return day.finish(DayState.NO_GAMES, f"No games on {game_day}: nothing is expected and nothing is published.")
    with alone(day.run):
        _run_phases(day, seasons)
    return day.finish(DayState.DEGRADED if day.reasons else DayState.COMPLETE)


def _run_phases(day: _Day, seasons: int) -> None:
    """What the day stands on, then its phases in order, each on the pool where it belongs."""
    day.time("history", lambda: build_history(day.run, seasons))
    day.demand_freshness()
    landed = day.time("ingest", lambda: ingest(day.run, day.run.game_day, day.run.game_day, list(day.plan.payloads)))
    where = execution()
    for phase, subflow in PHASE_FLOWS.items():
        day.phase(phase, partial(placed(subflow, where), day.run, day.targets, landed=landed))
    if day.run.mode == Mode.SAME_DAY:
        predict = placed(predictions, where)
        model = day.time("model", lambda: model_for(day.run))
        day.phase(Phase.PREDICTIONS, partial(predict, day.run, day.targets, model=model.id, degraded=day.reasons))
        day.time("publish", lambda: day.published(model.id))
    else:
        day.phase(Phase.PUBLISH, partial(grading, day.run, day.targets))


def scheduled_game_day(mode: Mode, scheduled: dt.datetime) -> dt.date:
    """The game day of a run that a schedule made: New York's date then, or for overnight the day before.

    It follows from the instant for which the run was scheduled, so a run that starts late keeps its day.
    """
    day = scheduled.astimezone(EASTERN).date()
    return day - dt.timedelta(days=1) if mode == Mode.OVERNIGHT else day


class _Day:
    """One run in progress: its plan, and what is found out along the way."""

    def __init__(self, mode: Mode, game_day: dt.date, as_of: dt.datetime | None, data: Path | None, home: Path) -> None:
        run_id = new_run_id(mode, game_day)
        self.code = prove()
        probe = Run(
            run_id=run_id, mode=mode, game_day=game_day, as_of=as_of or utc_now(), data=data, home=home,
            fingerprint=stamp(self.code),
        )  # fmt: skip
        schedule = slate(probe)
        planned = plan(mode, game_day, schedule, registry(), as_of)
        known_at = as_of or probe.source.known_at(utc_now(), planned.as_of, planned.first_tip_off)
        self.plan: Plan = planned.model_copy(update={"as_of": known_at})
        self.run = probe.model_copy(update={"as_of": self.plan.as_of})
        self.targets = target_list(self.plan.targets())
        self.phases: list[PhaseReport] = []
        self.reasons: list[str] = []
        self.model_id: str | None = None
        self.publication: str | None = None
        first = eastern(self.plan.first_tip_off)
        narrate("plan", mode.value, f"{len(self.plan.games)} games on {game_day}, first tip-off {first}")

    def time(self, name: str, work: Callable[[], T]) -> T:
        """Do one thing and note how long it took."""
        started = time.perf_counter()
        result = work()
        self.phases.append(PhaseReport(name=name, seconds=time.perf_counter() - started))
        return result

    def phase(self, phase: Phase, subflow: Callable[[list[Step]], list[Outcome]]) -> None:
        """Run one phase of the plan and pass its gate. Raises DayFailed if the gate says so."""
        steps = self.plan.of(phase)
        if not steps:
            return
        started, since = time.perf_counter(), utc_now()
        outcomes = subflow(list(steps))
        self.phases.append(
            PhaseReport(name=phase.name.lower(), seconds=time.perf_counter() - started, outcomes=tuple(outcomes))
        )
        decision = decide(
            steps,
            {step.processor: outcome.state for step, outcome in zip(steps, outcomes, strict=True)},
            now=utc_now(),
            since=since,
            hard_limit=None,
            policy=SOURCES_POLICY if phase == Phase.RAW else PROCESSORS_POLICY,
        )
        why = {outcome.processor: (outcome.error or "; ".join(outcome.reasons)).split("\n")[0] for outcome in outcomes}
        self.reasons += [f"{reason} ({why[reason.split()[0]]})" for reason in decision.reasons]
        if decision.verdict == Verdict.FAIL:
            raise DayFailed(self.finish(DayState.FAILED))

    def demand_freshness(self) -> None:
        """Hold the tables that this run only reads against the plan. Raises DayFailed if a critical one is stale."""
        needs, there = self.plan.fresh, self.run.workspace.warehouse.partitions
        stale = [need for need in needs if need.through not in there(need.table)]
        self.reasons += [f"{need.table} is stale: run overnight for {need.through}, which it lacks" for need in stale]
        if any(need.critical for need in stale):
            raise DayFailed(self.finish(DayState.FAILED))
        narrate("freshness", "checked", f"{len(needs) - len(stale)} of {len(needs)} tables reach the last game day")

    def published(self, model_id: str) -> None:
        """Publish what is in the store, if it is all of one code: nobody deployed into this folder meanwhile."""
        unchanged(self.code)
        self.model_id = model_id
        self.publication = publish(self.run, self.plan, self.reasons)

    def finish(self, state: DayState, *reasons: str) -> DayReport:
        """The report, as a value and as artifacts of the flow run."""
        report = DayReport(
            run_id=self.run.run_id,
            mode=self.run.mode.value,
            game_day=self.run.game_day,
            as_of=self.run.as_of,
            state=state,
            reasons=(*self.reasons, *reasons),
            games=self.plan.games,
            deadline=self.plan.deadline,
            phases=tuple(self.phases),
            model_id=self.model_id,
            publication=self.publication,
        )
        if self.publication is not None:
            report = self._with_predictions(report)
        create_markdown_artifact(markdown(report), key=f"{report.mode.replace('_', '-')}-summary")
        if report.coverage:
            rows = [item.model_dump() for item in report.coverage]
            create_table_artifact(rows, key=f"{report.mode.replace('_', '-')}-coverage")
        return report

    def _with_predictions(self, report: DayReport) -> DayReport:
        """Coverage and edges, counted from the store."""
        warehouse, day = self.run.workspace.warehouse, [self.run.game_day]
        stored = warehouse.read(registry()["predictions"].writes.spec, day)
        features = warehouse.read(registry()["ml_feature_store"].writes.spec, day)
        expected = every_eligible_player_and_system({"ml_feature_store": features})
        return report.model_copy(
            update={
                "coverage": coverage_of(stored, expected, self.plan.games),
                "edges": top_edges(stored, FEATURED_SYSTEM),
            }
        )


cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def main(
    mode: Annotated[Mode, typer.Option(help="same_day predicts; overnight takes in a finished day's results.")],
    game_day: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="Date of the games in New York.")],
    as_of: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"],
            help="Use only facts known by then, as 2025-12-29T12:30-05:00. Default: the mode's usual hour.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of seasons (docs/data.md), or live: (docs/sources.md). Default: the simulated league."
        ),
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(help="Folder of tables, models and publications. Default: one per source in .pipeline."),
    ] = None,
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
        with local_run(console):
            report = daily(mode, game_day.date(), as_of, data, home, seasons)
    except DayFailed as failed:
        show_report(console, failed.report)
        raise typer.Exit(1) from None
    except BadInput as error:
        console.print(f"[bold red]error:[/] {error}", soft_wrap=True, highlight=False)
        raise typer.Exit(2) from None
    show_report(console, report)


if __name__ == "__main__":
    cli()
