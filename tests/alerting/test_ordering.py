"""What follows an event from before a restart is heard at once; what overtakes its predecessor still waits."""

from __future__ import annotations

import datetime as dt
from uuid import UUID, uuid4

import anyio
import pytest
from prefect.server.events.ordering import CausalOrderingModule, EventArrivedEarly
from prefect.server.events.schemas.events import ReceivedEvent

from deployments.alerting import ordering

SECOND = dt.timedelta(seconds=1)


def made_at(instant: dt.datetime) -> UUID:
    """An id of version 7, as Prefect gives to states and events."""
    milliseconds = int(instant.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | uuid4().int & (1 << 62) - 1)


def heard(follows: UUID | None, *before: UUID) -> bool:
    """Whether automations hear of an event that follows another; `before` are those that have been heard of."""
    order = ordering.CausalOrdering(f"test {uuid4()}")
    now = dt.datetime.now(dt.UTC)

    def event(id: UUID, follows: UUID | None) -> ReceivedEvent:
        value = {"event": "a.b", "occurred": now, "received": now, "resource": {"prefect.resource.id": "x"}}
        return ReceivedEvent.model_validate({**value, "id": id, "follows": follows})

    async def evaluate(item: ReceivedEvent, depth: int = 0) -> None:
        async with order.preceding_event_confirmed(evaluate, item, depth):
            pass

    async def all_of_them() -> None:
        for id in before:
            await evaluate(event(id, None))
        await evaluate(event(uuid4(), follows))

    try:
        anyio.run(all_of_them)
    except EventArrivedEarly:
        return False
    return True


def test_an_event_that_follows_one_from_before_the_restart_is_heard_at_once() -> None:
    assert heard(made_at(ordering.STARTED - SECOND))


def test_an_event_that_has_overtaken_its_predecessor_waits_for_it() -> None:
    follows = made_at(ordering.STARTED + SECOND)
    assert not heard(follows)
    assert heard(follows, follows)


@pytest.mark.parametrize(("follows", "expected"), [(None, True), (uuid4(), False)])
def test_an_id_that_tells_no_time_is_treated_as_prefect_does(follows: UUID | None, expected: bool) -> None:
    assert heard(follows) is expected


def test_a_server_takes_it_for_an_ordering() -> None:
    assert isinstance(ordering, CausalOrderingModule)
