"""kill -9 at random moments of a run: afterwards a run completes the day, and nothing is doubled or half-written."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from blocks.partition import PartitionFolder
from blocks.warehouse import LocalWarehouse
from flows.daily import daily
from flows.report import DayState
from tasks.engine.processor import Mode
from tests.flows.conftest import RUN_COLUMNS, Finished, stored

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import sys
from pathlib import Path
import datetime as dt
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from flows.daily import daily
from flows.narration import listening
from tasks.engine.processor import Mode
print("imported", flush=True)
tell = lambda what, state, detail: print(what, state, flush=True)
with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), listening(tell):
    daily(Mode(sys.argv[1]), dt.date.fromisoformat(sys.argv[2]), data=Path(sys.argv[3]), home=Path(sys.argv[4]))
print("done", flush=True)
"""


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.chaos)])
def test_a_run_killed_at_any_moment_is_completed_by_the_next(
    finished: Finished, copied: Callable[[], Path], kills: int
) -> None:
    # From a workspace that lacks its last weeks: the run has history to build, a model to train, a day to predict.
    home = copied()
    _forget_the_last_days(home, finished)
    moments = random.Random(29)
    for _ in range(kills):
        _start_and_kill(home, finished, moments)
        _assert_nothing_is_half_written(home)

    report = daily(Mode.SAME_DAY, finished.game_day, data=finished.folder, home=home)
    assert report.state == DayState.COMPLETE, report.reasons
    assert report.rows == report.expected
    predictions = stored(home, "predictions", finished.game_day)
    assert predictions.select("game_id", "player_id", "system").is_duplicated().sum() == 0
    assert predictions.drop(RUN_COLUMNS).equals(finished.read("predictions").drop(RUN_COLUMNS))
    partitions = {path.parent for path in (home / "warehouse").rglob("_tmp*")}
    assert all(PartitionFolder(path).current() is not None for path in partitions)


def _start_and_kill(home: Path, finished: Finished, moments: random.Random) -> None:
    """Start the run in a process of its own, let it come to a random number of reports, then to a random instant."""
    api = PREFECT_API_URL.value()
    assert api is not None
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, "same_day", str(finished.game_day), str(finished.folder), str(home)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PREFECT_API_URL": api, "PREFECT_LOGGING_LEVEL": "CRITICAL"},
    )
    assert process.stdout is not None
    for _ in range(moments.randint(1, 40)):
        if not process.stdout.readline():
            break
    time.sleep(moments.uniform(0, 0.2))  # not waiting for anything: the instant of the kill is to be arbitrary
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    process.stdout.close()


def _forget_the_last_days(home: Path, finished: Finished) -> None:
    warehouse = LocalWarehouse(folder=home / "warehouse")
    for table in warehouse.tables():
        for day, partition in warehouse.partitions(table).items():
            if (finished.game_day - day).days < 21:
                shutil.rmtree(partition.folder)
    shutil.rmtree(home / "models")
    shutil.rmtree(home / "publications")


def _assert_nothing_is_half_written(home: Path) -> None:
    """Every committed partition reads back as committed: file there, hash right, row count right."""
    warehouse = LocalWarehouse(folder=home / "warehouse")
    for table in warehouse.tables():
        for partition in warehouse.partitions(table).values():
            PartitionFolder(partition.folder).read(partition)
