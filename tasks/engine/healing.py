"""What to do about a day that is not what it should be: the smallest rerun, later, nothing, or tell a person. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from pydantic import Field

from tasks.engine.expected import Judged
from tasks.engine.faults import Fault
from tasks.engine.incidents import in_new_york
from tasks.engine.ledger import State
from tasks.engine.plan import Frozen
from tasks.engine.processor import Need
from tasks.engine.reconcile import DEAD_AFTER, in_progress

Run = Mapping[str, Any]
HEAL = "heal-"  # begins the run ids of a healer
SHOWN = 3


class HealPolicy(Frozen):
    """How often a machine tries, and how long it waits in between."""

    attempts: int = Field(3, ge=1, description="Attempts of an output, the scheduled ones included; then a person.")
    first_wait: dt.timedelta = Field(
        dt.timedelta(minutes=5), description="After a failed attempt; then three times that."
    )
    starts_within: dt.timedelta = Field(
        dt.timedelta(minutes=30), description="How long a scheduled run may be late until the day is started for it."
    )


class Action(StrEnum):
    """What is to be done."""

    NOTHING = "nothing"
    WAIT = "wait"
    RERUN = "rerun"
    ESCALATE = "escalate"


class Remedy(Frozen):
    """What is to be done about one mode and game day, and why. `given_up` holds what no machine will try again."""

    action: Action
    outputs: tuple[str, ...] = ()
    why: str = ""
    given_up: tuple[Judged, ...] = ()


def remedy(
    outputs: Sequence[Judged], runs: Sequence[Run], now: dt.datetime, policy: HealPolicy | None = None
) -> Remedy:
    """Decide on the outputs of one mode and game day. `runs` are the mode's runs of the day, oldest first."""
    rules = policy or HealPolicy()
    wrong = [item for item in outputs if item.owed.need == Need.REQUIRED and is_wrong(item)]
    wrong.sort(key=lambda item: (item.owed.phase, item.owed.output))
    if not wrong or not wrong[0].owed.games:
        return Remedy(action=Action.NOTHING, why="everything is as it should be")
    busy = [run["processor"] for run in runs if in_progress(run, now)]
    if busy:
        return Remedy(action=Action.WAIT, why=f"{busy[-1]} is running")
    tried = {run["processor"] for run in runs}
    if not tried and now < wrong[0].owed.starts_at + rules.starts_within:
        return Remedy(action=Action.WAIT, why="its scheduled run is not late yet")
    if tried and now < wrong[0].owed.starts_at:
        wrong = [
            item for item in wrong if item.owed.output in tried
        ]  # what waits for the scheduled run is not wrong yet

    given_up = [item for item in wrong if not _worth_trying(item, wrong, runs, rules)]
    left = [item for item in wrong if item not in given_up and not _waits_for(item, given_up)]
    if not left:
        names = ", ".join(item.owed.output for item in given_up)
        return Remedy(
            action=Action.ESCALATE if given_up else Action.NOTHING,
            why=f"{names} cannot be helped by trying" if given_up else "what is missing waits for its scheduled run",
            given_up=tuple(given_up),
        )
    rests = {item.owed.output: _rests_until(item, runs, rules) for item in left}
    ready = [item for item in left if rests[item.owed.output] <= now]
    if not ready:
        why = f"the next attempt is at {in_new_york(min(rests.values()))}"
        return Remedy(action=Action.WAIT, why=why, given_up=tuple(given_up))
    said = [f"{item.owed.output} is {item.state}" + (f" ({item.why})" if item.why else "") for item in ready]
    return Remedy(
        action=Action.RERUN,
        outputs=tuple(item.owed.output for item in ready),
        why="; ".join(said[:SHOWN]),
        given_up=tuple(given_up),
    )


def is_wrong(item: Judged) -> bool:
    """Whether an output is not what it should be: absent, or there in part."""
    return not item.state.usable or item.state == State.PARTIAL


def attempts(output: str, runs: Sequence[Run]) -> list[Run]:
    """The attempts that count: of each failed run, and each run of a healer whatever it came to, the last row."""
    counted: dict[str, Run] = {}
    for run in runs:
        if run["processor"] == output and (not State(run["state"]).usable or run["run_id"].startswith(HEAL)):
            counted[run["run_id"]] = run
    return list(counted.values())


def history(output: str, runs: Sequence[Run]) -> str:
    """What was tried, for a person."""
    tried = attempts(output, runs)
    lines = [f"{in_new_york(run['started_at'])}: {run['state']}{_said(run)}" for run in tried]
    return "; ".join(lines) or "no attempt is recorded"


def _worth_trying(item: Judged, wrong: Sequence[Judged], runs: Sequence[Run], rules: HealPolicy) -> bool:
    """Whether another attempt may help: some are left, and the last fault is not one that trying leaves as it is."""
    output = item.owed.output
    mine = [run for run in runs if run["processor"] == output]
    if len(attempts(output, runs)) >= rules.attempts:
        return False
    upstream = any(other.owed.phase < item.owed.phase for other in wrong)
    return upstream or not (mine and mine[-1]["state"] == State.FAILED and mine[-1]["fault"] == Fault.PERMANENT)


def _waits_for(item: Judged, given_up: Sequence[Judged]) -> bool:
    """Whether an output that nobody can help is one without which this one cannot be."""
    return any(other.owed.critical and other.owed.phase < item.owed.phase for other in given_up)


def _rests_until(item: Judged, runs: Sequence[Run], rules: HealPolicy) -> dt.datetime:
    """From when on an output may be tried again."""
    tried = attempts(item.owed.output, runs)
    if not tried:
        return min(item.since, item.owed.expected_by)
    ended: dt.datetime = tried[-1]["ended_at"] or tried[-1]["started_at"] + DEAD_AFTER
    return ended + rules.first_wait * 3 ** (len(tried) - 1)


def _said(run: Run) -> str:
    return f" ({str(run['error_message']).splitlines()[0]})" if run["error_message"] else ""
