"""One run of a mode and game day at a time in a workspace, however it was started.

Deployments have concurrency limits, which a run by hand, or one that another flow starts, knows nothing of. The lock is
the workspace's: the operating system's in a folder, an object that is renewed in a bucket. It ends with its holder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from blocks.locks import Lock
from flows.clock import WALL
from flows.narration import narrate
from flows.run import Run

PATIENCE_SECONDS = 30 * 60.0  # a whole season of history is built in less


class AlreadyRunning(Exception):
    """Another run of the same mode and game day has not ended in time, with which."""


class TakenOver(AlreadyRunning):
    """This run was cut off from its lock for so long that another, which thought it gone, has begun its day."""


@contextmanager
def alone(run: Run, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[Callable[[], None]]:
    """Be the only run of this mode and game day in the workspace, after the one that is in progress, if any.

    Raises AlreadyRunning if that one is still there after `patience_seconds`. Gives what is to be called before each
    part of the work that others rely on: it raises TakenOver if this run is the only one no longer.
    """
    lock, deadline, waited = _lock(run), time.monotonic() + patience_seconds, False
    while not lock.take(f"run {run.run_id}"):
        other = lock.holder() or "a run that has just ended"
        if time.monotonic() >= deadline:
            raise AlreadyRunning(
                f"{other} of {run.mode.value} {run.game_day} is still running in {run.home} after "
                f"{patience_seconds / 60:.0f} minutes of waiting: let it end, or cancel it, and run again"
            )
        if not waited:
            narrate("lock", "waiting", f"for {other}, which runs this mode and game day")
        waited = True
        time.sleep(lock.poll_s)
    try:
        yield lambda: _insist(run, lock)
    finally:
        lock.release()


def _insist(run: Run, lock: Lock) -> None:
    if lock.still_mine():
        return
    raise TakenOver(
        f"run {run.run_id} of {run.mode.value} {run.game_day} was cut off from {run.home} for too long, and "
        f"{lock.holder() or 'a run that has ended'} has taken over its day: this run ends, and changes nothing more"
    )


def holder(run: Run) -> str | None:
    """Who is running this mode and game day in the workspace now; None if nobody is."""
    return _lock(run).holder()


def abandoned(run: Run) -> bool:
    """Whether whoever began this mode and game day last is gone. False where nobody ever took its lock."""
    return _lock(run).let_go()


def _lock(run: Run) -> Lock:
    """By the wall's clock in a drill as well: other machines take no part in it."""
    return run.workspace.lock(f"{run.mode.value}-{run.game_day}", WALL.now)
