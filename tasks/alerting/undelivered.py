"""Which alarms went off without their message having arrived, from the server's own record of events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from uuid import UUID

from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import Automation
from prefect.events.schemas.events import ReceivedEvent
from prefect.server.events.jinja_filters import all_filters
from prefect.server.events.schemas.events import ReceivedEvent as ServerEvent
from prefect.server.utilities.user_templates import (
    TemplateRenderError,
    register_user_template_filters,
    render_user_template_sync,
)
from pydantic import Field

from blocks.alerts import MOST_IN_BODY, MOST_IN_SUBJECT
from tasks.engine.plan import Frozen

TRIGGERED = "prefect.automation.triggered"
EXECUTED = "prefect.automation.action.executed"
NOTIFICATION = "send-notification"


class Undelivered(Frozen):
    """An alarm of ours whose message has not arrived. Its id, that of the alarm's event, is the message's for good."""

    id: str
    automation: Automation
    triggered: dt.datetime
    cause: ServerEvent | None = Field(description="The event that set it off.")

    @property
    def block(self) -> UUID:
        """The id of the channel's block."""
        return self._action.block_document_id

    @property
    def _action(self) -> SendNotification:
        return next(action for action in self.automation.actions if isinstance(action, SendNotification))

    def message(self, objects: Mapping[str, object]) -> tuple[str, str]:
        """Subject and body as the server would have filled them in; `objects` are those that the cause is about.

        A template that fails is no reason for silence: then the message says which alarm it was and what failed.
        """
        register_user_template_filters(dict(all_filters))
        context = {"event": self.cause, "automation": self.automation, **objects}
        try:
            subject = render_user_template_sync(self._action.subject, context)
            body = render_user_template_sync(self._action.body, context)
        except TemplateRenderError as error:
            subject, body = self.automation.name, f"The message could not be filled in: {error.error!r}"
        return f":hourglass: Delayed {subject}"[:MOST_IN_SUBJECT], body[:MOST_IN_BODY]


def undelivered(
    automations: Iterable[Automation],
    events: Iterable[ReceivedEvent],
    delivered: Iterable[str],
) -> list[Undelivered]:
    """Alarms of these automations, oldest first, with neither a message of the server's nor one `delivered` since."""
    notifying = {
        f"prefect.automation.{item.id}": item
        for item in automations
        if any(isinstance(action, SendNotification) for action in item.actions)
    }
    events = list(events)
    done = {*delivered, *(alarm for event in events for alarm in _sent_for(event))}
    return [
        Undelivered(
            id=str(event.id),
            automation=notifying[event.resource.id],
            triggered=event.occurred,
            cause=_cause(event),
        )
        for event in sorted(events, key=lambda item: item.occurred)
        if event.event == TRIGGERED and event.resource.id in notifying and str(event.id) not in done
    ]


def _sent_for(event: ReceivedEvent) -> Iterable[str]:
    """The alarms that this event says a message was sent for."""
    if event.event != EXECUTED or event.payload.get("action_type") != NOTIFICATION:
        return []
    return [item.id.rpartition(".")[2] for item in event.related if item.role == "automation-triggered-event"]


def _cause(event: ReceivedEvent) -> ServerEvent | None:
    cause = event.payload.get("triggering_event")
    return ServerEvent.model_validate(cause) if cause else None
