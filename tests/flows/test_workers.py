"""Periods worked on by a Dask cluster: the same predictions as from one process, and never by other code."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import flows.workers
from flows.backfill import Refit, backfill
from flows.workers import LOCAL, THREADS, WorkersError, pool_of
from tests.flows.conftest import RUN_COLUMNS, Finished, stored

pytestmark = pytest.mark.slow


def test_dask_workers_predict_what_one_process_does(
    finished: Finished, copied: Callable[[], Path], tmp_path: Path
) -> None:
    pytest.importorskip("distributed", reason="the dask extra is not installed")
    first = finished.game_day - dt.timedelta(days=8)
    home = copied()
    shutil.rmtree(home / "warehouse" / "tables" / "predictions")
    there = tmp_path / "there"
    shutil.copytree(home, there, symlinks=True)
    given = (first, finished.game_day, Refit.WEEKLY, finished.folder)
    one = backfill(*given, home, workers=1)
    many = backfill(*given, there, workers=2, dask=LOCAL)
    assert many.predictions == one.predictions > 0
    drop = [*RUN_COLUMNS, "release"]
    days = [first + dt.timedelta(days=n) for n in range(9)]
    ours, theirs = (pl.concat(stored(where, "predictions", day).drop(drop) for day in days) for where in (home, there))
    assert ours["model_id"].n_unique() > 1
    assert_frame_equal(theirs, ours, rel_tol=0, abs_tol=1e-9)


def test_workers_of_other_code_are_given_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the dask extra is not installed")
    monkeypatch.setattr(flows.workers, "code_fingerprint", lambda: "sha256:here")
    with pytest.raises(WorkersError, match="1 Dask workers have other code than this run"), pool_of(1, LOCAL):
        pytest.fail("work could have been given out")


@pytest.mark.parametrize(("set_to", "theirs"), [(None, "1"), ("2", "2")], ids=["by itself", "set by the user"])
def test_each_process_calculates_on_one_thread_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, set_to: str | None, theirs: str
) -> None:
    monkeypatch.delenv(THREADS, raising=False)
    if set_to is not None:
        monkeypatch.setenv(THREADS, set_to)
    with pool_of(1) as pool:
        assert pool.submit(os.getenv, THREADS).result() == theirs
    assert os.environ.get(THREADS) == set_to
