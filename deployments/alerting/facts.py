"""What a Prefect server knows of a run that is late, gathered for tasks/alerting/lateness.py."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter

from deployments.integrity.events import WORKER_ATTESTED, WORKER_BLOCKED
from tasks.alerting.lateness import Facts, Slots

REFUSALS_COUNT_FOR = dt.timedelta(hours=24)  # the guard says the same refusal once a day


def facts_of(client: SyncPrefectClient, flow_run_id: UUID, now: dt.datetime) -> Facts:
    """The facts about one run. Raises ObjectNotFound if the run, its deployment or its pool is gone."""
    run = client.read_flow_run(flow_run_id)
    if run.deployment_id is None or run.work_pool_name is None:
        raise ValueError(f"run {flow_run_id} is of no deployment with a work pool: no worker is to take it")
    deployment = client.read_deployment(run.deployment_id)
    pool = client.read_work_pool(run.work_pool_name)
    queue = client.read_work_queue_by_name(run.work_queue_name or "default", run.work_pool_name)
    workers = client.read_workers_for_work_pool(pool.name)
    limit = pool.concurrency_limit
    return Facts(
        state=run.state.name if run.state and run.state.name else "unknown",
        pool=pool.name,
        queue=queue.name,
        workers=sum(worker.status == "ONLINE" for worker in workers),
        deployment_paused=deployment.paused,
        pool_paused=bool(pool.is_paused),
        queue_paused=bool(queue.is_paused),
        refused=_refusal(client, pool.name, now),
        pool_slots=Slots(limit=limit, used=_in_progress(client, pool.name)) if limit is not None else None,
        deployment_slots=_slots(deployment),
    )


def _slots(deployment: DeploymentResponse) -> Slots | None:
    limit = deployment.global_concurrency_limit
    return Slots(limit=limit.limit, used=limit.active_slots) if limit else None


def _in_progress(client: SyncPrefectClient, pool: str) -> int:
    busy = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    return len(
        client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=busy)),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
        )
    )


def _refusal(client: SyncPrefectClient, pool: str, now: dt.datetime) -> str | None:
    """What the guard has said against a worker of the pool, unless one has proved itself since."""
    wanted = EventFilter(
        event=EventNameFilter(name=[WORKER_BLOCKED, WORKER_ATTESTED]),
        resource=EventResourceFilter(id=[f"integrity.pool.{pool}"]),
        occurred=EventOccurredFilter(since=now - REFUSALS_COUNT_FOR),
    )
    newest = next(iter(client.read_events(wanted, limit=1).events), None)
    if newest is None or newest.event == WORKER_ATTESTED:
        return None
    return f"Expected {newest.payload.get('expected')}, found {newest.payload.get('found')}."
