"""What the integrity guard costs: the check before a run, a worker's start, and a wrong worker's refusal.

`python -m benchmarks.integrity_check`: this tree is rolled out to a Prefect server of its own, in a temporary folder.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

from deployments.integrity.guard import Question, verify, verify_fully
from deployments.integrity.release import Site
from deployments.integrity.rollout import Placed, Rollout, local_key, roll_out
from deployments.integrity.worker import EXIT_REFUSED

ROOT = Path(__file__).parents[1]
RIGHT, WRONG = "precompute", "analytics"


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Bench:
    """A rollout of this tree, and what is timed on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        done: Rollout = roll_out(
            ROOT, folder / "releases", local_key(folder / "key.pem"), utc_now(), "bench", "bench", allow_dirty=True
        )
        self.right, self.wrong = done.roles[RIGHT], done.roles[WRONG]
        self.homes = 0

    def site(self, placed: Placed, home: Path) -> Site:
        environment = {**os.environ, **placed.environment(), "INTEGRITY_HOME": str(home)}
        return Site.here(placed.folder, environment)

    def check(self, question: Question) -> Callable[[], None]:
        """The check before a run, the server asked."""
        site = self.site(self.right, self.folder / "home")

        def work() -> None:
            report = verify(site, question, utc_now()).report
            if not report.ok:
                raise SystemExit(report.text())

        return work

    def start(self, remembered: bool) -> Callable[[], None]:
        """A worker's check at its start: imports, links, entrypoints and facts (its own checks need a workspace)."""
        site = self.site(self.right, self.folder / "home")

        def work() -> None:
            self.homes += not remembered
            here = replace(site, memory=self.folder / f"home-{self.homes}")
            report = verify_fully(here, Question(pool=RIGHT), utc_now()).report
            if not report.ok:
                raise SystemExit(report.text())

        return work

    def refused(self) -> None:
        """A worker of the wrong role on the pool, from the start of its process to its end, the event sent."""
        environment = {**os.environ, **self.wrong.environment(), "INTEGRITY_HOME": str(self.folder / "wrong")}
        command = [sys.executable, "-m", "prefect", "worker", "start", "--type", "guarded-process", "--pool", RIGHT]
        done = subprocess.run(command, cwd=self.wrong.folder, env=environment, capture_output=True, text=True)
        if done.returncode != EXIT_REFUSED:
            raise SystemExit(f"the wrong worker ended with {done.returncode}: {done.stderr}")


def processor_seconds() -> float:
    """Of this process and of those it has waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def timed(work: Callable[[], None], times: int) -> tuple[list[float], list[float]]:
    """Milliseconds on the wall and of processor time."""
    wall, busy = [], []
    for _ in range(times):
        began, used = time.perf_counter(), processor_seconds()
        work()
        wall.append((time.perf_counter() - began) * 1000)
        busy.append((processor_seconds() - used) * 1000)
    return wall, busy


def load() -> str:
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def main(arguments: list[str] | None = None) -> int:
    """Roll out, time, print a row for each; returns the exit code."""
    parser = argparse.ArgumentParser(description="Time the integrity guard.")
    parser.add_argument("--checks", type=int, default=30, help="checks before a run, of each kind (%(default)s)")
    parser.add_argument("--starts", type=int, default=3, help="starts of a worker, of each kind (%(default)s)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, prefect_test_harness(server_startup_timeout=120):
        os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())  # for the processes that are started
        bench = Bench(Path(folder))
        print(f"{os.cpu_count()} cores, load average {load()}; milliseconds")
        row = "{:<48}" + "{:>8}" * 5
        print(row.format("", "times", "median", "best", "worst", "CPU"), flush=True)
        works: list[tuple[str, Callable[[], None], int]] = [
            ("check before a run, asked by role", bench.check(Question("courtside", RIGHT)), options.checks),
            ("check before a run, asked by pool", bench.check(Question(pool=RIGHT)), options.checks),
            ("worker's start, never linked here", bench.start(remembered=False), options.starts),
            ("worker's start, linked before", bench.start(remembered=True), options.starts),
            ("wrong worker refused, from its process's start", bench.refused, options.starts),
        ]
        works[0][1]()  # loads Prefect's client, which a run's process has loaded
        for name, work, times in works:
            wall, busy = timed(work, times)
            figures = (statistics.median(wall), min(wall), max(wall), statistics.median(busy))
            print(row.format(name, times, *(f"{figure:,.0f}" for figure in figures)), flush=True)
        print(f"load average {load()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
