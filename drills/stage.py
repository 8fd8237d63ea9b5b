"""Where drills are played: a scratch server with its alert path, guarded workers of every role, a ready workspace."""

from __future__ import annotations

import datetime as dt
import getpass
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from prefect.client.orchestration import get_client

from blocks.publications import LocalPublications
from blocks.warehouse import LocalWarehouse
from blocks.workspace import ORIGIN
from deployments.alerting.receiver import Delivery, Receiver
from deployments.environments import Channels, Environment, local
from deployments.integrity.rollout import Placed, local_key, roll_out
from deployments.processes import Service
from deployments.stack import QUIET, Stack
from drills.story import GAME_DAY, Moment
from tasks.catalog import registry
from tasks.engine.coverage import count
from tasks.engine.incident_log import IncidentLog
from tasks.engine.incidents import Incident
from tasks.engine.ledger import Ledger
from tasks.engine.schema import EXPECTED_OUTPUTS, GAME_DAYS, INCIDENTS, PROCESSOR_RUNS
from tasks.publishing.publication import read_manifest

ROOT = Path(__file__).resolve().parent.parent
POLL_S = 0.1
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class StageError(Exception):
    """Something that the drill needed did not come, with the end of what was said instead."""


class Stage:
    """One server, its two channels and its workers, for any number of drills one after the other."""

    def __init__(self, folder: Path, base: Path, say: Callable[[str], None]) -> None:
        self.folder, self.base, self.say = folder.resolve(), base, say
        shutil.rmtree(self.folder, ignore_errors=True)
        self.stack = Stack(self.folder / "stack")
        self.first = Receiver(self.folder / "first.jsonl", _now)
        self.second = Receiver(self.folder / "second.jsonl", _now)
        self.roles: dict[str, Placed] = {}
        self.version = ""

    @contextmanager
    def open(self) -> Iterator[Stage]:
        """Everything running; ended with all that it started, however the drills go."""
        self.say("the scratch server, a release for every role, and their workers ...")
        shutil.copytree(self.base.parent / "leagues", self.folder / "leagues", copy_function=os.link)
        home = self.workspace("stage")
        with self.first.listening() as one, self.second.listening() as two:
            try:
                done = self.stack.up(partial(_environment, home), None, Channels(f"{one}/alerts", f"{two}/second"))
                self.roles, self.version = dict(done.rollout.roles), done.rollout.version
                yield self
            finally:
                self.stack.down()

    def league(self, name: str) -> Path:
        """A copy of the bundled league as a folder of seasons, for a drill that makes a source worse."""
        [league] = (self.folder / "leagues").glob("league-*")
        folder = self.folder / f"{name}-league"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(league, folder, copy_function=os.link)
        return folder

    @staticmethod
    def replace(file: Path, frame: pl.DataFrame) -> None:
        """Write a file anew; another name of the old one keeps what it had."""
        file.unlink()
        frame.write_parquet(file)

    def workspace(self, name: str, data: Path | None = None) -> Path:
        """A copy of the prepared workspace: all of the history, nothing of the day itself.

        With `data` it is a workspace of that copy of the league, whose past is the same.
        """
        home = self.folder / name
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.base, home, symlinks=True, copy_function=_link_what_is_never_changed)
        for partition in (home / "warehouse" / "tables").glob(f"*/game_day={GAME_DAY}"):
            shutil.rmtree(partition)
        shutil.rmtree(home / "publications", ignore_errors=True)
        ledger = Ledger(f"sqlite:///{home / 'ledger.sqlite'}")
        with ledger.connect().begin() as connection:
            connection.execute(sa.delete(PROCESSOR_RUNS).where(PROCESSOR_RUNS.c.game_day == GAME_DAY))
            for table in (EXPECTED_OUTPUTS, GAME_DAYS, INCIDENTS):
                connection.execute(sa.delete(table))
        ledger.connect().dispose()
        if data is not None:
            (home / ORIGIN).write_text(f"the folder {data.resolve()}")
        return home

    def prefect(self, *arguments: str) -> str:
        """A Prefect command against the stage's server. Raises StageError."""
        environment = {**os.environ, **QUIET, "PREFECT_API_URL": self.stack.url}
        return _run([sys.executable, "-m", "prefect", *arguments], environment)

    def act(self, what: str, at: dt.datetime, home: Path, **options: object) -> str:
        """Run a flow in a process of its own, whose clock begins at `at`. Its output, whatever it came to."""
        more = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        command = [sys.executable, "-m", "drills.act", what, "--at", at.isoformat(), "--home", str(home), *more]
        environment = {**os.environ, **QUIET, "PREFECT_API_URL": self.stack.url}
        return _run(command, environment, check=False)

    def worker(self, name: str, pool: str, placed: Placed, folder: Path | None = None) -> Service:
        """A worker of a release, to be started on a pool: its own, or one that is not its business."""
        usual = self.stack.worker(name, placed)
        command = tuple(pool if part == placed.pools[0] else part for part in usual.command)
        environment = dict(usual.environment)
        if folder is not None:
            environment |= {"INTEGRITY_ROOT": str(folder), "PYTHONPATH": str(folder)}
        return Service(name=name, command=command, folder=folder or usual.folder, environment=environment)

    def tidy(self) -> None:
        """Have every role's own worker up again, whatever a drill has left behind."""
        for role, placed in self.roles.items():
            self.stack.processes.ensure(self.stack.worker(f"worker-{role}", placed))

    def online(self, pool: str, name: str, since: dt.datetime) -> bool:
        """Whether a worker that was started since then has polled its pool."""
        with self.stack.client(), get_client(sync_client=True) as client:
            found = client.request("POST", f"/work_pools/{pool}/workers/filter", json={}).json()  # type: ignore[arg-type]
        return any(
            one["name"] == name and dt.datetime.fromisoformat(one["last_heartbeat_time"]) >= since for one in found
        )

    def final_state(self, run: str) -> str | None:
        """The type of a flow run's final state; None while it has none."""
        state = self._read(f"/flow_runs/{run}")["state"]["type"]
        return str(state) if state in FINAL else None

    def said_of(self, run: str) -> str:
        """The message of a flow run's state."""
        return str(self._read(f"/flow_runs/{run}")["state"]["message"])

    def _read(self, path: str) -> Any:
        with self.stack.client(), get_client(sync_client=True) as client:
            return client.request("GET", path).json()  # type: ignore[arg-type]

    def event(self, name: str, since: dt.datetime) -> dict[str, Any] | None:
        """The newest event of this name that the server has taken since then."""
        asked = {"filter": {"event": {"name": [name]}, "occurred": {"since": since.isoformat()}}, "limit": 1}
        with self.stack.client(), get_client(sync_client=True) as client:
            found = client.request("POST", "/events/filter", json=asked).json()["events"]
        return found[0] if found else None

    def newer_release(self, role: str) -> Placed:
        """Change one line in a clone of this tree and make that the expected release of a role. Where it lies."""
        clone = self.folder / "newer"
        shutil.rmtree(clone, ignore_errors=True)
        _run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(clone)], dict(os.environ))
        with (clone / "flows" / "narration.py").open("a") as file:
            file.write("\n# a newer release\n")
        key = local_key(self.stack.folder / "key.pem")
        releases, now = self.stack.folder / "releases", dt.datetime.now(dt.UTC)
        with self.stack.client():
            done = roll_out(clone, releases, key, now, getpass.getuser(), "a drill", roles=[role], allow_dirty=True)
        return done.roles[role]

    def output(self, name: str) -> str:
        """What a process has written so far."""
        log = self.stack.processes.log(name)
        return log.read_text(errors="replace") if log.exists() else ""

    def until(self, what: str, done: Callable[[], Any], seconds: float = 120.0) -> Any:
        """Poll until `done()` is truthy, and return that. Raises StageError."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if found := done():
                return found
            time.sleep(POLL_S)
        raise StageError(f"{what} did not come within {seconds:.0f} s")

    def heard(self, text: str, since: dt.datetime, receiver: Receiver | None = None) -> Delivery | None:
        """The first message since then that says this."""
        messages = (receiver or self.first).deliveries()
        return next((one for one in messages if one.received >= since and text in f"{one.subject} {one.body}"), None)

    def messages(self, since: dt.datetime) -> tuple[str, ...]:
        """The subjects of every message since then."""
        return tuple(one.subject for one in self.first.deliveries() if one.received >= since)


def _environment(home: Path, channels: Channels) -> Environment:
    return local(home, None, channels)


class Hands:
    """What drills do to a workspace, and what they look at in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.warehouse = LocalWarehouse(folder=home / "warehouse")
        self.ledger = Ledger(f"sqlite:///{home / 'ledger.sqlite'}")

    def predictions(self) -> tuple[int, int]:
        """Predictions in the store, and those that are expected of the features in the store."""
        found = count(registry()["predictions"], self.warehouse, registry(), [GAME_DAY])[GAME_DAY]
        return (found.expected or 0) - found.missing, found.expected or 0

    def lose_rows(self, share: float) -> tuple[int, int]:
        """Keep only this share of the predictions, as a writer does whose other batches failed. Kept, of how many."""
        spec = registry()["predictions"].writes.spec
        rows = self.warehouse.read(spec, [GAME_DAY])
        kept = rows.head(round(share * rows.height))
        self.warehouse.replace(spec, GAME_DAY, kept)
        return kept.height, rows.height

    def ended(self) -> list[Moment]:
        """When each output of the day was first there, by the ledger."""
        found: dict[str, Moment] = {}
        for run in self.ledger.runs(game_day=GAME_DAY):
            name = run["processor"]
            if run["mode"] == "same_day" and run["ended_at"] and name not in found and run["phase"] >= 2:
                text = f"{name.replace('_', ' ')} {run['state']}, {run['rows_actual'] or 0:,} rows"
                found[name] = Moment(at=run["ended_at"], says=text)
        return list(found.values())

    def waited(self, output: str) -> dt.datetime | None:
        """When the day's run first found that an output could not be made yet."""
        tried = [run for run in self.ledger.runs(game_day=GAME_DAY, processors=[output]) if run["mode"] == "same_day"]
        return next((run["ended_at"] for run in tried if run["state"] != "COMPLETE"), None)

    def priced(self) -> tuple[int, int]:
        """Predictions with a line, of how many."""
        rows = self.warehouse.read(registry()["predictions"].writes.spec, [GAME_DAY])
        return rows["line"].count(), rows.height

    def incidents(self) -> list[tuple[Incident, dt.datetime, dt.datetime | None]]:
        """Every incident, with when it opened and was over, oldest first."""
        return IncidentLog(self.ledger).history(dt.datetime.min.replace(tzinfo=dt.UTC))

    def published(self) -> dt.datetime | None:
        """When the day was published last, by the ledger's row or the manifest."""
        manifest = read_manifest(LocalPublications(self.home / "publications"), GAME_DAY)
        return manifest.published_at if manifest else None


def _run(command: list[str], environment: dict[str, str], check: bool = True) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    if check and done.returncode:
        raise StageError(
            f"{' '.join(command[-4:])} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-1500:]}"
        )
    return done.stdout + done.stderr


def _link_what_is_never_changed(source: str, target: str) -> None:
    """Table files are replaced, never changed in place: a second name for them is as good as a copy."""
    if "/warehouse/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
