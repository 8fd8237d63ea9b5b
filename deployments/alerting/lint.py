"""What must not reach a server: automations that fire for ever, never, or tell nobody, refused with the reason."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence

from jinja2 import TemplateSyntaxError, meta
from prefect.events.actions import CallWebhook, PauseWorkPool, RunDeployment, SendNotification
from prefect.events.schemas.automations import (
    AutomationCore,
    CompositeTrigger,
    EventTrigger,
    MetricTrigger,
    Posture,
    Trigger,
)
from prefect.server.utilities.user_templates import (
    TemplateSecurityError,
    UserTemplateEnvironment,
    validate_user_template,
)

SHORTEST_ABSENCE = dt.timedelta(seconds=10)
# What the server puts into a template's context.
KNOWN = {
    "automation", "event", "events", "labels", "firing", "firings", "flow", "flow_run", "task_run", "deployment",
    "work_pool", "work_queue", "concurrency_limit", "variables",
}  # fmt: skip
RESOLVED = ", resolved"


def lint(declared: Sequence[AutomationCore], owner: str) -> list[str]:
    """Every reason against these automations, each with the name and what to do; none if they are sound."""
    problems = [f"{item.name}: {problem}" for item in declared for problem in _problems(item, owner)]
    twice = [name for name, count in Counter(item.name for item in declared).items() if count > 1]
    return problems + [f"{name}: declared twice: names are what automations are told apart by" for name in twice]


def _problems(item: AutomationCore, owner: str) -> Iterator[str]:
    if owner not in item.tags:
        yield f"has no tag {owner}: it would never be pruned"
    if not item.description.strip():
        yield "has no description: say for whoever finds it in the UI what it is for"
    if item.owner_resource:
        yield "has an owner_resource: the next `prefect deploy` of it would delete this automation"
    for trigger in _triggers(item.trigger):
        yield from _trigger_problems(trigger)
    yield from _action_problems(item)


def _triggers(trigger: Trigger) -> Iterator[Trigger]:
    if isinstance(trigger, CompositeTrigger):
        for child in trigger.triggers:
            yield from _triggers(child)
    else:
        yield trigger


def _trigger_problems(trigger: Trigger) -> Iterator[str]:
    if isinstance(trigger, MetricTrigger):
        yield "metric triggers exist on Prefect Cloud only: an own server answers 422"
    if not isinstance(trigger, EventTrigger):
        return
    if not trigger.expect:
        yield "expects nothing in particular, which is every event there is: name the events"
    if trigger.after and trigger.within <= dt.timedelta(0):
        yield "waits `after` an event for no time at all: give `within`"
    if "prefect.flow-run.Scheduled" in trigger.after:
        yield "waits after Scheduled: that comes days before a run is due, and not at all for runs of a schedule"
    if trigger.posture == Posture.Proactive:
        if not trigger.for_each:
            yield "is proactive without for_each: the server fires it for ever, whether or not `after` happened"
        if not trigger.after:
            yield "is proactive without `after`: it watches nothing until its first expected event"
        if trigger.within < SHORTEST_ABSENCE:
            yield f"is proactive within less than {SHORTEST_ABSENCE.seconds} s, which the server does not take"


def _action_problems(item: AutomationCore) -> Iterator[str]:
    for action in [*item.actions, *item.actions_on_trigger, *item.actions_on_resolve]:
        if isinstance(action, CallWebhook):
            yield "calls a webhook: the server takes an answer of 500 for success; use send-notification"
        if isinstance(action, PauseWorkPool):
            yield "pauses a work pool: that stops every deployment on it; pause the deployment"
        if isinstance(action, SendNotification):
            yield from _template_problems("subject", action.subject)
            yield from _template_problems("body", action.body)
        if isinstance(action, RunDeployment) and isinstance(item.trigger, EventTrigger):
            yield from _run_problems(action, item.trigger)
    if item.actions_on_trigger or item.actions_on_resolve:
        yield "has actions on trigger or resolve: an own server has no resolution of event triggers; declare a twin"


def _run_problems(action: RunDeployment, trigger: EventTrigger) -> Iterator[str]:
    if action.source == "inferred":
        yield "runs the deployment that the event is about: a failing one would be started for ever"
    if trigger.posture == Posture.Reactive and trigger.within <= dt.timedelta(0):
        yield "runs a deployment at every event: give `within`, so that a thousand failures are not a thousand runs"


def _template_problems(where: str, template: str) -> Iterator[str]:
    try:
        validate_user_template(template)
        tree = UserTemplateEnvironment().parse(_without_filters_of_the_server(template))
    except (TemplateSyntaxError, TemplateSecurityError) as error:
        yield f"the {where} is no template: {error}"
        return
    if "tojson" in template:
        yield f"the {where} uses tojson: it fails the whole action on anything undefined"
    if unknown := sorted(meta.find_undeclared_variables(tree) - KNOWN):
        yield f"the {where} uses {', '.join(unknown)}, which the server does not know"


def _without_filters_of_the_server(template: str) -> str:
    """ui_url and its like are registered by the running server; for names alone any filter will do."""
    return template.replace("| ui_url", "").replace("|ui_url", "")
