"""How a run tells its progress: into Prefect's log always, and to whoever listens, such as the terminal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

Listener = Callable[[str, str, str], None]
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


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
