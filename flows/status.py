"""Is tonight fine? The answer in a terminal, from rows counted there and then: `python -m flows.status`."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from blocks.workspace import WorkspaceError
from flows.clock import utc_now
from flows.command import DAY, INSTANT, Home, Seasons, commands
from flows.glance import glance
from flows.home import home_of, options_of
from tasks.engine.ledger import State
from tasks.engine.plan import EASTERN
from tasks.engine.processor import Mode
from tasks.publishing.wording import NONE
from tasks.tonight.gathering import tonight_of
from tasks.tonight.snapshot import Level, Phase, Tonight, Trouble
from tasks.tonight.words import clock, countdown, release, row_count, span

LEVEL_COLOURS = {Level.FINE: "green", Level.NO_GAMES: "cyan", Level.DEGRADED: "yellow", Level.FAILING: "red"}
STATE_COLOURS = {
    **dict.fromkeys((State.COMPLETE, State.EMPTY_OK), "green"),
    **dict.fromkeys((State.DEGRADED, State.PARTIAL), "yellow"),
    **dict.fromkeys((State.FAILED, State.BLOCKED, State.LATE), "red"),
    State.RUNNING: "bold",
}


def show(console: Console, night: Tonight) -> None:
    """Print the verdict, the phases, what is wrong and what to do."""
    colour = LEVEL_COLOURS[night.verdict.level]
    line = Text(f"{night.verdict.level.sign} {night.verdict.level.upper()}  ", style=f"bold {colour}")
    console.print(line.append(night.verdict.says, style="bold"), soft_wrap=True)
    if night.games:
        console.print(Text(_about(night), style="dim"), soft_wrap=True)
    if night.phases:
        console.print(_table(night))
    for trouble in night.troubles:
        _show_trouble(console, trouble)
    console.print(Text.assemble(("Next: ", "bold"), night.verdict.next_step), soft_wrap=True)


def _about(night: Tonight) -> str:
    parts = [f"{night.game_day:%A, %B} {night.game_day.day}, {night.game_day.year}", f"{night.games} games"]
    parts += [f"due {clock(night.deadline, night.game_day)} ET, {countdown(night)}"] if night.deadline else []
    parts += [f"first tip-off {clock(night.first_tip_off, night.game_day)}"] if night.first_tip_off else []
    return f"{', '.join(parts)} ({night.origin})"


def _table(night: Tonight) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("phase", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("rows there", "started", "took", "due"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("release", no_wrap=True)
    mode = None
    for phase in night.phases:
        if phase.mode != mode:
            day = phase.outputs[0].game_day
            name = "last night" if phase.mode == Mode.OVERNIGHT else "tonight"
            table.add_row(Text(f"{name}, {day:%b} {day.day}", style="dim"))
            mode = phase.mode
        table.add_row(*_row(phase, night))
    return table


def _row(phase: Phase, night: Tonight) -> tuple[Text | str, ...]:
    return (
        f"  {phase.name}",
        Text(phase.state, style=STATE_COLOURS.get(phase.state, "dim")),
        row_count(phase.there, phase.expected),
        NONE if phase.started is None else f"{phase.started.astimezone(EASTERN):%H:%M:%S}",
        span(phase.took),
        clock(phase.deadline, night.game_day),
        ", ".join(release(one) for one in phase.releases) or NONE,
    )


def _show_trouble(console: Console, trouble: Trouble) -> None:
    colour = LEVEL_COLOURS[trouble.level]
    since = f" since {trouble.since.astimezone(EASTERN):%b %d, %I:%M %p} ET" if trouble.since else ""
    console.print(Text(f"\n{trouble.level.sign} {trouble.title}{since}", style=f"bold {colour}"), soft_wrap=True)
    for label, text in (("what", trouble.what), ("impact", trouble.impact), ("do", trouble.next_step)):
        if text:
            console.print(Text.assemble((f"  {label:<8}", "dim"), text), soft_wrap=True)
    console.print(Text(f"  runbook {trouble.runbook}", style="dim"), soft_wrap=True)


cli = commands()


@cli.command()
def main(
    game_day: Annotated[
        dt.datetime | None,
        typer.Option(formats=DAY, help="Date of the games in New York. Default: tonight."),
    ] = None,
    data: Seasons = None,
    home: Home = None,
    at: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=INSTANT,
            help="Judge as if it were then, as 2025-12-29T13:31-05:00. Default: now.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole snapshot as JSON, for machines.")] = False,
) -> None:
    """Say whether tonight is fine, and what to do if not.

    Exit code 0: fine, or there are no games. 1: degraded. 2: failing, or nobody can tell.
    """
    now, folder = at or utc_now(), home_of(data, home)
    day = game_day.date() if game_day else tonight_of(now)
    try:
        night = glance(folder, day, now, options=options_of(data, folder))
    except WorkspaceError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {error}", soft_wrap=True, highlight=False)
        raise typer.Exit(Level.FAILING.exit_code) from None
    if as_json:
        print(night.model_dump_json(indent=1))
    else:
        show(Console(highlight=False), night)
    raise typer.Exit(night.verdict.level.exit_code)


if __name__ == "__main__":
    cli()
