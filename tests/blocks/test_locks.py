"""What a lock promises, in a folder or a bucket: one holder at a time, named, and none once it is gone."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from blocks.locks import FileLock, Lock
from tests.fakes.http import Cut, Refused
from tests.prefect_server import wait_for

BACKENDS = ["folder", "bucket"]
NAME = "same_day-2025-12-29"
NOON = dt.datetime(2025, 12, 29, 17, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


class Bucket:
    """Locks in a bucket by a clock that stands still, and those that were taken, to be released at the end."""

    def __init__(self, cloud: Any) -> None:
        self.cloud, self.now, self.locks = cloud, NOON, []  # type: ignore[var-annotated]

    def lock(self, renewed_every_s: float = 3600.0) -> Any:
        from blocks.gcs import GcsObjects
        from blocks.gcs_lock import GcsLock

        objects = GcsObjects(bucket=self.cloud.bucket("pipeline"), folder="locks", patience_s=5)
        self.locks.append(GcsLock(objects, NAME, clock=lambda: self.now, renewed_every_s=renewed_every_s))
        return self.locks[-1]

    def says(self) -> dict[str, Any]:
        [stored] = [one for bucket in self.cloud.storage.buckets.values() for one in bucket.values()]
        return json.loads(stored.body)  # type: ignore[no-any-return]


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    cloud = request.getfixturevalue("cloud")
    cloud.forget()
    found = Bucket(cloud)
    yield found
    for lock in found.locks:
        lock.release()


@pytest.fixture(params=BACKENDS)
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Lock]:
    """The same lock as another process, or machine, would open it."""
    if request.param == "folder":
        return lambda: FileLock(tmp_path / "locks" / NAME)
    return request.getfixturevalue("bucket").lock  # type: ignore[no-any-return]


def test_one_at_a_time_holds_it_and_everybody_can_see_who(another: Callable[[], Lock]) -> None:
    first, second = another(), another()
    assert (first.holder(), first.let_go()) == (None, False), "nobody ever held it"
    assert first.take("run r1")
    assert not second.take("run r2")
    assert (second.holder(), second.let_go()) == ("run r1", False)
    assert (first.still_mine(), second.still_mine()) == (True, False)
    first.release()
    assert (second.holder(), second.let_go()) == (None, True)
    assert second.take("run r2")
    assert (first.holder(), first.let_go()) == ("run r2", False)
    first.release()  # which no longer holds it
    assert first.holder() == "run r2"
    second.release()


def test_of_many_who_take_it_at_once_one_gets_it(another: Callable[[], Lock]) -> None:
    locks, start = [another() for _ in range(8)], threading.Barrier(8)

    def take(number: int) -> bool:
        start.wait()
        return locks[number].take(f"run r{number}")

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(take, range(8)))
    assert got.count(True) == 1
    assert another().holder() == f"run r{got.index(True)}"
    locks[got.index(True)].release()


def test_a_holder_whose_machine_is_gone_is_succeeded_after_five_minutes_and_not_before(bucket: Bucket) -> None:
    gone, next_one = bucket.lock(), bucket.lock()
    assert gone.take("run r1")  # and never renews it
    bucket.now += 4.9 * MINUTE
    assert not next_one.take("run r2")
    assert not next_one.let_go()
    bucket.now += 0.2 * MINUTE
    assert next_one.let_go()
    assert gone.still_mine(), "it was late, and nobody came"
    assert next_one.take("run r2")
    assert (gone.still_mine(), next_one.still_mine()) == (False, True)
    gone.release()  # it comes back: what is no longer its own stays as it is
    assert bucket.says()["holder"] == next_one.holder() == "run r2"


def test_a_holder_at_work_keeps_it_for_as_long_as_it_works(bucket: Bucket) -> None:
    at_work = bucket.lock(renewed_every_s=0.01)
    assert at_work.take("run r1")
    for _ in range(3):
        bucket.now += 4 * MINUTE
        until = (bucket.now + 5 * MINUTE).isoformat()
        wait_for("a renewal", lambda until=until: bucket.says()["until"] == until, 30)
        assert not bucket.lock().take("run r2")
    at_work.release()
    assert bucket.says()["until"] is None


def test_a_holder_that_was_cut_off_for_too_long_says_so_and_leaves_the_lock_to_its_successor(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    running, stopped = threading.Event(), threading.Event()
    running.set()

    def clock_of_a_machine_that_is_suspended() -> dt.datetime:
        if not running.is_set():
            stopped.set()
            running.wait()
        return bucket.now

    cut_off, successor = bucket.lock(renewed_every_s=0.01), bucket.lock()
    cut_off.clock = clock_of_a_machine_that_is_suspended
    assert cut_off.take("run r1")
    running.clear()
    assert stopped.wait(30)
    bucket.now += 6 * MINUTE
    assert successor.take("run r2")
    running.set()
    wait_for("word of it", lambda: "was taken over: run r1 was cut off for too long" in caplog.text, 30)
    cut_off.release()
    assert bucket.says()["holder"] == successor.holder() == "run r2"


@pytest.mark.parametrize("fault", [lambda: Refused(503, "backendError", "try again"), Cut], ids=["503", "lost"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_it_is_taken_once_though_the_answer_is_lost(
    bucket: Bucket, fault: Callable[[], Exception], after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("google.api_core.retry.retry_unary.time.sleep", lambda _: None)
    bucket.cloud.storage.fails("POST /upload", fault, after=after)
    lock = bucket.lock()
    assert lock.take("run r1")
    assert not bucket.lock().take("run r2")
    lock.release()
    assert bucket.lock().holder() is None
