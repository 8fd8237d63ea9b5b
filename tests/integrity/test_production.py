"""December 29 and a rollout in the middle of a day, on the whole project: its flows, pools, workers and ledger."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.warehouse import LocalWarehouse
from deployments.alerting.receiver import Receiver
from deployments.environments import Channels, local
from deployments.integrity.rollout import Placed, Rollout, local_key, roll_out
from deployments.register import apply, declared
from tasks.catalog import registry
from tasks.engine.ledger import Ledger
from tasks.sources.league import LeagueConfig, generate_league
from tests.prefect_server import REPOSITORY, Process, Server, serving, wait_for, worker

from .conftest import git

pytestmark = pytest.mark.slow

LEAGUE = LeagueConfig(seed=7, seasons=("2025-26",), teams=6, games_per_team=82, worlds=1)
SHIPPED = ("flows", "tasks", "blocks", "deployments", "integrity.toml", "prefect.yaml", "requirements.lock")
PATIENCE = 600.0  # a day from nothing on two cores that others use too


@dataclass
class Production:
    """A server, a tree of its own with history, a league, and the workers of one test."""

    server: Server
    tree: Path
    folder: Path
    receiver: str
    workers: ExitStack

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def release(self) -> Rollout:
        """What a deployer does: every role of the tree is expected, every deployment is of that release."""
        key = local_key(self.folder / "key.pem")
        now = dt.datetime.now(dt.UTC)
        with temporary_settings({PREFECT_API_URL: self.server.url}):
            done = roll_out(self.tree, self.folder / "releases", key, now, "ada", "test")
            wanted = local(self.home, self.folder / "league", Channels(self.receiver, self.receiver))
            apply(declared(done.version), wanted, lambda text: None)
        return done

    def start(self, placed: Placed, pool: str, name: str) -> Process:
        """A worker of a release, as its own environment says, on any pool."""
        log = self.folder / f"{name}.log"
        started = worker(self.server, placed.folder, pool, log, **placed.environment())
        return self.workers.enter_context(started)  # type: ignore[no-any-return]

    def day(self, game_day: dt.date) -> str:
        """A same-day run, asked for on the server."""
        (found,) = self.server.post("/deployments/filter", {"deployments": {"name": {"any_": ["same-day"]}}})
        return self.server.start_run(found["id"], game_day=game_day.isoformat(), seasons=1)

    def children(self, phase: str) -> list[dict[str, Any]]:
        """The runs of a phase on its own pool, oldest first."""
        found = self.server.post(
            "/flow_runs/filter", {"deployments": {"name": {"any_": [phase]}}, "sort": "EXPECTED_START_TIME_ASC"}
        )
        return list(found)

    def stamps(self) -> dict[str, set[str]]:
        """By run, the releases that the ledger's rows of same-day runs were written by; none before the first run."""
        found: dict[str, set[str]] = {}
        if not (self.home / "ledger.sqlite").is_file():
            return found
        for row in Ledger(f"sqlite:///{self.home / 'ledger.sqlite'}").runs():
            if row["mode"] == "same_day":
                found.setdefault(row["run_id"], set()).add(row["fingerprint"].split()[0])
        return found

    def predictions(self, game_day: dt.date) -> pl.DataFrame:
        return LocalWarehouse(folder=self.home / "warehouse").read(registry()["predictions"].writes.spec, [game_day])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files committed in a repository of their own, and a small league."""
    folder = tmp_path_factory.mktemp("production")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *SHIPPED],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    for name in filter(lambda name: (REPOSITORY / name).is_file(), listed):
        (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, folder / "tree" / name)
    (folder / "tree" / ".gitignore").write_text("__pycache__/\n")
    git(folder / "tree", "init", "-q")
    git(folder / "tree", "add", "-A")
    git(folder / "tree", "commit", "-q", "-m", "the project as it is")
    generate_league(LEAGUE).write(folder / "league")
    return folder


@pytest.fixture(scope="module")
def ready(folder: Path) -> Iterator[tuple[Server, str]]:
    """A server for all tests here, and somebody who takes the alerts: registration asks for an answer."""
    receiver = Receiver(folder / "alerts.jsonl", lambda: dt.datetime.now(dt.UTC))
    with serving(folder / "server") as server, receiver.listening() as address:
        yield server, address


@pytest.fixture
def production(folder: Path, ready: tuple[Server, str]) -> Iterator[Production]:
    server, address = ready
    with ExitStack() as workers:
        yield Production(server, folder / "tree", folder, f"{address}/alerts", workers)


def game_day(folder: Path) -> dt.date:
    """A day late in the season with games, and games the day before."""
    schedule = pl.read_parquet(folder / "league/schedule/schedule.parquet").filter(pl.col("status") == "final")
    games = dict(schedule.group_by("game_date").len().iter_rows())
    late = (day for day in sorted(games) if day >= dt.date(2026, 3, 10) and games[day] >= 2)
    return next(day for day in late if day - dt.timedelta(days=1) in games)


def test_december_29_the_wrong_worker_is_refused_and_the_right_one_beside_it_completes_the_day(
    production: Production,
) -> None:
    """The precompute pool's worker is started from a checkout that runs analytics, while a day waits for the pool."""
    server, day = production.server, game_day(production.folder)
    first = production.release()
    for role in ("all", "analytics", "predictions"):
        production.start(first.roles[role], first.roles[role].pools[0], f"right-{role}")
    run = production.day(day)
    (waiting,) = wait_for("the precompute phase", lambda: production.children("precompute"), PATIENCE)
    began = time.monotonic()
    wrong = production.start(first.roles["analytics"], "precompute", "wrong")
    assert wrong.exit_code(60) == 78, wrong.output()
    print(f"refused {time.monotonic() - began:.1f} s after the start of its process")
    assert "manifest.role: expected role precompute" in wrong.output()
    assert "found role analytics" in wrong.output()
    wait_for("the event", lambda: server.events("integrity.worker.blocked"), 30)
    assert server.run(waiting["id"])["state"]["type"] == "SCHEDULED", "the wrong worker took the run"
    right = production.start(first.roles["precompute"], "precompute", "right-precompute")
    done = server.finished(run, PATIENCE)
    assert done["state"]["type"] == "COMPLETED", right.output() + done["state"]["message"]
    assert done["labels"]["integrity.release"] == first.version
    assert set(production.predictions(day)["release"].str.split(" ").list.first()) == {first.version}
    assert list(production.stamps().values()) == [{first.version}], "one release in every row of the ledger"


def test_a_release_rolled_out_in_the_middle_of_a_day_loses_no_run_and_mixes_no_code(production: Production) -> None:
    """The day's precompute phase is asked for and not taken yet when the next release is registered."""
    server, day = production.server, game_day(production.folder)
    first = production.release()
    before, asked = set(production.stamps()), len(production.children("precompute"))
    for role in ("all", "analytics", "predictions"):
        production.start(first.roles[role], first.roles[role].pools[0], f"old-{role}")
    old = production.day(day)
    wait_for("its precompute phase", lambda: len(production.children("precompute")) > asked, PATIENCE)
    module = production.tree / "flows" / "narration.py"
    module.write_text(module.read_text() + "\n# The next release.\n")
    git(production.tree, "commit", "-q", "-a", "-m", "next")
    second = production.release()
    assert second.version != first.version
    for role, placed in second.roles.items():
        production.start(placed, placed.pools[0], f"new-{role}")
    new = production.day(day)
    for which, expected in ((old, first.version), (new, second.version)):
        ended = server.finished(which, PATIENCE)
        assert ended["state"]["type"] == "COMPLETED", json.dumps(ended["state"]) + server.logs(which)
        assert ended["labels"]["integrity.release"] == expected
    declined = production.children("precompute")[asked]
    assert declined["labels"]["integrity.release"] == second.version
    assert (declined["state"]["type"], "run.child" in declined["state"]["message"]) == ("FAILED", True)
    stamps = [sorted(releases) for run, releases in production.stamps().items() if run not in before]
    assert sorted(stamps) == sorted([[first.version], [second.version]]), "one release per run, in every row"
    log = (production.folder / "old-all.log").read_text()
    assert "integrity.worker.draining" in log
    assert "leaving with 75" in log
