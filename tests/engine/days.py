"""Owed outputs and runs of a day, to judge and to watch."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tasks.engine.expected import Judged, Owed
from tasks.engine.ledger import State
from tasks.engine.processor import Mode, Need, Phase
from tests.leagues import eastern

DAY = dt.date(2025, 12, 29)
MINUTE = dt.timedelta(minutes=1)
START, DUE = eastern(DAY, 12, 30), eastern(DAY, 13, 30)


def owed(output: str = "predictions", phase: Phase = Phase.PREDICTIONS, **other: Any) -> Owed:
    """What same-day owes: one output, critical, from 12:30 to 1:30 PM ET, for eleven games."""
    facts = {
        "game_day": DAY,
        "mode": Mode.SAME_DAY,
        "need": Need.REQUIRED,
        "critical": True,
        "starts_at": START,
        "expected_by": DUE,
        "games": 11,
    }
    return Owed(output=output, phase=phase, **(facts | other))


def judged(state: State = State.NOT_DUE, item: Owed | None = None, since: dt.datetime = START) -> Judged:
    return Judged(owed=item or owed(), state=state, since=since)


def run(state: State = State.COMPLETE, at: dt.datetime = START, **other: Any) -> dict[str, Any]:
    """A row of processor_runs: predictions of the day by same-day, ended a minute after it began."""
    row = {
        "run_id": "run-1",
        "processor": "predictions",
        "phase": 5,
        "mode": "same_day",
        "first_game_day": DAY,
        "game_day": DAY,
        "attempt": 1,
        "state": state.value,
        "rows_actual": 790 if state.usable else 0,
        "degraded_reasons": [],
        "error_class": "LostRows" if state == State.FAILED else None,
        "error_message": "790 rows were written and 340 are in the store" if state == State.FAILED else None,
        "fault": None,
        "started_at": at,
        "ended_at": None if state == State.RUNNING else at + MINUTE,
    }
    return row | other
