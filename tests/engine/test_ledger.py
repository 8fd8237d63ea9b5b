"""What the ledger promises: one row per processor run, attempts that only count up, and that it never costs a run."""

from __future__ import annotations

import datetime as dt
import logging
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tasks.engine.ledger import Ledger, State

REPOSITORY = Path(__file__).parents[2]
WRITER = Path(__file__).with_name("ledger_writer.py")
DAY = dt.date(2025, 12, 29)
AT = dt.datetime(2025, 12, 29, 17, 30, 5, 250_000, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.sqlite"


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger(url)


def started(ledger: Ledger, processor: str = "schedule", **other: Any) -> str:
    facts = {
        "run_id": "run-1",
        "phase": 2,
        "mode": "same_day",
        "first_game_day": DAY,
        "game_day": DAY,
        "at": AT,
        **other,
    }
    return ledger.started(processor=processor, **facts)


def test_a_run_is_running_from_its_start_and_closed_with_what_was_found(ledger: Ledger) -> None:
    row = started(ledger, flow_run_id="flow-1", fingerprint="sha256:abc")
    [running] = ledger.runs()
    assert (running["state"], running["attempt"], running["ended_at"]) == (State.RUNNING, 1, None)
    ledger.ended(
        row,
        state=State.PARTIAL,
        at=AT + MINUTE,
        duration_s=60.0,
        rows_in={"found": 12},
        rows_expected=158,
        rows_actual=68,
        rows_refused=2,
        missing_sample=["2025-12-29 / 0022500441"],
        degraded_reasons=["90 of 158 expected keys are missing"],
        stand_ins=["rosters"],
        error_class=None,
        error_message=None,
    )
    assert ledger.runs() == [
        {
            "id": row,
            "run_id": "run-1",
            "flow_run_id": "flow-1",
            "processor": "schedule",
            "phase": 2,
            "mode": "same_day",
            "game_day": DAY,
            "first_game_day": DAY,
            "attempt": 1,
            "state": "PARTIAL",
            "rows_in": {"found": 12},
            "rows_expected": 158,
            "rows_actual": 68,
            "rows_refused": 2,
            "missing_sample": ["2025-12-29 / 0022500441"],
            "degraded_reasons": ["90 of 158 expected keys are missing"],
            "error_class": None,
            "error_message": None,
            "fault": None,
            "dependency": None,
            "fingerprint": "sha256:abc",
            "started_at": AT,
            "ended_at": AT + MINUTE,
            "duration_s": 60.0,
            "stand_ins": ["rosters"],
        }
    ]
    assert ledger.faults == 0


def test_instants_come_back_in_utc_whatever_zone_they_were_given_in(ledger: Ledger) -> None:
    started(ledger, at=AT.astimezone(dt.timezone(dt.timedelta(hours=-5))))
    [row] = ledger.runs()
    assert row["started_at"] == AT
    assert row["started_at"].utcoffset() == dt.timedelta(0)


def test_attempts_of_an_output_only_count_up(ledger: Ledger) -> None:
    for turn, (state, run_id) in enumerate(
        [(State.FAILED, "run-1"), (State.COMPLETE, "run-1"), (State.COMPLETE, "run-2")]
    ):
        row = started(ledger, run_id=run_id, at=AT + turn * MINUTE)
        ledger.ended(row, state=state, at=AT + turn * MINUTE, duration_s=1.0)
    assert [row["attempt"] for row in ledger.runs()] == [1, 2, 3]


def test_attempts_are_counted_for_each_output_day_and_mode(ledger: Ledger) -> None:
    for other in (
        {},
        {"processor": "rosters"},
        {"game_day": DAY + dt.timedelta(days=1)},
        {"mode": "overnight"},
    ):
        started(ledger, **other)
    assert [row["attempt"] for row in ledger.runs()] == [1, 1, 1, 1]
    assert started(Ledger(ledger.url))
    assert sorted(row["attempt"] for row in ledger.runs(processors=["schedule"])) == [1, 1, 1, 2]


def test_runs_are_found_by_run_day_and_processor_oldest_first(ledger: Ledger) -> None:
    started(ledger, "rosters", run_id="run-2", at=AT + MINUTE)
    started(ledger, "schedule", at=AT)
    started(ledger, "schedule", game_day=DAY + dt.timedelta(days=1), at=AT + 2 * MINUTE)

    def found(**by: Any) -> list[tuple[str, str]]:
        return [(row["processor"], row["run_id"]) for row in ledger.runs(**by)]

    assert found() == [("schedule", "run-1"), ("rosters", "run-2"), ("schedule", "run-1")]
    assert found(run_id="run-2") == [("rosters", "run-2")]
    assert found(game_day=DAY) == [("schedule", "run-1"), ("rosters", "run-2")]
    assert found(processors=["rosters"], game_day=DAY) == [("rosters", "run-2")]
    assert found(processors=[]) == []


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all/ledger.sqlite",
        "not a url",
        "oracle+nosuchdriver://host/base",
        "mssql+pymssql://host/base",
    ],
    ids=["no folder", "no url", "no dialect", "no driver"],
)
def test_a_ledger_that_cannot_be_reached_costs_no_run(url: str, caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger(url)
    with caplog.at_level(logging.ERROR):
        row = started(ledger)
        ledger.ended(row, state=State.COMPLETE, at=AT, duration_s=1.0)
    assert ledger.faults == 2
    assert [record.message.split(" (")[0] for record in caplog.records] == [
        "the ledger could not open a row",
        "the ledger could not close a row",
    ]


def test_a_file_that_is_no_ledger_costs_no_run_and_is_left_as_it_is(tmp_path: Path, ledger: Ledger) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("a person's notes, not a database. " * 100)
    before = path.read_bytes()
    ledger.ended(started(ledger), state=State.COMPLETE, at=AT, duration_s=1.0)
    assert ledger.faults == 2
    assert path.read_bytes() == before


def test_an_instant_without_a_zone_is_a_fault_and_no_row(ledger: Ledger) -> None:
    started(ledger, at=AT.replace(tzinfo=None))
    assert ledger.faults == 1
    assert ledger.runs() == []


def test_a_ledger_that_recovers_goes_on_recording(tmp_path: Path, ledger: Ledger) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("not a database " * 100)
    started(ledger)
    path.unlink()
    started(ledger)
    assert ledger.faults == 1
    assert len(ledger.runs()) == 1


def test_sqlite_writes_ahead_so_that_readers_do_not_stop_writers(ledger: Ledger, url: str) -> None:
    started(ledger)
    reader = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM processor_runs").fetchone() == (1,)
    started(ledger)
    assert reader.execute("SELECT count(*) FROM processor_runs").fetchone() == (1,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM processor_runs").fetchone() == (2,)
    reader.close()
    assert ledger.faults == 0


def test_two_processes_on_a_new_ledger_lose_no_row_and_share_no_attempt(url: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    writers = [
        subprocess.Popen(
            [sys.executable, str(WRITER), url, "60"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.communicate(timeout=60)[0] for writer in writers] == ["0\n", "0\n"]
    rows = Ledger(url).runs()
    assert sorted(row["attempt"] for row in rows) == list(range(1, 121))
    assert {row["state"] for row in rows} == {"COMPLETE"}


def test_the_same_attempt_cannot_be_recorded_twice(ledger: Ledger, url: str) -> None:
    started(ledger)
    [row] = ledger.runs()
    copy = sa.text(
        "INSERT INTO processor_runs (id, run_id, processor, phase, mode, game_day, first_game_day, attempt, state, "
        "started_at) SELECT 'other', run_id, processor, phase, mode, game_day, first_game_day, attempt, state, "
        "started_at FROM processor_runs"
    )
    with pytest.raises(sa.exc.IntegrityError), sa.create_engine(url).begin() as connection:
        connection.execute(copy)
    assert ledger.runs() == [row]


@pytest.mark.parametrize("state", State)
def test_only_what_holds_rows_or_owes_none_is_usable(state: State) -> None:
    assert state.usable == (state.value in ("COMPLETE", "DEGRADED", "PARTIAL", "EMPTY_OK"))
