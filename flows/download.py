"""One's own history: real seasons from NBA's statistics into a folder that every flow reads (`make history`)."""

from __future__ import annotations

import re
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
from tasks.sources.live.past import SeasonSummary, download
from tasks.sources.live.web import Clock, Web
from tasks.sources.named import LIVE

SEASON = re.compile(r"(19|20)\d\d-\d\d")

cli = commands()


@cli.command()
def main(
    seasons: Annotated[str, typer.Option(help="Seasons, as '2023-24 2024-25 2025-26'.")],
    folder: Annotated[
        Path | None, typer.Option(help="Where to put them. Default: the history folder of the live settings.")
    ] = None,
    data: Annotated[Path, typer.Option(help="live: for settings from the environment, live:NAME for a block.")] = Path(
        LIVE
    ),
) -> None:
    """Download seasons of real results. A download that was interrupted goes on where it stopped.

    Exit code 0: every finished game is there. 1: something is missing, with what and why; what came stays. 2: something
    that you can put right.
    """
    console = Console()
    wanted = seasons.split()
    wrong = [name for name in wanted if not is_season(name)]
    if wrong or not wanted:
        console.print(f"[bold red]error:[/] {' '.join(wrong) or 'no season'}: write seasons as 2023-24 2024-25")
        raise typer.Exit(2)
    try:
        settings = live_settings(data)
    except SourceError as error:
        console.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)
        raise typer.Exit(2) from None
    web, into = Web(settings, Clock(utc_now, time.monotonic, time.sleep)), folder or settings.history

    def say(what: str, state: str, detail: str) -> None:
        style = {"downloaded": "green", "kept": "cyan"}.get(state, "yellow")
        console.print(Text.assemble(f"  {what:<30}", (f"{state:<12}", style), (detail, "dim")), soft_wrap=True)

    summaries: list[SeasonSummary] = []
    errors: list[str] = []
    for season in wanted:
        try:
            summaries.append(download(web, season, into, say))
        except SourceError as error:
            errors.append(f"{season}: {error}")
            console.print(Text.assemble(f"  {season:<30}", ("failed", "red")))
    if summaries:
        console.print(summary_of(summaries))
    for text in errors + [f"{item.season}: {note}" for item in summaries for note in item.notes]:
        console.print(Text(text, "red"), soft_wrap=True)
    if errors or not all(item.whole for item in summaries):
        raise typer.Exit(1)
    console.print(f"in {into}: run it with make run DATA={into}", soft_wrap=True, highlight=False)


def is_season(name: str) -> bool:
    """Whether this is a season as 2025-26."""
    return SEASON.fullmatch(name) is not None and (int(name[2:4]) + 1) % 100 == int(name[5:])


def summary_of(summaries: list[SeasonSummary]) -> Table:
    """What came, a line a season."""
    table = Table(title="Downloaded", title_justify="left")
    for name in ("season", "games", "finished", "player rows", "team rows"):
        table.add_column(name, justify="left" if name == "season" else "right")
    for item in summaries:
        counts = (item.games, item.finished, item.player_rows, item.team_rows)
        table.add_row(item.season, *(f"{count:,}" for count in counts))
    return table


if __name__ == "__main__":
    cli()
