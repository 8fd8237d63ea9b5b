"""The warehouse: partitioned tables by game day, and its local implementation on Parquet files.

A store does four things and computes nothing: replace a partition atomically, read partitions, list them, count them.
Everything else is polars, upstream.
"""

from __future__ import annotations

import abc
import datetime as dt
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from pathlib import Path

import polars as pl
from prefect.blocks.core import Block
from pydantic import Field, PrivateAttr

from blocks.partition import CorruptPartition, Partition, PartitionFile, PartitionFolder, WarehouseError

__all__ = ["DayRange", "LocalWarehouse", "Partition", "TableSpec", "Warehouse", "WarehouseError"]

PARTITION_COLUMN = "game_day"
WRITERS = 16
FEW_DAYS = 10


@dataclass(frozen=True)
class DayRange:
    """Game days from `first` to `last`, both included; None leaves that end open."""

    first: dt.date | None = None
    last: dt.date | None = None

    @classmethod
    def on(cls, day: dt.date) -> DayRange:
        """The single game day `day`."""
        return cls(day, day)

    @classmethod
    def before(cls, day: dt.date) -> DayRange:
        """All game days strictly earlier than `day`."""
        return cls(None, day - dt.timedelta(days=1))

    def __contains__(self, day: dt.date) -> bool:
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)

    def __str__(self) -> str:
        if self.first is not None and self.first == self.last:
            return self.first.isoformat()
        return f"{self.first or '...'} to {self.last or '...'}"


@dataclass(frozen=True)
class TableSpec:
    """What a store must know of a table: its name, columns and key. Every table has a `game_day` column."""

    name: str
    schema: Mapping[str, pl.DataType]
    key: tuple[str, ...]
    version: int = 1

    @cached_property
    def polars_schema(self) -> pl.Schema:
        """The columns as a polars schema, in table order."""
        return pl.Schema(self.schema)


class Warehouse(Block, abc.ABC):
    """Tables partitioned by game day. Implementations differ in where the bytes are, and in nothing else."""

    _block_schema_capabilities = ["warehouse"]

    @abc.abstractmethod
    def replace(self, table: TableSpec, game_day: dt.date, frame: pl.DataFrame) -> Partition:
        """Replace one partition atomically: readers see the old rows or the new ones, never a mixture.

        Writing the same rows again changes nothing. Raises WarehouseError if `frame` is not of `game_day`
        alone or not of the table's columns.
        """

    @abc.abstractmethod
    def read(
        self,
        table: TableSpec,
        days: DayRange | Iterable[dt.date],
        columns: Iterable[str] | None = None,
    ) -> pl.DataFrame:
        """Rows of the partitions in `days`, in order of game day; an empty frame of the schema if there are none."""

    @abc.abstractmethod
    def partitions(self, table: str) -> Mapping[dt.date, Partition]:
        """Every committed partition of `table` with its row count, by game day."""

    @abc.abstractmethod
    def tables(self) -> list[str]:
        """Names of the tables that have at least one partition."""

    def replace_each_day(
        self, table: TableSpec, frame: pl.DataFrame, days: Iterable[dt.date]
    ) -> Mapping[dt.date, Partition]:
        """Replace the partition of every day in `days` by that day's rows of `frame` (none: an empty partition)."""
        by_day = frames_by_day(table, frame, days)
        # Waiting for the disk is most of a small write: side by side, many waits are one.
        with ThreadPoolExecutor(WRITERS) as pool:
            written = pool.map(self.replace, repeat(table), by_day, by_day.values())
            return dict(zip(by_day, written, strict=True))

    def latest_day(self, table: str, before: dt.date) -> dt.date | None:
        """The last game day earlier than `before` that has a partition, or None."""
        return max((day for day in self.partitions(table) if day < before), default=None)


class LocalWarehouse(Warehouse):
    """Hive-partitioned Parquet in a folder: `tables/<table>/game_day=YYYY-MM-DD/data-<sha>.parquet`.

    Files are immutable and a CURRENT pointer beside them names the valid one with its row count and sha256, which is
    checked on every read: Parquet itself does not notice flipped bits. Safe with several processes; a process killed at
    any moment leaves the old partition or the new one.
    """

    _block_type_name = "Local Warehouse"
    _block_type_slug = "local-warehouse"
    _description = "Courtside's embedded warehouse: Parquet partitions by game day in a folder."

    folder: Path = Field(description="Folder that holds the tables; created on first write.")

    _memory: FrameMemory = PrivateAttr(default_factory=lambda: FrameMemory())

    def replace(self, table: TableSpec, game_day: dt.date, frame: pl.DataFrame) -> PartitionFile:
        """See Warehouse.replace. The commit point is the rename of the CURRENT pointer."""
        check_frame(table, game_day, frame)
        return self._partition(table.name, game_day).replace(frame)

    def read(
        self,
        table: TableSpec,
        days: DayRange | Iterable[dt.date],
        columns: Iterable[str] | None = None,
    ) -> pl.DataFrame:
        """See Warehouse.read. Raises WarehouseError for a file whose content is not what was committed."""
        wanted = days if isinstance(days, DayRange) else set(days)
        names = list(columns) if columns is not None else list(table.schema)
        chosen = self._chosen(table.name, wanted)
        known = self._memory.get(_content(table, names, chosen))
        if known is not None:
            return known
        frame, read = self._load(table, chosen, names)
        self._memory.put(_content(table, names, read), frame)
        return frame

    def partitions(self, table: str) -> dict[dt.date, PartitionFile]:
        """See Warehouse.partitions."""
        found = {}
        for path in self._table(table).glob(f"{PARTITION_COLUMN}=*"):
            day = dt.date.fromisoformat(path.name.removeprefix(f"{PARTITION_COLUMN}="))
            if (partition := PartitionFolder(path).current()) is not None:
                found[day] = partition
        return found

    def tables(self) -> list[str]:
        """See Warehouse.tables."""
        return sorted(path.name for path in (self.folder / "tables").glob("*") if self.partitions(path.name))

    def files(self, table: str) -> list[Path]:
        """The committed Parquet files of a table, for reading with plain polars or DuckDB."""
        return [self._partition(table, day).path / part.file for day, part in sorted(self.partitions(table).items())]

    def _chosen(self, table: str, wanted: DayRange | set[dt.date]) -> list[PartitionFile]:
        """The partitions of the wanted days, in order; a few named days are looked up without listing the table."""
        if isinstance(wanted, DayRange) and wanted.first is not None and wanted.first == wanted.last:
            wanted = {wanted.first}
        if isinstance(wanted, DayRange) or len(wanted) > FEW_DAYS:
            return [part for day, part in sorted(self.partitions(table).items()) if day in wanted]
        found = (self._partition(table, day).current() for day in sorted(wanted))
        return [part for part in found if part is not None]

    def _table(self, table: str) -> Path:
        return self.folder / "tables" / table

    def _partition(self, table: str, day: dt.date) -> PartitionFolder:
        return PartitionFolder(self._table(table) / f"{PARTITION_COLUMN}={day.isoformat()}")

    def _load(
        self, table: TableSpec, chosen: list[PartitionFile], names: list[str]
    ) -> tuple[pl.DataFrame, list[PartitionFile]]:
        """The rows, and the partitions that they are: some may have been replaced since they were chosen."""
        found = [PartitionFolder(part.folder).read(part) for part in chosen]
        if not found:
            return table.polars_schema.to_frame().select(names), []
        read, bodies = [part for part, _ in found], [body for _, body in found]
        # An older partition may lack a column that a later contract version added: it reads as null.
        scan = pl.scan_parquet(bodies, schema=table.polars_schema, missing_columns="insert", extra_columns="ignore")
        frame = scan.select(names).collect()
        said = sum(part.rows for part in read)
        if frame.height != said:
            raise CorruptPartition(
                f"{table.name}: {frame.height} rows in the files of {_days(read)}, {said} by their pointers: "
                "rerun these game days"
            )
        return frame, read


@dataclass
class FrameMemory:
    """The last few frames read, by the content that they hold: what is named by its content can never go stale."""

    capacity: int = 12
    frames: dict[tuple[object, ...], pl.DataFrame] = field(default_factory=dict)

    def get(self, key: tuple[object, ...]) -> pl.DataFrame | None:
        """The frame of this content, if it is remembered."""
        frame = self.frames.pop(key, None)
        if frame is not None:
            self.frames[key] = frame
        return frame

    def put(self, key: tuple[object, ...], frame: pl.DataFrame) -> None:
        """Remember a frame, and forget the one that was not asked for the longest."""
        while len(self.frames) >= self.capacity:
            self.frames.pop(next(iter(self.frames)))
        self.frames[key] = frame


def _content(table: TableSpec, names: list[str], read: list[PartitionFile]) -> tuple[object, ...]:
    types = tuple(str(table.schema.get(name)) for name in names)
    return (table.name, tuple(names), types, tuple((part.sha256, part.rows) for part in read))


def _days(read: list[PartitionFile]) -> DayRange:
    return DayRange(read[0].game_day, read[-1].game_day)


def frames_by_day(table: TableSpec, frame: pl.DataFrame, days: Iterable[dt.date]) -> dict[dt.date, pl.DataFrame]:
    """Each day's rows of `frame`, in order of the days. Raises WarehouseError for rows of a day not in `days`."""
    wanted = sorted(set(days))
    by_day = frame.partition_by(PARTITION_COLUMN, as_dict=True, maintain_order=True)
    strangers = sorted(str(day) for (day,) in by_day if day not in set(wanted))
    if strangers:
        raise WarehouseError(f"{table.name}: rows for game days that were not asked for: {', '.join(strangers[:5])}")
    return {day: by_day.get((day,), frame.clear()) for day in wanted}


def check_frame(table: TableSpec, game_day: dt.date, frame: pl.DataFrame) -> None:
    """Raise WarehouseError if `frame` has not exactly the table's columns, or rows of another day than `game_day`."""
    check_columns(table, frame)
    if not frame.filter(pl.col(PARTITION_COLUMN).ne_missing(pl.lit(game_day))).is_empty():
        found = frame[PARTITION_COLUMN].unique().sort().to_list()[:3]
        raise WarehouseError(f"{table.name}: partition {game_day} was given rows of {[str(day) for day in found]}")


def check_columns(table: TableSpec, frame: pl.DataFrame) -> None:
    """Raise WarehouseError if `frame` has not exactly the table's columns and types."""
    if dict(frame.schema) != dict(table.polars_schema):
        expected, found = table.polars_schema, frame.schema
        wrong = [
            f"{name} is {found.get(name, 'missing')}, not {expected.get(name, 'a column of the table')}"
            for name in dict.fromkeys([*expected, *found])
            if expected.get(name) != found.get(name)
        ]
        raise WarehouseError(f"{table.name}: the frame does not have the table's columns: {'; '.join(wrong[:5])}")
