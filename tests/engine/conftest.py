"""A house of its own for every test of the runner."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.house import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)
