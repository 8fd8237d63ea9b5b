"""Are the live sources fit to be relied on? `python -m flows.sources check` asks each of them and says so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.choice import live_settings
from flows.clock import utc_now
from flows.command import commands
from tasks.sources.base import SourceError
from tasks.sources.live.check import AS_DOCUMENTED, Check, check
from tasks.sources.live.web import Clock
from tasks.sources.named import LIVE, is_live

cli = commands()


@cli.callback()
def main() -> None:
    """The live sources."""


@cli.command("check")
def check_sources(
    data: Annotated[
        Path, typer.Argument(help="live: for settings from the environment, live:NAME for a saved block.")
    ] = Path(LIVE),
) -> None:
    """Ask each live source for a little and show how it answers. Costs one request of The Odds API's quota.

    Exit code 0: each that is set up answers as documented. 1: one of them does not, with the reason. 2: the settings
    are not usable.
    """
    console = Console()
    if not is_live(data):
        raise typer.BadParameter(f"{data} is no live source: write live: or live:NAME")
    try:
        checks = check(live_settings(data), Clock(utc_now, time.monotonic, time.sleep))
    except SourceError as error:
        console.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)
        raise typer.Exit(2) from None
    console.print(table_of(checks))
    for item in checks:
        if item.problem:
            style = "red" if item.set_up else "yellow"
            said = item.problem.removeprefix(f"{item.source}: ")
            console.print(Text.assemble((f"{item.source}: ", style), said), soft_wrap=True)
    if any(item.problem and item.set_up for item in checks):
        raise typer.Exit(1)


def table_of(checks: list[Check]) -> Table:
    """The checks as a table a person can read."""
    table = Table(title="Live sources", title_justify="left")
    table.add_column("source", no_wrap=True)
    for name in ("reachable", "latency", "rows"):
        table.add_column(name, justify="right")
    for name in ("freshness", "schema", "quota"):
        table.add_column(name)
    for item in checks:
        state = Text("yes", "green") if not item.problem else Text("no", "red") if item.set_up else Text("-", "yellow")
        table.add_row(
            item.source,
            state,
            f"{item.seconds * 1000:,.0f} ms" if item.seconds is not None else "",
            f"{item.rows:,}" if item.rows is not None else "",
            item.freshest,
            Text(item.schema, "green" if item.schema == AS_DOCUMENTED else "yellow"),
            item.quota,
        )
    return table


if __name__ == "__main__":
    cli()
