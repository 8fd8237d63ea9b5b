"""A look at the days: what the plan owes, made known; what the store holds, counted; both reconciled in the ledger."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blocks.partition import WarehouseError
from blocks.warehouse import DayRange
from flows.home import home_of
from flows.narration import narrate
from flows.run import Run, code_fingerprint
from flows.slate import scheduled
from tasks.catalog import registry
from tasks.engine.coverage import Counted, count
from tasks.engine.expected import PUBLICATION, ExpectedOutputs, Judged
from tasks.engine.ledger import State
from tasks.engine.plan import EASTERN
from tasks.engine.processor import AT_ONCE, Mode
from tasks.engine.reconcile import judge
from tasks.engine.season import AHEAD, game_days, owed, season_start
from tasks.publishing.publication import read_manifest
from tasks.sources.base import SourceError

SCHEDULE_KEPT = dt.timedelta(hours=1)  # how old the schedule may be that the season is owed by
LONGEST_SEASON = dt.timedelta(days=300)
ONE_DAY = dt.timedelta(days=1)
SETTLED = (State.COMPLETE, State.DEGRADED, State.EMPTY_OK)


@dataclass(frozen=True)
class Look:
    """What was seen at an instant: yesterday, today and tomorrow in New York in detail, earlier days as far as open."""

    now: dt.datetime
    today: dt.date
    outputs: list[Judged]
    earlier: list[Judged]
    runs: list[dict[str, Any]]
    schedule_problem: str = ""


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
    known = expected.of(last=today + ONE_DAY)
    window = [item for item in known if item.owed.game_day >= today - ONE_DAY]
    before = [item for item in known if item.owed.game_day < today - ONE_DAY]
    earlier = before if thorough else [item for item in before if item.state not in SETTLED]
    chosen = [*window, *earlier]
    runs = _runs(run, chosen)
    judged = reconcile(run, chosen, runs, now)
    changed = [new for new, old in zip(judged, chosen, strict=True) if _differs(new, old)]
    expected.settle(changed)
    return Look(now, today, judged[: len(window)], judged[len(window) :], runs, problem)


def reconcile(run: Run, items: Sequence[Judged], runs: Iterable[dict[str, Any]], now: dt.datetime) -> list[Judged]:
    """These outputs as they are at `now`: counted in the store, judged with their runs."""
    days: dict[str, set[dt.date]] = defaultdict(set)
    for item in items:
        days[item.owed.output].add(item.owed.game_day)
    counts = {(name, day): found for name in days for day, found in _counts(run, name, days[name]).items()}
    made: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in runs:
        made[row["processor"]].append(row)
    processors = registry().processors
    judged = []
    for item in items:
        name, day = item.owed.output, item.owed.game_day
        mine = [row for row in made[name] if row["first_game_day"] <= day <= row["game_day"]]
        made_by = processors.get(name)
        enough, patience = (made_by.complete_at, made_by.patience) if made_by else (1.0, AT_ONCE)
        judged.append(judge(item, counts[name, day], mine, now, enough, patience))
    return judged


def _counts(run: Run, output: str, days: set[dt.date]) -> dict[dt.date, Counted]:
    try:
        if output == PUBLICATION:
            return {day: _published(run, day) for day in days}
        return count(registry()[output], run.workspace.warehouse, registry(), days)
    except WarehouseError as error:  # a damaged partition is a finding about this output, and the others are counted
        return {day: Counted(unreadable=str(error)) for day in days}


def _published(run: Run, day: dt.date) -> Counted:
    """A publication holds every prediction in the store, but for games that were dropped because they are off."""
    manifest = read_manifest(run.workspace.publications, day)
    if manifest is None:
        return Counted()
    spec = registry()["predictions"].writes.spec
    games = run.workspace.warehouse.read(spec, [day], ("game_id",))["game_id"]
    stored = len(games.filter(~games.is_in(manifest.dropped_games)))
    return Counted(rows=manifest.rows, expected=stored, missing=max(0, stored - manifest.rows))


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
    return ""


def _schedule_is_old(expected: ExpectedOutputs, today: dt.date, now: dt.datetime) -> bool:
    known = expected.days(today, today)
    return not known or not dt.timedelta(0) <= now - known[0].seen_at < SCHEDULE_KEPT


def _runs(run: Run, items: Sequence[Judged]) -> list[dict[str, Any]]:
    days = [item.owed.game_day for item in items]
    return run.ledger.runs(covering=(min(days), max(days))) if days else []


def _differs(new: Judged, old: Judged) -> bool:
    return new.model_copy(update={"reconciled_at": old.reconciled_at}) != old or old.reconciled_at is None
