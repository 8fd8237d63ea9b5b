"""How a table looks in BigQuery, and how one that exists is brought up to its contract's version."""

from __future__ import annotations

import polars as pl
from google.cloud import bigquery

from blocks.warehouse import PARTITION_COLUMN, TableSpec, WarehouseError

LABELS = {"app": "courtside"}
VERSION = "contract_version"
MAX_CLUSTERING_COLUMNS = 4  # BigQuery's limit
CLUSTERABLE = ("STRING", "INTEGER", "DATE", "BOOLEAN", "TIMESTAMP")


class MigrationNeeded(WarehouseError):
    """A stored table that cannot become what its contract says by adding columns."""


def columns_of(spec: TableSpec) -> list[bigquery.SchemaField]:
    """The contract's columns.

    All are NULLABLE: what may be null is the contract's business, checked before anything is written. A REQUIRED column
    would be refused on every load, because polars marks no Parquet column as required.
    """
    return [bigquery.SchemaField(name, type_of(spec, name)) for name in spec.schema]


def definition_of(spec: TableSpec, table: bigquery.TableReference) -> bigquery.Table:
    """A new table: partitioned by game day, clustered by the rest of its key."""
    new = bigquery.Table(table, schema=columns_of(spec))
    new.time_partitioning = bigquery.TimePartitioning(bigquery.TimePartitioningType.DAY, field=PARTITION_COLUMN)
    new.clustering_fields = clustering_of(spec)
    new.labels = {**LABELS, VERSION: str(spec.version)}
    return new


def clustering_of(spec: TableSpec) -> list[str] | None:
    """The columns by which a table is clustered, if any."""
    able = [name for name in spec.key if name != PARTITION_COLUMN and type_of(spec, name) in CLUSTERABLE]
    return able[:MAX_CLUSTERING_COLUMNS] or None


def evolved(stored: bigquery.Table, spec: TableSpec) -> list[bigquery.SchemaField] | None:
    """The stored table's columns and the new ones of `spec`, or None if there are none to add.

    A column that the contract no longer has stays, and is null in new rows: an older release can be rolled back to.
    Raises MigrationNeeded for anything that BigQuery cannot change in a table with rows.
    """
    there = {field.name: field for field in stored.schema}
    changed = [
        f"{field.name} is {there[field.name].field_type} in BigQuery and {field.field_type} in the contract"
        for field in columns_of(spec)
        if field.name in there and there[field.name].field_type != field.field_type
    ]
    partitioned = stored.time_partitioning
    if partitioned is None or partitioned.field != PARTITION_COLUMN or partitioned.type_ != "DAY":
        changed.append(f"the table is not partitioned by {PARTITION_COLUMN}")
    required = [field.name for field in stored.schema if field.mode == "REQUIRED"]
    if required:
        changed.append(f"{', '.join(required)}: REQUIRED, and Parquet's columns are not")
    if changed:
        raise MigrationNeeded(
            f"{stored.reference}: migration {spec.name} {stored.labels.get(VERSION, '?')} -> {spec.version} is needed: "
            f"{'; '.join(changed)}. Copy the table aside, drop it and run the backfill, which builds it anew "
            "(docs/production.md)"
        )
    new = [field for field in columns_of(spec) if field.name not in there]
    return [*stored.schema, *new] if new else None


def type_of(spec: TableSpec, column: str) -> str:
    """The BigQuery type of a column, under the name that its API gives back."""
    dtype = spec.schema[column]
    if dtype.is_integer():
        return "INTEGER"
    if dtype.is_float():
        return "FLOAT"
    if dtype == pl.Datetime("us", "UTC"):
        return "TIMESTAMP"
    try:
        return {pl.Date: "DATE", pl.String: "STRING", pl.Boolean: "BOOLEAN"}[dtype.base_type()]
    except KeyError:
        raise WarehouseError(f"{spec.name}.{column}: {dtype} has no counterpart in BigQuery here") from None
