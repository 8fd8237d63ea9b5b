"""Triggers in the few forms that hold on a Prefect server, with the traps of the others kept out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture, SequenceTrigger
from prefect.events.schemas.events import ResourceSpecification

RUN = "prefect.resource.id"
POOL = "related:work-pool:prefect.resource.id"
DEPLOYMENT = "related:deployment:prefect.resource.id"
SUBJECT = "prefect.resource.id"  # of events whose resource is the thing itself: incident, pool, automation
TOGETHER = "courtside.together"  # a label that no event has: everything that a trigger matches is of one burst
TRIGGERED = "prefect.automation.triggered"

Labels = dict[str, str | list[str]]


def when(
    expect: Iterable[str], *, each: str, burst: dt.timedelta, match: Labels | None = None, related: Labels | None = None
) -> EventTrigger:
    """Fire at the first of these events, at once; then not again for the same `each` until `burst` is over."""
    return EventTrigger(
        posture=Posture.Reactive,
        expect=set(expect),
        for_each={each},
        threshold=1,
        within=burst,
        match=ResourceSpecification(match or {}),
        match_related=ResourceSpecification(related or {}),
    )


def over(
    after: Iterable[str],
    expect: Iterable[str],
    *,
    each: str,
    within: dt.timedelta,
    match: Labels | None = None,
    related: Labels | None = None,
) -> EventTrigger:
    """Fire once when one of `expect` follows one of `after`: the end of what those opened, and of nothing else."""
    return EventTrigger(
        posture=Posture.Reactive,
        after=set(after),
        expect=set(expect),
        for_each={each},
        threshold=1,
        within=within,
        match=ResourceSpecification(match or {}),
        match_related=ResourceSpecification(related or {}),
    )


def absent(
    after: Iterable[str],
    expect: Iterable[str],
    *,
    each: str,
    within: dt.timedelta,
    match: Labels | None = None,
    related: Labels | None = None,
) -> EventTrigger:
    """Fire once when none of `expect` has followed one of `after` in time.

    `each` is not optional: without it the server fires such a trigger again and again, whether or not `after` happened.
    """
    return EventTrigger(
        posture=Posture.Proactive,
        after=set(after),
        expect=set(expect),
        for_each={each},
        threshold=1,
        within=within,
        match=ResourceSpecification(match or {}),
        match_related=ResourceSpecification(related or {}),
    )


def then(opened: AutomationCore, ended: EventTrigger) -> SequenceTrigger:
    """Fire when `ended` has fired after the automation `opened` has: the twin of an absence.

    It keeps no key, so the two must be about one thing alone.
    """
    first = when({TRIGGERED}, each=SUBJECT, burst=dt.timedelta(0), match={"prefect.resource.name": opened.name})
    return SequenceTrigger(triggers=[first, ended], within=None)
