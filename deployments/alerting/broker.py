"""The message broker of a Prefect server on SQLite, patient: an event that meets a locked database is not dropped.

Prefect's own broker for one machine hands an event to its automations from two tasks at once. On SQLite they lock each
other out, four tries in a row fail within a second, and the event goes to a file of dead letters: an alarm that never
goes off. This one takes events one by one and waits for the lock. It is chosen by

    PREFECT_MESSAGING_BROKER=deployments.alerting.broker

on servers with SQLite; with PostgreSQL it is not needed. An automation that had taken the event before the lock was met
sees it again: no message of ours is doubled by that, since each alert speaks once in its burst.
"""

from __future__ import annotations

import logging
from typing import Any

import anyio
from prefect.server.utilities.messaging import MessageHandler
from prefect.server.utilities.messaging.memory import (
    Cache,
    MemoryMessage,
    Publisher,
    break_topic,
    ephemeral_subscription,
)
from prefect.server.utilities.messaging.memory import Consumer as MemoryConsumer
from sqlalchemy.exc import OperationalError

__all__ = ["Cache", "Consumer", "Publisher", "break_topic", "ephemeral_subscription"]

logger = logging.getLogger(__name__)

EVENTS = "events"
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.02, 1.0
PATIENCE_SECONDS = 60.0


class Consumer(MemoryConsumer):
    """Prefect's consumer, one event at a time, patient with a locked database."""

    def __init__(self, topic: str, **named: Any) -> None:
        # Actions wait for other people's servers; only events wait for the database.
        super().__init__(topic, **({**named, "concurrency": 1} if topic == EVENTS else named))

    async def run(self, handler: MessageHandler) -> None:
        """Take events until told to stop."""

        async def patient(message: MemoryMessage) -> None:
            await _until_unlocked(handler, message)

        await super().run(patient)  # type: ignore[arg-type]


async def _until_unlocked(handler: MessageHandler, message: Any) -> None:
    wait, waited = FIRST_WAIT_SECONDS, 0.0
    while True:
        try:
            await handler(message)
            return
        except OperationalError as error:
            if "locked" not in str(error) or waited >= PATIENCE_SECONDS:
                raise
            logger.debug("the database is locked, waiting %.2f s", wait)
        await anyio.sleep(wait)
        waited += wait
        wait = min(2 * wait, LONGEST_WAIT_SECONDS)
