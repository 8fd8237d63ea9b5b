"""The ledger: one row per processor run with its lifecycle, in SQLite by default, in PostgreSQL by its URL alone."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError

from tasks.engine.schema import PROCESSOR_RUNS, open_database

logger = logging.getLogger(__name__)

MISSING_SAMPLE = 20
OPENING_TRIES = 10
T = TypeVar("T")


class State(StrEnum):
    """What an output is. COMPLETE means that its rows were counted in the store after writing."""

    NOT_DUE = "NOT_DUE"
    EXPECTED = "EXPECTED"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    DEGRADED = "DEGRADED"
    PARTIAL = "PARTIAL"
    EMPTY_OK = "EMPTY_OK"
    FAILED = "FAILED"
    BLOCKED = "BLOCKED"
    LATE = "LATE"

    @property
    def usable(self) -> bool:
        """Whether something downstream can be computed from it."""
        return self in (State.COMPLETE, State.DEGRADED, State.PARTIAL, State.EMPTY_OK)


class Ledger:
    """Writes and reads `processor_runs`.

    A fault of the ledger never fails the product: it is logged, counted in `faults`, and the run goes on.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.faults = 0
        self._engine: Engine | None = None

    def started(
        self,
        *,
        run_id: str,
        processor: str,
        phase: int,
        mode: str,
        first_game_day: dt.date,
        game_day: dt.date,
        at: dt.datetime,
        flow_run_id: str | None = None,
        fingerprint: str | None = None,
        dependency: str | None = None,
    ) -> str:
        """Open the row of one processor run in state RUNNING and return its id. Attempts of an output only count up."""
        row_id = str(uuid.uuid4())
        row = {
            "id": row_id,
            "run_id": run_id,
            "flow_run_id": flow_run_id,
            "processor": processor,
            "phase": phase,
            "mode": mode,
            "game_day": game_day,
            "first_game_day": first_game_day,
            "state": State.RUNNING.value,
            "fingerprint": fingerprint,
            "dependency": dependency,
            "started_at": at,
        }
        runs = PROCESSOR_RUNS.c
        earlier = sa.select(sa.func.coalesce(sa.func.max(runs.attempt), 0)).where(
            runs.processor == processor, runs.game_day == game_day, runs.mode == mode
        )
        opening = PROCESSOR_RUNS.insert().values(**row, attempt=earlier.scalar_subquery() + 1)
        self.guarded("open", lambda: self._open(opening), None)
        return row_id

    def ended(self, row_id: str, *, state: State, at: dt.datetime, duration_s: float, **facts: Any) -> None:
        """Close the row: state, counts, missing keys, reasons, error."""
        values = {"state": state.value, "ended_at": at, "duration_s": duration_s, **facts}

        def close() -> None:
            with self.connect().begin() as connection:
                connection.execute(PROCESSOR_RUNS.update().where(PROCESSOR_RUNS.c.id == row_id).values(**values))

        self.guarded("close", close, None)

    def runs(
        self,
        *,
        run_id: str | None = None,
        game_day: dt.date | None = None,
        covering: tuple[dt.date, dt.date] | None = None,
        since: dt.datetime | None = None,
        dependency: str | None = None,
        processors: Iterable[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Processor runs as dictionaries, oldest first, narrowed by what is given.

        `game_day` finds runs whose last day it is; `covering` those that computed any day of a range.
        """
        runs = PROCESSOR_RUNS.c
        query = sa.select(PROCESSOR_RUNS).order_by(runs.started_at, runs.attempt)
        if run_id is not None:
            query = query.where(runs.run_id == run_id)
        if game_day is not None:
            query = query.where(runs.game_day == game_day)
        if covering is not None:
            query = query.where(runs.first_game_day <= covering[1], runs.game_day >= covering[0])
        if since is not None:
            query = query.where(runs.started_at >= since)
        if dependency is not None:
            query = query.where(runs.dependency == dependency)
        if processors is not None:
            query = query.where(runs.processor.in_(list(processors)))
        with self.connect().connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def guarded(self, action: str, write: Callable[[], T], otherwise: T) -> T:
        """Do a write; whatever is wrong with the ledger must not become wrong with the product."""
        try:
            return write()
        except Exception as error:
            self.faults += 1
            logger.error("the ledger could not %s a row (%s): the run goes on, its record is incomplete", action, error)
            return otherwise

    def first_game_day(self, mode: str) -> dt.date | None:
        """The earliest game day that any run of this mode was for; None before the first run."""
        query = sa.select(sa.func.min(PROCESSOR_RUNS.c.game_day)).where(PROCESSOR_RUNS.c.mode == mode)
        with self.connect().connect() as connection:
            return connection.execute(query).scalar()

    def _open(self, opening: sa.Insert) -> None:
        for tries_left in reversed(range(OPENING_TRIES)):
            try:
                with self.connect().begin() as connection:
                    connection.execute(opening)
                return
            except IntegrityError:  # another process took this attempt's number in the same moment
                if not tries_left:
                    raise

    def connect(self) -> Engine:
        """The database, with every table in its present form."""
        if self._engine is None:
            self._engine = open_database(self.url)
        return self._engine
