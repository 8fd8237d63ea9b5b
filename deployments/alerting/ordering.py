"""The causal ordering of a Prefect server that keeps it in memory: it does not wait for what a restart has swallowed.

An event that follows another waits for it, up to 15 minutes, before any automation hears of it. Prefect's own ordering
forgets at a restart which events it has had, so the first event of everything that was under way, a run that fails or
a message that is confirmed, is held back as if its predecessor were still to come. It is chosen by

    PREFECT_SERVER_EVENTS_CAUSAL_ORDERING=deployments.alerting.ordering

on a server of one process, with either database; several processes keep their ordering in Redis, which remembers.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from prefect.server.events.ordering.memory import CausalOrdering as MemoryOrdering
from prefect.server.events.schemas.events import ReceivedEvent

STARTED = dt.datetime.now(dt.UTC)  # the server loads this module with its first event


class CausalOrdering(MemoryOrdering):
    """Prefect's ordering, without waiting for events from before this server was started."""

    async def wait_for_leader(self, event: ReceivedEvent) -> None:
        """Return at once if the event that this one follows is of an earlier life of the server."""
        made = _made(event.follows) if event.follows else None
        if made is None or made >= STARTED:
            await super().wait_for_leader(event)


def _made(event_id: UUID) -> dt.datetime | None:
    """When an id was made, if it says so: Prefect's are of version 7, which begins with the milliseconds."""
    if event_id.version != 7:
        return None
    return dt.datetime.fromtimestamp((event_id.int >> 80) / 1000, dt.UTC)
