"""A live payload: every answer exactly as it came, with where and when from, in one archive that can be read again."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field

import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from blocks.warehouse import DayRange
from tasks.sources.base import Kind, SourceError
from tasks.sources.live.web import Response

SUFFIX = "zip"
MANIFEST = "manifest.json"
# Zip members carry a time; a fixed one makes equal contents equal bytes. What is true stands in the manifest.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class _Member(BaseModel):
    """One answer's entry in the manifest."""

    model_config = ConfigDict(extra="forbid")

    file: str
    site: str
    label: str
    url: str
    fetched_at: AwareDatetime
    headers: dict[str, str]
    seconds: float


class _Manifest(BaseModel):
    """What a bundle is about and what is in it."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    first: dt.date | None
    last: dt.date | None
    as_of: AwareDatetime
    live_after: dt.date | None
    members: list[_Member]
    frames: list[str]


@dataclass(frozen=True)
class Bundle:
    """The answers about one kind of facts; `frames` holds tables of ours that belong to them, such as the history.

    Days after `live_after` come from the answers, those up to it from the history.
    """

    kind: Kind
    days: DayRange
    as_of: dt.datetime
    live_after: dt.date | None
    responses: tuple[Response, ...]
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The archive: one file for each answer, Parquet for each frame, and a manifest."""
        members = [
            _Member(
                file=_file(number, item),
                site=item.site,
                label=item.label,
                url=item.url,
                fetched_at=item.fetched_at,
                headers=dict(item.headers),
                seconds=item.seconds,
            )
            for number, item in enumerate(self.responses)
        ]
        manifest = _Manifest(
            kind=self.kind,
            first=self.days.first,
            last=self.days.last,
            as_of=self.as_of,
            live_after=self.live_after,
            members=members,
            frames=sorted(self.frames),
        )
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            _write(archive, MANIFEST, manifest.model_dump_json(indent=1).encode())
            for member, response in zip(members, self.responses, strict=True):
                _write(archive, member.file, response.body)
            for name in manifest.frames:
                table = io.BytesIO()
                self.frames[name].write_parquet(table)
                _write(archive, f"{name}.parquet", table.getvalue())
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, body: bytes, name: str) -> Bundle:
        """Read an archive back. Raises SourceError for one that is damaged or was not made by `to_bytes`."""
        try:
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                manifest = _Manifest.model_validate_json(archive.read(MANIFEST))
                frames = {item: pl.read_parquet(archive.read(f"{item}.parquet")) for item in manifest.frames}
                responses = tuple(
                    Response(
                        member.site,
                        member.label,
                        member.url,
                        member.fetched_at,
                        member.headers,
                        archive.read(member.file),
                        member.seconds,
                    )
                    for member in manifest.members
                )
        except (zipfile.BadZipFile, zlib.error, KeyError, ValidationError, pl.exceptions.PolarsError, *_ODD) as error:
            raise SourceError(f"{name}: not a whole live payload ({type(error).__name__}: {error})") from error
        days = DayRange(manifest.first, manifest.last)
        return cls(manifest.kind, days, manifest.as_of, manifest.live_after, responses, frames)

    def named(self, payload: str) -> Iterator[tuple[str, Response]]:
        """The answers, each with a name under which a person finds it in the landing zone."""
        return ((f"{payload}#{_file(number, item)}", item) for number, item in enumerate(self.responses))


# What zipfile and the Parquet reader raise on bytes that somebody or something has changed.
_ODD = (OSError, EOFError, ValueError, NotImplementedError, RuntimeError, pl.exceptions.PanicException)


def newest_of_each(
    responses: Iterable[Response], on: Callable[[Response], Hashable] = lambda item: item.url
) -> tuple[Response, ...]:
    """The last answer of each address, in order of their fetching."""
    ordered = sorted(responses, key=lambda item: item.fetched_at)
    return tuple({on(item): item for item in ordered}.values())


def _file(number: int, response: Response) -> str:
    label = "".join(char if char.isalnum() else "-" for char in response.label)
    suffix = "pdf" if response.body.startswith(b"%PDF") else "json"
    return f"{number:03}-{label}.{suffix}"


def _write(archive: zipfile.ZipFile, name: str, body: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), body, zipfile.ZIP_DEFLATED)
