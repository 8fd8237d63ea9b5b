"""The warehouse on BigQuery: one table per contract, partitioned by game day.

A few days are written by one load job each into `table$YYYYMMDD`, which replaces the partition as one. Many days are
loaded once into a staging table and then exchanged by one MERGE: a load job for each would use up, in two rebuilds of
four seasons, the 1,500 load jobs that a table may have in a day. Nothing is computed here.

BigQuery forgets a partition without rows. That a day was written and is empty is kept in `written_days`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl
from google.api_core import exceptions
from google.cloud import bigquery
from prefect_gcp.credentials import GcpCredentials
from pydantic import Field, PrivateAttr

from blocks.bigquery_jobs import REQUEST_SECONDS, Jobs
from blocks.bigquery_read import read_rows, restriction_of
from blocks.bigquery_schema import LABELS, VERSION, definition_of, evolved
from blocks.bigquery_swap import exchange
from blocks.warehouse import (
    PARTITION_COLUMN,
    DayRange,
    FrameMemory,
    Partition,
    TableSpec,
    Warehouse,
    WarehouseError,
    check_columns,
    check_frame,
    frames_by_day,
)

if TYPE_CHECKING:
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient

SINGLE_LOADS = 3  # up to so many days are one load job each
STAGING_LIVES = dt.timedelta(hours=6)  # should nobody live to drop it
WRITTEN_DAYS = TableSpec(
    "written_days", {PARTITION_COLUMN: pl.Date(), "table_name": pl.String()}, (PARTITION_COLUMN, "table_name")
)


class BigQueryWarehouse(Warehouse):
    """Tables in one BigQuery dataset. Safe with several machines: a partition changes as one, the last writer wins."""

    _block_type_name = "BigQuery Warehouse"
    _block_type_slug = "courtside-bigquery-warehouse"
    _description = "Courtside's warehouse on Google Cloud: BigQuery tables partitioned by game day."

    credentials: GcpCredentials = Field(description="Whose permissions are used: BigQuery data editor and job user.")
    dataset: str = Field(description="The dataset that holds the tables; it must exist.")
    project: str | None = Field(None, description="The dataset's project. None: the credentials' own.")
    location: str | None = Field(None, description="The dataset's location, such as US or europe-west1.")
    patience_s: float = Field(180.0, description="How long passing faults of BigQuery are ridden out, in seconds.")
    max_query_gib: float = Field(10.0, description="A MERGE that would scan more than this is refused.")
    read_endpoint: str | None = Field(
        None,
        description="Where the Storage Read API answers if not at Google: a private endpoint, or http://host:port.",
    )

    _memory: FrameMemory = PrivateAttr(default_factory=FrameMemory)
    _marked: set[tuple[str, dt.date]] = PrivateAttr(default_factory=set)

    def replace(self, table: TableSpec, game_day: dt.date, frame: pl.DataFrame) -> Partition:
        """See Warehouse.replace."""
        check_frame(table, game_day, frame)
        return self._replace(table, {game_day: frame})[game_day]

    def replace_each_day(
        self, table: TableSpec, frame: pl.DataFrame, days: Iterable[dt.date]
    ) -> Mapping[dt.date, Partition]:
        """See Warehouse.replace_each_day. More than a few days change all at once."""
        check_columns(table, frame)
        return self._replace(table, frames_by_day(table, frame, days))

    def read(
        self,
        table: TableSpec,
        days: DayRange | Iterable[dt.date],
        columns: Iterable[str] | None = None,
    ) -> pl.DataFrame:
        """See Warehouse.read. Within a day, rows come in order of the table's key."""
        names = list(columns) if columns is not None else list(table.schema)
        wanted = days if isinstance(days, DayRange) else set(days)
        stored = self._stored(table.name)
        if stored is None or not wanted:
            return table.polars_schema.to_frame().select(names)
        there = {field.name for field in stored.schema}
        order = [PARTITION_COLUMN, *(name for name in table.key if name != PARTITION_COLUMN)]
        needed = [name for name in dict.fromkeys([*names, *order]) if name in there]
        frame = self._rows(stored, needed, restriction_of(wanted))
        added = [pl.lit(None).alias(name) for name in names if name not in there]
        schema = {name: dtype for name, dtype in table.schema.items() if name in {*names, *order}}
        return frame.with_columns(added).cast(schema).sort(order, maintain_order=True).select(names)  # type: ignore[arg-type]

    def partitions(self, table: str) -> dict[dt.date, Partition]:
        """See Warehouse.partitions. Counted from the rows themselves: one column of Arrow, and no query."""
        stored = self._stored(table)
        if stored is None:
            return {}
        days = self._rows(stored, [PARTITION_COLUMN], "")[PARTITION_COLUMN].value_counts()
        rows = {**dict.fromkeys(self._written_days(table), 0), **dict(days.iter_rows())}
        return {day: Partition(day, rows[day]) for day in sorted(rows)}

    def tables(self) -> list[str]:
        """See Warehouse.tables."""
        ours = [
            item.table_id
            for item in self._client.list_tables(self._dataset, retry=self._jobs.retry, timeout=REQUEST_SECONDS)
            if item.labels.get("app") == LABELS["app"] and VERSION in item.labels
        ]
        return sorted(name for name in ours if name != WRITTEN_DAYS.name and self.partitions(name))

    def append(self, table: TableSpec, frame: pl.DataFrame) -> None:
        """Add rows in one load job. The same rows again are not added again: records are written once."""
        check_columns(table, frame)
        stored = self._ensure(table)
        since = f"{stored.created.timestamp() * 1000:.0f}"  # a table that was dropped and made anew holds none of them
        self._load(table, stored.reference, frame, bigquery.WriteDisposition.WRITE_APPEND, over=since)

    def _replace(self, table: TableSpec, frames: Mapping[dt.date, pl.DataFrame]) -> dict[dt.date, Partition]:
        stored = self._ensure(table)
        full = {day: frame for day, frame in frames.items() if not frame.is_empty()}
        if len(full) > SINGLE_LOADS:
            self._exchange(table, stored, frames)
        else:
            self._replace_singly(table, stored, full)
            for day in frames.keys() - full.keys():
                self._drop(_partition(stored, day))
        self._mark(table.name, frames.keys() - full.keys())
        return {day: Partition(day, frame.height) for day, frame in frames.items()}

    def _replace_singly(self, table: TableSpec, stored: bigquery.Table, frames: Mapping[dt.date, pl.DataFrame]) -> None:
        def load(day: dt.date) -> None:
            write = bigquery.WriteDisposition.WRITE_TRUNCATE
            self._load(table, _partition(stored, day), frames[day], write, over=_state_of(stored))

        with ThreadPoolExecutor(SINGLE_LOADS) as pool:
            list(pool.map(load, frames))

    def _exchange(self, table: TableSpec, stored: bigquery.Table, frames: Mapping[dt.date, pl.DataFrame]) -> None:
        """Load all rows into a table aside, then exchange all of the days at once."""
        frame = pl.concat(frames.values())
        aside = definition_of(table, self._dataset.table(f"_staging_{table.name}_{uuid.uuid4().hex[:12]}"))
        aside.labels = LABELS  # without a contract's version it is no table of ours
        aside = self._client.create_table(aside, retry=self._jobs.retry, timeout=REQUEST_SECONDS)
        try:
            aside.expires = aside.created + STAGING_LIVES
            self._client.update_table(aside, ["expires"], retry=self._jobs.retry)
            self._load(table, aside.reference, frame, bigquery.WriteDisposition.WRITE_TRUNCATE, over="nothing")
            exchange(self._jobs, table, stored, aside, sorted(frames), self.max_query_gib)
        finally:
            self._drop(aside.reference)

    def _load(
        self, table: TableSpec, target: bigquery.TableReference, frame: pl.DataFrame, disposition: str, over: str
    ) -> None:
        """Load `frame` into `target`. The same content `over` the same state is the same intent."""
        body = _parquet(frame)
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=disposition,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            labels={**LABELS, "table": table.name.strip("_")},
        )

        def submit(job_id: str) -> bigquery.LoadJob:
            return self._client.load_table_from_file(
                io.BytesIO(body), target, size=len(body), job_id=job_id, job_config=config,
                num_retries=0, timeout=REQUEST_SECONDS,
            )  # fmt: skip

        name = f"courtside-{target.table_id.replace('$', '-')}-{hashlib.sha256(body).hexdigest()[:20]}-over-{over}"
        only_once = disposition == bigquery.WriteDisposition.WRITE_APPEND
        done = self._jobs.run(name, submit, only_once)
        if done.output_rows != frame.height:
            raise WarehouseError(
                f"{target.table_id}: BigQuery took {done.output_rows} of {frame.height} rows (job {done.job_id}): "
                "nothing in it can be relied on, rerun these game days"
            )

    def _drop(self, table: bigquery.TableReference) -> None:
        self._client.delete_table(table, retry=self._jobs.retry, timeout=REQUEST_SECONDS, not_found_ok=True)

    def _ensure(self, table: TableSpec) -> bigquery.Table:
        """The stored table, made or widened where the contract asks for it."""
        stored = self._stored(table.name)
        if stored is None:
            wanted = definition_of(table, self._dataset.table(table.name))
            stored = self._client.create_table(wanted, exists_ok=True, retry=self._jobs.retry, timeout=REQUEST_SECONDS)
        schema = evolved(stored, table)
        if schema is None:
            return stored
        stored.schema, stored.labels = schema, {**stored.labels, VERSION: str(table.version)}
        try:
            return self._client.update_table(stored, ["schema", "labels"], retry=self._jobs.retry)
        except exceptions.PreconditionFailed:  # somebody else has changed it since we looked: look again
            return self._ensure(table)

    def _stored(self, name: str) -> bigquery.Table | None:
        try:
            return self._client.get_table(self._dataset.table(name), retry=self._jobs.retry, timeout=REQUEST_SECONDS)
        except exceptions.NotFound:
            return None

    def _rows(self, stored: bigquery.Table, columns: list[str], restriction: str) -> pl.DataFrame:
        key = (stored.table_id, _state_of(stored), tuple(columns), restriction)
        frame = self._memory.get(key)
        if frame is None:
            frame = read_rows(self._reader, stored, columns, restriction)
            self._memory.put(key, frame)
        return frame

    def _mark(self, table: str, days: Iterable[dt.date]) -> None:
        """Keep that these days were written, although there is no row to show it."""
        new = sorted(day for day in days if (table, day) not in self._marked)
        new = [day for day in new if day not in self._written_days(table)]
        if new:
            rows = {PARTITION_COLUMN: new, "table_name": [table] * len(new)}
            self.append(WRITTEN_DAYS, pl.DataFrame(rows, schema=WRITTEN_DAYS.polars_schema))
        self._marked.update((table, day) for day in days)

    def _written_days(self, table: str) -> list[dt.date]:
        marks = self._stored(WRITTEN_DAYS.name)
        if marks is None:
            return []
        return self._rows(marks, [PARTITION_COLUMN], f'table_name = "{table}"')[PARTITION_COLUMN].to_list()

    @property
    def _dataset(self) -> bigquery.DatasetReference:
        return bigquery.DatasetReference(self.project or self._client.project, self.dataset)

    @cached_property
    def _client(self) -> bigquery.Client:
        return self.credentials.get_bigquery_client(project=self.project, location=self.location)

    @cached_property
    def _jobs(self) -> Jobs:
        return Jobs(self._client, self.patience_s)

    @cached_property
    def _reader(self) -> BigQueryReadClient:
        from google.api_core.client_options import ClientOptions
        from google.cloud.bigquery_storage_v1 import BigQueryReadClient

        if self.read_endpoint is None or not self.read_endpoint.startswith("http://"):
            return BigQueryReadClient(
                credentials=self.credentials.get_credentials_from_service_account(),
                client_options=ClientOptions(api_endpoint=self.read_endpoint),
            )
        return BigQueryReadClient(transport=_plain_transport(self.read_endpoint.removeprefix("http://")))


def _plain_transport(address: str) -> object:
    """Without TLS and credentials: for emulators only, which Google's own addresses are not."""
    import grpc
    from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

    unlimited = [("grpc.max_receive_message_length", -1)]
    return BigQueryReadGrpcTransport(channel=grpc.insecure_channel(address, options=unlimited))


def _partition(stored: bigquery.Table, day: dt.date) -> bigquery.TableReference:
    dataset = bigquery.DatasetReference(stored.project, stored.dataset_id)
    return dataset.table(f"{stored.table_id}${day:%Y%m%d}")


def _state_of(stored: bigquery.Table) -> str:
    """Names the table's content: it changes with every write."""
    return f"{stored.modified.timestamp() * 1000:.0f}"


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.rechunk().write_parquet(buffer, compression="zstd", compression_level=1)
    return buffer.getvalue()
