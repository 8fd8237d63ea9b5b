"""The processes of a local stack: started once, found again by their pid files, ended with everything they started."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

MARK = "COURTSIDE_STACK"  # in the environment of every process of a stack: its folder
POLL_SECONDS = 0.1
PATIENCE_SECONDS = 15.0  # for a process that was asked to end, before it is made to


class NotReady(Exception):
    """A process of the stack that ended or did not become ready, with the end of its log."""


@dataclass(frozen=True)
class Service:
    """What is to run: a command in a folder, with what its environment adds to ours."""

    name: str
    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Changes with anything that the process is started with: a changed service is started anew."""
        parts = [*self.command, str(self.folder), *(f"{k}={v}" for k, v in sorted(self.environment.items()))]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class _Known:
    """What a pid file holds. `began` tells a process from a later one of the same number."""

    pid: int
    began: str
    fingerprint: str


class Processes:
    """The processes of the stack in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)

    def ensure(self, service: Service) -> bool:
        """Have the service running; whether it had to be started for that."""
        known = self._known(service.name)
        if known and _lives(known) and known.fingerprint == service.fingerprint:
            return False
        self.stop(service.name)
        environment = {**_clean(os.environ), **service.environment, MARK: str(self.folder)}
        with self.log(service.name).open("ab") as log:
            process = subprocess.Popen(
                service.command,
                cwd=service.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        known = _Known(process.pid, _began(process.pid), service.fingerprint)
        temporary = self._file(service.name).with_suffix(".new")
        temporary.write_text(json.dumps(asdict(known)))
        temporary.rename(self._file(service.name))
        return True

    def alive(self, name: str) -> bool:
        """Whether the service of this name runs."""
        known = self._known(name)
        return known is not None and _lives(known)

    def names(self) -> list[str]:
        """The services that were started and not stopped, running or not."""
        return sorted(path.stem for path in self.folder.glob("*.pid"))

    def log(self, name: str) -> Path:
        """Where the output of a service goes."""
        return self.folder / f"{name}.log"

    def wait(self, name: str, what: str, done: Callable[[], bool], seconds: float) -> None:
        """Return as soon as `done()`. Raises NotReady if the process ends first, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while not done():
            if not self.alive(name):
                raise NotReady(f"{name} has ended before {what}:\n{self._tail(name)}")
            if time.monotonic() > deadline:
                raise NotReady(f"{name}: not {what} within {seconds:.0f} s:\n{self._tail(name)}")
            time.sleep(POLL_SECONDS)

    def stop(self, name: str) -> bool:
        """End a service and its process group; whether there was anything to end."""
        known = self._known(name)
        ended = known is not None and _lives(known)
        if known and ended:
            _end_group(known)
        self._file(name).unlink(missing_ok=True)
        return ended

    def stop_all(self) -> list[str]:
        """End every service, and what is left of any that crashed. Returns what was ended."""
        # Workers, the last by name, before the server: without it a worker does not end by itself.
        ended = [name for name in reversed(self.names()) if self.stop(name)]
        left = list(_marked(self.folder))
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return ended + [f"process {pid}" for pid in left]

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.pid"

    def _known(self, name: str) -> _Known | None:
        with suppress(FileNotFoundError):
            return _Known(**json.loads(self._file(name).read_text()))
        return None

    def _tail(self, name: str, lines: int = 25) -> str:
        text = self.log(name).read_text(errors="replace") if self.log(name).exists() else ""
        return "\n".join(text.splitlines()[-lines:]) + f"\n(all of it in {self.log(name)})"


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what it was told about another Prefect or another release."""
    return {k: v for k, v in environment.items() if not k.startswith(("PREFECT", "INTEGRITY", "PYTEST"))}


def _end_group(known: _Known) -> None:
    """SIGINT, as a person would at the terminal; what does not end by itself is killed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(known.pid, signal.SIGINT)
        while _lives(known) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        os.killpg(known.pid, signal.SIGKILL)
    while _lives(known):
        time.sleep(POLL_SECONDS)


def _lives(known: _Known) -> bool:
    with suppress(ChildProcessError):  # a child of this process that has ended is none any more
        os.waitpid(known.pid, os.WNOHANG)
    try:
        os.kill(known.pid, 0)
    except ProcessLookupError:
        return False
    return _began(known.pid) == known.began


def _began(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty where the system does not say."""
    with suppress(OSError):
        # The name, in brackets, may hold anything; the start is the 20th field behind it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def _marked(folder: Path) -> Iterator[int]:
    """Processes that a stack in this folder started, however they have been orphaned since."""
    mark = f"{MARK}={folder}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in path.read_bytes().split(b"\0") and int(path.parent.name) != os.getpid():
                yield int(path.parent.name)
