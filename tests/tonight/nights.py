"""Nights to look at: what is owed on a day of two games, in any states, at any hour."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from blocks.warehouse import LocalWarehouse
from tasks.catalog import registry
from tasks.engine.coverage import Counted
from tasks.engine.expected import ExpectedOutputs, GameDay, Judged
from tasks.engine.ledger import Ledger, State
from tasks.engine.processor import Mode
from tasks.engine.season import game_days, owed
from tasks.publishing.publication import Manifest
from tasks.tonight.gathering import Facts
from tests.leagues import DAY, EASTERN

RELEASE = "42+d2029b67f46a"
DEADLINE = dt.datetime.combine(DAY, dt.time(13, 30), EASTERN)
TIP_OFF = dt.datetime.combine(DAY, dt.time(19, 0), EASTERN)
EXPECTED = 100


def at(hour: int, minute: int = 0, days: int = 0) -> dt.datetime:
    """An hour of the day in New York."""
    return dt.datetime.combine(DAY + dt.timedelta(days=days), dt.time(hour, minute), EASTERN).astimezone(dt.UTC)


def schedule(status: str = "scheduled") -> pl.DataFrame:
    """Two games on the day and one the day before."""
    teams = {"home_team": "LAL", "away_team": "BOS", "status": status}
    tips = [TIP_OFF - dt.timedelta(days=1), TIP_OFF, TIP_OFF]
    rows = [
        {"game_id": f"00225{n}", "game_day": tip.date(), "tip_off": tip.astimezone(dt.UTC), **teams}
        for n, tip in enumerate(tips)
    ]
    return pl.DataFrame(rows, schema_overrides={"tip_off": pl.Datetime("us", "UTC")})


def days(seen_at: dt.datetime | None = None) -> list[GameDay]:
    """The week around the day as the schedule has it, known since long before."""
    week = dt.timedelta(days=3)
    return game_days(schedule(), DAY - week, DAY + week, seen_at or at(4, days=-3))


def night(
    now: dt.datetime,
    states: Mapping[str, State] | State = State.COMPLETE,
    **more: Any,
) -> Facts:
    """A night at `now`: outputs by name in these states (any other COMPLETE), last night's results complete."""
    known = more.pop("days", None) or days()
    both = [day for day in known if day.games]
    judged, counted = [], {}
    for item in owed(both, registry(), DAY):
        tonights = item.mode == Mode.SAME_DAY and item.game_day == DAY
        if not tonights and (item.mode == Mode.SAME_DAY or item.game_day == DAY or item.phase >= 5):
            continue
        state = states if isinstance(states, State) else states.get(item.output, State.COMPLETE)
        one = Judged(owed=item, state=state if tonights else State.COMPLETE, since=item.starts_at)
        there = EXPECTED if one.state.usable else 0
        there = 60 if one.state == State.PARTIAL else there
        counted[item.key] = Counted(rows=there, expected=EXPECTED, missing=EXPECTED - there)
        judged.append(one.model_copy(update={"counted_rows": there, "expected_rows": EXPECTED}))
    given: dict[str, Any] = {"game_day": DAY, "now": now, "origin": "a test", "days": known}
    return Facts(**given | {"judged": judged, "counted": counted} | more)


def manifest(published: dt.datetime, **more: Any) -> Manifest:
    """A whole publication."""
    values: dict[str, Any] = {
        "game_day": DAY, "mode": "same_day", "run_id": "r", "release": RELEASE, "as_of": at(12, 30),
        "published_at": published, "games": (), "dropped_games": (), "eligible_players": 20, "systems": ("ensemble",),
        "expected_rows": EXPECTED, "rows": EXPECTED, "missing": (), "degraded": False, "reasons": (),
        "model_ids": (), "files": {}, "version": "v",
    }  # fmt: skip
    return Manifest(**values | more)


def run(processor: str, started: dt.datetime, **more: Any) -> dict[str, Any]:
    """A row of processor_runs."""
    values: dict[str, Any] = {
        "processor": processor, "mode": "same_day", "phase": 3, "game_day": DAY, "first_game_day": DAY, "attempt": 1,
        "state": "COMPLETE", "started_at": started, "ended_at": started + dt.timedelta(seconds=2), "duration_s": 2.0,
        "fingerprint": RELEASE, "flow_run_id": None, "dependency": None, "fault": None, "error_class": None,
        "error_message": None, "degraded_reasons": None, "rows_actual": EXPECTED,
    }  # fmt: skip
    return values | more


def graded(home: Path, first: int = -35, last: int = 5) -> None:
    """Accuracy of the days around DAY as grading keeps it, in a workspace that knows of the day.

    The ensemble's error is 5 points, the line's 5.1, on 100 players; on even days of the month the ensemble's is 5.2,
    on DAY itself no player had a line to compare.
    """
    ExpectedOutputs(Ledger(f"sqlite:///{home / 'ledger.sqlite'}")).seed(days(), [])
    warehouse, spec = LocalWarehouse(folder=home / "warehouse"), registry()["accuracy_daily"].writes.spec
    for ahead in range(first, last):
        day = DAY + dt.timedelta(days=ahead)
        ours, line = 5.2 if day.day % 2 == 0 else 5.0, None if day == DAY else 5.1
        rows = [
            {"game_day": day, "system": system, "population": population, "n": 100, "mae": error, "line_mae": line}
            for system, error in (("ensemble", ours), ("moving_average", 9.0))
            for population in ("all", "with_line")
        ]
        others = {name: 0 for name in spec.schema if name not in rows[0]}
        warehouse.replace(spec, day, pl.DataFrame([row | others for row in rows], schema=spec.schema))
