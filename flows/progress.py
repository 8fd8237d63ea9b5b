"""How far a long run is: game days done, what is being worked on, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from flows.narration import measure, measuring, overhearing

WHOLE_RUN = 24 * 3600.0  # seconds: the pace is that of the whole run, since one period takes as long as many days


@dataclass
class Pace:
    """Game days of a run: some were there before, the others are counted as they are done."""

    total: int
    there: int  # before the run began: they took no time
    done: int = 0
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        measure(self.there, self.total)

    def advance(self, days: int) -> None:
        """So many more are done."""
        self.done += days
        measure(self.there + self.done, self.total)

    def says(self, now: float | None = None) -> str:
        """How many days are done, and how long the rest will take at this run's pace."""
        finished = self.there + self.done
        counted = f"{finished} of {self.total} game days"
        if not self.done or finished >= self.total:
            return counted
        took = (time.perf_counter() if now is None else now) - self.began
        minutes = took / self.done * (self.total - finished) / 60
        return f"{counted}, {minutes:.0f} min left" if minutes >= 1 else f"{counted}, under a minute left"


@contextmanager
def progress_bar(console: Console) -> Iterator[None]:
    """Show a bar below what is narrated; without a terminal the narrated lines have to do, which say the same."""
    if not console.is_terminal:
        yield
        return
    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("days,")),
        *(TimeElapsedColumn(), TextColumn("gone,"), TimeRemainingColumn(), TextColumn("left")),
    )
    with Progress(*columns, console=console, transient=True, speed_estimate_period=WHOLE_RUN) as progress:
        task = progress.add_task("starting", total=None)

        def stage(what: str, state: str, detail: str) -> None:
            progress.update(task, description=f"{what} {state}")

        def meter(done: int, total: int) -> None:
            if progress.tasks[0].total is None:  # what was there before says nothing of the pace
                progress.reset(task, total=total, completed=done)
            else:
                progress.update(task, completed=done)

        with overhearing(stage), measuring(meter):
            yield
