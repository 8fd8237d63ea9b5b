"""The cloud that the tests of the stores share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fakes.cloud import Cloud


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """BigQuery and Cloud Storage, faked at the level of HTTP and gRPC; Google's own clients talk to them."""
    from tests.fakes.cloud import serving_cloud  # Google's libraries take seconds to import

    with serving_cloud() as cloud:
        yield cloud
