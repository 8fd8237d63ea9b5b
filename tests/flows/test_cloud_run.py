"""Whole runs in a workspace on Google Cloud, faked at its HTTP and gRPC: the flows are the same, only blocks differ."""

from __future__ import annotations

import datetime as dt
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from blocks.cloud import CloudWorkspace
from flows.daily import daily
from tasks.catalog import registry
from tasks.engine.processor import Mode
from tests.fakes.cloud import Cloud
from tests.flows.conftest import RUN_COLUMNS, Finished, stored

pytestmark = pytest.mark.slow

MOST_JOBS = 25
HOME = Path("block:courtside-cloud-workspace/faked")


@pytest.fixture(scope="module")
def there(cloud: Cloud, finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudWorkspace]:
    """The workspace in the cloud after the finished day was run there from nothing, like the local one."""
    cloud.forget()
    workspace = cloud.workspace(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.sqlite")
    workspace.save("faked")
    daily(Mode.SAME_DAY, finished.game_day, data=finished.folder, home=HOME)
    yield workspace
    cloud.forget()


def test_a_same_day_run_publishes_the_predictions_that_a_local_one_publishes(
    finished: Finished, there: CloudWorkspace
) -> None:
    files = {}
    for name in ("predictions.parquet", "manifest.json"):
        path = finished.home / "publications" / finished.game_day.isoformat() / name
        files[name] = (path.read_bytes(), there.publications.read(finished.game_day, name) or b"")
    ours, theirs = (pl.read_parquet(io.BytesIO(body)).drop(RUN_COLUMNS) for body in files["predictions.parquet"])
    key = list(registry()["predictions"].writes.key)
    assert theirs.height
    assert theirs.select(key).equals(ours.select(key))
    assert_frame_equal(theirs, ours, rel_tol=0, abs_tol=1e-9)
    manifests = [json.loads(body) for body in files["manifest.json"]]
    for name in ("games", "rows", "expected_rows", "missing", "model_ids", "systems", "degraded"):
        assert manifests[0][name] == manifests[1][name], name


@pytest.fixture(scope="module")
def overnight(finished: Finished, there: CloudWorkspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The overnight run after the finished day, here and there. The local workspace."""
    home = tmp_path_factory.mktemp("overnight") / "home"
    shutil.copytree(finished.home, home, symlinks=True)
    for where in (home, HOME):
        daily(Mode.OVERNIGHT, finished.game_day, data=finished.folder, home=where)
    return home


def test_every_table_of_an_overnight_run_holds_what_a_local_one_holds(
    finished: Finished, there: CloudWorkspace, overnight: Path
) -> None:
    tables = [item.table for item in registry() if Mode.OVERNIGHT in item.runs_in]
    assert tables
    for table in tables:
        ours = stored(overnight, table, finished.game_day)
        theirs = there.warehouse.read(registry()[table].writes.spec, [finished.game_day])
        marks = [name for name in (*RUN_COLUMNS, "predicted_by") if name in ours.columns]
        assert_frame_equal(theirs.drop(marks), ours.drop(marks), rel_tol=0, abs_tol=1e-9)


def test_a_same_day_run_is_a_few_load_jobs_and_no_query(
    cloud: Cloud, finished: Finished, there: CloudWorkspace, overnight: Path
) -> None:
    tomorrow = finished.game_day + dt.timedelta(days=1)
    assert tomorrow not in there.warehouse.partitions("schedule")
    before = set(cloud.bigquery.jobs)
    daily(Mode.SAME_DAY, tomorrow, data=finished.folder, home=HOME)
    new = [job for job_id, job in cloud.bigquery.jobs.items() if job_id not in before]
    kinds = Counter(next(iter(job["configuration"])) for job in new)
    assert there.publications.read(tomorrow, "manifest.json")
    assert kinds["query"] == 0
    assert 0 < kinds["load"] <= MOST_JOBS
