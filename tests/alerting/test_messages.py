"""Messages as the server fills them in, with its own template engine: complete, escaped, never failing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import WorkPool
from prefect.events.actions import SendNotification
from prefect.server.events.jinja_filters import all_filters
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.server.utilities.user_templates import register_user_template_filters, render_user_template_sync
from prefect.settings import PREFECT_UI_URL, temporary_settings

from blocks.alerts import MOST_IN_BODY, MOST_IN_SUBJECT, channel
from deployments.alerting.receiver import readable, refusal
from tasks.engine.incidents import Incident, IncidentKind, event_of
from tasks.engine.processor import Mode
from tests.alerting.declared import DECLARED, declared

AT = dt.datetime(2025, 12, 29, 17, 31, tzinfo=dt.UTC)
NOTIFICATIONS = [item for item in DECLARED if isinstance(item.actions[0], SendNotification)]


@pytest.fixture(scope="module", autouse=True)
def server_of_templates() -> Iterator[None]:
    """What the server gives its templates beyond Jinja: filters, and the address of its pages."""
    register_user_template_filters(dict(all_filters))
    with temporary_settings({PREFECT_UI_URL: "http://prefect.example.invalid"}):
        yield


def event(name: str = "prefect.flow-run.Late", payload: dict[str, Any] | None = None, **labels: str) -> ReceivedEvent:
    resource = {"prefect.resource.id": f"prefect.flow-run.{uuid4()}", **labels}
    return ReceivedEvent.model_validate(
        {"id": uuid4(), "event": name, "occurred": AT, "resource": resource, "payload": payload or {}, "received": AT}
    )


def filled(name: str, **context: Any) -> tuple[str, str]:
    action = declared(name).actions[0]
    assert isinstance(action, SendNotification)
    return render_user_template_sync(action.subject, context), render_user_template_sync(action.body, context)


class Thing:
    """An object of the API with the fields that a message reads."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


def late(**changes: Any) -> dict[str, Any]:
    context = {
        "event": event(),
        "flow": Thing(name="daily"),
        "deployment": Thing(name="same-day", paused=False, global_concurrency_limit=None),
        "flow_run": Thing(id=uuid4(), expected_start_time=AT),
        "work_pool": WorkPool(name="pipeline", type="process", status="NOT_READY", id=uuid4()),
        "work_queue": Thing(name="default", is_paused=False),
    }
    return {**context, **changes}


@pytest.mark.parametrize("item", NOTIFICATIONS, ids=lambda item: item.name)
def test_no_message_fails_on_what_is_not_there(item: Any) -> None:
    """A run, pool or payload may be gone when the server fills the message in."""
    nothing = dict.fromkeys(("flow", "flow_run", "deployment", "work_pool", "work_queue"))
    for context in ({}, nothing):
        subject, body = filled(item.name.removeprefix("courtside: "), event=event(), **context)
        assert len(subject) > 5
        assert len(body) > 20


def test_a_late_run_is_named_with_pool_time_and_command() -> None:
    subject, body = filled("run-late", **late())
    assert subject == ":rotating_light: Late: daily/same-day"
    said = readable(body)
    assert "No worker of the pool `pipeline` has taken this run" in said
    assert "*Since* Mon Dec 29, 12:31 PM ET" in said
    assert "`prefect worker start --type process --pool pipeline`" in said
    assert "due 1:30 PM ET" in said
    assert "https://runbook.example.invalid/docs/runbook.md#run-late" in said


def pool(**changes: Any) -> WorkPool:
    return WorkPool(**{"name": "pipeline", "type": "process", "status": "READY", "id": uuid4(), **changes})


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, "No worker polls the pool `pipeline`"),
        ({"work_pool": pool(is_paused=True)}, "The pool `pipeline` is paused"),
        ({"work_queue": Thing(name="default", is_paused=True)}, "The queue `default` of the pool `pipeline` is paused"),
        (
            {"deployment": Thing(name="same-day", paused=True, global_concurrency_limit=None)},
            "The deployment is paused",
        ),
        (
            {
                "work_pool": pool(),
                "deployment": Thing(
                    name="same-day", paused=False, global_concurrency_limit=Thing(active_slots=1, limit=1)
                ),
            },
            "Concurrency: 1 of 1 runs",
        ),
        ({"work_pool": pool(concurrency_limit=4)}, "the pool takes 4 runs at once"),
        ({"work_pool": pool()}, "none takes the run"),
    ],
)
def test_a_run_that_is_still_late_is_told_with_its_cause(changes: dict[str, Any], cause: str) -> None:
    _, body = filled("run-still-late", **late(**changes))
    assert cause in readable(body)


def test_what_comes_from_outside_can_not_become_markup() -> None:
    failed = event(
        "prefect.flow-run.Failed",
        **{"prefect.state-name": "Failed", "prefect.state-message": 'a <!channel> & "quote"\nand a line'},
    )
    subject, body = filled("run-failed", **late(event=failed))
    assert subject == ":rotating_light: Failed: daily/same-day"
    assert 'a &lt;!channel&gt; &amp; "quote"\nand a line' in body


def test_an_incident_of_the_watch_is_told_in_its_own_words() -> None:
    incident = Incident(
        kind=IncidentKind.DEADLINE_MISSED,
        subject="predictions",
        mode=Mode.SAME_DAY,
        game_day=dt.date(2025, 12, 29),
        what="predictions are not published",
        since=dt.datetime(2025, 12, 29, 18, 30, tzinfo=dt.UTC),
        impact="11 games, 342 players; first tip-off in 30 minutes",
        next_step="prefect deployment run 'daily/same-day'",
    )
    told = event_of(incident, True)
    opened = event(told.event, told.payload, **told.resource)
    subject, body = filled("incident", event=opened)
    assert subject == ":rotating_light: Deadline missed: same_day, predictions (2025-12-29)"
    for part in (incident.what, "*Since* Mon Dec 29, 1:30 PM ET", incident.impact, incident.next_step):
        assert part in body
    assert "docs/runbook.md#deadline-missed|Runbook: deadline-missed>" in body


def test_an_edit_is_told_with_each_field_before_and_after() -> None:
    edit = event(
        "prefect.deployment.updated",
        {"updates": {"entrypoint": {"from": "flows/daily.py:daily", "to": "a.py:`x`"}, "paused": {"from": 0, "to": 1}}},
    )
    _, body = filled("deployment-edited", **late(event=edit))
    assert "• *entrypoint* from `flows/daily.py:daily` to `a.py:x`" in body
    assert "• *paused* from `0` to `1`" in body or "• *paused* from `?` to `1`" in body


def test_the_guards_findings_are_told() -> None:
    blocked = event(
        "integrity.worker.blocked",
        {
            "expected": "courtside/precompute 42+abc",
            "found": "courtside/analytics 42+abc",
            "findings": [{"code": "role.wrong", "expected": "precompute", "found": "analytics", "fix": "-"}] * 9,
        },
        **{"prefect.resource.name": "pool precompute"},
    )
    subject, body = filled("integrity-blocked", event=blocked)
    assert subject == ":rotating_light: Refused by the guard: pool precompute"
    assert "Expected `courtside/precompute 42+abc`, found `courtside/analytics 42+abc`" in body
    assert body.count("`role.wrong` expected precompute, found analytics") == 5


def test_the_longest_message_is_one_that_slack_takes() -> None:
    endless = event("courtside.incident.opened", dict.fromkeys(("title", "what"), "&" * 5000))
    subject, body = filled("incident", event=endless)
    block = channel("http://127.0.0.1:1/x")
    message = block._build_request_args(body, subject)["json"]
    assert len(subject) <= MOST_IN_SUBJECT
    assert len(body) <= MOST_IN_BODY
    assert refusal(message) is None
