"""Where a phase of a day runs: in the day's own process, or as a run of its own on its work pool.

The flow that asks for it is the same; the block `courtside-execution/default` on the server decides.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prefect import Flow, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.runtime import deployment
from prefect.states import Cancelling
from pydantic_core import to_jsonable_python

from blocks.execution import DOCUMENT, Execution
from deployments.integrity.finding import IntegrityError
from deployments.integrity.steps import WRONG_RELEASE
from flows.clock import pause, utc_now
from flows.narration import narrate
from flows.phases import Targets, told
from flows.release import accept, release_of
from flows.run import Run
from tasks.engine.ledger import State
from tasks.engine.plan import Step
from tasks.engine.runner import Outcome

PhaseCall = Callable[..., list[Outcome]]
Waits = Callable[[list[Step], Mapping[str, State]], bool]  # whether a gate would wait on for a phase in these states
POLL_SECONDS = 1.0
TRIES = 2  # a run that crashed because its machine went away is started once more; what failed by itself is not


def execution() -> Execution:
    """The setting for the current run. A run that no deployment made stays in its process, whatever a server says."""
    if deployment.get_id() is None:
        return Execution()
    try:
        found = Execution.load(DOCUMENT)
    except ValueError:  # a server without the setting: everything in one process
        return Execution()
    assert isinstance(found, Execution)
    return found


def placed(subflow: Flow[..., list[Outcome]], where: Execution, waits: Waits) -> PhaseCall:
    """The phase as something to call: the flow itself, or its run on a work pool that returns the same outcomes.

    A run on a pool is waited for as long as the phase's gate `waits`, by what the ledger has of it, and no longer than
    the setting says; then it is cancelled, and the day decides by what is there.
    """
    if subflow.name not in where.pools:
        return subflow

    def on_pool(run: Run, targets: Targets, steps: list[Step], **more: Any) -> list[Outcome]:
        given = to_jsonable_python({"run": run, "targets": targets, "steps": steps, **more})
        child = _run_on_pool(
            subflow.name,
            run,
            given,
            until=dt.timedelta(minutes=where.minutes),
            waits=lambda states: waits(steps, states),
        )
        if (other := _declined(run, child)) is not None:
            narrate(
                f"{subflow.name} on its pool", "declined", f"it is on {other} by now: done here, on this run's code"
            )
            return subflow(run, targets, steps, **more)
        outcomes = read_back(run, steps, child)
        for outcome in outcomes:
            narrate(outcome.processor, outcome.state.value, told(outcome))
        return outcomes

    return on_pool


def read_back(run: Run, steps: Iterable[Step], child: FlowRun) -> list[Outcome]:
    """What a phase that ran elsewhere came to, step by step, as the ledger has it: rows counted in the store.

    A step whose row is missing or still open has failed, with what became of the child as the reason. Nothing is
    taken from a child whose release is not ours: all its steps are blocked.
    """
    refusal = _refusal(run, child)
    if refusal is not None:
        return [_without_rows(step, State.BLOCKED, f"WrongRelease: {refusal}") for step in steps]
    rows = {row["processor"]: row for row in run.ledger.runs(run_id=run.run_id)}
    return [_outcome(step, rows.get(step.processor), _ended(child)) for step in steps]


def _run_on_pool(
    phase: str, run: Run, given: dict[str, Any], until: dt.timedelta, waits: Callable[[Mapping[str, State]], bool]
) -> FlowRun:
    """The child run at its end, or cancelled because it did not come to one in time."""
    attempt = 1
    while True:
        narrate(f"{phase} on its pool", "started", f"attempt {attempt} of {TRIES}")
        child = run_deployment(
            f"{phase}/{phase}",
            parameters=given,
            timeout=0,  # it is started, and waited for below
            # The same parent asking again, after a lost answer, gets the same child.
            idempotency_key=f"{run.run_id}/{phase}/{attempt}",
            tags=[run.mode.value, str(run.game_day)],
        )
        assert isinstance(child, FlowRun)
        child = _awaited(child, run, utc_now() + until, waits)
        narrate(f"{phase} on its pool", "ended", _ended(child))
        if child.state is None or not child.state.is_final():
            return _cancelled(child)
        if child.state.type != StateType.CRASHED or attempt == TRIES:
            return child
        attempt += 1


def _awaited(child: FlowRun, run: Run, until: dt.datetime, waits: Callable[[Mapping[str, State]], bool]) -> FlowRun:
    """The child when it has ended, or as it is when nobody waits for it any longer."""
    with get_client(sync_client=True) as client:
        while True:
            child = client.read_flow_run(child.id)
            if child.state is not None and child.state.is_final():
                return child
            if utc_now() >= until or not waits(_states_so_far(run)):
                return child
            pause(POLL_SECONDS)


def _states_so_far(run: Run) -> dict[str, State]:
    none: list[dict[str, Any]] = []
    rows = run.ledger.guarded("read states from", lambda: run.ledger.runs(run_id=run.run_id), none)
    return {row["processor"]: State(row["state"]) for row in rows}


def _cancelled(child: FlowRun) -> FlowRun:
    """The child, told to end: a phase that comes too late must not write after the day has gone on without it."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(child.id, Cancelling(message="the day's run no longer waits for it"))
        return client.read_flow_run(child.id)


def _declined(run: Run, child: FlowRun) -> str | None:
    """The release of a child that would not work for this run because its pool has gone on to another one.

    It declined before it wrote anything (flows/release.py), so a day that is under way when a release is rolled out
    ends on the code it began with: this process has all of it.
    """
    other = str(child.labels.get("integrity.release") or "")
    failed = child.state is not None and child.state.type == StateType.FAILED
    return other if failed and other and other != release_of(run.fingerprint) else None


def _refusal(run: Run, child: FlowRun) -> str | None:
    """Why nothing of a child may be used: the guard refused it, or it completed as another release than this run's."""
    state = child.state
    if state is not None and state.name == WRONG_RELEASE:
        return state.message or "the guard refused the run"
    if state is None or state.type != StateType.COMPLETED:
        return None  # what it did not do is not in the ledger, and is told so
    try:
        accept(run.fingerprint, child.labels)
    except IntegrityError as error:
        return str(error)
    return None


def _outcome(step: Step, row: dict[str, Any] | None, ended: str) -> Outcome:
    if row is None or row["state"] == State.RUNNING:
        what = "was never begun" if row is None else "was begun and not finished"
        return _without_rows(step, State.FAILED, f"PhaseRun: it {what}; {ended}")
    return Outcome(
        processor=step.processor,
        phase=step.phase,
        state=State(row["state"]),
        rows=row["rows_actual"] or 0,
        expected=row["rows_expected"],
        missing=tuple(row["missing_sample"] or ()),
        refused=row["rows_refused"] or 0,
        reasons=tuple(row["degraded_reasons"] or ()),
        error=f"{row['error_class']}: {row['error_message']}" if row["error_class"] else None,
        seconds=row["duration_s"] or 0.0,
    )


def _without_rows(step: Step, state: State, error: str) -> Outcome:
    return Outcome(processor=step.processor, phase=step.phase, state=state, error=error)


def _ended(child: FlowRun) -> str:
    """What became of a child run, for a person."""
    state = child.state
    what = f"{state.name}{f' ({state.message})' if state.message else ''}" if state else "without a state"
    return f"its run {child.name} is {what}"
