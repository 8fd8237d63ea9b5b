"""What all tests share: where real seasons lie, if anywhere, and a real Prefect server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from tests.fakes.cloud import Cloud
    from tests.prefect_server import Server

# The same examples every time, and no verdict by the clock: a shared machine is slow when it likes.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


FLOWS = "tests/flows/"
APART = "tests/flows/test_day_by_day.py"  # long, and without a use for the finished day


class _ByFileAndFlowsTogether(LoadScopeScheduling):
    """Whole files go to one process each, and all flow tests to one: they share a Prefect API and a finished day."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return FLOWS if file.startswith(FLOWS) and file != APART else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """How `pytest -n 2` shares out the tests."""
    return _ByFileAndFlowsTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest pieces first: one process has the flow tests to do alone while the other does the rest."""
    items.sort(key=lambda item: (not item.nodeid.startswith(FLOWS), item.nodeid.startswith(APART)))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder of real seasons in the layout of docs/data.md; tests that need one skip where there is none."""
    folder = os.environ.get("REAL_DATA_DIR")
    if not folder:
        pytest.skip("REAL_DATA_DIR is not set: no folder of real seasons to test on")
    return Path(folder)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One real Prefect server for all slow tests of a session that need one; workers by tests.prefect_server.worker."""
    from tests.prefect_server import serving

    with serving(tmp_path_factory.mktemp("prefect-server")) as running_server:
        yield running_server


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """BigQuery and Cloud Storage, faked at the level of HTTP and gRPC; Google's own clients talk to them."""
    from tests.fakes.cloud import serving_cloud  # Google's libraries take seconds to import

    with serving_cloud() as cloud:
        yield cloud
