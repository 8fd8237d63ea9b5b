"""Incidents: what a person is told about, in one vocabulary, and the event by which the alert path hears of it.

Whoever observes an incident (watch, self-heal, validation) makes an `Incident` and sends `event_of` it. The kinds that
begin with run-, pool-, deployment- and integrity- are seen by the server. Every kind has its entry in docs/runbook.md.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, Field

from tasks.engine.plan import EASTERN, Frozen
from tasks.engine.processor import Mode

OPENED = "courtside.incident.opened"
RESOLVED = "courtside.incident.resolved"
RUNBOOK = "docs/runbook.md"
_EDGES = uuid.UUID("6f6c1a52-0f0e-4c0e-9d55-0e5f2b1d3a07")  # the name space of event ids


class IncidentKind(StrEnum):
    """What can go wrong, as alerts and the runbook call it."""

    DEADLINE_MISSED = "deadline-missed"
    DEADLINE_AT_RISK = "deadline-at-risk"
    PHASE_STUCK = "phase-stuck"
    OUTPUT_LATE = "output-late"
    OUTPUT_PARTIAL = "output-partial"
    OUTPUT_FAILED = "output-failed"
    VALIDATION_FAILED = "validation-failed"
    HEAL_EXHAUSTED = "heal-exhausted"
    BREAKER_OPEN = "breaker-open"
    LEDGER_UNREADABLE = "ledger-unreadable"
    SCHEDULE_UNKNOWN = "schedule-unknown"

    RUN_LATE = "run-late"
    RUN_STILL_LATE = "run-still-late"
    RUN_NEVER_STARTED = "run-never-started"
    RUN_OVERRUNNING = "run-overrunning"
    RUN_ZOMBIE = "run-zombie"
    RUN_FAILED = "run-failed"
    INTEGRITY_BLOCKED = "integrity-blocked"
    POOL_NOT_READY = "pool-not-ready"
    DEPLOYMENT_EDITED = "deployment-edited"
    ALERT_UNDELIVERED = "alert-undelivered"
    HEARTBEAT_ABSENT = "heartbeat-absent"

    @property
    def heading(self) -> str:
        """The kind as people read it: "Deadline missed"."""
        return self.value.replace("-", " ").capitalize()

    @property
    def runbook(self) -> str:
        """Where the runbook says what to do about it, as a path in the repository with its anchor."""
        return f"{RUNBOOK}#{self.value}"


class Incident(Frozen):
    """One thing that a person should act on. What one cause broke is one incident: list it in `what`."""

    kind: IncidentKind
    subject: str = Field(min_length=1, description="What it is about: a phase, a table, a run. Stable while it lasts.")
    mode: Mode | None = Field(None, description="The mode it is about, if any.")
    game_day: dt.date | None = Field(None, description="The game day it is about, if any.")
    what: str = Field(min_length=1, description="What is wrong, in a sentence or a few lines.")
    since: AwareDatetime = Field(description="When it began. The same at every observation of one incident.")
    impact: str = Field(min_length=1, description="Games and players affected, minutes to the deadline.")
    next_step: str = Field(min_length=1, description="What to do now: a command, or where to look.")

    @property
    def resource_id(self) -> str:
        """Names the incident for as long as it lasts: opening and resolution meet here."""
        parts = (self.kind, self.mode, self.game_day, _slug(self.subject))
        return "courtside.incident." + ".".join(str(part) for part in parts if part is not None)


class IncidentEvent(Frozen):
    """An event as Prefect takes it: `Event(**value.model_dump(exclude={"occurred"}), occurred=..., related=[])`.

    Its id is the same whenever the same edge is told again: the server takes an id once, so a watch that repeats itself
    raises no second alarm.
    """

    id: uuid.UUID
    event: str
    resource: dict[str, str]
    payload: dict[str, Any]


def event_of(incident: Incident, opened: bool) -> IncidentEvent:
    """The event that says that an incident has opened, or that it is over."""
    event = OPENED if opened else RESOLVED
    about = {
        "courtside.kind": incident.kind.value,
        "courtside.subject": incident.subject,
        "courtside.mode": incident.mode.value if incident.mode else "",
        "courtside.game-day": incident.game_day.isoformat() if incident.game_day else "",
    }
    return IncidentEvent(
        id=uuid.uuid5(_EDGES, f"{event} {incident.resource_id} {incident.since.astimezone(dt.UTC).isoformat()}"),
        event=event,
        resource={
            "prefect.resource.id": incident.resource_id,
            "prefect.resource.name": f"{incident.kind.heading}: {incident.subject}",
            **about,
        },
        payload={
            "title": _title(incident),
            "what": incident.what,
            "since": in_new_york(incident.since),
            "since_utc": incident.since.astimezone(dt.UTC).isoformat(),
            "impact": incident.impact,
            "next_step": incident.next_step,
            "kind": incident.kind.value,
            "mode": about["courtside.mode"],
            "game_day": about["courtside.game-day"],
            "runbook": incident.kind.runbook,
        },
    )


def in_new_york(instant: dt.datetime) -> str:
    """An instant as people in the league say it: "Mon Dec 29, 1:30 PM ET"."""
    local = instant.astimezone(EASTERN)
    return f"{local:%a %b} {local.day}, {local:%I:%M %p} ET".replace(", 0", ", ")


def _title(incident: Incident) -> str:
    day = f" ({incident.game_day})" if incident.game_day else ""
    mode = f"{incident.mode}, " if incident.mode else ""
    return f"{incident.kind.heading}: {mode}{incident.subject}{day}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")
