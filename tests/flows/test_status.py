"""Status on a finished day: what it answers, and that it says so when the store or the ledger is not what it was."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from typer.testing import CliRunner

from flows.status import cli
from tests.flows.conftest import Finished


def status(finished: Finished, home: Path, *more: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), "--game-day", str(finished.game_day), *more])


def test_a_finished_day_is_fine_with_every_row_counted(finished: Finished) -> None:
    found = status(finished, finished.home, "--json")
    night = json.loads(found.stdout)
    rows = finished.read("predictions").height
    assert (found.exit_code, night["verdict"]["level"]) == (0, "fine")
    assert (night["rows"], night["expected"]) == (rows, rows)
    assert sum(there for game in night["coverage"] for there, _ in game["systems"].values()) == rows
    assert {phase["state"] for phase in night["phases"]} == {"COMPLETE"}
    assert len(night["predictions"]) == rows / len(night["coverage"][0]["systems"])


def test_the_answer_in_the_terminal_is_one_line_a_table_and_the_next_step(finished: Finished) -> None:
    lines = status(finished, finished.home).stdout.splitlines()
    assert lines[0].startswith("✓ FINE")
    assert any("predictions" in line and "COMPLETE" in line for line in lines)
    assert lines[-1] == "Next: Nothing."


def test_prefects_own_ui_has_the_night_as_an_artifact(finished: Finished) -> None:
    with get_client(sync_client=True) as client:
        nights = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["tonight"])))
    fine = [night for night in nights if str(night.data).startswith(f"# ✓ Fine: {finished.game_day}")]
    assert fine  # beside those of the runs that other tests have put faults into
    assert {str(night.description).startswith("Fine: ") for night in fine} == {True}


def test_lost_rows_are_seen_although_every_run_said_complete(finished: Finished, copied: Callable[[], Path]) -> None:
    home = copied()
    shutil.rmtree(home / "warehouse" / "tables" / "predictions" / f"game_day={finished.game_day}")
    found = status(finished, home)
    assert found.exit_code == 2
    assert "predictions is FAILED" in found.stdout
    assert "its rows are not in the store" in found.stdout


def test_a_damaged_ledger_is_failing_and_the_rest_is_still_shown(
    finished: Finished, copied: Callable[[], Path]
) -> None:
    home = copied()
    for log in home.glob("ledger.sqlite-*"):
        log.unlink()
    (home / "ledger.sqlite").write_bytes(b"this is no database" * 500)
    found = status(finished, home)
    assert found.exit_code == 2
    assert found.stdout.startswith("✕ FAILING")
    assert "The ledger cannot be read" in found.stdout
    assert "runbook docs/runbook.md#ledger-unreadable" in found.stdout


def test_a_look_at_an_empty_folder_says_so_and_leaves_it_empty(finished: Finished, tmp_path: Path) -> None:
    home = tmp_path / "nothing"
    found = status(finished, home)
    assert (found.exit_code, home.exists()) == (2, False)
    assert "Nothing has ever run here" in found.stdout


def test_to_look_is_not_to_fetch_so_no_source_is_imported() -> None:
    """They are a third of what a run imports, and whoever asks at 1 AM waits for it."""
    seen = "print([name for name in sys.modules if name.startswith(('tasks.sources.live', 'nba_api', 'lightgbm'))])"
    done = subprocess.run([sys.executable, "-c", f"import sys, flows.status; {seen}"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
