"""What every warehouse promises, held by the embedded one, by BigQuery's rules offline, and by BigQuery itself.

The last needs credentials: `pytest -m gcp` with COURTSIDE_TEST_PROJECT set to a project in which a dataset may be made.
"""

from __future__ import annotations

import datetime as dt
import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from blocks.warehouse import DayRange, LocalWarehouse, TableSpec, Warehouse, WarehouseError
from tests.blocks.points import DAY, EVE, TABLE, rows

Store = Callable[[], Warehouse]
BACKENDS = ["local", "bigquery", pytest.param("google", marks=[pytest.mark.gcp, pytest.mark.slow])]


@pytest.fixture(params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Opens an empty store, as one process more every time."""
    if request.param == "local":
        return lambda: LocalWarehouse(folder=tmp_path)
    if request.param == "google":
        dataset = request.getfixturevalue("google_dataset")
        return lambda: dataset
    cloud = request.getfixturevalue("cloud")
    cloud.forget()
    return cloud.warehouse  # type: ignore[no-any-return]


@pytest.fixture
def google_dataset() -> Iterator[Any]:
    """A dataset of its own on real BigQuery, dropped afterwards."""
    project = os.environ.get("COURTSIDE_TEST_PROJECT")
    if not project:
        pytest.skip("COURTSIDE_TEST_PROJECT is not set: no project of Google Cloud to test on")
    from google.cloud import bigquery
    from prefect_gcp.credentials import GcpCredentials

    from blocks.bigquery import BigQueryWarehouse

    client = bigquery.Client(project=project)
    name = f"courtside_test_{uuid.uuid4().hex[:12]}"
    client.create_dataset(name)
    try:
        yield BigQueryWarehouse(credentials=GcpCredentials(project=project), dataset=name, project=project)
    finally:
        client.delete_dataset(name, delete_contents=True)


@pytest.fixture
def warehouse(store: Store) -> Warehouse:
    return store()


def test_what_was_written_is_read(warehouse: Warehouse) -> None:
    partition = warehouse.replace(TABLE, DAY, rows())
    assert partition.rows == 3
    assert partition.game_day == DAY
    assert warehouse.read(TABLE, [DAY]).equals(rows())


def test_rows_of_another_day_are_refused_and_nothing_is_written(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match=r"points: partition 2025-12-29 was given rows of \['2025-12-28'"):
        warehouse.replace(TABLE, DAY, pl.concat([rows(), rows(EVE)]))
    assert warehouse.partitions(TABLE.name) == {}


def test_a_row_without_a_game_day_is_refused(warehouse: Warehouse) -> None:
    lost = rows().with_columns(game_day=pl.lit(None, dtype=pl.Date))
    with pytest.raises(WarehouseError, match="partition 2025-12-29"):
        warehouse.replace(TABLE, DAY, pl.concat([rows(), lost]))


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (rows().drop("points"), "points is missing, not Float64"),
        (rows().with_columns(team=pl.lit("NYK")), "team is String, not a column of the table"),
        (rows().cast({"points": pl.Int64}), "points is Int64, not Float64"),
    ],
    ids=["missing", "unknown", "type"],
)
def test_other_columns_are_refused_by_name(warehouse: Warehouse, frame: pl.DataFrame, said: str) -> None:
    with pytest.raises(WarehouseError, match=f"points: the frame does not have the table's columns: {said}"):
        warehouse.replace(TABLE, DAY, frame)
    assert warehouse.tables() == []


def test_a_day_without_rows_is_stored_and_is_not_a_missing_day(warehouse: Warehouse) -> None:
    warehouse.replace(TABLE, DAY, rows(count=0))
    assert warehouse.partitions(TABLE.name)[DAY].rows == 0
    assert EVE not in warehouse.partitions(TABLE.name)
    assert warehouse.tables() == [TABLE.name]
    assert warehouse.read(TABLE, [DAY]).equals(rows(count=0))


def test_a_table_that_was_never_written_reads_as_no_rows_of_its_columns(warehouse: Warehouse) -> None:
    assert warehouse.read(TABLE, DayRange()).equals(rows(count=0))
    assert warehouse.read(TABLE, DayRange(), ["points"]).columns == ["points"]
    assert warehouse.latest_day(TABLE.name, before=DAY) is None


def test_writing_days_stores_an_empty_partition_for_each_day_without_rows(warehouse: Warehouse) -> None:
    days = [EVE, DAY, DAY + dt.timedelta(days=1)]
    written = warehouse.replace_each_day(TABLE, rows(DAY), days)
    assert {day: part.rows for day, part in written.items()} == dict(zip(days, (0, 3, 0), strict=True))
    assert {day: part.rows for day, part in warehouse.partitions(TABLE.name).items()} == {
        day: part.rows for day, part in written.items()
    }


def test_writing_days_empties_the_partition_of_a_day_whose_rows_are_gone(warehouse: Warehouse) -> None:
    warehouse.replace(TABLE, DAY, rows())
    warehouse.replace_each_day(TABLE, rows(EVE), [EVE, DAY])
    assert warehouse.read(TABLE, [EVE, DAY]).equals(rows(EVE))


def test_rows_of_a_day_that_was_not_asked_for_are_refused_and_nothing_is_written(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="points: rows for game days that were not asked for: 2025-12-28"):
        warehouse.replace_each_day(TABLE, pl.concat([rows(), rows(EVE)]), [DAY])
    assert warehouse.tables() == []


def test_columns_come_as_they_were_asked_for(warehouse: Warehouse) -> None:
    warehouse.replace(TABLE, DAY, rows())
    assert warehouse.read(TABLE, [DAY], ["points", "game_day"]).columns == ["points", "game_day"]


def test_a_column_that_was_added_later_reads_as_null_in_older_partitions(warehouse: Warehouse) -> None:
    warehouse.replace(TABLE, EVE, rows(EVE))
    wider = TableSpec(TABLE.name, {**TABLE.schema, "team": pl.String()}, TABLE.key, version=2)
    warehouse.replace(wider, DAY, rows().with_columns(team=pl.lit("NYK")))
    found = warehouse.read(wider, DayRange())
    assert found["team"].to_list() == [None] * 3 + ["NYK"] * 3
    assert found.drop("team").equals(pl.concat([rows(EVE), rows()]))


def test_what_is_remembered_is_never_older_than_the_store(warehouse: Warehouse, store: Store) -> None:
    writer = store()
    for points in (1.0, 2.0, 1.0, 3.0, 2.0):
        writer.replace(TABLE, DAY, rows(points=points))
        assert warehouse.read(TABLE, [DAY]).equals(rows(points=points))
        assert warehouse.read(TABLE, [DAY]).equals(rows(points=points))


def test_the_latest_day_is_strictly_before(warehouse: Warehouse) -> None:
    for day in (EVE, DAY):
        warehouse.replace(TABLE, day, rows(day))
    assert warehouse.latest_day(TABLE.name, before=DAY) == EVE
    assert warehouse.latest_day(TABLE.name, before=EVE) is None


def test_the_same_rows_again_change_nothing(warehouse: Warehouse, store: Store) -> None:
    assert (
        warehouse.replace(TABLE, DAY, rows())
        == warehouse.replace(TABLE, DAY, rows())
        == store().replace(TABLE, DAY, rows())
    )
    assert warehouse.read(TABLE, DayRange()).equals(rows())


def test_rows_that_were_replaced_there_and_back_are_the_last_ones(warehouse: Warehouse, store: Store) -> None:
    for points in (1.0, 2.0, 1.0, 2.0, 1.0):
        store().replace(TABLE, DAY, rows(points=points))
        assert warehouse.read(TABLE, [DAY]).equals(rows(points=points))


def test_replacing_a_day_leaves_the_others_alone(warehouse: Warehouse) -> None:
    warehouse.replace_each_day(TABLE, pl.concat([rows(EVE), rows()]), [EVE, DAY])
    warehouse.replace(TABLE, DAY, rows(count=1))
    assert warehouse.read(TABLE, [EVE]).equals(rows(EVE))
    assert warehouse.read(TABLE, [DAY]).equals(rows(count=1))


def test_many_days_at_once_replace_exactly_these_days(warehouse: Warehouse) -> None:
    days = [DAY + dt.timedelta(days=n) for n in range(12)]
    warehouse.replace_each_day(TABLE, pl.concat([rows(day, points=1.0) for day in [EVE, *days]]), [EVE, *days])
    played = days[::2]
    warehouse.replace_each_day(TABLE, pl.concat([rows(day, count=2) for day in played]), days)
    assert {day: part.rows for day, part in warehouse.partitions(TABLE.name).items()} == {
        EVE: 3,
        **{day: 2 if day in played else 0 for day in days},
    }
    assert warehouse.read(TABLE, [EVE]).equals(rows(EVE, points=1.0))
    assert warehouse.read(TABLE, days).equals(pl.concat([rows(day, count=2) for day in played]))


def test_days_come_in_order_whatever_order_they_were_written_in(warehouse: Warehouse) -> None:
    days = [DAY + dt.timedelta(days=n) for n in (3, 0, 2, 1)]
    for day in days:
        warehouse.replace(TABLE, day, rows(day))
    found = warehouse.read(TABLE, DayRange(DAY, DAY + dt.timedelta(days=2)))
    assert found.equals(pl.concat([rows(day) for day in sorted(days)[:3]]))
    assert warehouse.read(TABLE, [days[0], days[1]]).equals(pl.concat([rows(days[1]), rows(days[0])]))
    assert warehouse.read(TABLE, []).equals(rows(count=0))


def test_every_type_of_the_contracts_comes_back_bit_for_bit(warehouse: Warehouse) -> None:
    instant = dt.datetime(2026, 3, 8, 6, 59, 59, 999_999, dt.UTC)
    columns: dict[str, tuple[Any, list[Any]]] = {
        "game_day": (pl.Date(), [DAY, DAY, DAY]),
        "key": (pl.String(), ["Dončić", "a'b\"c\\d", "名"]),
        "small": (pl.Int8(), [-128, None, 127]),
        "int": (pl.Int32(), [-(2**31), None, 2**31 - 1]),
        "big": (pl.Int64(), [-(2**63), None, 2**63 - 1]),
        "third": (pl.Float64(), [1 / 3, None, 5e-324]),
        "single": (pl.Float32(), [0.1, None, 3.4e38]),
        "flag": (pl.Boolean(), [True, None, False]),
        "at": (pl.Datetime("us", "UTC"), [instant, None, dt.datetime(1970, 1, 1, tzinfo=dt.UTC)]),
        "text": (pl.String(), ["", None, "x" * 1000]),
    }
    spec = TableSpec("types", {name: dtype for name, (dtype, _) in columns.items()}, ("game_day", "key"))
    frame = pl.DataFrame({name: values for name, (_, values) in columns.items()}, schema=spec.polars_schema)
    warehouse.replace(spec, DAY, frame.sort("key"))
    assert warehouse.read(spec, [DAY]).equals(frame.sort("key"))


def test_writers_of_other_days_and_of_the_same_day_at_once_lose_and_double_nothing(store: Store) -> None:
    common, writers = DAY - dt.timedelta(days=40), range(4)
    own = {n: [DAY + dt.timedelta(days=4 * back + n) for back in range(5)] for n in writers}

    def write(n: int) -> None:
        mine = store()
        for day in own[n]:
            mine.replace(TABLE, common, rows(common, count=5 + n, points=float(n)))
            mine.replace(TABLE, day, rows(day, points=float(n)))

    store().replace(TABLE, common, rows(common))
    with ThreadPoolExecutor(len(writers)) as pool:
        list(pool.map(write, writers))
    found = store().read(TABLE, DayRange())
    assert found.filter(pl.col("game_day") != common).equals(
        pl.concat([rows(day, points=float(n)) for day, n in sorted((day, n) for n in writers for day in own[n])])
    )
    last = found.filter(game_day=common)
    assert any(last.equals(rows(common, count=5 + n, points=float(n))) for n in writers)
