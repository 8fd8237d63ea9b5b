"""The declared automations: sound by the lint, each alert with its end, and nothing changed without being seen."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import yaml
from prefect.events.actions import CallWebhook, PauseWorkPool, RunDeployment, SendNotification
from prefect.events.schemas.automations import (
    Automation,
    AutomationCore,
    EventTrigger,
    MetricTrigger,
    MetricTriggerOperator,
    MetricTriggerQuery,
    Posture,
    PrefectMetric,
)
from prefect.server.events.schemas.automations import AutomationCreate

from blocks.alerts import OWNER
from deployments.alerting.apply import AutomationsError, References, _changes
from deployments.alerting.fleet import WATCHED
from deployments.alerting.lint import lint
from deployments.automations import Alerts, automations
from tasks.engine.incidents import IncidentKind
from tests.alerting.declared import DECLARED, REFERENCES, RUNBOOK, declared, outline

REPOSITORY = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).parent / "automations.txt"


def test_the_declared_automations_are_those_of_the_snapshot() -> None:
    """To change it on purpose: `python -m tests.alerting.test_declarations`."""
    assert "\n\n".join(map(outline, DECLARED)) + "\n" == SNAPSHOT.read_text()


def test_the_lint_lets_the_declared_automations_through() -> None:
    assert lint(DECLARED, OWNER) == []


def test_a_prefect_server_takes_each_of_them() -> None:
    for item in DECLARED:
        AutomationCreate.model_validate(item.model_dump(mode="json"))


# Alerts whose end another alert's twin tells.
ENDED_BY = {
    "run-still-late": "run-late, resolved",
    "run-never-started": "run-failed, resolved",
    "run-zombie": "run-failed, resolved",
}


def test_every_alert_that_opens_has_an_end() -> None:
    names = {
        item.name.removeprefix("courtside: ") for item in DECLARED if isinstance(item.actions[0], SendNotification)
    }
    openings = {name for name in names if not name.endswith(", resolved")} - {"heartbeat"}
    assert {name for name in openings if ENDED_BY.get(name, f"{name}, resolved") not in names} == set()


def test_every_kind_that_the_server_observes_is_alerted_on() -> None:
    observed = [kind for kind in IncidentKind if kind.value.split("-")[0] in ("run", "pool", "deployment", "integrity")]
    names = [item.name for item in DECLARED]
    assert [kind for kind in observed if not any(name.startswith(f"courtside: {kind}") for name in names)] == []


def test_every_deployment_of_the_project_is_watched_on_its_pool() -> None:
    file = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())
    watched = {item.deployment.split("/")[1]: item.pool for item in WATCHED}
    declared = {item["name"]: item["work_pool"]["name"] for item in file["deployments"]}
    assert declared == {name: pool for name, pool in watched.items() if name in declared}


def test_a_deployment_that_is_not_there_is_not_watched_and_a_channel_that_is_not_there_is_an_error() -> None:
    channels = {"courtside-alerts": uuid4(), "courtside-alerts-second": uuid4()}
    there = {"daily/same-day": uuid4()}, {"pipeline": uuid4()}
    some = [item.name for item in automations(Alerts(References(channels, *there), RUNBOOK))]
    assert not any("backfill" in name or "pool-not-ready analytics" in name for name in some)
    assert "courtside: pool-not-ready pipeline" in some
    with pytest.raises(AutomationsError, match="no block courtside-alerts-second: register the alert channels"):
        automations(Alerts(References({"courtside-alerts": uuid4()}, *there), RUNBOOK))


def changed(name: str = "run-late", **changes: object) -> AutomationCore:
    return declared(name).model_copy(update=changes)


def trigger(**changes: object) -> EventTrigger:
    values: dict[str, object] = {
        "posture": Posture.Proactive,
        "after": {"prefect.flow-run.Late"},
        "expect": {"prefect.flow-run.Running"},
        "for_each": {"prefect.resource.id"},
        "within": 60,
    }
    return EventTrigger.model_validate({**values, **changes})


def notification(**changes: str) -> SendNotification:
    values = {"block_document_id": uuid4(), "subject": "s", "body": "b"}
    return SendNotification.model_validate({**values, **changes})


METRIC = MetricTrigger(
    metric=MetricTriggerQuery(name=PrefectMetric.lateness, threshold=1, operator=MetricTriggerOperator.GT)
)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (changed(trigger=trigger(for_each=set())), "fires it for ever"),
        (changed(trigger=trigger(after=set())), "watches nothing until"),
        (changed(trigger=trigger().model_copy(update={"within": dt.timedelta(seconds=5)})), "less than 10 s"),
        (changed(trigger=trigger(after={"prefect.flow-run.Scheduled"})), "waits after Scheduled"),
        (changed(trigger=trigger(expect=set())), "every event there is"),
        (changed(trigger=trigger(posture=Posture.Reactive, within=0)), "for no time at all"),
        (changed(trigger=METRIC), "Cloud only"),
        (changed(actions=[notification(body="{{ flow_run | tojson }}")]), "uses tojson"),
        (changed(actions=[notification(body="{{ flowrun.name }}")]), "uses flowrun"),
        (changed(actions=[notification(subject="{% if %}")]), "is no template"),
        (changed(actions=[CallWebhook(block_document_id=uuid4())]), "500 for success"),
        (changed(actions=[PauseWorkPool(source="inferred")]), "pause the deployment"),
        (changed(actions=[RunDeployment(source="inferred")]), "started for ever"),
        (changed(name="self-heal after a failed run", trigger=trigger(posture=Posture.Reactive, after=set(), within=0),
                 actions=[RunDeployment(source="selected", deployment_id=uuid4())]), "a thousand runs"),
        (changed(actions_on_resolve=[notification()]), "declare a twin"),
        (changed(tags=[]), "never be pruned"),
        (changed(description=" "), "no description"),
        (changed(owner_resource="prefect.deployment.x"), "would delete this automation"),
    ],
)  # fmt: skip
def test_a_trap_is_refused_with_its_reason(item: AutomationCore, reason: str) -> None:
    problems = lint([item], OWNER)
    assert any(reason in problem and problem.startswith(item.name) for problem in problems), problems


def test_a_trap_inside_a_sequence_is_seen() -> None:
    twin = declared("run-overrunning daily/same-day, resolved").model_copy(deep=True)
    twin.trigger.triggers[0] = trigger(for_each=set())
    assert any("fires it for ever" in problem for problem in lint([twin], OWNER))


def test_two_of_one_name_are_refused() -> None:
    assert any("declared twice" in problem for problem in lint([changed(), changed()], OWNER))


def held(item: AutomationCore, number: int = 1) -> Automation:
    """An automation as the server gives it back: with an id, sets as lists, in JSON."""
    return Automation.model_validate({**item.model_dump(mode="json"), "id": str(UUID(int=number))})


def test_what_is_right_already_is_left_alone() -> None:
    assert _changes(DECLARED, {item.name: [held(item)] for item in DECLARED}) == []


def test_a_difference_is_named_with_both_values() -> None:
    item = declared("run-still-late")
    edited = held(
        item.model_copy(update={"trigger": item.trigger.model_copy(update={"within": dt.timedelta(hours=9)})})
    )
    (change,) = _changes([item], {item.name: [edited]})
    assert change.text().splitlines() == [f"update automation {item.name}", "    trigger.within: 32400.0 -> 600.0"]


def test_what_is_new_is_created_what_is_no_longer_declared_goes_and_a_copy_goes() -> None:
    first, second, third = DECLARED[:3]
    there = {second.name: [held(second, 1), held(second, 2)], third.name: [held(third)]}
    assert [change.text().splitlines()[0] for change in _changes([first, second], there)] == [
        f"create automation {first.name}",
        f"delete automation {second.name}",
        f"delete automation {third.name}",
    ]


def test_references_are_invented_only_for_a_plan() -> None:
    assert REFERENCES.deployment("daily/same-day") == REFERENCES.deployment("daily/same-day")
    with pytest.raises(AutomationsError, match="no deployment daily/same-day: register the deployments first"):
        References({}, {}, {}).deployment("daily/same-day")


if __name__ == "__main__":
    SNAPSHOT.write_text("\n\n".join(map(outline, DECLARED)) + "\n")
