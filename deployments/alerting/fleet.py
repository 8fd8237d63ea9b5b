"""The deployments that are watched: how long each may take, what it means if it doesn't, and what sets it right."""

from __future__ import annotations

import datetime as dt

from pydantic import Field

from tasks.engine.plan import DUE_BEFORE_TIP_OFF, PREDICTIONS_DUE, Frozen

DUE = f"{PREDICTIONS_DUE:%I:%M %p} ET, or {DUE_BEFORE_TIP_OFF.seconds // 60} minutes before the first tip-off".lstrip(
    "0"
)


class Watched(Frozen):
    """One deployment, as `flow/name`."""

    deployment: str
    pool: str = Field(description="The work pool whose workers run it.")
    budget: dt.timedelta = Field(description="How long a run may take before it counts as running too long.")
    impact: str = Field(description="What a person should know is at stake.")
    tonight: bool = Field(False, description="Whether tonight's predictions depend on it.")
    heals: bool = Field(False, description="Whether self-heal is started when a run of it fails.")
    frequent: bool = Field(False, description="It runs every few minutes: being late is told once in hours.")


def _watched(deployment: str, minutes: int, impact: str, pool: str = "pipeline", **more: bool) -> Watched:
    budget = dt.timedelta(minutes=minutes)
    return Watched(deployment=deployment, pool=pool, budget=budget, impact=impact, **more)


def _phase(name: str) -> Watched:
    return _watched(f"{name}/{name}", 30, f"The phase {name} of a day that is running.", name, tonight=True)


SELF_HEAL = "self-heal/self-heal"
HEARTBEAT = "heartbeat/heartbeat"
REDELIVER = "redeliver/redeliver"

WATCHED = (
    _watched("daily/same-day", 45, "The run that makes tonight's predictions.", tonight=True, heals=True),
    _watched(
        "daily/overnight", 60, "Last night's results; tonight's features stand on them.", tonight=True, heals=True
    ),
    _phase("analytics"),
    _phase("precompute"),
    _phase("predictions"),
    _watched("watch/watch", 10, "Nobody looks at deadlines and outputs meanwhile.", tonight=True, frequent=True),
    _watched(SELF_HEAL, 45, "What it was to mend stays missing.", tonight=True, frequent=True),
    _watched("validate-day/validate", 20, "Published predictions that nobody has validated.", tonight=True),
    _watched("train/train", 120, "The model in use stays; tonight is not touched."),
    _watched("grade/grade", 30, "Yesterday's predictions stay ungraded; tonight is not touched."),
    _watched("history/history", 12 * 60, "The tables that it builds; tonight is not touched."),
    _watched("backfill/backfill", 12 * 60, "The past predictions that it makes; tonight is not touched."),
    _watched("backfill/part", 12 * 60, "A backfill's period of past predictions; tonight is not touched."),
    _watched("ledger-export/ledger-export", 20, "The record of what ran is not in the warehouse; no run waits for it."),
    _watched(HEARTBEAT, 10, "Whether alerts arrive at all is not known."),
    _watched(REDELIVER, 120, "Messages that were not delivered wait."),
)
POOLS = tuple(dict.fromkeys(item.pool for item in WATCHED))
