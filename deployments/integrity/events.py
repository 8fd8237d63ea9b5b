"""The guard's events on the Prefect server: sent at once and confirmed.

A worker's refusal and its draining are told once per release, pool and day, for a supervisor restarts it for ever. Its
attestation is told at each start, at most once in ten minutes, and always again after a refusal: it ends the alarm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any

from .guard import Connect, Question, Verdict, connect
from .release import Site

WORKER_BLOCKED = "integrity.worker.blocked"
WORKER_ATTESTED = "integrity.worker.attested"
WORKER_DRAINING = "integrity.worker.draining"
RUN_BLOCKED = "integrity.run.blocked"
RUN_ATTESTED = "integrity.run.attested"
OVERRIDE_USED = "integrity.override.used"
REGISTRY_UNREACHABLE = "integrity.registry.unreachable"

ATTESTED_EVERY = timedelta(minutes=10)


def resource_of(question: Question, verdict: Verdict) -> dict[str, str]:
    """The event's resource: the pool or role that was asked about, with the identities as labels."""
    name = f"pool.{question.pool}" if question.pool else f"{question.project}.{question.role}"
    labels = {f"integrity.{key}": value for key, value in verdict.identities().items()}
    return {"prefect.resource.id": f"integrity.{name}", "prefect.resource.name": str(question), **labels}


def emit(
    event: str,
    resource: Mapping[str, str],
    payload: Mapping[str, Any],
    occurred: datetime,
    related: list[dict[str, str]] | None = None,
) -> None:
    """Send one event and wait until the server has it; raises what the client raises."""
    from prefect.events.clients import get_events_client
    from prefect.events.schemas.events import Event, RelatedResource, Resource

    value = Event(
        event=event,
        occurred=occurred,
        resource=Resource(dict(resource)),
        related=[RelatedResource(item) for item in related or []],
        payload=dict(payload),
    )

    async def send() -> None:
        async with get_events_client(reconnection_attempts=1, checkpoint_every=1) as client:
            await client.emit(value)

    # Callers may be inside a running event loop (worker, flow) or not (pull step): a thread suits both.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(copy_context().run, asyncio.run, send()).result(timeout=15)  # with the caller's settings


def emit_once(
    site: Site,
    event: str,
    question: Question,
    verdict: Verdict,
    occurred: datetime,
    connect: Connect = connect,
) -> bool:
    """Emit unless the same was emitted for this release lately, from whatever machine. Says whether it was sent.

    Lately is the same UTC day, for an attestation the same ten minutes without a refusal in between. If sending fails
    the claim is given back and the error raised.
    """
    found = verdict.envelope.digest if verdict.envelope else "unsigned"
    lately = _ten_minutes(occurred) if event == WORKER_ATTESTED else occurred.date().isoformat()
    occasion = f"{event} {question} {found} {lately}"
    attested = f"{WORKER_ATTESTED} {question} {_ten_minutes(occurred)}"
    with connect(site) as registry:
        if not registry.claim(occasion, attested if event == WORKER_ATTESTED else None):
            return False
        try:
            if event != WORKER_ATTESTED:
                registry.release_claims(attested)
            emit(
                event,
                resource_of(question, verdict),
                {**verdict.identities(), **verdict.report.to_dict()},
                occurred,
            )
        except Exception:
            registry.release_claim(occasion)
            raise
    return True


def _ten_minutes(at: datetime) -> str:
    """The ten minutes of the UTC day that an instant lies in."""
    return f"{at.date().isoformat()}.{(at.hour * 60 + at.minute) * 60 // int(ATTESTED_EVERY.total_seconds()):03d}"


def tell(site: Site, event: str, question: Question, verdict: Verdict, occurred: datetime) -> str:
    """Emit once and say what became of it. It never raises: a refusal stands without its event."""
    try:
        sent = emit_once(site, event, question, verdict, occurred)
    except Exception as error:  # the events client raises what its websocket library raises
        return f"event {event} could not be sent: {type(error).__name__}: {error}"
    before = "in these ten minutes" if event == WORKER_ATTESTED else "today"
    return f"event {event} sent" if sent else f"event {event} was sent before {before}"
