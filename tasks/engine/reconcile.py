"""Reconcile: the state of an expected output from what was counted in the store, what was tried, and the time. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.engine.coverage import Counted
from tasks.engine.expected import Judged
from tasks.engine.ledger import State
from tasks.engine.processor import AT_ONCE, Mode, Need

DEAD_AFTER = dt.timedelta(minutes=30)  # a run without an end for so long has died without saying so
HEAL = "heal-"  # begins the run ids of a healer
Run = Mapping[str, Any]  # a row of processor_runs


def judge(
    before: Judged,
    counted: Counted,
    runs: Sequence[Run],
    now: dt.datetime,
    complete_at: float = 1.0,
    patience: dt.timedelta = AT_ONCE,
) -> Judged:
    """The state of `before.owed` at `now`, with its evidence.

    `runs` are all runs of the output that computed its day, of any mode, oldest first; `complete_at` is the share of
    the expected keys from which on the output is complete, `patience` how long a run waits for a source that is late
    with it. One mode's rows never answer for another's: rows count where this mode or a backfill made them, or where
    there is no record of who did.
    """
    mine = [run for run in runs if run["mode"] in (before.owed.mode.value, Mode.BACKFILL.value)]
    rows_are_mine = not runs or any(run["rows_actual"] or State(run["state"]).usable for run in mine)
    found = counted if rows_are_mine else counted.model_copy(update={"rows": 0})
    state, evidence = _judge(before, found, mine, now, complete_at)
    until = awaited_until(mine, patience)
    if state == State.FAILED and until is not None and now < min(until, before.owed.expected_by):
        state, evidence = State.EXPECTED, [*evidence, f"its source is asked again until {until:%H:%M} UTC"]
    return before.model_copy(
        update={
            "state": state,
            "since": before.since if state == before.state else now,
            "expected_rows": counted.expected,
            "counted_rows": found.rows,
            "missing_sample": counted.sample if found.rows else (),
            "evidence": tuple(evidence),
            "attempts": sum(run["mode"] == before.owed.mode.value for run in mine),
            "reconciled_at": now,
        }
    )


def in_progress(run: Run, now: dt.datetime) -> bool:
    """Whether a run is at work: it has begun, has not ended, and is not so old that it must have died."""
    return run["state"] == State.RUNNING and now - run["started_at"] < DEAD_AFTER


def lacking(run: Run) -> bool:
    """Whether a run went well and found that its source has not published everything yet."""
    return run["state"] in (State.FAILED, State.PARTIAL) and not run["error_class"]


def awaited_until(runs: Sequence[Run], patience: dt.timedelta) -> dt.datetime | None:
    """Until when the run at work asks again for what its source lacks, by the runs of that output; None: it does not.

    A healer does not wait: it comes back.
    """
    if not patience or not runs or not lacking(runs[-1]) or runs[-1]["run_id"].startswith(HEAL):
        return None
    began: dt.datetime = min(run["started_at"] for run in runs if run["run_id"] == runs[-1]["run_id"])
    return began + patience


def _judge(
    before: Judged, counted: Counted, mine: Sequence[Run], now: dt.datetime, complete_at: float
) -> tuple[State, list[str]]:
    owed, last = before.owed, mine[-1] if mine else None
    if not owed.games:
        return State.EMPTY_OK, ["every game of the day was called off"]
    running = [f"attempt {last['attempt']} is running since {_at(last)}"] if last and in_progress(last, now) else []
    if counted.unreadable:
        return State.FAILED, [counted.unreadable]
    if counted.rows:
        return _of_rows(counted, last, running, complete_at)
    if running:
        return State.RUNNING, running
    if last is not None and last["state"] == State.RUNNING:
        return State.FAILED, [f"attempt {last['attempt']} began {_at(last)} and never ended"]
    if last is not None and last["state"] in (State.FAILED, State.BLOCKED):
        return State(last["state"]), [f"attempt {last['attempt']} failed: {_error(last)}"]
    if last is not None and last["state"] == State.EMPTY_OK and not owed.critical:
        return State.EMPTY_OK, ["the run found nothing to write, and nothing was due"]
    if owed.need == Need.OPTIONAL and counted.expected == 0:
        return State.EMPTY_OK, ["nothing is due"]
    if last is not None and State(last["state"]).usable and counted.expected == 0 and not owed.critical:
        return State.EMPTY_OK, ["by its inputs nothing is expected"]
    if last is not None and State(last["state"]).usable:
        return State.FAILED, [f"attempt {last['attempt']} ended as {last['state']}, and its rows are not in the store"]
    if now < owed.starts_at:
        return State.NOT_DUE, []
    return (State.LATE if now >= owed.expected_by else State.EXPECTED), ["no run has begun"]


def _of_rows(counted: Counted, last: Run | None, running: list[str], complete_at: float) -> tuple[State, list[str]]:
    if counted.share < complete_at:
        there = (counted.expected or 0) - counted.missing
        share = f"{there} of {counted.expected} expected keys are in the store"
        return (State.RUNNING if running else State.PARTIAL), [share, *running]
    if last is not None and last["state"] in (State.FAILED, State.BLOCKED):
        return State.DEGRADED, [f"the rows are of an earlier run: attempt {last['attempt']} failed: {_error(last)}"]
    if last is not None and last["state"] in (State.DEGRADED, State.PARTIAL):
        return State.DEGRADED, [*(last["degraded_reasons"] or ["its run was degraded"]), *running]
    return State.COMPLETE, running


def _error(run: Run) -> str:
    reasons = "; ".join(run["degraded_reasons"] or [])
    said = f"{run['error_class']}: {run['error_message']}" if run["error_class"] else reasons or "no reason is recorded"
    return str(said).split("\n")[0]


def _at(run: Run) -> str:
    return f"{run['started_at']:%H:%M} UTC"
