"""A backfill's periods as runs of their own, on whatever workers their pool has: processes, Cloud Run jobs or pods.

Each is the deployment `backfill/part`, a backfill like any other, with no more than its own days to do.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling
from pydantic_core import to_jsonable_python

from flows.execution import TRIES
from flows.narration import narrate
from flows.workers import WorkersError

PART = "backfill/part"
POLL_SECONDS = 2.0

Span = tuple[dt.date, dt.date]


def ended_parts(
    spans: Sequence[Span], parameters: Mapping[str, Any], at_once: int, key: str
) -> Iterator[tuple[Span, FlowRun]]:
    """Each span's run once it is in a final state, in that order; never more than `at_once` are open.

    A run that crashed because its machine went away is started once more. Runs that are still open when the caller
    stops are cancelled. `key` names the caller: asking again after a lost answer finds the same run. Raises
    WorkersError where the server has no such deployment.
    """
    waiting = [(span, 1) for span in reversed(spans)]
    open_runs: dict[UUID, tuple[Span, int]] = {}
    try:
        while waiting or open_runs:
            while waiting and len(open_runs) < at_once:
                span, attempt = waiting.pop()
                open_runs[_started(span, attempt, parameters, key).id] = (span, attempt)
            for run in _final(open_runs):
                span, attempt = open_runs.pop(run.id)
                if run.state_type == StateType.CRASHED and attempt < TRIES:
                    narrate(f"{span[0]} to {span[1]}", "crashed", f"{run.name}: once more")
                    waiting.append((span, attempt + 1))
                else:
                    yield span, run
    finally:
        _cancel(open_runs)


def _started(span: Span, attempt: int, parameters: Mapping[str, Any], key: str) -> FlowRun:
    first, last = span
    try:
        run = run_deployment(
            PART,
            parameters=to_jsonable_python({**parameters, "start": first, "end": last}),
            timeout=0,
            idempotency_key=f"{key}/{first}/{attempt}",
        )
    except ObjectNotFound as error:
        raise WorkersError(f"the server has no deployment {PART}: `make up`, or deployments.register, first") from error
    assert isinstance(run, FlowRun)
    narrate(f"{first} to {last}", "given out", run.name)
    return run


def _final(open_runs: Mapping[UUID, object]) -> list[FlowRun]:
    """Those that have come to their end, after a moment for them to do so."""
    time.sleep(POLL_SECONDS)
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(open_runs))))
    return [run for run in found if run.state is not None and run.state.is_final()]


def _cancel(open_runs: Mapping[UUID, object]) -> None:
    with get_client(sync_client=True) as client:
        for run in open_runs:
            client.set_flow_run_state(run, Cancelling(message="the backfill that asked for it has ended"))
