"""How a flow tells the server of an incident: one event per edge, confirmed; automations turn it into messages."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any
from uuid import UUID

from prefect.events.clients import get_events_client
from prefect.events.schemas.events import Event, RelatedResource, Resource
from prefect.runtime import flow_run
from prefect.types import DateTime
from pydantic import TypeAdapter

from flows.narration import narrate
from tasks.engine.incidents import Incident, event_of

ANSWER_WITHIN_S = 30


def tell(incident: Incident, opened: bool, occurred: dt.datetime) -> None:
    """Send the event that an incident has opened or is over, and wait until the server has it. Raises if it has not."""
    value = event_of(incident, opened)
    send(value.event, value.resource, value.payload, occurred, value.id)
    narrate(value.resource["prefect.resource.name"], "opened" if opened else "resolved", incident.what)


def send(
    event: str, resource: Mapping[str, str], payload: Mapping[str, Any], occurred: dt.datetime, id: UUID | None = None
) -> None:
    """Send one event and wait until the server has it. The same id is taken once, however often it is sent."""
    value = Event(
        event=event,
        occurred=TypeAdapter(DateTime).validate_python(occurred),
        resource=Resource(dict(resource)),
        related=_this_run(),
        payload=dict(payload),
        **({"id": id} if id is not None else {}),
    )

    async def deliver() -> None:
        async with get_events_client(reconnection_attempts=1, checkpoint_every=1) as client:
            await client.emit(value)

    # A flow may or may not be inside a running event loop: a thread suits both.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(copy_context().run, asyncio.run, deliver()).result(timeout=ANSWER_WITHIN_S)


def _this_run() -> list[RelatedResource]:
    run_id = flow_run.get_id()
    if run_id is None:
        return []
    return [RelatedResource({"prefect.resource.id": f"prefect.flow-run.{run_id}", "prefect.resource.role": "flow-run"})]
