"""The ledger's runs as a table of the warehouse, so that they can be queried beside the data that they made."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
import sqlalchemy as sa

from blocks.warehouse import TableSpec
from tasks.engine.schema import PROCESSOR_RUNS, Instant


def _dtype(column: sa.Column[Any]) -> pl.DataType:
    if isinstance(column.type, Instant):
        return pl.Datetime("us", "UTC")
    return {dt.date: pl.Date(), int: pl.Int64(), float: pl.Float64()}.get(_python(column), pl.String())


def _python(column: sa.Column[Any]) -> type:
    return dict if isinstance(column.type, sa.JSON) else column.type.python_type


LEDGER = TableSpec(
    PROCESSOR_RUNS.name, {column.name: _dtype(column) for column in PROCESSOR_RUNS.columns}, ("game_day", "id")
)
_JSON = [column.name for column in PROCESSOR_RUNS.columns if isinstance(column.type, sa.JSON)]


def ledger_frame(runs: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows of `Ledger.runs` in the table's columns and order; what the ledger keeps as JSON is JSON text."""
    rows = [{**run, **{name: json.dumps(run[name]) for name in _JSON if run[name] is not None}} for run in runs]
    return pl.DataFrame(rows, schema=LEDGER.polars_schema, orient="row").sort("game_day", "id")
