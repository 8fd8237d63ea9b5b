"""The ledger's promises on PostgreSQL, where the machine has one: by its URL alone, with the same numbers."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy.util import greenlet_spawn

from tasks.engine.expected import ExpectedOutputs
from tasks.engine.ledger import Ledger, State
from tests.engine.ledger_writer import AT, DAY, write
from tests.engine.test_expected import NOW, seeded
from tests.postgres import needs_postgres, running_postgres

T = TypeVar("T")
# SQLAlchemy's own driver for postgresql:// is psycopg; without it the same statements go through asyncpg.
DRIVER = "postgresql" if importlib.util.find_spec("psycopg") else "postgresql+asyncpg"

pytestmark = [
    pytest.mark.slow,
    needs_postgres,
    pytest.mark.skipif(
        DRIVER != "postgresql" and importlib.util.find_spec("asyncpg") is None,
        reason="no PostgreSQL driver (psycopg or asyncpg) is installed",
    ),
]


def reached(work: Callable[[], T]) -> T:
    """What `work` gives, with the ledger's statements going through whichever driver there is."""
    return work() if DRIVER == "postgresql" else asyncio.run(greenlet_spawn(work))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A PostgreSQL of our own, by its URL."""
    with running_postgres() as database:
        yield f"{DRIVER}://{database}"


def test_a_row_comes_back_from_postgresql_as_from_sqlite(url: str, tmp_path: Path) -> None:
    def one_row(at: str) -> dict[str, object]:
        ledger = Ledger(at)
        row = ledger.started(
            run_id="one-row",
            processor="schedule",
            phase=2,
            mode="same_day",
            first_game_day=DAY,
            game_day=DAY,
            at=AT,
        )
        ledger.ended(
            row,
            state=State.PARTIAL,
            at=AT,
            duration_s=1.5,
            rows_in={"found": 12},
            missing_sample=["2025-12-29 / 0022500441"],
            degraded_reasons=[],
            error_message=None,
        )
        assert ledger.faults == 0
        [found] = ledger.runs(run_id="one-row")
        return {name: value for name, value in found.items() if name != "id"}

    there = reached(lambda: one_row(url))
    assert there == one_row(f"sqlite:///{tmp_path}/ledger.sqlite")
    assert there["started_at"] == AT


def test_writers_at_once_lose_no_row_and_share_no_attempt(url: str) -> None:
    def writer(_: int) -> int:
        def work() -> int:
            ledger = Ledger(url)
            write(ledger, 25)
            return ledger.faults

        return reached(work)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(writer, range(3))) == [0, 0, 0]
    rows = reached(lambda: Ledger(url).runs(processors=["team_box_scores"]))
    assert sorted(row["attempt"] for row in rows) == list(range(1, 76))
    assert {row["state"] for row in rows} == {"COMPLETE"}


def test_expected_outputs_on_postgresql_are_those_on_sqlite(url: str, tmp_path: Path) -> None:
    def there(at: str) -> list[object]:
        expected = ExpectedOutputs(Ledger(at))
        assert seeded(expected) > 50
        assert seeded(expected) == 0
        changed = [
            item.model_copy(update={"state": State.PARTIAL, "since": NOW, "missing_sample": ("a",), "attempts": 2})
            for item in expected.of(states=[State.NOT_DUE])
        ]
        expected.settle(changed)
        assert expected.ledger.faults == 0
        found = expected.of()
        assert found == changed
        return [*found, *expected.days()]

    assert reached(lambda: there(url)) == there(f"sqlite:///{tmp_path}/expected.sqlite")


def test_seeding_at_once_makes_every_row_once(url: str) -> None:
    def seed(_: int) -> int:
        def work() -> int:
            expected = ExpectedOutputs(Ledger(url))
            seeded(expected)
            return expected.ledger.faults

        return reached(work)

    reached(lambda: Ledger(url).connect().connect().close())
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(seed, range(3))) == [0, 0, 0]
