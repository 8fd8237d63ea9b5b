"""One run of a mode and game day at a time in a workspace, however it was started.

Deployments have concurrency limits, which a run by hand, or one that another flow starts, knows nothing of. The lock
is the operating system's, so it ends with its holder, whatever ends the holder. A workspace that is no folder is
shared by machines: there the limits of the deployments stand alone, each deployment taking one mode only.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flows.home import is_saved
from flows.narration import narrate
from flows.run import Run

PATIENCE_SECONDS = 30 * 60.0  # a whole season of history is built in less
POLL_SECONDS = 0.5


class AlreadyRunning(Exception):
    """Another run of the same mode and game day has not ended in time, with which."""


@contextmanager
def alone(run: Run, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Be the only run of this mode and game day in the workspace, after the one that is in progress, if any.

    Raises AlreadyRunning if that one is still there after `patience_seconds`.
    """
    if is_saved(run.home):
        yield
        return
    folder = run.home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{run.mode.value}-{run.game_day}").open("a+") as lock:
        deadline = time.monotonic() + patience_seconds
        waited = False
        while not _taken(lock.fileno()):
            lock.seek(0)
            holder = lock.read()
            if time.monotonic() >= deadline:
                raise AlreadyRunning(
                    f"{holder} of {run.mode.value} {run.game_day} is still running in {run.home} after "
                    f"{patience_seconds / 60:.0f} minutes of waiting: let it end, or cancel it, and run again"
                )
            if not waited:
                narrate("lock", "waiting", f"for {holder}, which runs this mode and game day")
            waited = True
            time.sleep(POLL_SECONDS)
        lock.truncate(0)
        lock.write(f"run {run.run_id}")
        lock.flush()
        yield


def holder(run: Run) -> str | None:
    """Who is running this mode and game day in the workspace now; None if nobody is."""
    path = run.home / "locks" / f"{run.mode.value}-{run.game_day}"
    if is_saved(run.home) or not path.exists():
        return None
    with path.open("a+") as lock:
        if _taken(lock.fileno()):
            return None
        lock.seek(0)
        return lock.read() or "another run"


def abandoned(run: Run) -> bool:
    """Whether whoever began this mode and game day last is gone. False where no lock can tell."""
    if is_saved(run.home):
        return False
    return (run.home / "locks" / f"{run.mode.value}-{run.game_day}").exists() and holder(run) is None


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
