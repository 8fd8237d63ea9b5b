"""What is in the store of each owed output, and what that makes of it: one judgement for watch, heal and status."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from blocks.warehouse import WarehouseError
from blocks.workspace import Workspace
from tasks.engine.coverage import Counted, count
from tasks.engine.expected import PUBLICATION, Judged
from tasks.engine.processor import AT_ONCE, Registry
from tasks.engine.reconcile import judge
from tasks.publishing.publication import read_manifest

Key = tuple[dt.date, str, str]  # game day, mode and output
Run = Mapping[str, Any]  # a row of processor_runs


def tally(items: Sequence[Judged], workspace: Workspace, registry: Registry) -> dict[Key, Counted]:
    """Count these outputs in the store. One that cannot be read is a finding about it, and the others are counted."""
    days: dict[str, set[dt.date]] = defaultdict(set)
    for item in items:
        days[item.owed.output].add(item.owed.game_day)
    found = {output: _counted(output, wanted, workspace, registry) for output, wanted in days.items()}
    return {item.key: found[item.owed.output][item.owed.game_day] for item in items}


def judged(
    items: Iterable[Judged], counted: Mapping[Key, Counted], runs: Iterable[Run], registry: Registry, now: dt.datetime
) -> list[Judged]:
    """These outputs as they are at `now`, by what was counted and the runs that were tried."""
    made: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        made[run["processor"]].append(run)
    return [_judged(item, counted[item.key], made[item.owed.output], registry, now) for item in items]


def _judged(item: Judged, counted: Counted, runs: Iterable[Run], registry: Registry, now: dt.datetime) -> Judged:
    day = item.owed.game_day
    mine = [run for run in runs if run["first_game_day"] <= day <= run["game_day"]]
    made_by = registry.processors.get(item.owed.output)
    enough, patience = (made_by.complete_at, made_by.patience) if made_by else (1.0, AT_ONCE)
    return judge(item, counted, mine, now, enough, patience)


def _counted(output: str, days: set[dt.date], workspace: Workspace, registry: Registry) -> dict[dt.date, Counted]:
    try:
        if output == PUBLICATION:
            return {day: _published(day, workspace, registry) for day in days}
        return count(registry[output], workspace.warehouse, registry, days)
    except WarehouseError as error:
        return {day: Counted(unreadable=str(error)) for day in days}


def _published(day: dt.date, workspace: Workspace, registry: Registry) -> Counted:
    """A publication holds every prediction in the store, but for games that were dropped because they are off."""
    try:
        manifest = read_manifest(workspace.publications, day)
    except ValueError as error:
        return Counted(unreadable=f"the manifest of {day}: {error}")
    if manifest is None:
        return Counted()
    games = workspace.warehouse.read(registry["predictions"].writes.spec, [day], ("game_id",))["game_id"]
    stored = len(games.filter(~games.is_in(manifest.dropped_games)))
    return Counted(rows=manifest.rows, expected=stored, missing=max(0, stored - manifest.rows))
