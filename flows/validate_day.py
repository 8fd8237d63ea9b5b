"""Validate: at 2 PM ET and half an hour before the first tip-off, whether the day's predictions can be relied upon."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Annotated
from uuid import UUID

import polars as pl
import typer
from prefect import flow, get_client
from prefect.artifacts import create_table_artifact
from prefect.runtime import deployment
from prefect.states import Scheduled
from pydantic import AwareDatetime, Field
from rich.console import Console
from rich.table import Table
from rich.text import Text

from blocks.warehouse import DayRange
from blocks.workspace import WorkspaceError
from flows.alarm import tell
from flows.clock import utc_now
from flows.command import DAY, AsIfThen, Home, Seasons, commands, exit_codes
from flows.look import observer
from flows.narration import narrate
from flows.run import Run
from flows.slate import scheduled, slate
from flows.terminal import local_run
from tasks.catalog import registry
from tasks.engine.incident_log import IncidentLog
from tasks.engine.incidents import Incident, IncidentKind
from tasks.engine.plan import EASTERN, Frozen, Plan, PlanError, plan
from tasks.engine.processor import Mode
from tasks.publishing.validation import Check, Evidence, Verdict, validate, verdict_of
from tasks.sources.base import SourceError

BEFORE_TIP_OFF = dt.timedelta(minutes=30)
COLOURS = {Verdict.PASS: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


class Validation(Frozen):
    """The verdict on a game day, with every check."""

    game_day: dt.date
    verdict: Verdict
    checks: tuple[Check, ...]
    games: int

    @property
    def sentence(self) -> str:
        """What failed, or that nothing did."""
        if not self.games:
            return "no games, so there is nothing to validate"
        wrong = [f"{check.name}: {check.found}" for check in self.checks if check.verdict == self.verdict]
        return "every check passed" if self.verdict == Verdict.PASS else "; ".join(wrong)


@flow(name="validate-day", flow_run_name="validate")
def validate_day(
    game_day: Annotated[dt.date | None, Field(description="The game day. None: today in New York.")] = None,
    now: Annotated[
        AwareDatetime | None, Field(description="The instant to judge by, for drills. None: the clock's.")
    ] = None,
    data: Annotated[Path | None, Field(description="Folder of seasons. None: the bundled simulated league.")] = None,
    home: Annotated[Path | None, Field(description="The workspace to validate. None: that of the data.")] = None,
) -> Validation:
    """Check coverage, freshness, features, bias, directions, intervals, release and schedule of a day's predictions."""
    at = now or utc_now()
    day = game_day or at.astimezone(EASTERN).date()
    run = observer(at, data, home).model_copy(update={"game_day": day})
    planned = plan(Mode.SAME_DAY, day, slate(run), registry(), at)
    checks = validate(_evidence(run, planned, at)) if planned.games else []
    result = Validation(game_day=day, verdict=verdict_of(checks), checks=tuple(checks), games=len(planned.games))
    narrate(f"validation {day}", result.verdict.value, result.sentence)
    if checks:
        create_table_artifact(
            [c.model_dump(mode="json") for c in checks], key="validation", description=result.sentence
        )
    _tell(run, result, at)
    _look_again_before_tip_off(planned, at)
    return result


def _evidence(run: Run, planned: Plan, now: dt.datetime) -> Evidence:
    warehouse, tables, day = run.workspace.warehouse, registry(), run.game_day
    body = run.workspace.publications.read(day, "predictions.parquet")
    last = {row["processor"]: row for row in run.ledger.runs(game_day=day) if row["mode"] == Mode.SAME_DAY.value}
    newest = run.model_copy(update={"as_of": min(now, planned.first_tip_off or now)})
    return Evidence(
        predictions=warehouse.read(tables["predictions"].writes.spec, [day]),
        features=warehouse.read(tables["ml_feature_store"].writes.spec, [day]),
        schedule=scheduled(newest, DayRange.on(day)),
        published=pl.read_parquet(io.BytesIO(body)) if body is not None else None,
        stale=[
            (need.table, need.critical)
            for need in planned.fresh
            if need.through not in warehouse.partitions(need.table)
        ],
        runs=list(last.values()),
        contract=tables["ml_feature_store"].writes,
        now=now,
    )


def _tell(run: Run, result: Validation, at: dt.datetime) -> None:
    """A failed validation is an incident until a later one passes, or another day is looked at."""
    found = []
    if result.verdict == Verdict.FAIL:
        failed = [check for check in result.checks if check.verdict == Verdict.FAIL]
        found.append(
            Incident(
                kind=IncidentKind.VALIDATION_FAILED,
                subject="predictions",
                mode=Mode.SAME_DAY,
                game_day=result.game_day,
                what="; ".join(f"{check.name}: {check.found} (promised: {check.promised})" for check in failed),
                since=at,
                impact=f"{result.games} games. Readers of the publication are given what failed.",
                next_step=f"python -m flows.validate_day --game-day {result.game_day} shows every check.",
            )
        )
    IncidentLog(run.ledger).settle(
        (IncidentKind.VALIDATION_FAILED,), found, at, lambda incident, opened: tell(incident, opened, at)
    )


def _look_again_before_tip_off(planned: Plan, now: dt.datetime) -> None:
    """A deployed validation makes sure that there is another one half an hour before the first game, once a day."""
    deployment_id = deployment.get_id()
    first = planned.first_tip_off
    if deployment_id is None or first is None or now >= first - BEFORE_TIP_OFF:
        return
    with get_client(sync_client=True) as client:
        client.create_flow_run_from_deployment(
            UUID(deployment_id),
            parameters={"game_day": planned.game_day.isoformat()},
            state=Scheduled(scheduled_time=first - BEFORE_TIP_OFF),
            idempotency_key=f"validate {planned.game_day} before {first.isoformat()}",
        )


def show(console: Console, result: Validation) -> None:
    """Print every check and the verdict."""
    table = Table(title=f"Validation of {result.game_day}", title_justify="left")
    for name in ("check", "verdict", "found", "promised"):
        table.add_column(name, overflow="fold")
    for check in result.checks:
        table.add_row(check.name, Text(check.verdict.value, style=COLOURS[check.verdict]), check.found, check.promised)
    if result.checks:
        console.print(table)
    console.print(Text(f"{result.game_day}: {result.verdict}", style=COLOURS[result.verdict]), end=" ")
    console.print(Text(result.sentence), soft_wrap=True)


cli = commands()


@cli.command()
def main(
    game_day: Annotated[
        dt.datetime | None, typer.Option(formats=DAY, help="Date of the games in New York. Default: today.")
    ] = None,
    now: AsIfThen = None,
    data: Seasons = None,
    home: Home = None,
) -> None:
    """Check whether the predictions of a game day can be relied upon.

    Exit code 0: passed, or passed with warnings. 1: a check failed. 2: something that you can put right.
    """
    console = Console()
    with exit_codes(console, bad_input=(SourceError, WorkspaceError, PlanError)), local_run(console):
        result = validate_day(game_day.date() if game_day else None, now, data, home)
    show(console, result)
    if result.verdict == Verdict.FAIL:
        raise typer.Exit(1)


if __name__ == "__main__":
    cli()
