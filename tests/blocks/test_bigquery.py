"""What the warehouse on BigQuery promises beside the contract: faults pass or are said, and nothing is half-written.

Offline against a fake that holds BigQuery's rules for what the warehouse does; Google's own clients talk to it.
"""

from __future__ import annotations

import datetime as dt
import io
import os
from collections.abc import Callable

import polars as pl
import pytest
import requests
from google.api_core import exceptions
from google.cloud import bigquery

from blocks.bigquery import SINGLE_LOADS, BigQueryWarehouse
from blocks.bigquery_schema import MigrationNeeded, definition_of
from blocks.bigquery_swap import merge_statement
from blocks.warehouse import DayRange, TableSpec, WarehouseError
from tests.blocks.points import DAY, EVE, TABLE, rows
from tests.fakes.cloud import DATASET, PROJECT, Cloud
from tests.fakes.http import Cut, Refused

UPLOADS = "POST /upload"
WEEK = [DAY + dt.timedelta(days=n) for n in range(7)]


def busy() -> Refused:
    return Refused(503, "backendError", "The service is currently unavailable.")


def too_fast() -> Refused:
    return Refused(403, "rateLimitExceeded", "Exceeded rate limits: too many table update operations for this table")


@pytest.fixture
def warehouse(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> BigQueryWarehouse:
    """An empty store that holds the old rows of DAY and does not wait between tries."""
    monkeypatch.setattr("google.api_core.retry.retry_unary.time.sleep", lambda _: None)
    cloud.bigquery.forget()
    warehouse = cloud.warehouse()
    warehouse.replace(TABLE, DAY, rows(points=1.0))
    return warehouse


def stored(cloud: Cloud) -> pl.DataFrame:
    return cloud.warehouse().read(TABLE, DayRange())


@pytest.mark.parametrize("fault", [busy, too_fast, Cut], ids=["503", "rate limit", "lost connection"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after it was carried out"])
def test_a_passing_fault_of_a_request_is_ridden_out_and_the_load_done_once(
    cloud: Cloud, warehouse: BigQueryWarehouse, fault: Callable[[], Exception], after: bool
) -> None:
    jobs = len(cloud.bigquery.jobs)
    cloud.bigquery.fails(UPLOADS, fault, after=after, times=2)
    assert warehouse.replace(TABLE, DAY, rows(points=2.0)).rows == 3
    assert stored(cloud).equals(rows(points=2.0))
    assert len(cloud.bigquery.jobs) == jobs + 1


@pytest.mark.slow
def test_a_connection_lost_in_the_middle_of_a_large_upload_is_ridden_out(
    cloud: Cloud, warehouse: BigQueryWarehouse
) -> None:
    noise = pl.Series("points", range(700_000), dtype=pl.Int64).hash(seed=7).cast(pl.Float64)
    many = pl.DataFrame({"game_day": [DAY] * len(noise), "player_id": range(len(noise)), "points": noise})
    cloud.bigquery.fails("PUT /upload", Cut)
    warehouse.replace(TABLE, DAY, many)
    assert any(said.startswith("PUT /upload") for said in cloud.bigquery.requests)
    assert stored(cloud).equals(many)


def test_a_load_that_fails_half_way_for_a_passing_reason_is_done_again_under_the_next_number(
    cloud: Cloud, warehouse: BigQueryWarehouse
) -> None:
    cloud.bigquery.job_faults += [Refused(500, "backendError", "Error encountered during execution."), too_fast()]
    warehouse.replace(TABLE, DAY, rows(points=2.0))
    assert stored(cloud).equals(rows(points=2.0))
    assert [job_id.rpartition("-")[2] for job_id in cloud.bigquery.jobs][-3:] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Refused(403, "quotaExceeded", "Quota exceeded: load jobs per day for table points"),
            "Quota exceeded: load jobs",
        ),
        (Refused(400, "invalid", "Error while reading data, file is truncated"), "file is truncated"),
        (Refused(403, "accessDenied", "Access Denied: Table points"), "Access Denied"),
    ],
    ids=["daily quota", "load fails half-way", "no permission"],
)
def test_a_load_that_fails_for_good_says_why_and_leaves_the_old_rows(
    cloud: Cloud, warehouse: BigQueryWarehouse, fault: Refused, said: str
) -> None:
    cloud.bigquery.job_faults.append(fault)
    with pytest.raises(WarehouseError, match=rf"courtside-points-20251229-.* nothing of it was written: .*{said}"):
        warehouse.replace(TABLE, DAY, rows(points=2.0))
    assert stored(cloud).equals(rows(points=1.0))


def test_a_fault_that_does_not_pass_ends_when_patience_does(cloud: Cloud, warehouse: BigQueryWarehouse) -> None:
    cloud.bigquery.fails(UPLOADS, busy, times=1_000_000)
    with pytest.raises(WarehouseError, match=r"did not succeed within 0 s.*currently unavailable"):
        cloud.warehouse(patience_s=0.3).replace(TABLE, DAY, rows(points=2.0))
    cloud.bigquery.faults.clear()
    assert stored(cloud).equals(rows(points=1.0))


def test_the_daily_limit_of_load_jobs_is_reported_as_it_is(cloud: Cloud, warehouse: BigQueryWarehouse) -> None:
    cloud.bigquery.loads[TABLE.name] = cloud.bigquery.loads_a_day
    with pytest.raises(WarehouseError, match="Quota exceeded: load jobs per day for table points"):
        warehouse.replace(TABLE, EVE, rows(EVE))
    assert list(cloud.warehouse().partitions(TABLE.name)) == [DAY]


def test_a_season_is_written_by_one_load_and_one_exchange(cloud: Cloud, warehouse: BigQueryWarehouse) -> None:
    before = set(cloud.bigquery.jobs)
    warehouse.replace_each_day(TABLE, pl.concat([rows(day, points=2.0) for day in WEEK]), WEEK)
    kinds = [next(iter(job["configuration"])) for job_id, job in cloud.bigquery.jobs.items() if job_id not in before]
    assert sorted(kinds) == ["load", "query"]
    assert stored(cloud).equals(pl.concat([rows(day, points=2.0) for day in WEEK]))
    assert [name for _, name in cloud.bigquery.tables] == [TABLE.name]


@pytest.mark.parametrize("failing", ["load", "exchange"])
def test_an_exchange_that_fails_changes_no_day_and_leaves_no_table_behind(
    cloud: Cloud, warehouse: BigQueryWarehouse, failing: str
) -> None:
    broken = Refused(400, "invalid", "broken")
    cloud.bigquery.job_faults += [broken] if failing == "load" else [None, broken]
    with pytest.raises(WarehouseError, match="broken"):
        warehouse.replace_each_day(TABLE, pl.concat([rows(day, points=2.0) for day in WEEK]), WEEK)
    assert stored(cloud).equals(rows(points=1.0))
    assert [name for _, name in cloud.bigquery.tables] == [TABLE.name]


def test_an_exchange_that_would_scan_too_much_is_refused_before_it_runs(
    cloud: Cloud, warehouse: BigQueryWarehouse
) -> None:
    with pytest.raises(WarehouseError, match=r"exchanging 7 days would scan .* allows 1e-09 \(max_query_gib\)"):
        cloud.warehouse(max_query_gib=1e-9).replace_each_day(TABLE, pl.concat([rows(day) for day in WEEK]), WEEK)
    assert stored(cloud).equals(rows(points=1.0))


def test_days_are_exchanged_by_partition_in_one_statement() -> None:
    dataset = bigquery.DatasetReference("project", "dataset")
    kept, new = (definition_of(TABLE, dataset.table(name)) for name in ("points", "aside"))
    assert merge_statement(kept, new, ["game_day", "points"], [EVE, DAY]) == (
        "MERGE `project.dataset.points` AS kept\n"
        "USING `project.dataset.aside` AS new\n"
        "ON FALSE\n"
        "WHEN NOT MATCHED BY SOURCE AND kept.game_day IN (DATE '2025-12-28', DATE '2025-12-29') THEN DELETE\n"
        "WHEN NOT MATCHED THEN INSERT (`game_day`, `points`) VALUES (`game_day`, `points`)"
    )


def test_a_read_opens_the_partitions_and_columns_that_it_needs_and_no_others(
    cloud: Cloud, warehouse: BigQueryWarehouse
) -> None:
    warehouse.replace_each_day(TABLE, pl.concat([rows(day) for day in WEEK]), WEEK)
    cloud.bigquery.seen.clear()
    cloud.warehouse().read(TABLE, DayRange(WEEK[1], WEEK[2]), ["game_day"])
    cloud.warehouse().read(TABLE, [WEEK[0], WEEK[5]])
    narrow, wide = cloud.bigquery.seen
    assert (narrow.partitions, set(narrow.columns)) == ((WEEK[1], WEEK[2]), {"game_day", "player_id"})
    assert wide.partitions == (WEEK[0], WEEK[5])


def test_what_was_not_written_since_is_not_read_again(cloud: Cloud, warehouse: BigQueryWarehouse) -> None:
    cloud.bigquery.seen.clear()
    frames = [warehouse.read(TABLE, [DAY]) for _ in range(3)]
    assert len(cloud.bigquery.seen) == 1
    assert all(frame.equals(rows(points=1.0)) for frame in frames)


def test_tables_are_partitioned_clustered_and_labelled_by_their_contract(
    cloud: Cloud, warehouse: BigQueryWarehouse
) -> None:
    resource = cloud.bigquery.tables[DATASET, TABLE.name].resource
    assert resource["timePartitioning"] == {"type": "DAY", "field": "game_day"}
    assert resource["clustering"] == {"fields": ["player_id"]}
    assert resource["labels"] == {"app": "courtside", "contract_version": "1"}
    assert all(job["configuration"]["labels"]["app"] == "courtside" for job in cloud.bigquery.jobs.values())


def test_a_column_of_a_newer_contract_is_added_by_whoever_comes_first(
    cloud: Cloud, warehouse: BigQueryWarehouse
) -> None:
    wider = TableSpec(TABLE.name, {**TABLE.schema, "team": pl.String()}, TABLE.key, version=2)
    cloud.bigquery.fails("PATCH", lambda: Refused(412, "conditionNotMet", "Precondition check failed."))
    warehouse.replace(wider, EVE, rows(EVE).with_columns(team=pl.lit("NYK")))
    assert cloud.bigquery.tables[DATASET, TABLE.name].resource["labels"]["contract_version"] == "2"
    warehouse.replace(TABLE, DAY, rows())  # an older release, rolled back to, still writes
    assert cloud.warehouse().read(wider, DayRange())["team"].to_list() == ["NYK"] * 3 + [None] * 3


def test_a_column_of_another_type_is_a_migration_that_is_named(cloud: Cloud, warehouse: BigQueryWarehouse) -> None:
    other = TableSpec(TABLE.name, {**TABLE.schema, "points": pl.String()}, TABLE.key, version=2)
    with pytest.raises(
        MigrationNeeded,
        match=r"migration points 1 -> 2 is needed: points is FLOAT in BigQuery and STRING in the contract",
    ):
        warehouse.replace(other, DAY, rows().cast({"points": pl.String}))
    assert stored(cloud).equals(rows(points=1.0))


def test_a_missing_dataset_is_said(cloud: Cloud) -> None:
    lost = BigQueryWarehouse(credentials=cloud.credentials, dataset="nowhere", read_endpoint=cloud.reads)
    with pytest.raises(exceptions.NotFound, match="Dataset nowhere"):
        lost.replace(TABLE, DAY, rows())


# The fake itself: where it were milder than BigQuery, the tests above would prove nothing.


@pytest.fixture
def client(cloud: Cloud, warehouse: BigQueryWarehouse) -> bigquery.Client:
    client: bigquery.Client = cloud.credentials.get_bigquery_client()
    return client


def load(client: bigquery.Client, frame: pl.DataFrame, target: str, job_id: str | None = None) -> bigquery.LoadJob:
    body = io.BytesIO()
    frame.write_parquet(body)
    config = bigquery.LoadJobConfig(
        source_format="PARQUET", write_disposition="WRITE_TRUNCATE", create_disposition="CREATE_NEVER"
    )
    table = f"{PROJECT}.{DATASET}.{target}"
    job = client.load_table_from_file(
        body, table, rewind=True, size=body.getbuffer().nbytes, job_id=job_id, job_config=config
    )
    return job.result(retry=None)


@pytest.mark.parametrize(
    ("frame", "target", "said"),
    [
        (rows(EVE), "points$20251229", "different partitions rather than destination partition 20251229"),
        (rows().with_columns(x=1), "points$20251229", "Cannot add fields .field: x"),
        (rows().cast({"points": pl.Int64}), "points$20251229", "changed type"),
        (rows(), "nothing$20251229", "Not found: Table"),
    ],
    ids=["other partition", "unknown column", "type", "no table"],
)
def test_the_fake_refuses_loads_that_bigquery_refuses(
    cloud: Cloud, client: bigquery.Client, frame: pl.DataFrame, target: str, said: str
) -> None:
    with pytest.raises(exceptions.GoogleAPICallError, match=said):
        load(client, frame, target)
    assert stored(cloud).equals(rows(points=1.0))


def test_the_fake_refuses_a_required_column_a_job_id_twice_and_a_stranger(
    cloud: Cloud, client: bigquery.Client
) -> None:
    load(client, rows(), "points$20251229", "once")
    with pytest.raises(exceptions.Conflict, match="Already Exists: Job"):
        load(client, rows(), "points$20251229", "once")
    strict = definition_of(TABLE, bigquery.DatasetReference(PROJECT, DATASET).table("strict"))
    strict.schema = [bigquery.SchemaField(item.name, item.field_type, "REQUIRED") for item in strict.schema]
    client.create_table(strict)
    with pytest.raises(exceptions.BadRequest, match="from REQUIRED to NULLABLE"):
        load(client, rows(), "strict$20251229")
    with pytest.raises(exceptions.Conflict):
        client.create_table(strict)
    assert requests.get(f"{os.environ['BIGQUERY_EMULATOR_HOST']}{strict.path}", timeout=10).status_code == 401


def test_up_to_a_few_days_are_single_loads(cloud: Cloud, warehouse: BigQueryWarehouse) -> None:
    days = WEEK[:SINGLE_LOADS]
    warehouse.replace_each_day(TABLE, pl.concat([rows(day) for day in days]), days)
    assert {next(iter(job["configuration"])) for job in cloud.bigquery.jobs.values()} == {"load"}
