"""The workspace on Google Cloud: tables in BigQuery, everything else in a bucket, the ledger in PostgreSQL.

Importing this takes seconds, for Google's libraries: it is imported where such a workspace is opened, and nowhere else.
"""

from __future__ import annotations

from prefect.blocks.core import Block
from prefect_gcp.cloud_storage import GcsBucket
from pydantic import Field, SecretStr

from blocks.bigquery import BigQueryWarehouse
from blocks.gcs import GcsObjects, GcsPublications
from blocks.gcs_lock import GcsLock
from blocks.landing import Landing
from blocks.locks import Clock
from blocks.objects import ObjectConflict
from blocks.workspace import CLOUD, ORIGIN, WORKSPACE, WorkspaceError


class CloudWorkspace(Block):
    """See blocks.workspace.Workspace. Any number of machines may work in it at once."""

    _block_type_name = "Courtside Cloud Workspace"
    _block_type_slug = CLOUD
    _description = "Where one pipeline on Google Cloud keeps its tables, payloads, ledger, models and publications."
    _block_schema_capabilities = [WORKSPACE]

    warehouse: BigQueryWarehouse
    bucket: GcsBucket = Field(description="Bucket of payloads, models and publications; bucket_folder sets them apart.")
    ledger: SecretStr = Field(description="SQLAlchemy URL of the ledger: postgresql+psycopg://user:password@host/name")

    @property
    def landing(self) -> Landing:
        """See Workspace.landing."""
        return Landing(self._objects("landing"))

    @property
    def models(self) -> GcsObjects:
        """See Workspace.models."""
        return self._objects("models")

    @property
    def publications(self) -> GcsPublications:
        """See Workspace.publications."""
        return GcsPublications(self._objects("publications"))

    @property
    def ledger_url(self) -> str:
        """See Workspace.ledger_url."""
        return self.ledger.get_secret_value()

    def lock(self, name: str, clock: Clock) -> GcsLock:
        """See Workspace.lock."""
        return GcsLock(self._objects("locks"), name, clock)

    def claim(self, origin: str) -> None:
        """See Workspace.claim. Of two who claim it at once, the bucket lets one through."""
        objects = self._objects("")
        try:
            objects.create(ORIGIN, origin.encode())
        except ObjectConflict as error:
            held = objects.get(ORIGIN).decode()
            raise WorkspaceError(
                f"{objects.address()} holds results from {held}, not from {origin}: name another workspace with --home"
            ) from error

    def _objects(self, folder: str) -> GcsObjects:
        return GcsObjects(bucket=self.bucket, folder=folder)
