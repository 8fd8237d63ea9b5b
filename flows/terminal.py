"""The terminal: progress while a run works, and its report as tables a person can read."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.narration import listening
from flows.report import Coverage, DayReport, DayState, eastern
from tasks.engine.ledger import State

COLOURS = {
    State.COMPLETE.value: "green",
    State.EMPTY_OK.value: "green",
    "landed": "green",
    "trained": "green",
    "loaded": "green",
    "published": "green",
    State.DEGRADED.value: "yellow",
    State.PARTIAL.value: "yellow",
    "not available": "yellow",
    "noted": "yellow",
    State.FAILED.value: "red",
    DayState.NO_GAMES.value: "cyan",
}


@contextmanager
def local_run(console: Console) -> Iterator[None]:
    """Run flows in this process for a person: our progress in place of Prefect's console log, no heartbeat threads.

    The heartbeat serves automations on a server; in a local run its thread only makes every subflow a second longer.
    A temporary server inherits the environment: it is told to send nothing about itself to anybody.
    """
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs", "tasks", "root"):
        for handler in logging.getLogger(None if name == "root" else name).handlers:
            if type(handler).__name__ == "PrefectConsoleHandler":
                handler.setLevel(logging.CRITICAL)

    def show(what: str, state: str, detail: str) -> None:
        line = Text(f"  {what:<30}")
        line.append(f"{state:<14}", style=COLOURS.get(state, "bold"))
        line.append(detail, style="dim")
        console.print(line, soft_wrap=True)

    settings = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        # A busy machine takes longer than the default of 20 s to start the temporary server.
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 120,
    }
    with temporary_settings(settings), listening(show):
        yield


def show_report(console: Console, report: DayReport) -> None:
    """Print games, predictions against what was expected, top edges, phases, and where the publication lies."""
    console.print()
    if report.coverage:
        console.print(_coverage_table(report))
    if report.edges:
        console.print(_edges_table(report))
    if report.phases:
        console.print(_phases_table(report))
    _verdict(console, report)


def _verdict(console: Console, report: DayReport) -> None:
    colour = {DayState.COMPLETE: "green", DayState.DEGRADED: "yellow", DayState.FAILED: "red"}.get(report.state, "cyan")
    console.print(Text(f"{report.mode} {report.game_day}: {report.state.value}", style=f"bold {colour}"))
    for reason in report.reasons:
        console.print(Text(f"  {reason}", style=colour), soft_wrap=True)
    if report.coverage:
        console.print(
            f"  {report.rows:,} of {report.expected:,} predictions for {len(report.games)} games, "
            f"facts as of {eastern(report.as_of)}, due {eastern(report.deadline)}"
        )
    if report.publication:
        console.print(f"  publication: {report.publication}", soft_wrap=True, highlight=False)
    console.print(f"  run {report.run_id}" + (f", model {report.model_id}" if report.model_id else ""), highlight=False)


def _coverage_table(report: DayReport) -> Table:
    table = Table(title="Predictions written of those expected", title_justify="left")
    systems = list(dict.fromkeys(item.system for item in report.coverage))
    table.add_column("tip-off", no_wrap=True)
    table.add_column("game", no_wrap=True)
    for system in systems:
        table.add_column(system.replace("_", "\n"), justify="right")
    cells: dict[tuple[str, str], Coverage] = {(item.game, item.system): item for item in report.coverage}
    for game in report.games:
        name = f"{game.away} @ {game.home}"
        table.add_row(eastern(game.tip_off), name, *(_cell(cells[name, system]) for system in systems))
    return table


def _cell(item: Coverage) -> Text:
    return Text(f"{item.rows}/{item.expected}", style="green" if item.rows == item.expected else "bold red")


def _edges_table(report: DayReport) -> Table:
    table = Table(title="Top edges (ensemble against the consensus line)", title_justify="left")
    for name, justify in (("player", "left"), ("game", "left"), ("line", "right"), ("predicted", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name in ("edge", "P(over)", "say"):
        table.add_column(name, justify="right")
    for edge in report.edges:
        table.add_row(
            edge.player,
            f"{edge.team} v {edge.opponent}",
            f"{edge.line:g}",
            f"{edge.predicted:.1f}",
            f"{edge.edge:+.1f}",
            f"{edge.over_probability:.0%}",
            edge.recommendation,
        )
    return table


def _phases_table(report: DayReport) -> Table:
    table = Table(title="Phases", title_justify="left")
    table.add_column("phase")
    table.add_column("took", justify="right")
    table.add_column("outputs", overflow="fold")
    for phase in report.phases:
        outputs = Text(phase.note)
        for outcome in phase.outcomes:
            outputs.append(f"{outcome.processor} ", style="")
            outputs.append(f"{outcome.state.value} ", style=COLOURS.get(outcome.state.value, ""))
            outputs.append(f"{outcome.rows:,}  ", style="dim")
        table.add_row(phase.name, f"{phase.seconds:.1f} s", outputs)
    return table
