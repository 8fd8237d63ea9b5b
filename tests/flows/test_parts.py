"""A backfill over the workers of a pool: the same predictions as from one process, and a clear end if a part fails."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.integrity.rollout import local_key, roll_out
from flows.backfill import BackfillFailed, Refit, backfill
from flows.parts import PART
from flows.workers import WorkersError
from tests.flows.conftest import RUN_COLUMNS, Finished, stored
from tests.prefect_server import REPOSITORY, Process, Server, worker

pytestmark = pytest.mark.slow

POOL = "parts"


@pytest.fixture(scope="module")
def workers(prefect_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Process]]:
    """Two guarded workers of this code's release, each for one run at a time, and the deployment of a part."""
    folder = tmp_path_factory.mktemp("workers")
    prefect_server.pool(POOL)
    with temporary_settings({PREFECT_API_URL: prefect_server.url}):
        now, key = dt.datetime.now(dt.UTC), local_key(folder / "key.pem")
        done = roll_out(REPOSITORY, folder / "releases", key, now, "ada", "test", ["all"], {"all": (POOL,)}, True)
    placed = done.roles["all"]
    part = {
        "name": PART.partition("/")[2],
        "flow_id": prefect_server.post("/flows/", {"name": "backfill"})["id"],
        "entrypoint": "flows/backfill.py:backfill",
        "work_pool_name": POOL,
        "version": done.version,
        "enforce_parameter_schema": False,
        "pull_steps": [{"deployments.integrity.steps.verify_release": {"project": "courtside", "role": "all"}}],
    }
    prefect_server.post("/deployments/", part)
    with ExitStack() as stack:
        logs = [folder / f"{name}.log" for name in ("one", "two")]
        settings = placed.environment()
        yield [
            stack.enter_context(worker(prefect_server, placed.folder, POOL, log, limit=1, **settings)) for log in logs
        ]


@pytest.fixture
def on_workers(workers: list[Process], prefect_server: Server) -> Iterator[list[Process]]:
    """The two workers; flows of the test speak to their server."""
    with temporary_settings({PREFECT_API_URL: prefect_server.url}):
        yield workers


@pytest.fixture
def unpredicted(copied: Callable[[], Path]) -> Path:
    """The finished workspace without its predictions."""
    home = copied()
    shutil.rmtree(home / "warehouse" / "tables" / "predictions")
    return home


def test_runs_on_two_workers_predict_what_one_process_does(
    finished: Finished, unpredicted: Path, tmp_path: Path, on_workers: list[Process], prefect_server: Server
) -> None:
    first = finished.game_day - dt.timedelta(days=8)
    there = tmp_path / "there"
    shutil.copytree(unpredicted, there, symlinks=True)
    given = (first, finished.game_day, Refit.WEEKLY, finished.folder)
    one = backfill(*given, unpredicted, workers=1)
    many = backfill(*given, there, workers=2, pool=True)
    assert many.predictions == one.predictions > 0
    drop = [*RUN_COLUMNS, "release"]
    days = [first + dt.timedelta(days=n) for n in range(9)]
    ours, theirs = (
        pl.concat(stored(where, "predictions", day).drop(drop) for day in days) for where in (unpredicted, there)
    )
    assert ours["model_id"].n_unique() > 1
    assert_frame_equal(theirs, ours, rel_tol=0, abs_tol=1e-9)
    for process in on_workers:
        assert "All deployment steps completed" in process.output()

    again = backfill(*given, there, workers=2, pool=True)
    assert again.predictions == many.predictions
    runs = prefect_server.post("/flow_runs/filter", {"deployments": {"name": {"any_": ["part"]}}})
    assert len(runs) == ours["model_id"].n_unique(), "what is there already is not given out again"


def test_a_part_that_fails_ends_the_backfill_with_its_reason(
    finished: Finished, unpredicted: Path, on_workers: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's code is another recipe than this process says: nothing of it may be mixed in."""
    monkeypatch.setattr("flows.backfill.recipe", lambda: "another recipe")
    day = finished.game_day
    with pytest.raises(BackfillFailed, match=rf"{day} to {day}: its run .* is Failed .*OtherRecipe"):
        backfill(day, day, Refit.MONTHLY, finished.folder, unpredicted, workers=2, pool=True)


def test_without_a_deployment_a_person_is_told_what_to_do(finished: Finished, unpredicted: Path) -> None:
    day = finished.game_day
    with pytest.raises(WorkersError, match="the server has no deployment backfill/part: `make up`"):
        backfill(day, day, Refit.MONTHLY, finished.folder, unpredicted, pool=True)
