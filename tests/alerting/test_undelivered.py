"""What did not arrive is found in the server's own record: nothing twice, nothing of others."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.events.schemas.automations import Automation
from prefect.events.schemas.events import ReceivedEvent

from tasks.alerting.undelivered import EXECUTED, TRIGGERED, undelivered
from tests.alerting.declared import declared

NOW = dt.datetime(2025, 12, 29, 18, 0, tzinfo=dt.UTC)
INCIDENT = Automation.model_validate({**declared("incident").model_dump(mode="json"), "id": str(uuid4())})
HEALING = Automation.model_validate(
    {**declared("self-heal after a failed run").model_dump(mode="json"), "id": str(uuid4())}
)


def alarm(number: int, age: float = 120, automation: UUID = INCIDENT.id, cause: dict[str, Any] | None = None) -> Any:
    return ReceivedEvent.model_validate(
        {
            "id": UUID(int=number),
            "event": TRIGGERED,
            "occurred": NOW - dt.timedelta(seconds=age),
            "received": NOW,
            "resource": {"prefect.resource.id": f"prefect.automation.{automation}"},
            "payload": {"triggering_event": cause},
        }
    )


def executed(number: int, action: str = "send-notification") -> Any:
    related = {
        "prefect.resource.id": f"prefect.event.{UUID(int=number)}",
        "prefect.resource.role": "automation-triggered-event",
    }
    return ReceivedEvent.model_validate(
        {
            "id": uuid4(),
            "event": EXECUTED,
            "occurred": NOW,
            "received": NOW,
            "resource": {"prefect.resource.id": f"prefect.automation.{INCIDENT.id}"},
            "related": [related],
            "payload": {"action_type": action},
        }
    )


def waiting(*events: Any, delivered: list[str] | None = None) -> list[int]:
    found = undelivered([INCIDENT, HEALING], events, delivered or [])
    return [UUID(item.id).int for item in found]


def test_an_alarm_without_a_message_waits_oldest_first() -> None:
    assert waiting(alarm(2, age=90), alarm(1, age=300)) == [1, 2]


@pytest.mark.parametrize("order", [1, -1])
def test_an_alarm_whose_message_was_sent_does_not_wait(order: int) -> None:
    assert waiting(*[alarm(1), executed(1), alarm(2)][::order]) == [2]


def test_another_action_of_the_alarm_is_not_its_message() -> None:
    assert waiting(alarm(1), executed(1, "run-deployment")) == [1]


def test_what_was_delivered_since_does_not_wait() -> None:
    assert waiting(alarm(1), alarm(2), delivered=[str(UUID(int=1))]) == [2]


def test_automations_of_others_and_those_that_tell_nobody_are_none_of_its_business() -> None:
    assert waiting(alarm(1, automation=uuid4()), alarm(2, automation=HEALING.id)) == []


CAUSE = {
    "id": str(uuid4()),
    "event": "courtside.incident.opened",
    "occurred": NOW.isoformat(),
    "received": NOW.isoformat(),
    "resource": {"prefect.resource.id": "courtside.incident.phase-stuck.x"},
    "payload": {"title": "Phase stuck", "what": "a < b", "since": "noon", "kind": "phase-stuck"},
}


def test_the_message_is_the_one_that_did_not_arrive() -> None:
    (item,) = undelivered([INCIDENT], [alarm(1, cause=CAUSE)], [])
    subject, body = item.message({})
    assert subject == ":hourglass: Delayed :rotating_light: Phase stuck"
    assert body.startswith("a &lt; b\n*Since* noon")
    assert item.block == INCIDENT.actions[0].block_document_id


def test_a_template_that_fails_is_no_reason_for_silence() -> None:
    broken = INCIDENT.model_copy(deep=True)
    broken.actions[0].body = "{{ event.payload.what.no.such() }}"
    (item,) = undelivered([broken], [alarm(1, cause=CAUSE)], [])
    subject, body = item.message({})
    assert subject == ":hourglass: Delayed courtside: incident"
    assert "could not be filled in" in body
