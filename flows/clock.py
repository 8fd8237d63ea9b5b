"""What time it is, and how to let it pass. The clock's, unless a drill says otherwise."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Clock(Protocol):
    """Tells the time and lets it pass."""

    def now(self) -> dt.datetime:
        """The present instant."""

    def pause(self, seconds: float) -> None:
        """Come back when so much time has passed."""


class WallClock:
    """The machine's."""

    def now(self) -> dt.datetime:
        """See Clock.now."""
        return dt.datetime.now(dt.UTC)

    def pause(self, seconds: float) -> None:
        """See Clock.pause."""
        time.sleep(seconds)


class DrillClock:
    """Another day, from a given instant on: it runs as fast as the machine's, and a pause costs nothing."""

    def __init__(self, start: dt.datetime) -> None:
        self._ahead = start - dt.datetime.now(dt.UTC)

    def now(self) -> dt.datetime:
        """See Clock.now."""
        return dt.datetime.now(dt.UTC) + self._ahead

    def pause(self, seconds: float) -> None:
        """See Clock.pause."""
        self._ahead += dt.timedelta(seconds=seconds)


WALL = WallClock()
_CLOCK: ContextVar[Clock] = ContextVar("clock", default=WALL)


def utc_now() -> dt.datetime:
    """The present instant, for stamps, deadlines and waits. No value in a table is computed from it."""
    return _CLOCK.get().now()


def pause(seconds: float) -> None:
    """Let time pass between two looks at something outside that nobody announces."""
    _CLOCK.get().pause(seconds)


@contextmanager
def at_time_of(clock: Clock) -> Iterator[None]:
    """Inside the block this clock tells the time."""
    token = _CLOCK.set(clock)
    try:
        yield
    finally:
        _CLOCK.reset(token)
