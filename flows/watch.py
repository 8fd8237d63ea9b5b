"""Watch: every few minutes, outside the runs that it judges, what is owed against what is there, and who must know."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer
from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.variables import Variable
from pydantic import AwareDatetime, Field
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from blocks.alerts import TONIGHT
from blocks.partition import WarehouseError
from blocks.workspace import WorkspaceError
from flows.alarm import send, tell
from flows.artifact import post_tonight
from flows.clock import utc_now
from flows.command import AsIfThen, Home, Seasons, commands, exit_codes
from flows.look import Look, look, observer
from flows.narration import narrate
from flows.run import Run
from flows.terminal import COLOURS, local_run
from tasks.alerting.stake import at_stake
from tasks.catalog import registry
from tasks.engine.breaker import Breaker, Position, breaker
from tasks.engine.expected import Judged
from tasks.engine.incident_log import IncidentLog
from tasks.engine.incidents import Incident, IncidentKind
from tasks.engine.pace import usual_seconds
from tasks.engine.plan import Frozen
from tasks.engine.processor import Mode, Phase
from tasks.engine.watching import WATCHED, WatchPolicy, forgotten, incidents, undecided
from tasks.sources.base import SourceError

LOOKED = "courtside.watch.looked"
MEMORY = dt.timedelta(days=14)  # of runs: how long they took, how dependencies did
UNREADABLE_SINCE = "courtside_ledger_unreadable_since"


class WatchReport(Frozen):
    """What a look found: the outputs of yesterday, today and tomorrow, and the incidents that are open after it."""

    now: AwareDatetime
    game_day: dt.date
    outputs: tuple[Judged, ...]
    opened: tuple[Incident, ...]
    resolved: tuple[Incident, ...]
    open: tuple[Incident, ...]


@flow(name="watch", flow_run_name="watch")
def watch(
    now: Annotated[
        AwareDatetime | None, Field(description="The instant of the look, for drills. None: the clock's.")
    ] = None,
    policy: Annotated[WatchPolicy | None, Field(description="When the watch speaks.")] = None,
    data: Annotated[Path | None, Field(description="Folder of seasons. None: the bundled simulated league.")] = None,
    home: Annotated[Path | None, Field(description="The workspace to look at. None: that of the data.")] = None,
) -> WatchReport:
    """Reconcile the ledger with the store, and tell every incident once when it opens and once when it is over.

    Raises what the ledger raises where it cannot be read; that is an incident of its own, told on the way.
    """
    at = now or utc_now()
    run = observer(at, data, home)
    try:
        seen = look(run, at)
        players = _to_be_predicted(run, seen.today)
        if not seen.unknown:  # for messages of the server's, which knows no games
            stake = at_stake(seen.outputs, seen.today, players)
            Variable.set(TONIGHT, stake.as_variable(), overwrite=True)
        report = _tell(run, seen, policy or WatchPolicy(), players)
    except SQLAlchemyError as error:
        _ledger_is_unreadable(run, error, at)
        raise
    _ledger_is_readable(run, at)
    send(LOOKED, {"prefect.resource.id": "courtside.watch"}, _counts(report), at)
    if report.opened or report.resolved:
        rows = [_row(item) for item in seen.outputs if item.owed.game_day == seen.today]
        create_table_artifact(rows, key="expected-outputs", description=f"Expected outputs of {seen.today}")
        post_tonight(run.data, run.home, seen.today, at)
    return report


def _tell(run: Run, seen: Look, policy: WatchPolicy, players: int | None) -> WatchReport:
    recent = run.ledger.runs(since=seen.now - MEMORY)
    found = [
        *incidents(seen.outputs, seen.runs, seen.now, policy, usual_seconds(recent), {seen.today: players}),
        *forgotten(seen.earlier, seen.now),
        *_breakers(recent, seen.now),
        *_blind(seen),
    ]
    busy = undecided(seen.outputs)
    log, kinds = IncidentLog(run.ledger), (*WATCHED, IncidentKind.BREAKER_OPEN, IncidentKind.SCHEDULE_UNKNOWN)
    changed = log.settle(
        kinds,
        found,
        seen.now,
        lambda incident, opened: tell(incident, opened, seen.now),
        held=lambda incident: (incident.mode, incident.game_day) in busy,
    )
    return WatchReport(
        now=seen.now,
        game_day=seen.today,
        outputs=tuple(seen.outputs),
        opened=changed.opened,
        resolved=changed.resolved,
        open=tuple(log.open()),
    )


def _to_be_predicted(run: Run, game_day: dt.date) -> int | None:
    """Players, once the features are there. A damaged partition is told by whoever counts it."""
    spec = registry()["ml_feature_store"].writes.spec
    try:
        features = run.workspace.warehouse.read(spec, [game_day], ("player_id", "eligible"))
    except WarehouseError:
        return None
    return features.filter("eligible")["player_id"].n_unique() or None


def _breakers(recent: list[dict[str, Any]], now: dt.datetime) -> list[Incident]:
    """Dependencies that are left alone, each as an incident."""
    fetched = [row for row in recent if row["phase"] == Phase.INGEST and row["dependency"]]
    found = []
    for name in sorted({row["dependency"] for row in fetched}):
        state = breaker([row for row in fetched if row["dependency"] == name], now)
        if state.position != Position.CLOSED:
            found.append(_left_alone(name, state))
    return found


def _left_alone(name: str, state: Breaker) -> Incident:
    assert state.since is not None
    return Incident(
        kind=IncidentKind.BREAKER_OPEN,
        subject=name,
        what=f"{name} has failed {state.failures} times in a row with {state.cause}; it is asked again from "
        f"{state.until:%H:%M} UTC on",
        since=state.since,
        impact="What is made of it goes on without it, labelled, as far as its freshness rule allows.",
        next_step="Look whether the source is up; nothing has to be reset, data that arrives closes it.",
    )


def _blind(seen: Look) -> list[Incident]:
    """A day of which nothing is known is not a day without games: it owes what nobody counts."""
    if not seen.unknown:
        return []
    incident = Incident(
        kind=IncidentKind.SCHEDULE_UNKNOWN,
        subject="today",
        what=f"Nobody can tell whether there are games on {seen.today}: {seen.unknown}",
        since=seen.now,
        impact="Whatever is owed today is neither watched nor healed until the schedule can be read.",
        next_step="Look whether the source is up and --data names it; the schedule is asked for again at every look.",
    )
    return [incident]


def _ledger_is_unreadable(run: Run, error: Exception, at: dt.datetime) -> None:
    """Tell it once. The ledger cannot remember that it was told, so the Prefect server does."""
    since = Variable.get(UNREADABLE_SINCE)
    if since is None:
        Variable.set(UNREADABLE_SINCE, at.isoformat())
        tell(_unreadable(run, str(error).split("\n")[0], at), True, at)


def _ledger_is_readable(run: Run, at: dt.datetime) -> None:
    since = Variable.get(UNREADABLE_SINCE)
    if since is not None:
        tell(_unreadable(run, "the ledger can be read again", dt.datetime.fromisoformat(str(since))), False, at)
        Variable.unset(UNREADABLE_SINCE)


def _unreadable(run: Run, what: str, since: dt.datetime) -> Incident:
    return Incident(
        kind=IncidentKind.LEDGER_UNREADABLE,
        subject="ledger",
        what=what,
        since=since,
        impact="Runs go on, but nobody can see whether their outputs are there, and nothing heals itself.",
        next_step=f"Restore the ledger of {run.home}; runs write to it again by themselves.",
    )


def _counts(report: WatchReport) -> dict[str, int]:
    states = [item.state.value for item in report.outputs]
    return {state: states.count(state) for state in sorted(set(states))} | {"open_incidents": len(report.open)}


def _row(item: Judged) -> dict[str, object]:
    return {
        "mode": item.owed.mode.value,
        "phase": item.owed.phase.name.lower(),
        "output": item.owed.output,
        "state": item.state.value,
        "rows": item.counted_rows,
        "expected": item.expected_rows,
        "why": item.why,
    }


def show(console: Console, report: WatchReport) -> None:
    """Print what is owed for today and what is open."""
    table = Table(title=f"Expected outputs of {report.game_day}", title_justify="left")
    for name in ("mode", "phase", "output", "state", "rows", "expected", "why"):
        table.add_column(name, justify="right" if name in ("rows", "expected") else "left", overflow="fold")
    for item in report.outputs:
        if item.owed.game_day == report.game_day and (item.owed.mode == Mode.SAME_DAY or item.counted_rows):
            cells = ["" if value is None else str(value) for value in _row(item).values()]
            table.add_row(*cells[:3], Text(cells[3], style=COLOURS.get(cells[3], "")), *cells[4:])
    blind = any(incident.kind == IncidentKind.SCHEDULE_UNKNOWN for incident in report.open)
    if not blind:
        console.print(table if table.rows else f"{report.game_day}: no games, so nothing is owed.")
    for incident in report.open:
        console.print(Text(f"{incident.kind.heading}: {incident.what}", style="bold red"), soft_wrap=True)
        console.print(Text(f"  {incident.impact} {incident.next_step}"), soft_wrap=True)


cli = commands()


@cli.command()
def main(
    now: AsIfThen = None,
    data: Seasons = None,
    home: Home = None,
) -> None:
    """Look once at what is owed and what is there, and say what is wrong.

    Exit code 0: nothing is. 1: an incident is open. 2: something that you can put right.
    """
    console = Console()
    with exit_codes(console, bad_input=(SourceError, WorkspaceError)), local_run(console):
        report = watch(now, data=data, home=home)
    show(console, report)
    narrate("watch", "done", f"{len(report.open)} incidents are open")
    if report.open:
        raise typer.Exit(1)


if __name__ == "__main__":
    cli()
