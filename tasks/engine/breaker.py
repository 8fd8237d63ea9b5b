"""The circuit breaker of a dependency, derived from the ledger's rows: it holds no state of its own. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, Field

from tasks.engine.faults import Fault
from tasks.engine.ledger import State
from tasks.engine.plan import Frozen


class BreakerPolicy(Frozen):
    """When a dependency is left alone, and for how long."""

    opens_after: int = Field(3, ge=1, description="Like failures in a row that open the breaker.")
    rests: dt.timedelta = Field(dt.timedelta(minutes=30), description="Until one attempt is let through again.")
    rests_at_most: dt.timedelta = Field(dt.timedelta(hours=4), description="The rest doubles up to this.")


class Position(StrEnum):
    """CLOSED: go on. OPEN: leave it alone. HALF_OPEN: one attempt, to see."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Breaker(Frozen):
    """The breaker of a dependency at an instant; where it is not closed, since when, why, and until when it rests."""

    position: Position
    failures: int = 0
    cause: str = ""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


def breaker(runs: Sequence[Mapping[str, Any]], now: dt.datetime, policy: BreakerPolicy | None = None) -> Breaker:
    """The breaker after these runs of one dependency, oldest first.

    Like failures in a row open it: transient ones of one cause. Time half-opens it, each failed attempt doubling the
    rest; data that arrived closes it. Nothing due, a permanent fault and a run without an end are no evidence at all.
    """
    rules = policy or BreakerPolicy()
    failed: list[Mapping[str, Any]] = []
    for run in runs:
        if run["state"] == State.FAILED and run["fault"] == Fault.TRANSIENT:
            like = failed and failed[-1]["error_class"] == run["error_class"]
            failed = [*failed, run] if like else [run]
        elif run["state"] == State.COMPLETE:
            failed = []
    if len(failed) < rules.opens_after:
        return Breaker(position=Position.CLOSED, failures=len(failed))
    rest = min(rules.rests * 2 ** min(len(failed) - rules.opens_after, 16), rules.rests_at_most)
    until = failed[-1]["ended_at"] + rest
    return Breaker(
        position=Position.HALF_OPEN if now >= until else Position.OPEN,
        failures=len(failed),
        cause=failed[-1]["error_class"],
        since=failed[rules.opens_after - 1]["ended_at"],
        until=until,
    )
