"""Objects and publications in a bucket of Google Cloud Storage.

Nothing is overwritten unseen: whoever creates an object says that there must be none, and whoever moves a publication's
pointer says which generation of it was read.
"""

from __future__ import annotations

import datetime as dt
import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from prefect_gcp.cloud_storage import GcsBucket
from pydantic import Field

from blocks.objects import ObjectConflict, Objects
from blocks.publications import KEPT_VERSIONS, MANIFEST, VERSIONS, Publications

REQUEST_SECONDS = 60.0
FOR_EVER = "private, max-age=31536000, immutable"  # a year is the longest that caches know
ASK_AGAIN = "no-cache"
NEVER_WRITTEN = 0  # the generation of an object that does not exist
TYPES = {".parquet": "application/vnd.apache.parquet", ".json": "application/json"}


class GcsObjects(Objects):
    """Objects in a folder of a bucket."""

    _block_type_name = "GCS Objects"
    _block_type_slug = "courtside-gcs-objects"
    _description = "Courtside's store of payloads, models and publications in a bucket."

    bucket: GcsBucket = Field(description="The bucket, and whose permissions are used.")
    folder: str = Field("", description="Folder in the bucket.")
    patience_s: float = Field(120.0, description="How long passing faults of Cloud Storage are ridden out, in seconds.")

    def create(self, name: str, body: bytes) -> None:
        """See Objects.create."""
        try:
            self.replace(name, body, generation=NEVER_WRITTEN, cache=FOR_EVER)
        except exceptions.PreconditionFailed as error:
            # It may be ours: a request that was carried out and whose answer was lost is asked again.
            if self.get(name) != body:
                raise ObjectConflict(f"{self.address(name)} exists and holds something else") from error

    def replace(self, name: str, body: bytes, generation: int, cache: str = ASK_AGAIN) -> int:
        """Let `name` hold `body` if it is still of this generation, and return its new one.

        Raises google's PreconditionFailed if it is of another.
        """
        blob = self._bucket.blob(self._path(name))
        blob.cache_control = cache
        blob.upload_from_string(
            body,
            content_type=content_type_of(name),
            if_generation_match=generation,
            retry=self._retry,
            timeout=REQUEST_SECONDS,
        )
        return int(blob.generation)

    def get(self, name: str) -> bytes:
        """See Objects.get."""
        return self.get_with_generation(name)[0]

    def get_with_generation(self, name: str) -> tuple[bytes, int]:
        """The body under `name` and its generation. Raises FileNotFoundError where there is none."""
        blob = self._bucket.blob(self._path(name))
        try:
            body = blob.download_as_bytes(retry=self._retry, timeout=REQUEST_SECONDS)
        except exceptions.NotFound:
            raise FileNotFoundError(f"there is no {self.address(name)}") from None
        return body, int(blob.generation)

    def names(self, prefix: str = "") -> list[str]:
        """See Objects.names."""
        root = self._path("")
        found = self._bucket.list_blobs(prefix=root + prefix, retry=self._retry, timeout=REQUEST_SECONDS)
        return sorted(blob.name.removeprefix(root) for blob in found)

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        self._bucket.delete_blobs(
            [self._path(name)], on_error=lambda _: None, retry=self._retry, timeout=REQUEST_SECONDS
        )

    def address(self, name: str = "") -> str:
        """See Objects.address."""
        return f"gs://{self.bucket.bucket}/{self._path(name)}"

    def _path(self, name: str) -> str:
        folder = f"{self.folder}/" if self.folder else ""
        return f"{self.bucket.bucket_folder}{folder}{name}"

    @property
    def _retry(self) -> object:
        return DEFAULT_RETRY.with_timeout(self.patience_s)

    @cached_property
    def _bucket(self) -> storage.Bucket:
        # Not GcsBucket.get_bucket(): it asks for the bucket, which object permissions do not allow.
        return self.bucket.gcp_credentials.get_cloud_storage_client().bucket(self.bucket.bucket)


@dataclass(frozen=True)
class GcsPublications(Publications):
    """Publications in a bucket: `<game day>/manifest.json` is the pointer, and is written last.

    It names the version whose files a reader then fetches from `.versions/<game day>/<version>/`.
    """

    objects: GcsObjects

    def replace(self, game_day: dt.date, version: str, files: Mapping[str, bytes]) -> str:
        """See Publications.replace."""
        for name, body in files.items():
            self.objects.create(f"{_versions(game_day)}{version}/{name}", body)
        pointer = f"{game_day}/{MANIFEST}"
        while not self._point(pointer, version, files[MANIFEST]):
            pass  # somebody else has moved it meanwhile: look again at what it says now
        self._sweep(game_day)
        return self.objects.address(pointer)

    def read(self, game_day: dt.date, name: str) -> bytes | None:
        """See Publications.read."""
        try:
            manifest = self.objects.get(f"{game_day}/{MANIFEST}")
            if name == MANIFEST:
                return manifest
            return self.objects.get(f"{_versions(game_day)}{_version_in(manifest)}/{name}")
        except FileNotFoundError:
            return None

    def _point(self, pointer: str, version: str, manifest: bytes) -> bool:
        """Move the pointer, unless it points to a newer version; False if it changed under our hands."""
        try:
            there, generation = self.objects.get_with_generation(pointer)
        except FileNotFoundError:
            there, generation = b"", NEVER_WRITTEN
        if there and _version_in(there) >= version:
            return True
        try:
            self.objects.replace(pointer, manifest, generation)
        except exceptions.PreconditionFailed:
            return False
        return True

    def _sweep(self, game_day: dt.date) -> None:
        root = _versions(game_day)
        names = self.objects.names(root)
        kept = sorted({name.removeprefix(root).partition("/")[0] for name in names})[-KEPT_VERSIONS:]
        for name in names:
            if name.removeprefix(root).partition("/")[0] not in kept:
                self.objects.remove(name)


def content_type_of(name: str) -> str:
    """The media type by a name's suffix."""
    suffix = name[name.rfind(".") :]
    return TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _versions(game_day: dt.date) -> str:
    return f"{VERSIONS}/{game_day}/"


def _version_in(manifest: bytes) -> str:
    version = json.loads(manifest)["version"]
    assert isinstance(version, str)
    return version
