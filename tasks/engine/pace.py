"""How long the outputs of a mode usually take, measured from the ledger, and by when a phase must go on. Pure."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tasks.engine.ledger import State
from tasks.engine.plan import Plan
from tasks.engine.processor import Phase

MEASURED = dt.timedelta(days=14)  # of runs: how far back to read them
REMEMBERED = 10  # runs of an output that count, the last ones
RESERVE = dt.timedelta(minutes=1)  # for what no processor row measures: the orchestration, the publication
Seconds = Mapping[tuple[str, str], float]


def usual_seconds(runs: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """The longest of the last runs that gave an output, by mode and output: a plan by the mean is late every other day.

    Runs over several days, such as backfills, say nothing of one day. `runs` are oldest first.
    """
    lasted: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        if run["duration_s"] is not None and State(run["state"]).usable and run["first_game_day"] == run["game_day"]:
            lasted[run["mode"], run["processor"]].append(run["duration_s"])
    return {key: max(seconds[-REMEMBERED:]) for key, seconds in lasted.items()}


def hard_limit(plan: Plan, phase: Phase, usual: Seconds) -> dt.datetime | None:
    """Until when a phase may wait: the deadline less the time that the later phases need. None: nothing is due."""
    if plan.deadline is None:
        return None
    later = (step for step in plan.steps if step.phase > phase)
    needed = sum(usual.get((plan.mode.value, step.processor), 0.0) for step in later)
    return plan.deadline - dt.timedelta(seconds=needed) - RESERVE
