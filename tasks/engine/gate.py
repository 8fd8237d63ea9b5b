"""The gate between phases: a pure decision from what was planned, what is there, and the time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from enum import StrEnum

from pydantic import Field

from tasks.engine.ledger import State
from tasks.engine.plan import Frozen, Step
from tasks.engine.processor import Need


class GatePolicy(Frozen):
    """When a phase may go on without everything it was promised."""

    stuck_after: dt.timedelta = Field(
        dt.timedelta(minutes=30),
        description="How long an output may be missing before the phase counts as stuck.",
    )
    enough: float = Field(0.6, ge=0, le=1, description="Share of a phase's required outputs that can do, if stuck.")

    def for_sources(self) -> GatePolicy:
        """The policy for facts from outside: what cannot be done without is critical by name, the rest degrades."""
        return self.model_copy(update={"enough": 0.0})


class Verdict(StrEnum):
    """What the gate says."""

    PROCEED = "proceed"
    PROCEED_DEGRADED = "proceed degraded"
    WAIT = "wait"
    FAIL = "fail"


GOES_ON = (Verdict.PROCEED, Verdict.PROCEED_DEGRADED)


class Decision(Frozen):
    """A verdict with its reasons, in words for a person. `stuck` asks for the one alert of this phase."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    stuck: bool = False


def decide(
    steps: Sequence[Step],
    states: Mapping[str, State],
    *,
    now: dt.datetime,
    since: dt.datetime,
    hard_limit: dt.datetime | None,
    policy: GatePolicy | None = None,
) -> Decision:
    """Decide on one phase from its planned steps and the states of their outputs.

    Asked again while a phase is at work on a pool of its own, it says how long to WAIT; of a phase that has been run in
    the day's own process everything is over, and nothing is left to wait for.

    `since` is when the phase began; `hard_limit` the deadline less the time that is still needed. An output that has
    failed for good is not waited for. Critical outputs are never waived.
    """
    rules = policy or GatePolicy()
    required = [step for step in steps if step.need == Need.REQUIRED]
    missing = [step for step in required if not _state(states, step).usable]
    labels = tuple(
        f"{step.processor} is {_state(states, step)}" for step in steps if _state(states, step) not in _SOUND
    )
    if not missing:
        return Decision(verdict=Verdict.PROCEED_DEGRADED if labels else Verdict.PROCEED, reasons=labels)

    pending = [step for step in missing if _state(states, step) not in _OVER]
    critical = [step for step in missing if step.critical]
    late = _is_late(now, hard_limit)
    stuck = bool(pending) and now - since >= rules.stuck_after
    if pending and not stuck and not late:
        return Decision(verdict=Verdict.WAIT, reasons=labels)
    if not critical and len(required) - len(missing) >= rules.enough * len(required):
        return Decision(verdict=Verdict.PROCEED_DEGRADED, reasons=labels, stuck=stuck)
    if pending and not late and not any(step.critical and step not in pending for step in missing):
        return Decision(verdict=Verdict.WAIT, reasons=labels, stuck=True)
    return Decision(verdict=Verdict.FAIL, reasons=labels, stuck=stuck)


def waits_for_work(
    steps: Sequence[Step],
    states: Mapping[str, State],
    *,
    now: dt.datetime,
    since: dt.datetime,
    hard_limit: dt.datetime | None,
    policy: GatePolicy | None = None,
) -> bool:
    """Whether to wait on for a phase that is at work elsewhere, by what the ledger has of it so far.

    What a day can do without is waited for while it is being made, and never past the hour at which the gate goes on
    without it; that holds for optional outputs too, since ending them half-way would gain seconds and lose the output.
    What it cannot do without is always waited for: how long is for the caller to say.
    """
    if not any(_state(states, step) in PENDING for step in steps):
        return True  # everything is there, and its run is about to end
    decision = decide(steps, states, now=now, since=since, hard_limit=hard_limit, policy=policy)
    if decision.verdict not in GOES_ON:
        return True
    return not _is_late(now, hard_limit) and now - since < (policy or GatePolicy()).stuck_after


PENDING = (State.NOT_DUE, State.EXPECTED, State.RUNNING, State.LATE)  # what may still come
_SOUND = (State.COMPLETE, State.EMPTY_OK)
_OVER = (State.FAILED, State.BLOCKED)


def _is_late(now: dt.datetime, hard_limit: dt.datetime | None) -> bool:
    return hard_limit is not None and now >= hard_limit


def _state(states: Mapping[str, State], step: Step) -> State:
    return states.get(step.processor, State.EXPECTED)
