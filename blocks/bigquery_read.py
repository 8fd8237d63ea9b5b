"""Reading BigQuery tables through the Storage Read API: Arrow batches, only the columns and partitions asked for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import polars as pl
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types

from blocks.warehouse import PARTITION_COLUMN, DayRange

STREAMS = 4
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # Arrow's IPC format


def restriction_of(days: DayRange | Iterable[dt.date]) -> str:
    """The rows of these days, in the words of the API's `row_restriction`: BigQuery opens only their partitions."""
    if not isinstance(days, DayRange):
        return f"{PARTITION_COLUMN} IN ({', '.join(_literal(day) for day in sorted(days))})"
    ends = ((">=", days.first), ("<=", days.last))
    return " AND ".join(f"{PARTITION_COLUMN} {sign} {_literal(day)}" for sign, day in ends if day is not None)


def _literal(day: dt.date) -> str:
    return f'DATE "{day.isoformat()}"'


def read_rows(client: BigQueryReadClient, table: bigquery.Table, columns: list[str], restriction: str) -> pl.DataFrame:
    """These columns of the rows that `restriction` leaves, all as of one moment, in no order."""
    session = client.create_read_session(
        parent=f"projects/{table.project}",
        read_session=types.ReadSession(
            table=table.path.removeprefix("/"),
            data_format=types.DataFormat.ARROW,
            read_options=types.ReadSession.TableReadOptions(selected_fields=columns, row_restriction=restriction),
        ),
        max_stream_count=STREAMS,
    )

    def read(stream: types.ReadStream) -> list[bytes]:
        return [part.arrow_record_batch.serialized_record_batch for part in client.read_rows(stream.name)]

    with ThreadPoolExecutor(STREAMS) as pool:
        batches = [batch for stream in pool.map(read, session.streams) for batch in stream]
    arrow = b"".join([session.arrow_schema.serialized_schema, *batches, END_OF_STREAM])
    return pl.read_ipc_stream(arrow).select(columns)
