"""The watch on a finished day: what was counted, who is told, and that it is told once, by the clock alone."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from prefect.variables import Variable
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from typer.testing import CliRunner

from blocks.alerts import TONIGHT
from blocks.warehouse import LocalWarehouse
from flows.self_heal import cli as heal
from flows.watch import WatchReport, cli, watch
from tasks.catalog import registry
from tasks.engine.expected import ExpectedOutputs
from tasks.engine.incidents import IncidentKind
from tasks.engine.ledger import Ledger, State
from tasks.engine.plan import plan
from tasks.engine.processor import Mode
from tests.flows.conftest import Finished, stored
from tests.leagues import eastern

Told = list[tuple[str, str, bool]]


def looked(finished: Finished, home: Path, hour: int, minute: int = 0, days: int = 0) -> WatchReport:
    now = eastern(finished.game_day + dt.timedelta(days=days), hour, minute)
    return watch(now, data=finished.folder, home=home)


def states(report: WatchReport, mode: Mode = Mode.SAME_DAY) -> dict[str, State]:
    return {
        item.owed.output: item.state
        for item in report.outputs
        if item.owed.game_day == report.game_day and item.owed.mode == mode
    }


def test_a_complete_day_is_complete_output_by_output_and_nobody_is_told(
    finished: Finished, copied: Callable[[], Path], told: Told
) -> None:
    report = looked(finished, copied(), 13, 31)
    found = states(report)
    steps = plan(Mode.SAME_DAY, finished.game_day, _schedule(finished), registry()).steps
    assert set(found) == {step.processor for step in steps} | {"publication"}
    assert set(found.values()) == {State.COMPLETE}, found
    assert set(states(report, Mode.OVERNIGHT).values()) <= {State.NOT_DUE, State.EMPTY_OK}
    assert told == []
    [published] = [
        (item.counted_rows, item.expected_rows)
        for item in report.outputs
        if item.owed.output == "publication" and item.owed.game_day == finished.game_day
    ]
    rows = finished.read("predictions").height
    assert published == (rows, rows)


def test_what_is_at_stake_tonight_is_kept_for_the_messages_that_the_server_writes(
    finished: Finished, copied: Callable[[], Path], told: Told
) -> None:
    home = copied()
    looked(finished, home, 13, 0)
    night = Variable.get(TONIGHT)
    assert isinstance(night, dict)
    assert night["game_day"] == finished.game_day.isoformat()
    assert night["games"] == finished.read("predictions")["game_id"].n_unique()
    assert night["players"] == finished.read("predictions")["player_id"].n_unique()
    assert night["due_at"] == int(eastern(finished.game_day, 13, 30).timestamp())
    assert night["published"] is True
    looked(finished, home, 9, 0, days=1)
    tomorrow = Variable.get(TONIGHT)
    assert isinstance(tomorrow, dict)
    assert (tomorrow["players"], tomorrow["published"]) == (None, False)


def test_what_is_lost_from_the_store_is_found_by_counting_and_told_once_until_it_is_back(
    finished: Finished, copied: Callable[[], Path], told: Told
) -> None:
    home = copied()
    warehouse, spec = LocalWarehouse(folder=home / "warehouse"), registry()["predictions"].writes.spec
    rows = finished.read("predictions")
    kept = rows.filter(pl.col("player_id") % 2 == 0)
    warehouse.replace(spec, finished.game_day, kept)
    report = looked(finished, home, 13, 0)
    assert states(report)["predictions"] == State.PARTIAL
    [lost] = [item for item in report.outputs if item.owed.output == "predictions" and item.state == State.PARTIAL]
    assert (lost.counted_rows, lost.expected_rows) == (kept.height, rows.height)
    assert lost.missing_sample
    assert told == [("output-partial", "predictions", True)]
    looked(finished, home, 13, 5)
    looked(finished, home, 13, 10)
    assert len(told) == 1
    warehouse.replace(spec, finished.game_day, rows)
    assert states(looked(finished, home, 13, 15))["predictions"] == State.COMPLETE
    assert told[1:] == [("output-partial", "predictions", False)]


def test_a_day_that_was_never_scheduled_misses_its_deadline_all_the_same(
    finished: Finished, copied: Callable[[], Path], told: Told
) -> None:
    home = copied()
    assert looked(finished, home, 4, 0, days=1).opened == ()
    looked(finished, home, 9, 0, days=1)
    looked(finished, home, 13, 1, days=1)
    looked(finished, home, 13, 31, days=1)
    assert told == [
        ("phase-stuck", "raw", True),  # of the night, from half past four on
        ("phase-stuck", "raw", True),  # of the day, half an hour after its run was due to start
        ("deadline-missed", "publication", True),
    ]


@pytest.mark.slow
def test_the_season_behind_is_owed_and_a_lost_day_of_it_is_found(
    finished: Finished, copied: Callable[[], Path], told: Told
) -> None:
    home = copied()
    report = looked(finished, home, 13, 31)
    ledger = Ledger(f"sqlite:///{home}/ledger.sqlite")
    season = [item for item in ExpectedOutputs(ledger).of(mode=Mode.OVERNIGHT) if item.owed.output == "schedule"]
    played = set(_schedule(finished).filter(pl.col("game_day") < finished.game_day)["game_day"])
    assert {item.owed.game_day for item in season} >= played
    assert max(day.game_day for day in ExpectedOutputs(ledger).days()) == finished.game_day + dt.timedelta(days=14)
    assert report.open == ()
    lost = sorted(played)[40]
    shutil.rmtree(home / "warehouse" / "tables" / "player_game_summary" / f"game_day={lost}")
    later = looked(finished, home, 15, 31)
    [incident] = later.opened
    assert (incident.kind, incident.subject) == (IncidentKind.OUTPUT_LATE, "history")
    assert f"1 earlier game days lack outputs (player_game_summary): {lost}" in incident.what


def test_a_day_of_which_nothing_is_known_is_told_and_is_no_day_without_games(
    finished: Finished, tmp_path: Path, told: Told
) -> None:
    empty, now = tmp_path / "nothing-there", "2025-12-29T13:31-05:00"
    at = ["--now", now, "--home", str(tmp_path / "home"), "--data"]
    runner = CliRunner(env={"COLUMNS": "300", "TERM": "dumb"})
    Variable.unset(TONIGHT)
    blind = runner.invoke(cli, [*at, str(empty)])
    assert blind.exit_code == 1
    assert Variable.get(TONIGHT) is None, "messages would say that there are no games"
    assert f"Schedule unknown: Nobody can tell whether there are games on 2025-12-29: {empty} is not a" in blind.output
    assert "nothing is owed" not in blind.output
    again, healed = runner.invoke(cli, [*at, str(empty)]), runner.invoke(heal, [*at, str(empty)])
    assert (again.exit_code, healed.exit_code) == (1, 1)
    assert "same_day 2025-12-29: nothing (nobody can tell whether there are games" in healed.output
    empty.symlink_to(finished.folder)
    runner.invoke(cli, [*at, str(empty)])
    assert [edge for edge in told if edge[0] == "schedule-unknown"] == [
        ("schedule-unknown", "today", True),
        ("schedule-unknown", "today", False),
    ]


def test_a_schedule_that_the_ledger_does_not_keep_is_unknown_too(
    finished: Finished, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OperationalError("INSERT", {}, OSError("disk full"))

    monkeypatch.setattr(ExpectedOutputs, "_seed", full)
    report = looked(finished, tmp_path / "home", 12)
    assert [incident.kind for incident in report.open] == [IncidentKind.SCHEDULE_UNKNOWN]
    assert "the ledger does not keep what the schedule says" in report.open[0].what


@pytest.mark.slow
def test_a_date_without_games_is_quiet_and_says_so(finished: Finished, copied: Callable[[], Path], told: Told) -> None:
    result = CliRunner(env={"COLUMNS": "300", "TERM": "dumb"}).invoke(
        cli,
        ["--now", "2025-12-24T13:31-05:00", "--data", str(finished.folder), "--home", str(copied())],
    )
    assert "2025-12-24: no games, so nothing is owed." in result.output
    assert not [edge for edge in told if edge[0] == "deadline-missed"]


@pytest.mark.slow
def test_after_the_last_game_of_the_season_nothing_is_owed(
    finished: Finished, copied: Callable[[], Path], told: Told
) -> None:
    report = watch(eastern(dt.date(2026, 8, 15), 13, 31), data=finished.folder, home=copied())
    assert report.outputs == ()
    assert told == []


@pytest.mark.slow
def test_a_ledger_that_cannot_be_read_is_told_once_and_when_it_is_back(
    finished: Finished, copied: Callable[[], Path], told: Told
) -> None:
    home = copied()
    path = home / "ledger.sqlite"
    good = path.read_bytes()
    for leftover in home.glob("ledger.sqlite-*"):
        leftover.unlink()
    path.write_bytes(b"not a database " * 1000)
    for minute in (0, 5, 10):
        with pytest.raises(SQLAlchemyError):
            looked(finished, home, 13, minute)
    assert told == [("ledger-unreadable", "ledger", True)]
    path.write_bytes(good)
    looked(finished, home, 13, 15)
    assert told[1:] == [("ledger-unreadable", "ledger", False)]


def _schedule(finished: Finished) -> pl.DataFrame:
    days = LocalWarehouse(folder=finished.home / "warehouse").partitions("schedule")
    return pl.concat(stored(finished.home, "schedule", day) for day in sorted(days))
