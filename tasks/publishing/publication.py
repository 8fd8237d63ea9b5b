"""The publication of a game day: predictions as Parquet and JSON with a manifest, replaced as one."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json

import polars as pl
from pydantic import AwareDatetime, Field

from blocks.publications import MANIFEST, Publications
from tasks.engine.plan import NOT_PLAYED, Frozen, Game

SCHEMA_VERSION = 1
MISSING_SHOWN = 50


class PublicationError(Exception):
    """Predictions that must not be published, with the reason."""


class Manifest(Frozen):
    """What a publication is: for which day, by which run and code, how complete, and the hash of each file."""

    schema_version: int = SCHEMA_VERSION
    game_day: dt.date
    mode: str
    run_id: str
    release: str | None
    as_of: AwareDatetime
    published_at: AwareDatetime
    games: tuple[Game, ...]
    dropped_games: tuple[str, ...]
    eligible_players: int
    systems: tuple[str, ...]
    expected_rows: int
    rows: int
    missing: tuple[str, ...]
    degraded: bool
    reasons: tuple[str, ...]
    model_ids: tuple[str, ...]
    version: str = Field("", description="The folder in .versions/<game day> that holds this version's files.")
    files: dict[str, str]


def without_games_not_played(predictions: pl.DataFrame, schedule: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Predictions of games that still take place by the newest schedule, and the ids of those that do not."""
    off = schedule.filter(pl.col("status").is_in(NOT_PLAYED))["game_id"]
    dropped = predictions.filter(pl.col("game_id").is_in(off.implode()))["game_id"].unique().sort().to_list()
    return predictions.filter(~pl.col("game_id").is_in(off.implode())), tuple(dropped)


def missing_keys(predictions: pl.DataFrame, expected: pl.DataFrame) -> tuple[str, ...]:
    """Expected (game, player, system) without a row, as text, at most the first few."""
    keys = ["game_id", "player_id", "system"]
    lacking = expected.join(predictions, on=keys, how="anti").select(keys).sort(keys).head(MISSING_SHOWN)
    return tuple(" / ".join(map(str, row)) for row in lacking.iter_rows())


def publish(publications: Publications, predictions: pl.DataFrame, manifest: Manifest) -> str:
    """Replace the publication of the manifest's game day, and return where it lies.

    Raises PublicationError for rows of another day or a wrong count.
    """
    days = predictions["game_day"].unique().to_list()
    if days not in ([], [manifest.game_day]):
        raise PublicationError(f"the predictions are for {days}, not for {manifest.game_day} alone")
    if predictions.height != manifest.rows:
        raise PublicationError(f"{predictions.height} predictions, but the manifest says {manifest.rows}")
    version = f"{manifest.published_at.astimezone(dt.UTC):%Y%m%dT%H%M%S%f}-{manifest.run_id}"
    files = {"predictions.parquet": _parquet(predictions), "predictions.json": _json(predictions)}
    hashes = {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}
    complete = manifest.model_copy(update={"version": version, "files": hashes})
    files[MANIFEST] = complete.model_dump_json(indent=1).encode()
    return publications.replace(manifest.game_day, version, files)


def read_manifest(publications: Publications, game_day: dt.date) -> Manifest | None:
    """The manifest of a day's publication, or None where nothing was published."""
    body = publications.read(game_day, MANIFEST)
    return Manifest.model_validate_json(body) if body is not None else None


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _json(frame: pl.DataFrame) -> bytes:
    return json.dumps(json.loads(frame.write_json()), indent=1, ensure_ascii=False).encode()
