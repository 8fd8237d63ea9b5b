"""The local stack from nothing: a day through the workers of every role, and what is left when one of them is killed.

The tests of this file are one story on one stack and follow each other; each takes a game day of its own.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from deployments.processes import Processes
from tasks.catalog import registry
from tasks.engine.ledger import Ledger, State
from tasks.engine.plan import steps_of
from tasks.engine.processor import Mode, Phase
from tasks.sources.league import generate_league
from tests.flows.conftest import LEAGUE, game_days, stored
from tests.leagues import eastern
from tests.postgres import needs_postgres, running_postgres
from tests.prefect_server import REPOSITORY, Api, clean_environment, free_port, wait_for

pytestmark = pytest.mark.slow

START_SECONDS = 600
DAY_SECONDS = 400
STEPS = steps_of(Mode.SAME_DAY, registry())
ONE_DAY = dt.timedelta(days=1)
PRECOMPUTED = [step.processor for step in STEPS if step.phase == Phase.PRECOMPUTE]
APART = ["analytics", "precompute", "predictions"]


@dataclass
class Stack:
    """A stack as a person has it: `python -m deployments.stack`, the server's API, process ids, files."""

    folder: Path
    home: Path
    data: Path
    port: int

    @property
    def api(self) -> Api:
        return Api(f"http://127.0.0.1:{self.port}/api")

    @property
    def ledger(self) -> Ledger:
        return Ledger(f"sqlite:///{self.home}/ledger.sqlite")

    def up(self, *more: str) -> str:
        """`make up`, from nothing or from whatever is left."""
        return self._command(
            *("up", "--data", str(self.data), "--home", str(self.home), "--port", str(self.port)),
            *("--folder", str(self.folder), *more),
        )

    def down(self) -> str:
        return self._command("down", "--folder", str(self.folder))

    def pid(self, name: str) -> int:
        return int(json.loads((self.folder / f"{name}.pid").read_text())["pid"])

    def begun(self, day: dt.date) -> list[dict[str, Any]]:
        """The day's steps that the ledger knows of."""
        return self.ledger.runs(game_day=day) if (self.home / "ledger.sqlite").exists() else []

    def kill(self, name: str) -> None:
        """kill -9: no handler of it runs, nothing is told to anybody."""
        os.kill(self.pid(name), signal.SIGKILL)
        wait_for(f"the end of {name}", lambda: not Processes(self.folder).alive(name), 10)

    def start(self, day: dt.date) -> str:
        """A same-day run of a game day, for the workers to take."""
        return self.start_run("daily/same-day", game_day=str(day))

    def start_run(self, deployment: str, **parameters: str) -> str:
        """A run, for the workers to take."""
        return self.api.start_run(self.api.get(f"/deployments/name/{deployment}")["id"], **parameters)

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        """The runs of a deployment."""
        id = self.api.get(f"/deployments/name/{deployment}")["id"]
        return list(self.api.post("/flow_runs/filter", {"deployments": {"id": {"any_": [id]}}}))

    def told(self) -> list[str]:
        """The headings of the messages so far."""
        file = self.folder / "alerts.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line)["message"]["text"] for line in lines]

    def phases(self, day: dt.date, name: str | None = None) -> list[dict[str, Any]]:
        """The runs on pools of their own that a day has asked for, oldest first."""
        found = self.api.post(
            "/flow_runs/filter",
            {
                "flow_runs": {"tags": {"all_": ["same_day", str(day)]}},
                "work_pools": {"name": {"any_": [name] if name else APART}},
                "sort": "START_TIME_ASC",
            },
        )
        return list(found)

    def phase_runs(self, day: dt.date, name: str) -> dict[str, Any] | None:
        """The day's run of this phase, once it is Running."""
        running = [run for run in self.phases(day, name) if run["state"]["type"] == "RUNNING"]
        return running[0] if running else None

    def _command(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "deployments.stack", *arguments],
            cwd=REPOSITORY,
            env=clean_environment(),
            timeout=START_SECONDS,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that has been brought up from nothing, with the small league. Ended without anything left running."""
    folder = tmp_path_factory.mktemp("stack")
    generate_league(LEAGUE).write(folder / "league")
    made = Stack(folder / "state", folder / "home", folder / "league", free_port())
    try:
        made.up()
        yield made
    finally:
        made.down()
    assert made.down() == "nothing was running\n"


@pytest.fixture(scope="module")
def days(stack: Stack) -> list[dt.date]:
    """Game days of the league, each with another one before it."""
    return game_days(stack.data)


def day_without_games(data: Path, days: list[dt.date]) -> dt.date:
    """A day without games between days without games, before any of these."""
    schedule = pl.read_parquet(data / "schedule" / "schedule.parquet")
    played = set(schedule["game_date"])
    every = (days[0] - number * ONE_DAY for number in range(1, 150))
    return next(day for day in every if not played & {day - ONE_DAY, day, day + ONE_DAY})


def is_whole(stack: Stack, day: dt.date) -> None:
    """The day is published complete, and nothing of it is there twice: rows and keys counted in the store."""
    manifest = json.loads((stack.home / "publications" / str(day) / "manifest.json").read_text())
    published = pl.read_parquet(stack.home / "publications" / str(day) / "predictions.parquet")
    assert (manifest["degraded"], manifest["missing"]) == (False, [])
    assert published.height == manifest["rows"] == manifest["expected_rows"] > 0
    newest = {row["processor"]: row for row in stack.ledger.runs(game_day=day)}
    for item in (registry()[step.processor] for step in STEPS):
        row = newest[item.name]
        assert row["state"] == State.COMPLETE, row
        rows = stored(stack.home, item.table, day)
        assert rows.height > 0, item.table
        assert rows.select(item.writes.key).is_unique().all(), item.table
        assert rows.height == row["rows_actual"], item.table
    assert stored(stack.home, "predictions", day).height == published.height


def test_from_nothing_a_day_runs_through_workers_of_every_role_and_is_complete(
    stack: Stack, days: list[dt.date]
) -> None:
    run = stack.start(days[0])
    ended = stack.api.finished(run, DAY_SECONDS)
    assert ended["state"]["type"] == "COMPLETED", stack.api.logs(run)
    apart = {phase["work_pool_name"]: phase for phase in stack.phases(days[0])}
    assert list(apart) == APART
    assert {phase["state"]["type"] for phase in apart.values()} == {"COMPLETED"}
    assert {phase["labels"]["integrity.release"] for phase in apart.values()} == {ended["labels"]["integrity.release"]}
    is_whole(stack, days[0])


def test_brought_up_again_nothing_is_started_or_changed(stack: Stack) -> None:
    names = Processes(stack.folder).names()
    before = {name: stack.pid(name) for name in names}
    assert "no change" in stack.up()
    assert {name: stack.pid(name) for name in names} == before
    assert {"server", "receiver", "worker-all", *(f"worker-{role}" for role in APART)} == set(names)


def test_a_day_without_games_is_run_watched_and_validated_without_a_word(stack: Stack, days: list[dt.date]) -> None:
    """By the clock of that day, from before the night's run to midnight, on the season that the first test took in."""
    day = day_without_games(stack.data, days)
    before = stack.told()
    daily = [stack.start_run("daily/overnight", game_day=str(day - ONE_DAY)), stack.start(day)]
    for hour, minute in ((3, 55), (10, 25), (12, 31), (13, 31), (23, 55)):
        look = stack.start_run("watch/watch", now=eastern(day, hour, minute).isoformat())
        ended = stack.api.finished(look, DAY_SECONDS)
        assert ended["state"]["type"] == "COMPLETED", stack.api.logs(look)
    validation = stack.start_run("validate-day/validate", game_day=str(day), now=eastern(day, 14, 0).isoformat())
    for run in (*daily, validation):
        assert stack.api.finished(run, DAY_SECONDS)["state"]["type"] == "COMPLETED", stack.api.logs(run)

    # Events are heard one by one: the sign of life comes after whatever these runs could have set off.
    stack.start_run("heartbeat/heartbeat")
    new = wait_for("the sign of life", lambda: stack.told()[len(before) :], DAY_SECONDS)
    assert new == [":green_heart: Alerts arrive"]


def test_a_phase_whose_worker_is_killed_half_way_is_done_again_and_nothing_is_there_twice(
    stack: Stack, days: list[dt.date]
) -> None:
    day = days[1]
    run = stack.start(day)
    begun = wait_for(
        "the first step of precompute", lambda: stack.ledger.runs(game_day=day, processors=PRECOMPUTED), DAY_SECONDS
    )
    stack.kill("worker-precompute")
    assert len(begun) < len(PRECOMPUTED)
    crashed = stack.api.finished(begun[0]["flow_run_id"], 120)
    assert crashed["state"]["type"] == "CRASHED", crashed["state"]
    assert stack.api.run(run)["state"]["type"] == "RUNNING"

    assert "no change" in stack.up()
    ended = stack.api.finished(run, DAY_SECONDS)
    assert ended["state"]["type"] == "COMPLETED", stack.api.logs(run)
    assert [phase["state"]["type"] for phase in stack.phases(day, "precompute")] == ["CRASHED", "COMPLETED"]
    is_whole(stack, day)


def test_a_day_whose_own_worker_is_killed_half_way_is_told_and_made_whole_by_the_next_run(
    stack: Stack, days: list[dt.date]
) -> None:
    """The crash is an alarm that starts self-heal, which waits for the worker as the next run of the schedule does."""
    day, before = days[4], len(stack.runs("self-heal/self-heal"))
    run = stack.start(day)
    begun = wait_for("the first step of the day", lambda: stack.begun(day), DAY_SECONDS)
    stack.kill("worker-all")
    assert len(begun) < len(STEPS)
    assert stack.api.finished(run, 120)["state"]["type"] == "CRASHED"
    wait_for("the alarm", lambda: ":rotating_light: Crashed: daily/same-day" in stack.told(), 60)
    wait_for("a run of self-heal", lambda: len(stack.runs("self-heal/self-heal")) > before, 60)

    again = stack.start(day)
    assert "no change" in stack.up()
    ended = stack.api.finished(again, DAY_SECONDS)
    assert ended["state"]["type"] == "COMPLETED", stack.api.logs(again)
    is_whole(stack, day)


def test_a_run_outlives_a_server_that_is_killed_under_it(stack: Stack, days: list[dt.date]) -> None:
    day = days[2]
    run = stack.start(day)
    wait_for("analytics to run", lambda: stack.phase_runs(day, "analytics"), DAY_SECONDS)
    stack.kill("server")
    workers = {role: stack.pid(f"worker-{role}") for role in ["all", *APART]}

    assert "no change" in stack.up()
    ended = stack.api.finished(run, DAY_SECONDS)
    assert ended["state"]["type"] == "COMPLETED", stack.api.logs(run)
    assert {role: stack.pid(f"worker-{role}") for role in ["all", *APART]} == workers
    assert [phase["state"]["type"] for phase in stack.phases(day)] == ["COMPLETED"] * 3
    is_whole(stack, day)


@needs_postgres
def test_on_postgresql_the_server_takes_the_same_registration_and_runs_the_day(
    stack: Stack, days: list[dt.date], tmp_path: Path
) -> None:
    """Another stack with the workspace of this one, its server on PostgreSQL by the URL alone."""
    pytest.importorskip("asyncpg", reason="Prefect's driver for PostgreSQL is not installed")
    with running_postgres() as database:
        there = Stack(tmp_path / "state", stack.home, stack.data, free_port())
        url = f"postgresql+asyncpg://{database}"
        try:
            there.up("--database", url)
            assert "no change" in there.up("--database", url)
            assert not list(there.folder.rglob("prefect.db"))
            run = there.start(days[3])
            ended = there.api.finished(run, DAY_SECONDS)
            assert ended["state"]["type"] == "COMPLETED", there.api.logs(run)
            assert [phase["state"]["type"] for phase in there.phases(days[3])] == ["COMPLETED"] * 3
            is_whole(there, days[3])
        finally:
            there.down()
