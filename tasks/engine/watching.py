"""What a person has to be told about the outputs of the days: pure, from their judged states, the runs and the time.

One cause is one incident: what waits for a failed output is told with it, not beside it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from pydantic import Field

from tasks.engine.expected import Judged
from tasks.engine.incidents import Incident, IncidentKind, in_new_york
from tasks.engine.ledger import State
from tasks.engine.plan import Frozen
from tasks.engine.processor import Mode, Need, Phase
from tasks.engine.reconcile import Run

WATCHED = (
    IncidentKind.DEADLINE_MISSED,
    IncidentKind.DEADLINE_AT_RISK,
    IncidentKind.PHASE_STUCK,
    IncidentKind.OUTPUT_LATE,
    IncidentKind.OUTPUT_PARTIAL,
    IncidentKind.OUTPUT_FAILED,
)
SHOWN = 5
HISTORY = "history"
_NOT_BEGUN = (State.NOT_DUE, State.EXPECTED, State.LATE)


class WatchPolicy(Frozen):
    """When the watch speaks."""

    stuck_after: dt.timedelta = Field(
        dt.timedelta(minutes=30),
        description="How long a phase may lack an output, or its first run, until it is stuck.",
    )


def incidents(
    outputs: Sequence[Judged],
    runs: Sequence[Run],
    now: dt.datetime,
    policy: WatchPolicy | None = None,
    needed: Mapping[tuple[str, str], float] | None = None,
    players: Mapping[dt.date, int | None] | None = None,
) -> list[Incident]:
    """Every incident that is true at `now` of these outputs.

    `needed` holds each (mode, output)'s usual seconds, `players` how many are to be predicted, where that is known.
    """
    rules = policy or WatchPolicy()
    ordered = sorted(outputs, key=lambda item: (item.owed.game_day, item.owed.mode, item.owed.phase, item.owed.output))
    found: list[Incident] = []
    for (day, mode), group in groupby(ordered, key=lambda item: (item.owed.game_day, item.owed.mode)):
        mine = [run for run in runs if run["mode"] == mode.value and run["first_game_day"] <= day <= run["game_day"]]
        found += _of_day(_Day(list(group), mine, now, rules, (players or {}).get(day)), needed or {})
    return found


def forgotten(outputs: Sequence[Judged], now: dt.datetime) -> list[Incident]:
    """The one incident of earlier days whose results were never taken in, however many they are."""
    lacking = [item for item in outputs if _wrong(item) and item.owed.mode == Mode.OVERNIGHT]
    days = sorted({item.owed.game_day for item in lacking})
    if not days:
        return []
    names = sorted({item.owed.output for item in lacking})
    shown = ", ".join(map(str, days[:SHOWN])) + (f" and {len(days) - SHOWN} more" if len(days) > SHOWN else "")
    return [
        Incident(
            kind=IncidentKind.OUTPUT_LATE,
            subject=HISTORY,
            what=f"{len(days)} earlier game days lack outputs ({', '.join(names[:SHOWN])}): {shown}",
            since=min(item.owed.expected_by for item in lacking),
            impact="Every average that counts these games is made without them.",
            next_step=f"python -m flows.history --start {days[0]} --end {days[-1]}",
        )
    ]


def undecided(outputs: Sequence[Judged]) -> set[tuple[Mode | None, dt.date | None]]:
    """Runs at work: whether their day's incidents are over is not known yet."""
    return {(item.owed.mode, item.owed.game_day) for item in outputs if item.state == State.RUNNING}


class _Day:
    """The outputs and runs of one mode and game day, at one instant."""

    def __init__(
        self, outputs: list[Judged], runs: list[Run], now: dt.datetime, rules: WatchPolicy, players: int | None
    ) -> None:
        self.outputs, self.runs, self.now, self.rules, self.players = outputs, runs, now, rules, players
        self.required = [item for item in outputs if item.owed.need == Need.REQUIRED]
        self.wrong = [item for item in self.required if _wrong(item)]
        self.owed = outputs[0].owed
        self.due = now >= self.owed.expected_by

    def incident(self, kind: IncidentKind, subject: str, what: str, since: dt.datetime) -> Incident:
        """An incident of this day, with who is affected and what to do."""
        waiting = len([item for item in self.wrong if item.owed.output not in what])
        after = f" {waiting} more outputs wait for it." if waiting else ""
        who = f"{self.owed.games} games" + (f", {self.players} players" if self.players else "")
        mode = self.owed.mode
        return Incident(
            kind=kind,
            subject=subject,
            mode=mode,
            game_day=self.owed.game_day,
            what=what,
            since=since,
            impact=f"{who}.{after} Due {in_new_york(self.owed.expected_by)}{self._left()}.",
            next_step=f"python -m flows.daily --mode {mode} --game-day {self.owed.game_day}, if self-heal has given up",
        )

    def _left(self) -> str:
        minutes = round((self.owed.expected_by - self.now).total_seconds() / 60)
        return f", {minutes} minutes left" if minutes > 0 else ""


def _of_day(day: _Day, needed: Mapping[tuple[str, str], float]) -> Iterator[Incident]:
    if not day.wrong or not day.owed.games:
        return
    stuck = next(_stuck(day), None)
    late = [item for item in day.wrong if item.owed.critical and item.owed.phase == _last_phase(day)]
    missed = day.owed.mode == Mode.SAME_DAY and day.due and late
    if missed:
        names = _listed(late)
        yield day.incident(IncidentKind.DEADLINE_MISSED, late[0].owed.output, names, day.owed.expected_by)
    elif day.owed.mode == Mode.SAME_DAY and not day.due:
        yield from _at_risk(day, needed)
    if stuck is not None:
        yield stuck
    failed = [item for item in day.wrong if item.state in (State.FAILED, State.BLOCKED)]
    partial = [item for item in day.wrong if item.state == State.PARTIAL and (item.owed.critical or day.due)]
    overdue = [item for item in day.wrong if item.state == State.LATE] if not missed and stuck is None else []
    for kind, items in (
        (IncidentKind.OUTPUT_FAILED, failed),
        (IncidentKind.OUTPUT_PARTIAL, partial),
        (IncidentKind.OUTPUT_LATE, overdue),
    ):
        if items:
            first = [item for item in items if item.owed.phase == items[0].owed.phase]
            since = day.owed.expected_by if kind == IncidentKind.OUTPUT_LATE else min(item.since for item in first)
            yield day.incident(kind, _name(first[0].owed.phase), _listed(first), since)


def _stuck(day: _Day) -> Iterator[Incident]:
    """The first phase that lacks a required output for too long, or was never started: the loudest case."""
    begins = day.owed.starts_at
    for phase, group in groupby(day.required, key=lambda item: item.owed.phase):
        outputs = list(group)
        if all(item.state.usable for item in outputs):
            ended = [run["ended_at"] for run in day.runs if run["phase"] == phase and run["ended_at"]]
            begins = max([begins, *ended])
            continue
        begun = [run["started_at"] for run in day.runs if run["phase"] == phase]
        since = min(begun) if begun else begins
        missing = [item for item in outputs if item.state in (*_NOT_BEGUN, State.RUNNING)]
        if missing and day.now >= max(since, day.owed.starts_at) + day.rules.stuck_after:
            there = len([item for item in outputs if item.state.usable])
            what = f"{_name(phase)} was never started" if not begun else f"{_name(phase)} has {there} of {len(outputs)}"
            yield day.incident(IncidentKind.PHASE_STUCK, _name(phase), f"{what}: {_listed(missing)}", since)
        return


def _at_risk(day: _Day, needed: Mapping[tuple[str, str], float]) -> Iterator[Incident]:
    seconds = sum(needed.get((day.owed.mode.value, item.owed.output), 0.0) for item in day.wrong)
    latest = day.owed.expected_by - dt.timedelta(seconds=seconds)
    if seconds and latest <= day.now and day.now >= day.owed.starts_at:
        what = f"what is missing usually takes {seconds / 60:.0f} minutes: {_listed(day.wrong)}"
        yield day.incident(IncidentKind.DEADLINE_AT_RISK, day.required[-1].owed.output, what, latest)


def _last_phase(day: _Day) -> Phase:
    return max(item.owed.phase for item in day.required)


def _wrong(item: Judged) -> bool:
    return item.owed.need == Need.REQUIRED and (not item.state.usable or item.state == State.PARTIAL)


def _name(phase: Phase) -> str:
    return phase.name.lower()


def _listed(items: Sequence[Judged]) -> str:
    lines = [
        f"{item.owed.output} is {item.state} ({item.why})" if item.evidence else f"{item.owed.output} is {item.state}"
        for item in items
    ]
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "; ".join([*lines[:SHOWN], *more])
