"""`python -m drills NAME...`: play drills on a scratch server, beside how the original went, and write one report."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

import drills.scenes
from drills.prepare import prepared
from drills.report import write
from drills.stage import Stage
from drills.story import Drill, Result, clock, minutes

Play = Callable[[Stage], Result]
ORDER = ("dec-29", "stuck-phase", "lost-writes", "wrong-container", "late-lines", "roster-down")  # then by name
FOLDER = Path(".pipeline") / "drills"
REPORT = Path("reports") / "drills.html"
LABELS = {"fault": "bold", "detected": "yellow", "healed": "green", "complete": "bold green"}


def declared() -> dict[str, tuple[Drill, Play]]:
    """Every drill by its name, found by being there."""
    modules = [
        importlib.import_module(f"drills.scenes.{one.name}") for one in pkgutil.iter_modules(drills.scenes.__path__)
    ]
    found = {module.DRILL.name: (module.DRILL, module.play) for module in modules}
    return {name: found[name] for name in sorted(found, key=lambda name: (*_place(name), name))}


def _place(name: str) -> tuple[bool, int]:
    return (name not in ORDER, ORDER.index(name) if name in ORDER else 0)


def play(names: Sequence[str], folder: Path, console: Console) -> list[Result]:
    """Play these drills one after the other. One that breaks is a failed drill, and the others go on."""
    known = declared()
    base = prepared(console)
    with Stage(folder, base, console.print).open() as stage:
        results = []
        for name in names:
            drill, scene = known[name]
            console.print(Text(f"\n{drill.title}", style="bold"))
            began = time.monotonic()
            try:
                result = scene(stage)
            except Exception as error:  # whatever a drill meets is its finding
                why = f"{type(error).__name__}: {error}"
                result = Result(drill=drill, moments=(), error=why, seconds=time.monotonic() - began)
            show(console, result)
            results.append(result)
            stage.tidy()
        return results


def show(console: Console, result: Result) -> None:
    """Print the drill's moments beside the original's course, and the verdict."""
    original = result.drill.original
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("ours", no_wrap=True, justify="right")
    table.add_column("what")
    for moment in result.moments:
        table.add_row(clock(moment.at), Text(f"{moment.kind}: {moment.says}", style=LABELS.get(moment.kind, "")))
    console.print(table)
    course = f"detected after {minutes(original.detected_after)} by {original.detected_by}"
    course += f", healed after {minutes(original.healed_after)}" if original.healed_after else ""
    course += f", {original.predictions:.0%} of the predictions" if original.predictions is not None else ""
    console.print(f"  original ({original.source}): {original.what} {course}", style="dim", highlight=False)
    if result.failures:
        console.print(Text(f"  ✕ FAILED  {'; '.join(result.failures)}", style="bold red"))
    else:
        console.print(Text(f"  ✓ PASSED  {result.verdict}", style="bold green"))


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Which drills. Default: all.", show_default=False)] = None,
    folder: Annotated[Path, typer.Option(help="Scratch folder; emptied first.")] = FOLDER,
    out: Annotated[Path, typer.Option(help="Where the report goes.")] = REPORT,
) -> None:
    """Replay incidents of the original on a scratch server, with real processes, files and HTTP.

    Exit code 0: all passed. 1: one did not come to what it must. 2: there is no such drill.
    """
    console = Console(soft_wrap=True, highlight=False)
    known = declared()
    unknown = [name for name in names or () if name not in known]
    if unknown:
        console.print(f"[bold red]error:[/] no drill is called {', '.join(unknown)}: choose of {', '.join(known)}")
        raise typer.Exit(2)
    results = play(names or list(known), folder, console)
    write(out, results)
    passed = sum(not result.failures for result in results)
    console.print(f"\n{passed} of {len(results)} drills passed: {out}")
    if passed < len(results):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
