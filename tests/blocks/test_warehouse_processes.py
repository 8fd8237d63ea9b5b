"""What the embedded warehouse promises when several processes write it, and when one of them is killed."""

from __future__ import annotations

import datetime as dt
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from blocks.warehouse import DayRange, LocalWarehouse, TableSpec
from tests.blocks.partition_writer import COMMON_DAY, folder_of, version

REPOSITORY = Path(__file__).parents[2]
WRITER = Path(__file__).with_name("partition_writer.py")
TABLE = TableSpec(
    "versions", {"game_day": pl.Date(), "player_id": pl.Int64(), "version": pl.Int64()}, ("game_day", "player_id")
)
VERSIONS = (1, 2, 3)
KILLED = -9


class Writer:
    """A writer process that has imported everything and waits for `go`."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(WRITER), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "POLARS_MAX_THREADS": "1"},
            text=True,
        )

    def ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def ended(self) -> int:
        self.process.communicate(timeout=60)
        return self.process.returncode

    def kill(self) -> int:
        self.process.kill()
        return self.ended()


@pytest.fixture
def warehouse(tmp_path: Path) -> LocalWarehouse:
    return LocalWarehouse(folder=tmp_path)


def table(warehouse: LocalWarehouse) -> Path:
    return warehouse.folder / "tables" / TABLE.name


def version_in(warehouse: LocalWarehouse, day: dt.date = COMMON_DAY) -> int:
    """The version that the partition holds; fails if it is not exactly one whole version."""
    frame = LocalWarehouse(folder=warehouse.folder).read(TABLE, [day])
    number = frame["version"][0]
    assert frame.equals(version(number, day))
    return int(number)


def test_a_reader_never_sees_a_mixture_while_two_processes_replace(warehouse: LocalWarehouse) -> None:
    folder_of(table(warehouse)).replace(version(1))
    writers = [Writer("alternate", table(warehouse), 120) for _ in range(2)]
    for writer in writers:
        writer.ready()
    for writer in writers:
        writer.go()
    seen = []
    while any(writer.running for writer in writers):
        frame = warehouse.read(TABLE, [COMMON_DAY])
        number = frame["version"][0]
        assert frame.equals(version(number))
        seen.append(number)
    assert [writer.ended() for writer in writers] == [0, 0]
    assert 1 < len(set(seen)) <= len(VERSIONS)
    assert len(list(folder_of(table(warehouse)).path.iterdir())) == 2


def test_two_writers_of_other_days_and_of_the_same_day_lose_nothing(warehouse: LocalWarehouse) -> None:
    own = {n: [COMMON_DAY + dt.timedelta(days=2 * back + n) for back in range(1, 21)] for n in (1, 2)}
    writers = [Writer("days", table(warehouse), n, *days) for n, days in own.items()]
    for writer in writers:
        writer.ready()
    for writer in writers:
        writer.go()
    assert [writer.ended() for writer in writers] == [0, 0]
    assert set(warehouse.partitions(TABLE.name)) == {COMMON_DAY, *own[1], *own[2]}
    assert {version_in(warehouse, day) for day in own[1]} == {1}
    assert {version_in(warehouse, day) for day in own[2]} == {2}
    assert version_in(warehouse) in (1, 2)


def test_a_writer_killed_before_any_touch_of_the_disk_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    steps = range(1, 10)
    stores = {step: LocalWarehouse(folder=tmp_path / str(step)) for step in steps}
    ends, found = {}, {}
    for batch in (steps[:3], steps[3:6], steps[6:]):
        writers = {}
        for step in batch:
            folder_of(table(stores[step])).replace(version(1))
            writers[step] = Writer("crash", table(stores[step]), step)
        for step, writer in writers.items():
            writer.ready()
            writer.go()
            ends[step] = writer.ended()
            found[step] = version_in(stores[step])
            made_whole(stores[step], again=found[step] if step % 2 else 2)
    survived = [step for step in steps if ends[step] == 0]
    assert {ends[step] for step in steps if step not in survived} == {KILLED}
    assert survived, "the writer touches the disk more often than is tried here"
    assert survived == list(range(survived[0], 10))
    # Once the pointer is replaced it is the new version, and before it the old one; never anything else.
    assert [found[step] for step in steps] == sorted(found.values())
    assert found[1] == 1
    assert found[survived[0] - 1] == 2


def made_whole(warehouse: LocalWarehouse, again: int) -> None:
    """A rerun, be it of what is there or of what was being written, completes and leaves nothing lying about."""
    folder = folder_of(table(warehouse))
    partition = folder.replace(version(again))
    assert version_in(warehouse) == again
    assert sorted(path.name for path in folder.path.iterdir()) == ["CURRENT", partition.file]


def kill_at_random_moments(warehouse: LocalWarehouse, trials: int, seed: int) -> list[int]:
    """Kill a writer in the midst of replacing, `trials` times; the version found after each."""
    dice = random.Random(seed)
    folder_of(table(warehouse)).replace(version(1))
    found = []
    for trial in range(trials):
        writer = Writer("alternate", table(warehouse), 100_000)
        writer.ready()
        writer.go()
        time.sleep(dice.uniform(0.001, 0.06))  # the moment, not a wait for anything
        assert writer.kill() == KILLED
        found.append(version_in(warehouse))
        made_whole(warehouse, again=found[-1] if trial % 2 else dice.choice(VERSIONS))
    return found


def test_a_writer_killed_at_any_moment_leaves_one_whole_version(warehouse: LocalWarehouse) -> None:
    assert set(kill_at_random_moments(warehouse, trials=5, seed=29)) <= set(VERSIONS)


@pytest.mark.chaos
@pytest.mark.slow
def test_a_writer_killed_at_twenty_moments_leaves_one_whole_version_each_time(warehouse: LocalWarehouse) -> None:
    found = kill_at_random_moments(warehouse, trials=20, seed=12)
    assert 1 < len(set(found)) <= len(VERSIONS)


def test_a_killed_writer_holds_no_lock(warehouse: LocalWarehouse) -> None:
    writer = Writer("alternate", table(warehouse), 100_000)
    writer.ready()
    writer.go()
    while not warehouse.partitions(TABLE.name):
        assert writer.running
    writer.kill()
    warehouse.replace_each_day(TABLE, version(3), [COMMON_DAY])
    assert warehouse.read(TABLE, DayRange()).equals(version(3))
