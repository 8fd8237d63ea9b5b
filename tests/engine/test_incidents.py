"""Incidents: one vocabulary that the runbook knows, edges that are told once, words that a person reads."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from prefect.events.schemas.events import Event
from pydantic import ValidationError

from tasks.engine.incidents import OPENED, RESOLVED, RUNBOOK, Incident, IncidentKind, event_of, in_new_york
from tasks.engine.ledger import State
from tasks.engine.processor import Mode

REPOSITORY = Path(__file__).parents[2]
SINCE = dt.datetime(2025, 12, 29, 18, 0, tzinfo=dt.UTC)


def stuck(**changes: object) -> Incident:
    values: dict[str, object] = {
        "kind": IncidentKind.PHASE_STUCK,
        "subject": "precompute",
        "mode": Mode.SAME_DAY,
        "game_day": dt.date(2025, 12, 29),
        "what": 'ml_feature_store is EXPECTED\nplayer_composite_factors is "FAILED"',
        "since": SINCE,
        "impact": "11 games, 342 players; 30 minutes to the deadline",
        "next_step": "look at the worker of the pool precompute",
    }
    return Incident.model_validate({**values, **changes})


STATES = [f"state-{state.lower().replace('_', '-')}" for state in State]


def test_every_kind_and_every_state_has_its_entry_in_the_runbook_and_no_entry_is_of_nothing() -> None:
    entries = re.findall(r"^## (.+)$", (REPOSITORY / RUNBOOK).read_text(), re.MULTILINE)
    assert sorted(entries) == sorted([*IncidentKind, *STATES])


@pytest.mark.parametrize("name", [*IncidentKind, *STATES])
def test_every_entry_says_what_it_means_how_to_see_it_and_what_to_do(name: str) -> None:
    text = (REPOSITORY / RUNBOOK).read_text()
    entry = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
    for heading in ("**Means.**", "**See.**", "**Do.**"):
        assert len(entry.split(heading)[1].split("**")[0].split()) >= 3


def test_opening_and_resolution_are_of_one_resource() -> None:
    opened, resolved = event_of(stuck(), True), event_of(stuck(what="all there"), False)
    assert (opened.event, resolved.event) == (OPENED, RESOLVED)
    assert opened.resource["prefect.resource.id"] == resolved.resource["prefect.resource.id"]
    assert opened.resource["prefect.resource.id"] == ("courtside.incident.phase-stuck.same_day.2025-12-29.precompute")


def test_an_edge_that_is_told_again_is_the_same_event() -> None:
    first = event_of(stuck(), True)
    again = event_of(stuck(what="still not there", since=SINCE.astimezone(dt.timezone(dt.timedelta(hours=-5)))), True)
    assert again.id == first.id


@pytest.mark.parametrize(
    "other",
    [
        {"since": SINCE + dt.timedelta(hours=3)},
        {"subject": "analytics"},
        {"mode": Mode.OVERNIGHT},
        {"game_day": dt.date(2025, 12, 30)},
        {"kind": IncidentKind.OUTPUT_LATE},
    ],
)
def test_another_incident_is_another_event(other: dict[str, object]) -> None:
    assert event_of(stuck(**other), True).id != event_of(stuck(), True).id
    assert event_of(stuck(), False).id != event_of(stuck(), True).id


def test_an_event_is_one_that_prefect_takes() -> None:
    told = event_of(stuck(), True)
    event = Event.model_validate({**told.model_dump(), "occurred": SINCE})
    assert event.id == told.id
    assert event.payload["what"] == stuck().what


def test_the_payload_has_what_the_message_says() -> None:
    payload = event_of(stuck(), True).payload
    assert payload["title"] == "Phase stuck: same_day, precompute (2025-12-29)"
    assert payload["since"] == "Mon Dec 29, 1:00 PM ET"
    assert payload["runbook"] == "docs/runbook.md#phase-stuck"
    assert {"what", "impact", "next_step", "since_utc", "kind", "mode", "game_day"} <= payload.keys()


def test_a_subject_of_any_letters_makes_a_plain_resource() -> None:
    incident = stuck(subject="daily/same-day: Größe, 3rd!", mode=None, game_day=None)
    assert incident.resource_id == "courtside.incident.phase-stuck.daily-same-day-Gr-e-3rd"


@pytest.mark.parametrize("wrong", [{"since": SINCE.replace(tzinfo=None)}, {"what": ""}, {"subject": ""}])
def test_an_incident_without_words_or_zone_is_none(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        stuck(**wrong)


def test_new_york_is_right_on_both_sides_of_the_year() -> None:
    assert in_new_york(dt.datetime(2026, 7, 4, 16, 5, tzinfo=dt.UTC)) == "Sat Jul 4, 12:05 PM ET"
    assert in_new_york(dt.datetime(2026, 1, 4, 5, 0, tzinfo=dt.UTC)) == "Sun Jan 4, 12:00 AM ET"
