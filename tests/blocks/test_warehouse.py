"""What the embedded warehouse promises beside the contract: files are whole, stable, checked and never confused."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import polars as pl
import pytest

from blocks.partition import CURRENT, CorruptPartition, PartitionFolder, WarehouseError
from blocks.warehouse import DayRange, LocalWarehouse
from tests.blocks.points import DAY, EVE, TABLE, rows


@pytest.fixture
def warehouse(tmp_path: Path) -> LocalWarehouse:
    return LocalWarehouse(folder=tmp_path)


def folder_of(warehouse: LocalWarehouse, day: dt.date = DAY) -> Path:
    return warehouse.folder / "tables" / TABLE.name / f"game_day={day}"


def disk(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file below `folder` with its inode, its mtime and its content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_rows_again_touch_nothing_on_disk(warehouse: LocalWarehouse) -> None:
    first = warehouse.replace(TABLE, DAY, rows())
    before = disk(warehouse.folder)
    assert warehouse.replace(TABLE, DAY, rows()) == first
    assert disk(warehouse.folder) == before


def test_the_same_rows_give_the_same_bytes_in_another_store(tmp_path: Path) -> None:
    one, other = (LocalWarehouse(folder=tmp_path / name) for name in ("one", "other"))
    in_pieces = pl.concat([rows()[:1], rows()[1:]], rechunk=False)
    assert in_pieces.n_chunks() == 2
    assert one.replace(TABLE, DAY, rows()).sha256 == other.replace(TABLE, DAY, in_pieces).sha256
    assert [part[2] for part in disk(one.folder).values()] == [part[2] for part in disk(other.folder).values()]


def test_a_replaced_partition_leaves_one_file_and_its_pointer(warehouse: LocalWarehouse) -> None:
    old = warehouse.replace(TABLE, DAY, rows(points=1.0))
    new = warehouse.replace(TABLE, DAY, rows(points=2.0, count=2))
    assert old.file != new.file
    assert sorted(path.name for path in folder_of(warehouse).iterdir()) == sorted([CURRENT, new.file])
    assert warehouse.read(TABLE, [DAY]).equals(rows(points=2.0, count=2))


def test_days_are_read_in_order_whatever_order_they_were_written_in(warehouse: LocalWarehouse) -> None:
    days = [DAY + dt.timedelta(days=n) for n in (3, 0, 2, 1)]
    for day in days:
        warehouse.replace(TABLE, day, rows(day).sort("player_id", descending=True))
    found = warehouse.read(TABLE, DayRange(DAY, DAY + dt.timedelta(days=2)))
    assert found["game_day"].unique(maintain_order=True).to_list() == sorted(days)[:3]
    assert found["player_id"].to_list() == [2, 1, 0] * 3
    assert warehouse.read(TABLE, days).equals(warehouse.read(TABLE, DayRange()))


def test_plain_polars_reads_the_same_rows(warehouse: LocalWarehouse) -> None:
    warehouse.replace_each_day(TABLE, pl.concat([rows(EVE), rows()]), [EVE, DAY, DAY + dt.timedelta(days=1)])
    ours = warehouse.read(TABLE, DayRange())
    assert pl.scan_parquet(warehouse.files(TABLE.name)).collect().equals(ours)
    glob = f"{warehouse.folder}/tables/{TABLE.name}/game_day=*/data-*.parquet"
    assert pl.scan_parquet(glob, hive_partitioning=True).collect().sort("game_day", "player_id").equals(ours)
    one_day = pl.scan_parquet(glob, hive_partitioning=True).filter(game_day=DAY).collect()
    assert one_day.sort("player_id").equals(rows())


def test_a_flipped_bit_anywhere_in_a_file_is_noticed(warehouse: LocalWarehouse) -> None:
    path = folder_of(warehouse) / warehouse.replace(TABLE, DAY, rows()).file
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(flipped(whole, place))
        with pytest.raises(CorruptPartition, match=rf"{path.name} is not what was committed .* rerun this game day"):
            LocalWarehouse(folder=warehouse.folder).read(TABLE, [DAY])


def test_no_flipped_bit_in_a_pointer_changes_what_is_read(warehouse: LocalWarehouse) -> None:
    warehouse.replace(TABLE, DAY, rows())
    pointer = folder_of(warehouse) / CURRENT
    whole = pointer.read_bytes()
    noticed = 0
    for place in range(len(whole)):
        pointer.write_bytes(flipped(whole, place))
        try:
            found = LocalWarehouse(folder=warehouse.folder).read(TABLE, [DAY])
        except CorruptPartition:
            noticed += 1
        else:
            assert found.equals(rows())
    assert noticed > len(whole) * 0.9  # white space may change into other white space


@pytest.mark.parametrize("said", [0, 2, 4])
def test_a_pointer_with_another_number_of_rows_is_noticed(warehouse: LocalWarehouse, said: int) -> None:
    partition = warehouse.replace(TABLE, DAY, rows())
    pointer = folder_of(warehouse) / CURRENT
    pointer.write_text(pointer.read_text().replace(f'"rows": {partition.rows}', f'"rows": {said}'))
    with pytest.raises(CorruptPartition, match=f"3 rows in the files of 2025-12-29, {said} by their pointers"):
        LocalWarehouse(folder=warehouse.folder).read(TABLE, [DAY])


def test_a_lost_file_is_named(warehouse: LocalWarehouse) -> None:
    path = folder_of(warehouse) / warehouse.replace(TABLE, DAY, rows()).file
    path.unlink()
    with pytest.raises(WarehouseError, match=f"{path.name} is missing"):
        warehouse.read(TABLE, [DAY])


@pytest.mark.parametrize("damage", ["file", "pointer", "lost"])
def test_writing_the_same_rows_again_heals_a_damaged_partition(warehouse: LocalWarehouse, damage: str) -> None:
    file = folder_of(warehouse) / warehouse.replace(TABLE, DAY, rows()).file
    if damage == "lost":
        file.unlink()
    else:
        damaged = file if damage == "file" else folder_of(warehouse) / CURRENT
        damaged.write_bytes(flipped(damaged.read_bytes(), 0))
    warehouse.replace(TABLE, DAY, rows())
    assert LocalWarehouse(folder=warehouse.folder).read(TABLE, [DAY]).equals(rows())


def flipped(body: bytes, place: int) -> bytes:
    return body[:place] + bytes([body[place] ^ 1 << place % 8]) + body[place + 1 :]


def test_a_partition_replaced_while_it_is_read_is_read_as_the_newer_one(warehouse: LocalWarehouse) -> None:
    folder = PartitionFolder(folder_of(warehouse))
    seen = folder.replace(rows(points=1.0))
    newer = folder.replace(rows(points=2.0))
    assert folder.read(seen) == (newer, (folder.path / newer.file).read_bytes())


def test_a_partition_replaced_there_and_back_while_it_is_read_is_read(
    warehouse: LocalWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = PartitionFolder(folder_of(warehouse))
    seen = folder.replace(rows(points=1.0))
    folder.replace(rows(points=2.0))
    look = PartitionFolder.current

    def look_after_the_way_back(self: PartitionFolder) -> object:
        monkeypatch.undo()
        folder.replace(rows(points=1.0))
        return look(self)

    monkeypatch.setattr(PartitionFolder, "current", look_after_the_way_back)
    assert folder.read(seen)[0] == seen


def test_rows_read_while_they_were_replaced_are_not_remembered_as_the_older_ones(
    warehouse: LocalWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LocalWarehouse(folder=warehouse.folder)
    old, new = rows(points=1.0), rows(points=2.0)
    writer.replace(TABLE, DAY, old)
    read = PartitionFolder.read

    def read_too_late(self: PartitionFolder, partition: object) -> object:
        monkeypatch.undo()
        writer.replace(TABLE, DAY, new)
        return read(self, partition)  # type: ignore[arg-type]

    monkeypatch.setattr(PartitionFolder, "read", read_too_late)
    assert warehouse.read(TABLE, [DAY]).equals(new)
    writer.replace(TABLE, DAY, old)
    assert warehouse.read(TABLE, [DAY]).equals(old)


def test_a_folder_that_cannot_be_written_leaves_the_old_rows(
    warehouse: LocalWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.replace(TABLE, DAY, rows(points=1.0))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        warehouse.replace(TABLE, DAY, rows(points=2.0))
    monkeypatch.undo()
    assert LocalWarehouse(folder=warehouse.folder).read(TABLE, [DAY]).equals(rows(points=1.0))
    warehouse.replace(TABLE, DAY, rows(points=1.0))
    assert len(list(folder_of(warehouse).iterdir())) == 2


def test_a_range_holds_both_its_ends_and_may_be_open() -> None:
    days = [EVE, DAY, DAY + dt.timedelta(days=1)]
    assert [day in DayRange(EVE, DAY) for day in days] == [True, True, False]
    assert [day in DayRange.before(DAY) for day in days] == [True, False, False]
    assert [day in DayRange.on(DAY) for day in days] == [False, True, False]
    assert [day in DayRange(DAY, None) for day in days] == [False, True, True]
    assert [str(range_) for range_ in (DayRange.on(DAY), DayRange(EVE, DAY), DayRange.before(DAY), DayRange())] == [
        "2025-12-29",
        "2025-12-28 to 2025-12-29",
        "... to 2025-12-28",
        "... to ...",
    ]
