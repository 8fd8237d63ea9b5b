"""How a run tells its progress: into Prefect's log always, and to whoever listens, such as the terminal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

Listener = Callable[[str, str, str], None]
Meter = Callable[[int, int], None]
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)
_METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


def narrate(what: str, state: str, detail: str = "") -> None:
    """Say that `what` came to `state`, with a detail for a person."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(what, state, detail)
    try:
        log: logging.Logger | logging.LoggerAdapter = get_run_logger()
    except MissingContextError:
        log = logging.getLogger(__name__)
    log.info("%s: %s %s", what, state, detail)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hear what is narrated inside the block."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextmanager
def overhearing(listener: Listener) -> Iterator[None]:
    """Hear what is narrated inside the block after whoever listens already."""
    first = _LISTENER.get()

    def both(what: str, state: str, detail: str) -> None:
        if first is not None:
            first(what, state, detail)
        listener(what, state, detail)

    with listening(both):
        yield


def measure(done: int, total: int) -> None:
    """Say how many pieces of a long run are done, to whoever measures it."""
    meter = _METER.get()
    if meter is not None:
        meter(done, total)


@contextmanager
def measuring(meter: Meter) -> Iterator[None]:
    """Hear of what is measured inside the block."""
    token = _METER.set(meter)
    try:
        yield
    finally:
        _METER.reset(token)
