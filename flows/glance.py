"""A glance at a workspace, for status, dashboard and drills: it creates nothing, claims nothing, writes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from blocks.workspace import ORIGIN, LocalWorkspace, Workspace, saved_workspace
from flows.home import BLOCK, is_saved
from tasks.tonight.compose import tonight
from tasks.tonight.gathering import Facts, gather
from tasks.tonight.snapshot import Stamp, Tonight

LEDGER = "ledger.sqlite"


def glance(
    home: Path,
    game_day: dt.date,
    now: dt.datetime,
    *,
    season: bool = False,
    stamps: Iterable[Stamp] = (),
    problems: Iterable[str] = (),
    options: str = "",
) -> Tonight:
    """The game day as it is in the workspace `home`; with `season`, with the calendar and the accuracy of 30 days.

    `stamps` is what is known of workers, `problems` a sentence for each thing that could not be asked, `options` what a
    command needs to work on this workspace: see `options_of`.
    """
    facts = _facts(home, game_day, now, season)
    unreadable = (*facts.unreadable, *problems)
    return tonight(replace(facts, stamps=tuple(stamps), unreadable=unreadable, options=options))


def _facts(home: Path, game_day: dt.date, now: dt.datetime, season: bool) -> Facts:
    """What is found. A folder in which nothing has ever run stays as it is: empty, or not there at all."""
    if is_saved(home):
        return gather(saved_workspace(str(home).removeprefix(BLOCK)), game_day, now, str(home), season=season)
    ledger = home / LEDGER
    if not ledger.exists():
        return Facts(game_day, now, str(home), ever_run=False)
    workspace: Workspace = LocalWorkspace(folder=home, ledger_url=f"sqlite:///{ledger.resolve()}")
    marker = home / ORIGIN
    return gather(workspace, game_day, now, marker.read_text() if marker.exists() else str(home), season=season)
