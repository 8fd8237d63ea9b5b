"""The declared automations without a server: every reference invented, the same each time."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from prefect.events.actions import ChangeFlowRunState, RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, CompositeTrigger, EventTrigger, Posture

from blocks.alerts import ALERTS, SECOND_CHANNEL
from deployments.alerting.apply import References
from deployments.alerting.fleet import POOLS, WATCHED
from deployments.automations import Alerts, automations

RUNBOOK = "https://runbook.example.invalid/docs/runbook.md"
REFERENCES = References({}, {}, {}, provisional=True)
DECLARED = automations(Alerts(REFERENCES, RUNBOOK))
NAMES: dict[UUID, str] = {
    **{REFERENCES.block(name): name for name in (ALERTS, SECOND_CHANNEL)},
    **{REFERENCES.deployment(item.deployment): item.deployment for item in WATCHED},
}


def declared(name: str) -> AutomationCore:
    return next(item for item in DECLARED if item.name == f"courtside: {name}")


def outline(item: AutomationCore) -> str:
    """An automation in a few lines: when it fires, and what it does."""
    return "\n".join([item.name, *(f"    {line}" for line in [*_when(item.trigger), *map(_does, item.actions)])])


def _when(trigger: Any) -> list[str]:
    if isinstance(trigger, CompositeTrigger):
        return [f"{trigger.type}:", *(f"  {line}" for child in trigger.triggers for line in _when(child))]
    assert isinstance(trigger, EventTrigger)
    expect, after = _events(trigger.expect), _events(trigger.after)
    first = f"{expect}" if not after else f"{expect} after {after}"
    if trigger.posture == Posture.Proactive:
        first = f"no {expect} within {_span(trigger.within)} after {after}"
    elif trigger.within:
        first += f", {'remembered' if after else 'once'} for {_span(trigger.within)}"
    return [first, f"each {' '.join(trigger.for_each)} of {_of(trigger.match)} {_of(trigger.match_related)}".rstrip()]


def _events(names: set[str]) -> str:
    return "|".join(sorted(name.removeprefix("prefect.") for name in names))


def _span(within: dt.timedelta) -> str:
    return f"{within.total_seconds():g} s"


def _of(match: Any) -> str:
    values = [value for key, value in match.model_dump().items() if key != "prefect.resource.role"]
    flat = [item for value in values for item in ([value] if isinstance(value, str) else value)]
    named = {f"prefect.deployment.{id}": name for id, name in NAMES.items()}
    named |= {f"prefect.work-pool.{REFERENCES.pool(name)}": f"pool {name}" for name in POOLS}
    return ", ".join(named.get(item, item) for item in flat) or "any"


def _does(action: Any) -> str:
    match action:
        case SendNotification():
            return f"-> tell {NAMES[action.block_document_id]}"
        case RunDeployment():
            assert action.deployment_id is not None
            return f"-> run {NAMES[action.deployment_id]} {action.parameters or ''}".rstrip()
        case ChangeFlowRunState():
            return f"-> {action.state.value} {action.name}"
    raise AssertionError(action)
