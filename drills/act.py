"""A flow in a process of its own whose clock begins at an instant of the drill: `python -m drills.act WHAT --at`."""

from __future__ import annotations

import datetime as dt
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from drills.story import GAME_DAY
from flows.clock import DrillClock, at_time_of, pause, utc_now
from flows.daily import daily
from flows.self_heal import self_heal
from flows.terminal import local_run
from flows.watch import watch
from tasks.engine.processor import Mode

BETWEEN_LOOKS_S = 300.0


class What(StrEnum):
    """What can be done."""

    DAILY = "daily"
    WATCH = "watch"
    HEAL = "heal"


def main(
    what: What,
    at: Annotated[str, typer.Option(help="When the clock begins, as an ISO instant.")],
    home: Annotated[Path, typer.Option(help="The workspace.")],
    data: Annotated[Path | None, typer.Option(help="Folder of seasons.")] = None,
    looks: Annotated[int, typer.Option(help="How often the watch looks at most, five minutes apart.")] = 12,
) -> None:
    """Do it, and print what it came to as a line of JSON."""
    with at_time_of(DrillClock(dt.datetime.fromisoformat(at))), local_run(Console()):
        print(json.dumps(_do(what, home, data, looks)))


def _do(what: What, home: Path, data: Path | None, looks: int) -> dict[str, object]:
    match what:
        case What.DAILY:
            report = daily(Mode.SAME_DAY, GAME_DAY, data=data, home=home)
            return {"state": report.state.value, "reasons": list(report.reasons)}
        case What.WATCH:
            return {"open": _watch(home, data, looks), "at": utc_now().isoformat()}
        case What.HEAL:
            return {"healed": [item.sentence for item in self_heal(data=data, home=home)]}


def _watch(home: Path, data: Path | None, looks: int) -> list[str]:
    """Look every five minutes until something is wrong, at most so often."""
    for look in range(looks):
        if look:
            pause(BETWEEN_LOOKS_S)
        if found := watch(data=data, home=home).open:
            return [incident.kind.value for incident in found]
    return []


if __name__ == "__main__":
    typer.run(main)
