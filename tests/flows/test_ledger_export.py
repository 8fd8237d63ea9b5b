"""What the copied ledger promises: every run of the days worked on, as the ledger has it, however often copied."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.warehouse import DayRange, LocalWarehouse
from flows.ledger_export import ledger_export
from flows.run import utc_now
from tasks.engine.ledger import Ledger
from tasks.engine.ledger_table import LEDGER
from tests.fakes.cloud import Cloud
from tests.flows.conftest import Finished


def test_every_run_is_copied_as_the_ledger_has_it_and_a_second_copy_changes_nothing(
    finished: Finished, copied: Callable[[], Path]
) -> None:
    home = copied()
    recorded = Ledger(f"sqlite:///{home}/ledger.sqlite").runs()
    warehouse = LocalWarehouse(folder=home / "warehouse")
    for _ in range(2):
        assert ledger_export(data=finished.folder, home=home) == len(recorded)
        table = warehouse.read(LEDGER, DayRange())
        assert sorted(table["id"]) == sorted(row["id"] for row in recorded)
    by_id = {row["id"]: row for row in table.iter_rows(named=True)}
    for row in recorded:
        there = by_id[row["id"]]
        assert (there["state"], there["started_at"], there["rows_actual"]) == (
            row["state"],
            row["started_at"],
            row["rows_actual"],
        )
        assert json.loads(there["rows_in"] or "null") == row["rows_in"]


def test_nothing_worked_on_copies_nothing(copied: Callable[[], Path], finished: Finished) -> None:
    long_after = utc_now().replace(year=utc_now().year + 1)
    assert ledger_export(now=long_after, data=finished.folder, home=copied()) == 0


@pytest.mark.slow
def test_to_bigquery_it_is_one_load_however_many_runs_there_are(
    cloud: Cloud, copied: Callable[[], Path], finished: Finished
) -> None:
    cloud.forget()
    ledger = f"sqlite:///{copied()}/ledger.sqlite"
    cloud.workspace(ledger).save("ledger-only")
    home = Path("block:courtside-cloud-workspace/ledger-only")
    days = {row["game_day"] for row in Ledger(ledger).runs()}
    assert ledger_export(data=finished.folder, home=home) > len(days)
    assert len(cloud.bigquery.jobs) == len(days) <= 3
    cloud.forget()
