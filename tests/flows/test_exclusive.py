"""Two runs of one mode and game day never work at once, and a run that was killed leaves no lock behind."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from flows.exclusive import AlreadyRunning, TakenOver, abandoned, alone, holder
from flows.run import Run
from tasks.engine.processor import Mode

HOLDER = """
import sys, time
from flows.exclusive import alone
from flows.run import Run
with alone(Run.model_validate_json(sys.argv[1])):
    print("holding", flush=True)
    time.sleep(600)
"""


def a_run(home: Path, run_id: str = "r1", mode: Mode = Mode.SAME_DAY, day: int = 29) -> Run:
    game_day = dt.date(2025, 12, day)
    as_of = dt.datetime(2025, 12, day, 17, tzinfo=dt.UTC)
    return Run(run_id=run_id, mode=mode, game_day=game_day, as_of=as_of, home=home, fingerprint="x")  # type: ignore[call-arg]


def test_a_second_run_of_the_day_starts_when_the_first_has_ended(tmp_path: Path) -> None:
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with alone(a_run(tmp_path, "r2")):
            order.append("second")

    follower = threading.Thread(target=second)
    follower.start()
    with alone(a_run(tmp_path, "r1")):
        inside.set()
        follower.join(timeout=1.2)  # time enough to come in, were the door open
        order.append("first")
    follower.join(timeout=30)
    assert order == ["first", "second"]


def test_patience_ends_with_the_name_of_the_run_that_is_in_the_way(tmp_path: Path) -> None:
    with alone(a_run(tmp_path, "r1")), pytest.raises(AlreadyRunning, match="run r1 of same_day 2025-12-29"):  # noqa: SIM117
        with alone(a_run(tmp_path, "r2"), patience_seconds=0):
            pass


@pytest.mark.parametrize("other", [{"mode": Mode.OVERNIGHT}, {"day": 28}])
def test_another_mode_or_day_does_not_wait(tmp_path: Path, other: dict[str, object]) -> None:
    with alone(a_run(tmp_path)), alone(a_run(tmp_path, "r2", **other), patience_seconds=0):  # type: ignore[arg-type]
        pass


def test_a_day_is_abandoned_once_nobody_holds_it_and_never_where_nobody_did(tmp_path: Path) -> None:
    assert not abandoned(a_run(tmp_path))
    with alone(a_run(tmp_path)):
        assert not abandoned(a_run(tmp_path))
    assert abandoned(a_run(tmp_path))


def test_a_run_whose_lock_was_taken_over_ends_before_it_writes_over_its_successors_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with alone(a_run(tmp_path, "r1")) as insist:
        insist()
        monkeypatch.setattr("blocks.locks.FileLock.still_mine", lambda _: False)
        monkeypatch.setattr("blocks.locks.FileLock.holder", lambda _: "run r2")
        with pytest.raises(TakenOver, match=r"run r1 of same_day 2025-12-29 was cut off .* run r2 has taken over"):
            insist()


@pytest.mark.slow
def test_a_killed_run_leaves_no_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, a_run(tmp_path).model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        with pytest.raises(AlreadyRunning), alone(a_run(tmp_path, "r2"), patience_seconds=0):
            pass
        assert not abandoned(a_run(tmp_path))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert abandoned(a_run(tmp_path))
    with alone(a_run(tmp_path, "r3"), patience_seconds=0):
        pass


def test_in_a_workspace_in_the_cloud_a_run_on_another_machine_is_waited_for_and_named(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run by hand knows nothing of the concurrency limits that deployments have."""
    cloud.forget()
    here, there = (cloud.workspace("sqlite://") for _ in range(2))
    mine, other = a_run(Path("here"), "r2"), a_run(Path("there"), "r1")
    places = {mine.home: here, other.home: there}
    monkeypatch.setattr("flows.run._workspace", lambda home, *_: places[home])
    assert (holder(mine), abandoned(mine)) == (None, False)
    with alone(other):
        assert (holder(mine), abandoned(mine)) == ("run r1", False)
        with pytest.raises(AlreadyRunning, match="run r1 of same_day 2025-12-29"), alone(mine, patience_seconds=0):
            pass
    assert (holder(mine), abandoned(mine)) == (None, True)
    with alone(mine):
        assert holder(other) == "run r2"
