"""Exchanging many partitions at once: the one statement of SQL in the pipeline."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence

from google.cloud import bigquery

from blocks.bigquery_jobs import REQUEST_SECONDS, Jobs
from blocks.bigquery_schema import LABELS
from blocks.warehouse import PARTITION_COLUMN, TableSpec, WarehouseError

logger = logging.getLogger(__name__)

GIB = 2**30
USD_PER_TIB = 6.25  # on demand, United States, 2025


def exchange(
    jobs: Jobs,
    spec: TableSpec,
    table: bigquery.Table,
    aside: bigquery.Table,
    days: Sequence[dt.date],
    max_gib: float,
) -> None:
    """Let `table` hold, of these days, exactly the rows that lie in `aside`: all of them from one moment on.

    A dry run says first what it would scan. Raises WarehouseError if that is more than `max_gib`.
    """
    sql = merge_statement(table, aside, list(spec.schema), days)
    labels = {**LABELS, "table": spec.name.strip("_")}
    dry = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False, labels=labels)
    scanned = jobs.client.query(sql, job_config=dry, retry=jobs.retry, timeout=REQUEST_SECONDS).total_bytes_processed
    logger.info(
        "%s: exchanging %d days scans %.2f GiB, about $%.4f",
        spec.name, len(days), scanned / GIB, scanned / GIB / 1024 * USD_PER_TIB,
    )  # fmt: skip
    if scanned > max_gib * GIB:
        raise WarehouseError(
            f"{spec.name}: exchanging {len(days)} days would scan {scanned / GIB:.3g} GiB, and the warehouse block "
            f"allows {max_gib:g} (max_query_gib): write fewer days at a time, or allow more"
        )
    config = bigquery.QueryJobConfig(labels=labels, maximum_bytes_billed=int(max_gib * GIB))

    def submit(job_id: str) -> bigquery.QueryJob:
        return jobs.client.query(
            sql, job_config=config, job_id=job_id, job_retry=None, retry=jobs.retry, timeout=REQUEST_SECONDS
        )

    jobs.run(f"courtside-exchange-{aside.table_id}", submit)


def merge_statement(
    table: bigquery.Table, aside: bigquery.Table, columns: Sequence[str], days: Sequence[dt.date]
) -> str:
    """Nothing matches ON FALSE: the days' old rows are deleted and the new ones inserted, in one transaction.

    The days are literals, so that BigQuery opens only their partitions.
    """
    names = ", ".join(f"`{name}`" for name in columns)
    literals = ", ".join(f"DATE '{day.isoformat()}'" for day in days)
    return (
        f"MERGE `{table.project}.{table.dataset_id}.{table.table_id}` AS kept\n"
        f"USING `{aside.project}.{aside.dataset_id}.{aside.table_id}` AS new\n"
        "ON FALSE\n"
        f"WHEN NOT MATCHED BY SOURCE AND kept.{PARTITION_COLUMN} IN ({literals}) THEN DELETE\n"
        f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({names})"
    )
