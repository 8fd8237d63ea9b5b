"""What the commands of this package have in common: their options, and how they end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tasks.sources.hindsight import Information

DAY = ["%Y-%m-%d"]
INSTANT = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"]  # an instant without a zone is none

FirstDay = Annotated[dt.datetime, typer.Option("--start", formats=DAY, help="First game day.")]
LastDay = Annotated[dt.datetime, typer.Option("--end", formats=DAY, help="Last game day.")]
Seasons = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Folder of seasons (docs/data.md), or live: (docs/sources.md). Default: the simulated league."
    ),
]
Home = Annotated[Path | None, typer.Option(help="The workspace. Default: one per source in .pipeline.")]
Known = Annotated[
    Information,
    typer.Option(help="What may be known of rosters and absences: no_news and perfect_report are hindsight."),
]
AsIfThen = Annotated[
    dt.datetime | None,
    typer.Option(
        "--now", formats=INSTANT, help="Look as if it were then, as 2025-12-29T13:30-05:00. Default: the clock's time."
    ),
]

Errors = tuple[type[Exception], ...]


def commands() -> typer.Typer:
    """An application for one module's command."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@contextmanager
def exit_codes(console: Console, bad_input: Errors, failed: Errors = ()) -> Iterator[None]:
    """End in a sentence: with exit code 1 where the work failed, 2 where a person can put something right."""
    try:
        yield
    except failed as error:
        console.print(f"[bold red]failed:[/] {error}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from None
    except bad_input as error:
        console.print(f"[bold red]error:[/] {error}", soft_wrap=True, highlight=False)
        raise typer.Exit(2) from None
