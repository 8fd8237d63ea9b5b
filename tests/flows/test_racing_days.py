"""Whole runs at once in one workspace, each a process of its own: of one day and of two, in a folder and in the cloud.

In a folder the runs of one day wait for each other; in the cloud nothing holds them apart but the stores.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from prefect.settings import PREFECT_API_URL

from blocks.workspace import LocalWorkspace, Workspace
from flows.daily import daily
from tasks.catalog import registry
from tasks.engine.expected import PUBLICATION
from tasks.engine.ledger import Ledger
from tasks.engine.plan import steps_of
from tasks.engine.processor import Mode
from tests.fakes.cloud import Cloud
from tests.flows.conftest import RUN_COLUMNS, Finished, game_days
from tests.postgres import PROGRAMS, running_postgres

pytestmark = pytest.mark.slow

RACER = Path(__file__).with_name("racing_day.py")
REPOSITORY = RACER.parents[2]
CLOUD = Path("block:courtside-cloud-workspace/raced")
MARKS = (*RUN_COLUMNS, "predicted_by", "release")
PATIENCE = 900.0  # seconds: two runs on two cores that others use too
TABLES = [item.table for item in registry() if Mode.SAME_DAY in item.runs_in]


@dataclass(frozen=True)
class Place:
    """A workspace that holds everything before the day after the finished one."""

    home: Path
    workspace: Workspace
    environment: dict[str, str]

    def rows(self, table: str, day: dt.date) -> pl.DataFrame:
        return self.workspace.warehouse.read(registry()[table].writes.spec, [day])

    def published(self, day: dt.date, name: str) -> bytes:
        body = self.workspace.publications.read(day, name)
        assert body is not None
        return body


def in_folder(home: Path) -> Place:
    return Place(home, LocalWorkspace(folder=home, ledger_url=f"sqlite:///{home.resolve()}/ledger.sqlite"), {})


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a workspace in the cloud has its ledger: PostgreSQL by its URL alone, where this machine has one."""
    if any(shutil.which(name) is None for name in PROGRAMS):
        yield f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.sqlite"
        return
    with running_postgres() as database:
        yield f"postgresql+psycopg://{database}"


@pytest.fixture(scope="module")
def alone(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Place]:
    """What the first of two days comes to by a run of its own, and both, one after the other, undisturbed."""
    homes = [tmp_path_factory.mktemp("alone") / name for name in ("one", "both")]
    for home, days in zip(homes, (next_days(finished)[:1], next_days(finished)), strict=True):
        shutil.copytree(finished.home, home, symlinks=True)
        for day in days:
            daily(Mode.SAME_DAY, day, data=finished.folder, home=home)
    return in_folder(homes[0]), in_folder(homes[1])


@pytest.fixture(params=["folder", "cloud"])
def place(request: pytest.FixtureRequest, finished: Finished, copied: Callable[[], Path]) -> Iterator[Place]:
    """A workspace after the finished day."""
    if request.param == "folder":
        yield in_folder(copied())
        return
    cloud: Cloud = request.getfixturevalue("cloud")
    cloud.forget()
    workspace = cloud.workspace(request.getfixturevalue("ledger"))
    workspace.save("raced", overwrite=True)
    daily(Mode.SAME_DAY, finished.game_day, data=finished.folder, home=CLOUD)
    yield Place(CLOUD, workspace, cloud.environment)
    cloud.forget()


def test_two_runs_of_one_day_leave_it_as_one_run_does(
    place: Place, alone: tuple[Place, Place], finished: Finished
) -> None:
    day, _ = next_days(finished)
    first, second = race(place, finished, day, day)
    assert first != second
    held(place, alone[:1], day, {first, second})
    accounted(place, {first: day, second: day})


def test_runs_of_two_days_lose_and_double_nothing(place: Place, alone: tuple[Place, Place], finished: Finished) -> None:
    """The later day builds the earlier one's tables as its history, while that day's own run makes them.

    Whose come last is open; they are wholly those of one or of the other.
    """
    days = next_days(finished)
    runs = dict(zip(race(place, finished, *days), days, strict=True))
    for run_id, day in runs.items():
        held(place, alone, day, {run_id})


def next_days(finished: Finished) -> tuple[dt.date, dt.date]:
    days = game_days(finished.folder)
    first = days.index(finished.game_day) + 1
    return days[first], days[first + 1]


def race(place: Place, finished: Finished, *days: dt.date) -> list[str]:
    """Run the days at once, each in a process of its own; the ids of their runs."""
    api = PREFECT_API_URL.value()
    assert api is not None
    environment = {**os.environ, **place.environment, "PREFECT_API_URL": api, "PYTHONPATH": str(REPOSITORY)}
    runners = [
        subprocess.Popen(
            [sys.executable, str(RACER), str(day), str(finished.folder), str(place.home)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=REPOSITORY, env={**environment, "POLARS_MAX_THREADS": "1"}, text=True,
        )
        for day in days
    ]  # fmt: skip
    try:
        for runner in runners:
            assert runner.stdout is not None
            assert runner.stdout.readline() == "ready\n"
        for runner in runners:
            assert runner.stdin is not None
            runner.stdin.write("go\n")
            runner.stdin.flush()
        said = [runner.communicate(timeout=PATIENCE) for runner in runners]
    finally:
        for runner in runners:
            runner.kill()
    failed = [err for runner, (_, err) in zip(runners, said, strict=True) if runner.returncode]
    assert not failed, failed[0][-4000:]
    return [out.split()[-1] for out, _ in said]


def held(place: Place, undisturbed: Sequence[Place], day: dt.date, runs: set[str]) -> None:
    """Every table and the publication of a day are those of an undisturbed run, each by one run only."""
    for table in TABLES:
        ours, wanted = place.rows(table, day), [other.rows(table, day) for other in undisturbed]
        assert ours.select(registry()[table].writes.key).is_unique().all(), table
        assert "run_id" not in ours.columns or ours["run_id"].n_unique() <= 1, table
        same_as_one_of(ours, wanted)
    manifest = json.loads(place.published(day, "manifest.json"))
    predictions = pl.read_parquet(io.BytesIO(place.published(day, "predictions.parquet")))
    assert manifest["run_id"] in runs
    assert manifest["rows"] == manifest["expected_rows"] == predictions.height > 0
    assert not manifest["degraded"], manifest["reasons"]
    assert set(predictions["run_id"]) <= runs
    assert predictions["run_id"].n_unique() == 1
    same(predictions, pl.read_parquet(io.BytesIO(undisturbed[-1].published(day, "predictions.parquet"))))


def same_as_one_of(ours: pl.DataFrame, wanted: Sequence[pl.DataFrame]) -> None:
    """Wholly what one undisturbed run leaves: a day's own, or the history of the next, which has its results."""
    for frame in wanted[:-1]:
        with suppress(AssertionError):
            same(ours, frame)
            return
    same(ours, wanted[-1])


def same(ours: pl.DataFrame, theirs: pl.DataFrame) -> None:
    marks = [name for name in MARKS if name in ours.columns]
    assert_frame_equal(ours.drop(marks), theirs.drop(marks), rel_tol=0, abs_tol=1e-9)


def accounted(place: Place, runs: dict[str, dt.date]) -> None:
    """The ledger has every output of every run, done, with as many rows as there are."""
    ledger = Ledger(place.workspace.ledger_url)
    tables = {step.processor: registry()[step.processor].table for step in steps_of(Mode.SAME_DAY, registry())}
    tables[PUBLICATION] = "predictions"
    for run_id, day in runs.items():
        rows = {row["processor"]: row for row in ledger.runs(run_id=run_id) if row["processor"] in tables}
        assert rows.keys() == tables.keys()
        for row in rows.values():
            assert (row["state"], row["game_day"]) in {("COMPLETE", day), ("EMPTY_OK", day)}, row
            assert row["rows_actual"] == place.rows(tables[row["processor"]], day).height, row["processor"]
