"""A glance at a workspace, for status, dashboard and drills: it creates nothing, claims nothing, writes nothing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from blocks.workspace import ORIGIN, LocalWorkspace, Workspace, saved_workspace
from flows.run import BLOCK, is_saved
from tasks.tonight.compose import tonight
from tasks.tonight.gathering import Facts, gather
from tasks.tonight.snapshot import Tonight


def glance(home: Path, game_day: dt.date, now: dt.datetime, *, season: bool = False) -> Tonight:
    """The game day as it is in the workspace `home`; with `season`, with the calendar and the accuracy of 30 days."""
    return tonight(facts_of(home, game_day, now, season=season))


def facts_of(home: Path, game_day: dt.date, now: dt.datetime, *, season: bool = False) -> Facts:
    """What a look finds. A folder in which nothing has ever run stays as it is: empty, or not there at all."""
    if is_saved(home):
        return gather(saved_workspace(str(home).removeprefix(BLOCK)), game_day, now, str(home), season=season)
    ledger = home / "ledger.sqlite"
    if not ledger.exists():
        return Facts(game_day, now, str(home), ever_run=False)
    workspace: Workspace = LocalWorkspace(folder=home, ledger_url=f"sqlite:///{ledger.resolve()}")
    marker = home / ORIGIN
    return gather(workspace, game_day, now, marker.read_text() if marker.exists() else str(home), season=season)
