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
    budget: dt.timedelta = Field(description="How long a run may take before it counts as running too long.")
    impact: str = Field(description="What a person should know is at stake.")
    heals: bool = Field(False, description="Whether self-heal is started when a run of it fails.")
    frequent: bool = Field(False, description="It runs every few minutes: being late is told once in hours.")


def _watched(deployment: str, minutes: int, impact: str, **more: bool) -> Watched:
    return Watched(deployment=deployment, budget=dt.timedelta(minutes=minutes), impact=impact, **more)


_TONIGHT = f"Tonight's predictions for every game and player. Due {DUE}."
_TABLES = "Last night's results; tonight's features stand on them."

SELF_HEAL = "self-heal/self-heal"
HEARTBEAT = "heartbeat/heartbeat"
REDELIVER = "redeliver/redeliver"

WATCHED = (
    _watched("daily/same-day", 45, _TONIGHT, heals=True),
    _watched("daily/overnight", 60, _TABLES, heals=True),
    _watched("analytics/analytics", 30, "The phase analytics of a day that is running."),
    _watched("precompute/precompute", 30, "The phase precompute of a day that is running."),
    _watched("predictions/predictions", 30, "The phase predictions of a day that is running."),
    _watched("watch/watch", 10, "Deadlines and outputs that nobody looks at meanwhile.", frequent=True),
    _watched(SELF_HEAL, 45, "What it was to mend stays missing.", frequent=True),
    _watched("validate-day/validate", 20, "Published predictions that nobody has validated."),
    _watched("train/train", 120, "The model in use stays; tonight is not touched."),
    _watched("grade/grade", 30, "Yesterday's predictions stay ungraded; tonight is not touched."),
    _watched("history/history", 12 * 60, "The tables that it builds; tonight is not touched."),
    _watched("backfill/backfill", 12 * 60, "The past predictions that it makes; tonight is not touched."),
    _watched("ledger-export/ledger-export", 20, "The record of what ran is not in the warehouse; no run waits for it."),
    _watched(HEARTBEAT, 10, "Whether alerts arrive at all is not known."),
    _watched(REDELIVER, 120, "Messages that were not delivered wait."),
)
