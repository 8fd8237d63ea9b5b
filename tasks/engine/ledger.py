"""The ledger: one row per processor run with its lifecycle, in SQLite by default, in PostgreSQL by its URL alone."""

from __future__ import annotations

import datetime as dt
import json
import logging
import uuid
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

logger = logging.getLogger(__name__)

MISSING_SAMPLE = 20
OPENING_TRIES = 10


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


class Instant(sa.types.TypeDecorator[dt.datetime]):
    """An instant, kept and given back in UTC. SQLite keeps no zone, so it is put back on reading."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """To UTC. Raises ValueError for an instant without a zone."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone: the ledger takes aware instants only")
        return value.astimezone(dt.UTC) if value is not None else None

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """From UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


METADATA = sa.MetaData()
PROCESSOR_RUNS = sa.Table(
    "processor_runs",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("run_id", sa.String(64), nullable=False, index=True),
    sa.Column("flow_run_id", sa.String(36)),
    sa.Column("processor", sa.String(64), nullable=False),
    sa.Column("phase", sa.Integer, nullable=False),
    sa.Column("mode", sa.String(16), nullable=False),
    sa.Column("game_day", sa.Date, nullable=False, index=True),
    sa.Column("first_game_day", sa.Date, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("rows_in", sa.JSON),
    sa.Column("rows_expected", sa.Integer),
    sa.Column("rows_actual", sa.Integer),
    sa.Column("rows_refused", sa.Integer),
    sa.Column("missing_sample", sa.JSON),
    sa.Column("degraded_reasons", sa.JSON),
    sa.Column("error_class", sa.String(128)),
    sa.Column("error_message", sa.Text),
    sa.Column("fingerprint", sa.String(80)),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("duration_s", sa.Float),
    sa.UniqueConstraint("processor", "game_day", "mode", "attempt"),
)


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
            "started_at": at,
        }
        runs = PROCESSOR_RUNS.c
        earlier = sa.select(sa.func.coalesce(sa.func.max(runs.attempt), 0)).where(
            runs.processor == processor, runs.game_day == game_day, runs.mode == mode
        )
        opening = PROCESSOR_RUNS.insert().values(**row, attempt=earlier.scalar_subquery() + 1)
        try:
            self._open(opening)
        except Exception as error:  # whatever is wrong with the ledger must not become wrong with the product
            self._fault("open", error)
        return row_id

    def ended(self, row_id: str, *, state: State, at: dt.datetime, duration_s: float, **facts: Any) -> None:
        """Close the row: state, counts, missing keys, reasons, error."""
        values = {"state": state.value, "ended_at": at, "duration_s": duration_s, **facts}
        try:
            with self._connect().begin() as connection:
                connection.execute(PROCESSOR_RUNS.update().where(PROCESSOR_RUNS.c.id == row_id).values(**values))
        except Exception as error:  # as above
            self._fault("close", error)

    def runs(
        self,
        *,
        run_id: str | None = None,
        game_day: dt.date | None = None,
        processors: Iterable[str] | None = None,
    ) -> list[dict[str, Any]]:
        """Processor runs as dictionaries, oldest first, narrowed by what is given."""
        query = sa.select(PROCESSOR_RUNS).order_by(PROCESSOR_RUNS.c.started_at, PROCESSOR_RUNS.c.attempt)
        if run_id is not None:
            query = query.where(PROCESSOR_RUNS.c.run_id == run_id)
        if game_day is not None:
            query = query.where(PROCESSOR_RUNS.c.game_day == game_day)
        if processors is not None:
            query = query.where(PROCESSOR_RUNS.c.processor.in_(list(processors)))
        with self._connect().connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _open(self, opening: sa.Insert) -> None:
        for tries_left in reversed(range(OPENING_TRIES)):
            try:
                with self._connect().begin() as connection:
                    connection.execute(opening)
                return
            except IntegrityError:  # another process took this attempt's number in the same moment
                if not tries_left:
                    raise

    def _connect(self) -> Engine:
        if self._engine is None:
            engine = sa.create_engine(self.url, json_serializer=lambda value: json.dumps(value, default=str))
            if engine.dialect.name == "sqlite":
                sa.event.listen(engine, "connect", _configure_sqlite)
            try:
                METADATA.create_all(engine)
            except SQLAlchemyError:  # another process may just have created them; anything else fails again
                METADATA.create_all(engine)
            self._engine = engine
        return self._engine

    def _fault(self, action: str, error: Exception) -> None:
        self.faults += 1
        logger.error("the ledger could not %s a row (%s): the run goes on, its record is incomplete", action, error)


def _configure_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=15000")  # first: changing to WAL may have to wait, too
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
