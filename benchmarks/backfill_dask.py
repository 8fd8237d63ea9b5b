"""A backfill on one and two Dask workers: minutes, processor minutes, speed-up, memory; and that all predict the same.

`python -m benchmarks.backfill_dask --folder FOLDER [--data SEASONS] --start 2023-10-24 --end 2025-12-31`. Tables are
built in FOLDER once, by one process, and timed apart; each run then starts from them in a new process of its own.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import psutil
from polars.testing import assert_frame_equal
from rich.console import Console
from rich.table import Table

from blocks.warehouse import DayRange, LocalWarehouse
from tasks.catalog import registry

RUN_COLUMNS = ("run_id", "created_at", "release")
SAMPLE_SECONDS = 0.25
GIB = 2**30


@dataclass
class Measured:
    """What one process and everything that it started have taken."""

    name: str
    wall: float = 0.0
    cpu: float = 0.0
    together: int = 0
    largest: int = 0
    processes: int = 0
    load: list[float] = field(default_factory=list)

    def sample(self, process: psutil.Process) -> None:
        """Look at the memory of all processes. Shared pages are counted once: by proportional set size."""
        sizes = []
        for each in [process, *process.children(recursive=True)]:
            try:
                sizes.append(each.memory_full_info().pss)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        self.together = max(self.together, sum(sizes))
        self.largest = max(self.largest, max(sizes, default=0))
        self.processes = max(self.processes, len(sizes))
        self.load.append(os.getloadavg()[0])


def measured(name: str, command: list[str], log: Path) -> Measured:
    """Run a command to its end. Raises SystemExit if it fails: its time would mean nothing."""
    found, began, before = Measured(name), time.perf_counter(), _cpu()
    with log.open("w") as stream:
        process = psutil.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        while process.poll() is None:
            found.sample(process)
            try:
                process.wait(SAMPLE_SECONDS)
            except psutil.TimeoutExpired:
                continue
    found.wall, found.cpu = time.perf_counter() - began, _cpu() - before
    if process.returncode:
        raise SystemExit(f"{name} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
    return found


def _cpu() -> float:
    """Processor seconds of everything that was started from here and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Bench:
    """A range of game days, and the folder in which its runs work."""

    folder: Path
    options: list[str]
    history: list[str]

    @property
    def tables(self) -> Path:
        return self.folder / "tables"

    def build(self) -> Measured:
        """Tables of the range and its history; what is there already is left alone."""
        command = [sys.executable, "-m", "flows.history", *self.history, "--home", str(self.tables)]
        return measured("tables, once, by one process", command, self.folder / "tables.log")

    def run(self, name: str, more: list[str]) -> Measured:
        """Predict and grade the range, from the tables and nothing else."""
        home = self.home(name)
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.tables, home, symlinks=True, copy_function=_linked)
        command = [sys.executable, "-m", "flows.backfill", *self.options, "--home", str(home), *more]
        return measured(name, command, self.folder / f"{home.name}.log")

    def home(self, name: str) -> Path:
        return self.folder / name.replace(" ", "-")

    def predictions(self, name: str) -> pl.DataFrame:
        """What a run has predicted, apart from who wrote it and when."""
        spec = registry()["predictions"].writes.spec
        return LocalWarehouse(folder=self.home(name) / "warehouse").read(spec, DayRange()).drop(RUN_COLUMNS)


def _linked(source: str, target: str) -> None:
    """Table files are replaced, never changed in place: a second name for them is as good as a copy."""
    if "/warehouse/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def shown(found: list[Measured], base: Measured) -> Table:
    """The runs as a table, held against one worker."""
    table = Table(title_justify="left")
    table.add_column("run", no_wrap=True)
    for name in ("minutes", "processor min", "speed-up", "peak GiB", "largest process", "processes", "load"):
        table.add_column(name, justify="right")
    for each in found:
        speed = "" if each is found[0] else f"{base.wall / each.wall:.2f}"
        table.add_row(
            each.name, f"{each.wall / 60:.1f}", f"{each.cpu / 60:.1f}", speed, f"{each.together / GIB:.2f}",
            f"{each.largest / GIB:.2f}", str(each.processes), f"{min(each.load):.1f} to {max(each.load):.1f}",
        )  # fmt: skip
    return table


def first_season(start: dt.date, seasons: int) -> dt.date:
    """The first of September before so many seasons of history: before the earliest game of that season."""
    year = start.year if start.month >= 9 else start.year - 1
    return dt.date(year - seasons, 9, 1)


def main(arguments: list[str] | None = None) -> int:
    """Build, run, compare; returns the exit code."""
    parser = argparse.ArgumentParser(description="Time a backfill on Dask workers.")
    parser.add_argument("--folder", type=Path, required=True, help="where to work; tables in it are used again")
    parser.add_argument("--data", type=Path, help="folder of seasons (default: the simulated league)")
    parser.add_argument("--start", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--end", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--refit", default="monthly", help="weekly or monthly (%(default)s)")
    parser.add_argument("--information", default="no_news", help="as of the backfill (%(default)s)")
    parser.add_argument("--seasons", type=int, default=5, help="of history before the range (%(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="runs to make (%(default)s)")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    source = ["--information", given.information, *(["--data", str(given.data.resolve())] if given.data else [])]
    bench = Bench(
        given.folder.resolve(),
        options=[
            *("--start", str(given.start), "--end", str(given.end), "--refit", given.refit),
            *("--seasons", str(given.seasons), *source),
        ],
        history=["--start", str(first_season(given.start, given.seasons)), "--end", str(given.end), *source],
    )
    console = Console(width=140)
    console.print(f"{os.cpu_count()} cores, {given.start} to {given.end}, refit {given.refit}", highlight=False)
    found = [bench.build()]
    names = [f"dask {count}" for count in given.workers]
    for name, count in zip(names, given.workers, strict=True):
        found.append(bench.run(name, ["--dask", "local", "--workers", str(count)]))
        console.print(f"{name}: {found[-1].wall / 60:.1f} minutes", highlight=False)
    console.print(shown(found, base=found[1]))
    first, *others = (bench.predictions(name) for name in names)
    for frame in others:
        assert_frame_equal(frame, first, rel_tol=0, abs_tol=1e-9)
    console.print(f"{first.height:,} predictions, the same within 1e-9", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
