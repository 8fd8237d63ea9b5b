"""The tables of the ledger, and how they are made: in SQLite by default, in PostgreSQL by its URL alone."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError


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
MAKING_TRIES = 5
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
    sa.Column("fault", sa.String(16)),
    sa.Column("dependency", sa.String(64)),
    sa.Column("fingerprint", sa.String(80)),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("duration_s", sa.Float),
    sa.Column("stand_ins", sa.JSON),
    sa.UniqueConstraint("processor", "game_day", "mode", "attempt"),
)
GAME_DAYS = sa.Table(
    "game_days",
    METADATA,
    sa.Column("game_day", sa.Date, primary_key=True),
    sa.Column("games", sa.Integer, nullable=False),
    sa.Column("called_off", sa.Integer, nullable=False),
    sa.Column("first_tip_off", Instant),
    sa.Column("deadline", Instant),
    sa.Column("seen_at", Instant, nullable=False),
)
EXPECTED_OUTPUTS = sa.Table(
    "expected_outputs",
    METADATA,
    sa.Column("game_day", sa.Date, primary_key=True),
    sa.Column("mode", sa.String(16), primary_key=True),
    sa.Column("output", sa.String(64), primary_key=True),
    sa.Column("phase", sa.Integer, nullable=False),
    sa.Column("need", sa.String(16), nullable=False),
    sa.Column("critical", sa.Boolean, nullable=False),
    sa.Column("starts_at", Instant, nullable=False),
    sa.Column("expected_by", Instant, nullable=False),
    sa.Column("games", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("since", Instant, nullable=False),
    sa.Column("expected_rows", sa.Integer),
    sa.Column("counted_rows", sa.Integer),
    sa.Column("missing_sample", sa.JSON),
    sa.Column("evidence", sa.JSON),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("reconciled_at", Instant),
    sa.Index("expected_outputs_state", "state", "game_day"),
)

INCIDENTS = sa.Table(
    "incidents",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("resource_id", sa.String(200), nullable=False, index=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("incident", sa.JSON, nullable=False),
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("resolved_at", Instant),
)


def open_database(url: str) -> Engine:
    """The database at a URL, with every table in its present form."""
    engine = sa.create_engine(url, json_serializer=lambda value: json.dumps(value, default=str))
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
    for tries_left in reversed(range(MAKING_TRIES)):
        try:
            _make_tables(engine)
            break
        except SQLAlchemyError:  # another process may just have made one of them; anything else fails again
            if not tries_left:
                raise
    return engine


def _make_tables(engine: Engine) -> None:
    """Create what is missing; a table of an earlier version gets the columns that were added since, all nullable."""
    with engine.begin() as connection:
        for table in METADATA.sorted_tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
    inspector = sa.inspect(engine)
    for table in METADATA.sorted_tables:
        there = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                kind = column.type.compile(engine.dialect)
                with engine.begin() as connection:
                    connection.execute(sa.text(f'ALTER TABLE {table.name} ADD COLUMN "{column.name}" {kind}'))


def _configure_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=15000")  # first: changing to WAL may have to wait, too
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
