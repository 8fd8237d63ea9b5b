"""What to do about a day that is not what it should be: the smallest rerun, later, nothing, or tell a person. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from enum import StrEnum

from pydantic import Field

from tasks.engine.expected import PUBLICATION, Judged
from tasks.engine.faults import Fault
from tasks.engine.incidents import in_new_york
from tasks.engine.ledger import State
from tasks.engine.pace import RESERVE, Seconds
from tasks.engine.plan import Frozen, Step
from tasks.engine.processor import Need, Phase
from tasks.engine.reconcile import DEAD_AFTER, HEAL, Run, awaited_until, in_progress, lacking

SHOWN = 3
A_MOMENT = dt.timedelta(minutes=2)  # from the last look at a late source until the next phase begins
_GOODNESS = dict.fromkeys(State, 0) | {State.PARTIAL: 1, State.DEGRADED: 2, State.COMPLETE: 3, State.EMPTY_OK: 3}


class HealPolicy(Frozen):
    """How often a machine tries, and how long it waits in between."""

    attempts: int = Field(3, ge=1, description="Attempts of an output, the scheduled ones included; then a person.")
    first_wait: dt.timedelta = Field(
        dt.timedelta(minutes=5), description="After a failed attempt; then three times that."
    )
    starts_within: dt.timedelta = Field(
        dt.timedelta(minutes=30), description="How long a scheduled run may be late until the day is started for it."
    )
    stand_in_waits: tuple[dt.timedelta, ...] = Field(
        (dt.timedelta(minutes=5), dt.timedelta(minutes=30), dt.timedelta(hours=3)),
        description="After how long a source is asked again for what an older payload stands in for; then no more.",
    )


class Action(StrEnum):
    """What is to be done."""

    NOTHING = "nothing"
    WAIT = "wait"
    ASK = "ask again"
    RERUN = "rerun"
    ESCALATE = "escalate"


class Remedy(Frozen):
    """What is to be done about one mode and game day, and why. `given_up` holds what no machine will try again."""

    action: Action
    outputs: tuple[str, ...] = ()
    why: str = ""
    given_up: tuple[Judged, ...] = ()


def remedy(
    outputs: Sequence[Judged],
    runs: Sequence[Run],
    now: dt.datetime,
    policy: HealPolicy | None = None,
    steps: Sequence[Step] = (),
    usual: Seconds | None = None,
    first_tip_off: dt.datetime | None = None,
    left_alone: Collection[str] = (),
) -> Remedy:
    """Decide on the outputs of one mode and game day. `runs` are the mode's runs of the day, oldest first.

    `steps` are those of the mode's plan: of what each output is made, and which sources may be late. `usual` holds how
    long outputs take: by it a late source is asked as long as what it brings can still be made use of in time. For what
    an older payload stands in for, a source is asked until `first_tip_off`, unless its kind is `left_alone`.
    """
    rules = policy or HealPolicy()
    found = _of_wrong(outputs, runs, now, rules, steps, usual or {})
    if found.action in (Action.ASK, Action.RERUN) or _at_work(runs, now, steps):
        return found
    replaceable = [] if first_tip_off is None or now >= first_tip_off else stood_in(outputs, runs, now, rules)
    due = [item for item in replaceable if set(_stand_ins(item, runs)).isdisjoint(left_alone)]
    return _to_do(Action.ASK, due, found.given_up) if due else found


def stood_in(outputs: Sequence[Judged], runs: Sequence[Run], now: dt.datetime, rules: HealPolicy) -> list[Judged]:
    """Outputs made of an older payload because their source could not give its own, which may be asked for it again.

    They are usable, so there is no hurry: a source is asked after waits that grow, once the day's scheduled run is due,
    and each time that a healer asked counts.
    """
    due = []
    for item in outputs:
        mine = _of(item, runs)
        asked = len({run["run_id"] for run in mine if run["run_id"].startswith(HEAL)})
        if item.owed.need != Need.REQUIRED or now < item.owed.starts_at or not _stand_ins(item, runs):
            continue
        if asked < len(rules.stand_in_waits) and mine[-1]["ended_at"] + rules.stand_in_waits[asked] <= now:
            due.append(item)
    return due


def _of_wrong(
    outputs: Sequence[Judged],
    runs: Sequence[Run],
    now: dt.datetime,
    rules: HealPolicy,
    steps: Sequence[Step],
    usual: Seconds,
) -> Remedy:
    """What to do about outputs that are not what they should be, or are behind their inputs."""
    wrong = [item for item in outputs if item.owed.need == Need.REQUIRED and is_wrong(item)]
    behind = [item for item in outdated(outputs, runs, steps) if len(attempts(item.owed.output, runs)) < rules.attempts]
    found = sorted([*wrong, *behind], key=lambda item: (item.owed.phase, item.owed.output))
    if not found or not found[0].owed.games:
        return Remedy(action=Action.NOTHING, why="everything is as it should be" if outputs else "nothing is owed")
    at_work = _at_work(runs, now, steps)
    if at_work:
        return Remedy(action=Action.WAIT, why=at_work)
    tried = {run["processor"] for run in runs}
    if not tried and now < found[0].owed.starts_at + rules.starts_within:
        return Remedy(action=Action.WAIT, why="its scheduled run is not late yet")
    if (
        tried and now < found[0].owed.starts_at
    ):  # what waits for the scheduled run, or for its sources, is not wrong yet
        found = [item for item in found if item.owed.output in tried and not _is_late(item, runs, steps)]

    late = [item for item in found if _is_late(item, runs, steps)]
    others = [item for item in found if item not in late]
    if not late or now >= late[0].owed.expected_by - _remaking(outputs, usual):
        return _attempt(others, late, runs, now, rules)
    due = [item for item in late if _of(item, runs)[-1]["ended_at"] + rules.first_wait <= now]
    if due:
        return _to_do(Action.ASK, due)
    if others:
        return _attempt(others, [], runs, now, rules)
    return Remedy(action=Action.WAIT, why=f"the source of {late[0].owed.output} was asked a moment ago")


def _attempt(
    wrong: Sequence[Judged], too_late: Sequence[Judged], runs: Sequence[Run], now: dt.datetime, rules: HealPolicy
) -> Remedy:
    """The attempt that is due, of those that are left. Of `too_late` nothing would come in time."""
    given_up = [*too_late, *(item for item in wrong if not _worth_trying(item, wrong, runs, rules))]
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
    return _to_do(Action.RERUN, ready, given_up)


def _to_do(action: Action, items: Sequence[Judged], given_up: Sequence[Judged] = ()) -> Remedy:
    said = [f"{item.owed.output} is {item.state}" + (f" ({item.why})" if item.why else "") for item in items]
    outputs = tuple(item.owed.output for item in items)
    return Remedy(action=action, outputs=outputs, why="; ".join(said[:SHOWN]), given_up=tuple(given_up))


def outdated(outputs: Sequence[Judged], runs: Sequence[Run], steps: Sequence[Step]) -> list[Judged]:
    """Outputs of which an input has become better since they were made: made again, they lose a label.

    Better, not merely newer: an input that is taken in again as it was changes nothing, so this comes to an end.
    """
    made_of = {step.processor: step.after for step in steps}
    made_of[PUBLICATION] = tuple(step.processor for step in steps if step.phase == Phase.PREDICTIONS)
    return [
        item
        for item in outputs
        if item.owed.need == Need.REQUIRED
        and not is_wrong(item)
        and any(_is_better(name, item, runs) for name in made_of.get(item.owed.output, ()))
    ]


def _is_better(name: str, item: Judged, runs: Sequence[Run]) -> bool:
    """Whether the last run of an input gave more than the one that the output was made of."""
    made = [run for run in _of(item, runs) if State(run["state"]).usable]
    found = [run for run in runs if run["processor"] == name]
    then = [run for run in found if made and run["started_at"] <= made[-1]["started_at"]]
    return bool(then) and _GOODNESS[State(found[-1]["state"])] > _GOODNESS[State(then[-1]["state"])]


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
    mine = _of(item, runs)
    if len(attempts(output, runs)) >= rules.attempts:
        return False
    upstream = any(other.owed.phase < item.owed.phase for other in wrong)
    return upstream or not (mine and mine[-1]["state"] == State.FAILED and mine[-1]["fault"] == Fault.PERMANENT)


def _waits_for(item: Judged, given_up: Sequence[Judged]) -> bool:
    """Whether an output that nobody can help is one without which this one cannot be."""
    return any(other.owed.critical and other.owed.phase < item.owed.phase for other in given_up)


def _is_late(item: Judged, runs: Sequence[Run], steps: Sequence[Step]) -> bool:
    """Whether an output is wrong because its source, which may be late, has not published everything yet."""
    mine = _of(item, runs)
    return bool(mine) and lacking(mine[-1]) and any(s.patience for s in steps if s.processor == item.owed.output)


def _at_work(runs: Sequence[Run], now: dt.datetime, steps: Sequence[Step]) -> str:
    """Whether a run is at work on the day, or waits for a source, in words."""
    busy = [run["processor"] for run in runs if in_progress(run, now)]
    if busy:
        return f"{busy[-1]} is running"
    awaited = _awaited(runs, now, steps)
    return f"the day's run waits for {awaited}" if awaited else ""


def _stand_ins(item: Judged, runs: Sequence[Run]) -> list[str]:
    """The kinds of payload of which an older one stood in, the last time that the output was made."""
    mine = _of(item, runs)
    return list(mine[-1].get("stand_ins") or ()) if mine else []


def _awaited(runs: Sequence[Run], now: dt.datetime, steps: Sequence[Step]) -> str:
    """What the day's run is waiting for, unless it has gone on without: the outputs of sources that are late."""
    names = []
    for step in steps:
        mine = [run for run in runs if run["processor"] == step.processor]
        until = awaited_until(mine, step.patience)
        if until is None or now >= until + A_MOMENT:
            continue
        if not any(run["run_id"] == mine[-1]["run_id"] and run["phase"] > step.phase for run in runs):
            names.append(step.processor)
    return ", ".join(names)


def _remaking(outputs: Sequence[Judged], usual: Seconds) -> dt.timedelta:
    """How long it usually takes to make everything that is made of raw tables, with something in reserve."""
    later = (item.owed for item in outputs if item.owed.phase > Phase.RAW)
    return dt.timedelta(seconds=sum(usual.get((owed.mode.value, owed.output), 0.0) for owed in later)) + RESERVE


def _of(item: Judged, runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run["processor"] == item.owed.output]


def _rests_until(item: Judged, runs: Sequence[Run], rules: HealPolicy) -> dt.datetime:
    """From when on an output may be tried again."""
    tried = attempts(item.owed.output, runs)
    if not tried:
        return min(item.since, item.owed.expected_by)
    ended: dt.datetime = tried[-1]["ended_at"] or tried[-1]["started_at"] + DEAD_AFTER
    return ended + rules.first_wait * 3 ** (len(tried) - 1)


def _said(run: Run) -> str:
    return f" ({str(run['error_message']).splitlines()[0]})" if run["error_message"] else ""
