"""What a worker's start asks of the place: each fault that would stop a run later is a sentence now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import HttpUrl

from blocks.alerts import ALERTS, channel
from flows import checks
from flows.checks import channel_for, models_of, stores_of
from tasks.precompute import ml_feature_store

Copy = Callable[[], Path]


def workspace(home: Path) -> Any:
    found = checks._workspace(str(home))
    assert found is not None
    return found


def test_a_workspace_with_a_finished_day_is_fit(copied: Copy) -> None:
    home = copied()
    assert list(stores_of(workspace(home))) == list(models_of(workspace(home))) == []


def test_a_folder_that_the_first_run_will_make_is_nothing_to_complain_of(tmp_path: Path) -> None:
    assert checks._opened(str(tmp_path / "new"), stores_of) == []
    assert not (tmp_path / "new").exists(), "a check makes nothing"


def test_a_table_that_was_damaged_is_named(copied: Copy) -> None:
    home = copied()
    newest = max((home / "warehouse/tables/ml_feature_store").glob("game_day=*"))
    (data,) = newest.glob("*.parquet")
    body = data.read_bytes()
    data.unlink()
    data.write_bytes(body[:-9] + b"!" + body[-8:])
    assert any("table ml_feature_store does not read" in said for said in stores_of(workspace(home)))


def test_a_ledger_that_does_not_open_is_said(copied: Copy) -> None:
    home = copied()
    for path in home.glob("ledger.sqlite*"):  # the write-ahead log would mend it
        path.unlink()
    (home / "ledger.sqlite").write_bytes(b"no database" * 100)
    assert any("the ledger does not open" in said for said in stores_of(workspace(home)))


def test_a_model_file_that_was_swapped_is_found(copied: Copy) -> None:
    home = copied()
    swapped = next(path for path in (home / "models").rglob("*") if path.is_file() and path.name != "card.json")
    body = swapped.read_bytes()
    swapped.unlink()
    swapped.write_bytes(body + b" ")
    [said] = models_of(workspace(home))
    assert "is not what was trained" in said


def test_a_model_of_another_feature_set_is_left_to_training(copied: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    home = copied()
    for path in (home / "models").rglob("*"):
        if path.is_file() and path.name != "card.json":
            path.unlink()
    monkeypatch.setattr(checks, "FEATURE_SET_VERSION", ml_feature_store.FEATURE_SET_VERSION + 1)
    assert list(models_of(workspace(home))) == []


def test_days_that_run_by_themselves_need_somebody_who_is_told() -> None:
    [said] = channel_for(["same-day", "overnight"])
    assert "overnight, same-day run by themselves" in said
    channel(str(HttpUrl("https://hooks.example.invalid/x"))).save(ALERTS, overwrite=True)
    assert channel_for(["same-day"]) == []


def test_a_place_that_rests_needs_no_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = SimpleNamespace(name="same-day", paused=False, schedules=[SimpleNamespace(active=False)])
    monkeypatch.setattr(checks, "_deployments", lambda: [asleep])
    monkeypatch.setattr(checks, "channel_for", lambda names: ["asked"])
    assert checks.alerts() == []
    asleep.schedules[0].active = True
    assert checks.alerts() == ["asked"]


def test_a_workspace_that_cant_be_reached_is_a_sentence_and_no_traceback() -> None:
    [said] = checks._opened("block:courtside-workspace/nowhere", stores_of)
    assert said.startswith("block:courtside-workspace/nowhere can't be used: WorkspaceError")


def test_every_check_runs_against_a_server_that_knows_no_deployment() -> None:
    assert checks.stores() == checks.models() == checks.alerts() == []
