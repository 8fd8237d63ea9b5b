"""What all tests share: where real seasons lie, if anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder of real seasons in the layout of docs/data.md; tests that need one skip where there is none."""
    folder = os.environ.get("REAL_DATA_DIR")
    if not folder:
        pytest.skip("REAL_DATA_DIR is not set: no folder of real seasons to test on")
    return Path(folder)
