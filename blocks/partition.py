"""One partition on disk: immutable Parquet files, a CURRENT pointer, a lock. The only code that writes table files."""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

CURRENT = "CURRENT"
READ_ATTEMPTS = 20
_RERUN = "remove the partition's folder and rerun this game day"


class WarehouseError(Exception):
    """A table or partition that cannot be read or written, with what to do about it."""


class CorruptPartition(WarehouseError):
    """A committed file is missing or its content is not what was committed."""


@dataclass(frozen=True)
class Partition:
    """A committed partition: its game day and its row count."""

    game_day: dt.date
    rows: int


@dataclass(frozen=True)
class PartitionFile(Partition):
    """What CURRENT says of a partition on disk: its file in `folder` and the file's sha256."""

    folder: Path
    file: str
    sha256: str


@dataclass(frozen=True)
class PartitionFolder:
    """A partition's folder. Writers take its lock; readers need none."""

    path: Path

    @property
    def game_day(self) -> dt.date:
        """The partition's game day, from the folder's name."""
        return dt.date.fromisoformat(self.path.name.partition("=")[2])

    def current(self) -> PartitionFile | None:
        """The committed state, or None where nothing was ever committed. Raises CorruptPartition."""
        try:
            pointer = json.loads((self.path / CURRENT).read_bytes())
            return PartitionFile(self.game_day, int(pointer["rows"]), self.path, pointer["file"], pointer["sha256"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptPartition(f"{self.path / CURRENT} is not a pointer ({error!r}): {_RERUN}") from error

    def read(self, partition: PartitionFile) -> tuple[PartitionFile, bytes]:
        """The committed file's bytes, checked against the pointer's sha256, and the state that they are.

        A writer may replace the partition between our look at the pointer and the file: then the newer state is read.
        Raises CorruptPartition if the content is not what was committed.
        """
        for _ in range(READ_ATTEMPTS):
            try:
                body = (self.path / partition.file).read_bytes()
            except FileNotFoundError:
                # Even if the pointer still says the same: it may have been replaced twice, there and back.
                partition = self.current() or partition
                continue
            if hashlib.sha256(body).hexdigest() != partition.sha256:
                raise CorruptPartition(
                    f"{self.path / partition.file} is not what was committed (sha256 differs): {_RERUN}"
                )
            return partition, body
        raise CorruptPartition(f"{self.path / partition.file} is missing: {_RERUN}")

    def replace(self, frame: pl.DataFrame) -> PartitionFile:
        """Write `frame` as the partition's new content. Identical content is a no-op."""
        body = _parquet(frame)
        sha256 = hashlib.sha256(body).hexdigest()
        wanted = PartitionFile(self.game_day, frame.height, self.path, f"data-{sha256[:20]}.parquet", sha256)
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            if self._holds(wanted):
                self._sweep(keep=wanted.file)  # a writer of something else may have been killed here
                return wanted
            _place(self.path / wanted.file, body)
            pointer = {"file": wanted.file, "sha256": sha256, "rows": frame.height}
            _place(self.path / CURRENT, json.dumps(pointer).encode())
            _sync_folder(self.path)
            self._sweep(keep=wanted.file)
        return wanted

    def _holds(self, wanted: PartitionFile) -> bool:
        """Whether `wanted` is committed and whole; what is damaged is written anew."""
        try:
            current = self.current()
            if current != wanted:
                return False
            self.read(wanted)
        except CorruptPartition:
            return False
        return True

    def _sweep(self, keep: str) -> None:
        """Remove superseded files and what a killed writer left; we hold the lock, so nobody else is writing here."""
        for path in self.path.iterdir():
            if path.name not in (keep, CURRENT):
                with suppress(FileNotFoundError):
                    path.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else, in this process or another, is inside `locked` for the same folder. A killed holder lets go."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_durably(path: Path, body: bytes) -> None:
    """Write a file so that a crash or power loss leaves the old content or the new, never a part of it."""
    _place(path, body)
    _sync_folder(path.parent)


def _place(path: Path, body: bytes) -> None:
    temporary = path.with_name(f"_tmp-{os.getpid()}-{path.name}")
    with temporary.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _parquet(frame: pl.DataFrame) -> bytes:
    # No statistics that depend on the writer, one row group: the same rows give the same bytes.
    buffer = io.BytesIO()
    frame.rechunk().write_parquet(buffer, compression="zstd", compression_level=1)
    return buffer.getvalue()
