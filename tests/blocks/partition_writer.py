"""A process of its own that replaces partitions; the tests run it, race it and kill it.

python partition_writer.py alternate FOLDER COUNT   versions 1, 2, 3, 1, 2, ... of one partition
python partition_writer.py days FOLDER NAME DAY...  a partition for each day, and version NAME of a common one
python partition_writer.py crash FOLDER STEP        version 2 once, but SIGKILL itself before the STEP-th touch of
                                                    the disk; exit code 0 if there were fewer
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
from pathlib import Path
from typing import Any

import polars as pl

from blocks.partition import PartitionFolder

COMMON_DAY = dt.date(2025, 12, 29)
# Every call by which a replace changes the disk; os.rename and os.unlink are what pathlib calls.
TOUCHES = ("fsync", "rename", "unlink")


def version(number: int, day: dt.date = COMMON_DAY) -> pl.DataFrame:
    """Content that tells which version it is in every row and by its number of rows."""
    rows = 200 + number
    return pl.DataFrame(
        {
            "game_day": pl.Series([day] * rows, dtype=pl.Date),
            "player_id": pl.Series(range(rows), dtype=pl.Int64),
            "version": pl.Series([number] * rows, dtype=pl.Int64),
        }
    )


def folder_of(table: Path, day: dt.date = COMMON_DAY) -> PartitionFolder:
    return PartitionFolder(table / f"game_day={day}")


def alternate(table: Path, count: int) -> None:
    for turn in range(count):
        folder_of(table).replace(version(1 + turn % 3))


def days(table: Path, number: int, own: list[dt.date]) -> None:
    for day in own:
        folder_of(table).replace(version(number))
        folder_of(table, day).replace(version(number, day))


def crash(table: Path, step: int) -> None:
    touched = 0

    def dying(name: str) -> Any:
        real = getattr(os, name)

        def touch(*args: Any, **named: Any) -> Any:
            nonlocal touched
            touched += 1
            if touched == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **named)

        return touch

    for name in TOUCHES:
        setattr(os, name, dying(name))
    folder_of(table).replace(version(2))


def main() -> None:
    what, table, *rest = sys.argv[1:]
    folder_of(Path(table)).path.mkdir(parents=True, exist_ok=True)
    print("ready", flush=True)
    sys.stdin.readline()
    match what:
        case "alternate":
            alternate(Path(table), int(rest[0]))
        case "days":
            days(Path(table), int(rest[0]), [dt.date.fromisoformat(day) for day in rest[1:]])
        case "crash":
            crash(Path(table), int(rest[0]))


if __name__ == "__main__":
    main()
