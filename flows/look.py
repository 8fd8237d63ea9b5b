"""A look at the days: what the plan owes, made known; what the store holds, counted; both reconciled in the ledger."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocks.warehouse import DayRange
from flows.clock import utc_now
from flows.exclusive import abandoned
from flows.home import home_of
from flows.narration import narrate
from flows.run import Run, code_fingerprint
from flows.slate import scheduled
from tasks.catalog import registry
from tasks.engine.expected import ExpectedOutputs, Judged
from tasks.engine.faults import Fault
from tasks.engine.ledger import State
from tasks.engine.plan import EASTERN
from tasks.engine.processor import Mode
from tasks.engine.season import AHEAD, game_days, owed, season_start
from tasks.publishing.tally import judged, tally
from tasks.sources.base import SourceError

SCHEDULE_KEPT = dt.timedelta(hours=1)  # how old the schedule may be that the season is owed by
LONGEST_SEASON = dt.timedelta(days=300)
ONE_DAY = dt.timedelta(days=1)
SETTLED = (State.COMPLETE, State.DEGRADED, State.EMPTY_OK)


@dataclass(frozen=True)
class Look:
    """What was seen at an instant: yesterday, today and tomorrow in New York in detail, earlier days as far as open.

    `unknown` says why nobody can tell whether there are games today; it is empty where that is known.
    """

    now: dt.datetime
    today: dt.date
    outputs: list[Judged]
    earlier: list[Judged]
    runs: list[dict[str, Any]]
    unknown: str = ""


def observer(now: dt.datetime, data: Path | None, home: Path | None) -> Run:
    """A run that only looks: at the workspace of this data, knowing what is known at `now`."""
    day = now.astimezone(EASTERN).date()
    return Run(
        run_id=f"look-{now:%Y%m%dT%H%M%SZ}",
        mode=Mode.SAME_DAY,
        game_day=day,
        as_of=now,
        data=data,
        home=home_of(data, home),
        fingerprint=code_fingerprint(),
    )


def look(run: Run, now: dt.datetime, thorough: bool = False) -> Look:
    """Reconcile what is owed with what is there, at `now`, and keep the judgements.

    Once an hour, or if `thorough`, the schedule is asked anew and every earlier day of the season is counted again.
    """
    today = now.astimezone(EASTERN).date()
    expected = ExpectedOutputs(run.ledger)
    thorough = thorough or _schedule_is_old(expected, today, now)
    problem = _seed(run, expected, today, now) if thorough else ""
    unknown = problem if problem and not expected.days(today, today) else ""
    known = expected.of(last=today + ONE_DAY)
    window = [item for item in known if item.owed.game_day >= today - ONE_DAY]
    before = [item for item in known if item.owed.game_day < today - ONE_DAY]
    earlier = before if thorough else [item for item in before if item.state not in SETTLED]
    chosen = [*window, *earlier]
    runs = _runs(run, chosen)
    seen = judged(chosen, tally(chosen, run.workspace, registry()), runs, registry(), now)
    changed = [new for new, old in zip(seen, chosen, strict=True) if _differs(new, old)]
    expected.settle(changed)
    return Look(now, today, seen[: len(window)], seen[len(window) :], runs, unknown)


def _seed(run: Run, expected: ExpectedOutputs, today: dt.date, now: dt.datetime) -> str:
    """Make the season known from the schedule as it stands. A source that cannot say leaves what is known as it is."""
    try:
        covered = run.source.covers()
        assert covered.first is not None
        assert covered.last is not None
        first, last = max(covered.first, today - LONGEST_SEASON), min(covered.last, today + AHEAD)
        if first > last:
            narrate("season", "unknown", f"the schedule of {run.source.name} covers {covered}, and today is {today}")
            return ""
        schedule = scheduled(run, DayRange(first, last))
    except SourceError as error:
        narrate("schedule", "not available", str(error))
        return str(error)
    begun = run.ledger.first_game_day(Mode.SAME_DAY.value) or today
    days = game_days(schedule, season_start(schedule, today), today + AHEAD, now)
    changed = expected.seed(days, owed(days, registry(), min(begun, today)))
    narrate("season", "seeded", f"{len(days)} dates from {days[0].game_day if days else today}, {changed} rows changed")
    return "" if expected.days(today, today) else "the ledger does not keep what the schedule says"


def _schedule_is_old(expected: ExpectedOutputs, today: dt.date, now: dt.datetime) -> bool:
    known = expected.days(today, today)
    return not known or not dt.timedelta(0) <= now - known[0].seen_at < SCHEDULE_KEPT


def _runs(run: Run, items: Sequence[Judged]) -> list[dict[str, Any]]:
    """The processor runs that computed the days of these outputs, none of them of a process that is gone."""
    if not items:
        return []
    days = [item.owed.game_day for item in items]
    covering = min(days), max(days)
    found = run.ledger.runs(covering=covering)
    at_work = {row["id"]: row for row in found if row["state"] == State.RUNNING}
    gone = {row_id for row_id, row in at_work.items() if abandoned(_day_of(run, row))}
    return _without_the_dead(run, covering, gone) if gone else found


def _without_the_dead(run: Run, covering: tuple[dt.date, dt.date], gone: set[str]) -> list[dict[str, Any]]:
    """End in the ledger what its process could not, so that nobody waits for it.

    A process ends its rows before it lets go of its lock: of those that were open before the lock was seen free, what
    is open after it has nobody.
    """
    for row in run.ledger.runs(covering=covering):
        if row["id"] in gone and row["state"] == State.RUNNING:
            now = utc_now()
            run.ledger.ended(
                row["id"],
                state=State.FAILED,
                at=now,
                duration_s=(now - row["started_at"]).total_seconds(),
                fault=Fault.TRANSIENT,
                error_class="Died",
                error_message="the process that ran it has ended without a word: it was killed, or its machine was",
            )
            narrate(row["processor"], "died", f"attempt {row['attempt']} of {row['mode']} {row['game_day']}")
    return run.ledger.runs(covering=covering)


def _day_of(run: Run, row: dict[str, Any]) -> Run:
    return run.model_copy(update={"mode": Mode(row["mode"]), "game_day": row["game_day"]})


def _differs(new: Judged, old: Judged) -> bool:
    return new.model_copy(update={"reconciled_at": old.reconciled_at}) != old or old.reconciled_at is None
