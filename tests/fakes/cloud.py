"""A Google Cloud for a test: BigQuery and Cloud Storage fakes, and a service account whose tokens they issue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import credentials
from prefect_gcp.cloud_storage import GcsBucket
from prefect_gcp.credentials import GcpCredentials
from pydantic import SecretStr

from blocks.bigquery import BigQueryWarehouse
from blocks.cloud import CloudWorkspace
from tests.fakes.bigquery import FakeBigQuery
from tests.fakes.bigquery_storage import serving_reads
from tests.fakes.http import serving
from tests.fakes.storage import FakeStorage

BOUNDARY = "_maybe_start_regional_access_boundary_refresh"
PROJECT = "courtside-test"
DATASET = "points"
BUCKET = "courtside-test-bucket"


@dataclass(frozen=True)
class Cloud:
    """The fakes, where they answer, and the service account that they trust."""

    bigquery: FakeBigQuery
    storage: FakeStorage
    credentials: GcpCredentials
    reads: str
    environment: dict[str, str]

    def warehouse(self, **settings: Any) -> BigQueryWarehouse:
        """A new warehouse on the fake, as another process would open it."""
        settings = {"patience_s": 5.0, **settings}
        return BigQueryWarehouse(credentials=self.credentials, dataset=DATASET, read_endpoint=self.reads, **settings)

    def bucket(self, folder: str = "") -> GcsBucket:
        """The bucket, as prefect-gcp's block."""
        return GcsBucket(bucket=BUCKET, gcp_credentials=self.credentials, bucket_folder=folder)

    def workspace(self, ledger: str) -> CloudWorkspace:
        """A workspace on the fakes, with the ledger at this URL."""
        return CloudWorkspace(warehouse=self.warehouse(), bucket=self.bucket("pipeline"), ledger=SecretStr(ledger))

    def forget(self) -> None:
        """Begin anew with nothing in it."""
        self.bigquery.forget()
        self.storage.forget()


@contextmanager
def serving_cloud() -> Iterator[Cloud]:
    """A cloud while it runs; the addresses are in the environment, where Google's clients look for them."""
    bigquery, storage = FakeBigQuery(DATASET), FakeStorage(BUCKET)
    with ExitStack() as stack:
        tables = stack.enter_context(serving(bigquery))
        objects = stack.enter_context(serving(storage))
        reads = stack.enter_context(serving_reads(bigquery))
        environment = {
            "BIGQUERY_EMULATOR_HOST": tables,
            "STORAGE_EMULATOR_HOST": objects,
        }
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in environment.items():
            patch.setenv(name, value)
        # Google's library asks iamcredentials.googleapis.com about every service account, whatever its token's address.
        patch.setattr(credentials.CredentialsWithRegionalAccessBoundary, BOUNDARY, lambda *_: None)
        credentials_block = GcpCredentials(service_account_info=account(f"{tables}/token"))
        yield Cloud(bigquery, storage, credentials_block, reads, environment)


@lru_cache(maxsize=1)
def _key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def account(token_uri: str) -> dict[str, str]:
    """A service account's key file, made here, whose tokens are issued at `token_uri`."""
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "made-for-a-test",
        "private_key": _key(),
        "client_email": f"pipeline@{PROJECT}.iam.gserviceaccount.com",
        "token_uri": token_uri,
    }
