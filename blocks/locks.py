"""Locks: of those who must not work on the same thing at once, one at a time does. Here, on one machine."""

from __future__ import annotations

import abc
import datetime as dt
import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import IO

Clock = Callable[[], dt.datetime]


class Lock(abc.ABC):
    """A lock by its name, which ends with its holder, whatever ends the holder."""

    poll_s: float  # a good while between two tries to take it

    @abc.abstractmethod
    def take(self, holder: str) -> bool:
        """Hold it from now on, in the name of `holder`; False if somebody else does."""

    @abc.abstractmethod
    def release(self) -> None:
        """Let go of it, whoever waits for it."""

    @abc.abstractmethod
    def still_mine(self) -> bool:
        """Whether what was taken has not been taken over since by somebody who thought its holder gone."""

    @abc.abstractmethod
    def holder(self) -> str | None:
        """In whose name it is held now; None if nobody holds it."""

    @abc.abstractmethod
    def let_go(self) -> bool:
        """Whether it was held once and is no longer, by a release or because its holder is gone."""


class FileLock(Lock):
    """The operating system's lock on a file."""

    poll_s = 0.5

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: IO[str] | None = None

    def take(self, holder: str) -> bool:
        """See Lock.take."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+")
        if not _taken(file):
            file.close()
            return False
        file.truncate(0)
        file.write(holder)
        file.flush()
        self._held = file
        return True

    def release(self) -> None:
        """See Lock.release."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def still_mine(self) -> bool:
        """See Lock.still_mine. The operating system takes it from nobody who lives."""
        return self._held is not None

    def holder(self) -> str | None:
        """See Lock.holder."""
        if not self.path.exists():
            return None
        with self.path.open("a+") as file:
            if _taken(file):
                return None
            file.seek(0)
            return file.read() or "somebody"

    def let_go(self) -> bool:
        """See Lock.let_go."""
        return self.path.exists() and self.holder() is None


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
