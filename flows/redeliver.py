"""Redeliver: what did not reach its channel is sent again until it arrives, each message once."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import ArtifactSort
from prefect.events.filters import (
    AutomationFilter,
    AutomationFilterTags,
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
)
from prefect.events.schemas.automations import Automation
from prefect.events.schemas.events import ReceivedEvent
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from pydantic import Field

from blocks.alerts import OWNER, REDELIVERED, AlertChannelError, probe
from flows.alarm import send
from flows.narration import narrate
from flows.run import utc_now
from tasks.alerting.undelivered import EXECUTED, TRIGGERED, Undelivered, undelivered
from tasks.engine.incidents import in_new_york

GRACE = dt.timedelta(seconds=60)  # the server itself tries four times, ten seconds each
MEMORY = dt.timedelta(hours=24)  # what is older is history, not news
EVENTS_A_PAGE = 50  # as many as a server gives
TRIES, SECONDS_BETWEEN = 90, 60  # an hour and a half; what still waits then sets off the next run
SECONDS_TO_GIVE_WAY = 30


@flow(name="redeliver", flow_run_name="redeliver", retries=TRIES, retry_delay_seconds=SECONDS_BETWEEN)
def redeliver(
    grace_seconds: Annotated[
        float, Field(ge=0, description="How long the server itself may take to deliver.")
    ] = GRACE.total_seconds(),
) -> list[str]:
    """Send every message of the last day that did not arrive. Returns the alarms' ids; raises while any still waits.

    A message counts as delivered once its artifact exists, so a run that dies goes on where it was. Only one that dies
    between the channel's answer and the artifact, milliseconds, would send that message again.
    """
    with get_client(sync_client=True) as client:
        _be_alone(client)
        waiting = _waiting(client)
        due = [item for item in waiting if utc_now() - item.triggered >= dt.timedelta(seconds=grace_seconds)]
        refused = [str(error) for item in due if (error := _deliver(client, item))]
    narrate("alerts", "redelivered", f"{len(due) - len(refused)} of {len(waiting)} messages")
    if refused:
        raise AlertChannelError(f"{len(refused)} of {len(waiting)} messages still wait: {refused[0]}")
    if len(due) < len(waiting):
        raise AlertChannelError(f"{len(waiting) - len(due)} alarms have just gone off, and may yet be delivered")
    return [item.id for item in due]


def _be_alone(client: SyncPrefectClient) -> None:
    """Raise if another run is sending: two at once would send the same messages.

    The deployment's limit does not see to it: a run that waits for its next try holds no place. Each run looks when the
    server knows that it runs, so of two at least one sees the other. The one that was made later gives way, to look
    again at its next try; the earlier one waits until it has.
    """
    mine = client.read_flow_run(UUID(str(flow_run.get_id())))
    patience = time.monotonic() + SECONDS_TO_GIVE_WAY
    while others := [run for run in _running(client) if run.id != mine.id]:
        if time.monotonic() > patience or any(_made(run) < _made(mine) for run in others):
            raise AlertChannelError("another run is sending what did not arrive; this one looks again in a minute")
        time.sleep(1)


def _running(client: SyncPrefectClient) -> list[FlowRun]:
    at_work = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))
    return client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[redeliver.name])),
        flow_run_filter=FlowRunFilter(state=at_work),
    )


def _made(run: FlowRun) -> tuple[dt.datetime, UUID]:
    assert run.created is not None
    return run.created, run.id


def _waiting(client: SyncPrefectClient) -> list[Undelivered]:
    found = list(_events(client, utc_now() - MEMORY))
    alarms = [_key(str(event.id)) for event in found if event.event == TRIGGERED]
    delivered = {key.removeprefix(_key("")) for key in _artifacts(client, alarms)}
    return undelivered(_automations(client), found, delivered)


def _deliver(client: SyncPrefectClient, item: Undelivered) -> AlertChannelError | None:
    """Send one message; the error if its channel does not take it: the others must not wait for it."""
    subject, body = item.message(_objects(client, item))
    block = Block._from_block_document(client.read_block_document(item.block, include_secrets=True))
    assert isinstance(block, NotificationBlock)
    try:
        probe(block, subject, body)
    except AlertChannelError as error:
        narrate("alerts", "refused", str(error))
        return error
    create_markdown_artifact(f"# {subject}\n\n{body}", key=_key(item.id), description=f"Delivered late: {subject}")
    resource = {
        "prefect.resource.id": f"prefect.automation.{item.automation.id}",
        "prefect.resource.name": item.automation.name,
    }
    send(REDELIVERED, resource, {"alarm": item.id, "due": in_new_york(item.triggered)}, utc_now())
    narrate("alerts", "delivered", subject)
    return None


def _key(alarm: str) -> str:
    return f"redelivered-{alarm}"


def _events(client: SyncPrefectClient, since: dt.datetime) -> Iterator[ReceivedEvent]:
    wanted = EventFilter(event=EventNameFilter(name=[TRIGGERED, EXECUTED]), occurred=EventOccurredFilter(since=since))
    page = client.read_events(wanted, limit=EVENTS_A_PAGE)
    yield from page.events
    while page.next_page:
        page = client.read_events_page(str(page.next_page))
        yield from page.events


def _automations(client: SyncPrefectClient) -> list[Automation]:
    ours = AutomationFilter(tags=AutomationFilterTags(all_=[OWNER]))
    return client.read_automations(automations=ours)


def _artifacts(client: SyncPrefectClient, keys: list[str]) -> list[str]:
    if not keys:
        return []
    found = client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=keys)), sort=ArtifactSort.ID_DESC
    )
    return [item.key for item in found if item.key]


def _objects(client: SyncPrefectClient, item: Undelivered) -> dict[str, object]:
    """What the alarm's event is about, as the server's templates call it; what is gone is None."""
    objects: dict[str, object] = {"variables": {item.name: item.value for item in client.read_variables()}}
    for resource in item.cause.involved_resources if item.cause else ():
        kind, _, id = resource.id.rpartition(".")
        name = kind.removeprefix("prefect.").replace("-", "_")
        if kind in _READERS and name not in objects:
            try:
                objects[name] = _READERS[kind](client, id, resource.get("prefect.resource.name") or "")
            except ObjectNotFound:
                objects[name] = None
    return objects


_READERS = {
    "prefect.flow-run": lambda client, id, _: client.read_flow_run(id),
    "prefect.flow": lambda client, id, _: client.read_flow(id),
    "prefect.deployment": lambda client, id, _: client.read_deployment(id),
    "prefect.work-pool": lambda client, _, name: client.read_work_pool(name),
    "prefect.work-queue": lambda client, id, _: client.read_work_queue(id),
}
