"""What a registration asks of a server, as a snapshot that a review reads; and the form that the UI draws."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from blocks.alerts import OWNER
from blocks.execution import Execution
from deployments.changes import Kind, Resource
from deployments.desired import desired
from deployments.environments import Channels, local
from tests.deployments.test_specs import DEPLOYMENTS

HIDDEN = {"base_job_template", "json_data", "secrets"}  # Prefect's, long, and not to be seen
SNAPSHOT = Path(__file__).with_name("snapshots") / "local.yaml"
HOOK = "http://127.0.0.1:4299/alerts"
ENVIRONMENT = local(Path("/home/courtside"), None, Channels(HOOK, HOOK))
WANTED = {item.name: item for item in desired(DEPLOYMENTS, ENVIRONMENT)}


def test_what_is_registered_has_not_changed_unnoticed() -> None:
    rendered = yaml.safe_dump(_rendered(), sort_keys=False, width=110)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(rendered)
    assert rendered == SNAPSHOT.read_text(), (
        "what is registered has changed; if that is meant, run this test with UPDATE_SNAPSHOTS=1 and commit the file"
    )


def _rendered() -> dict[str, Any]:
    return {f"{item.kind} {item.name}": _told(item) for item in WANTED.values()}


def _told(item: Resource) -> dict[str, Any]:
    """The fields that are ours to decide: a worker type's template is Prefect's, a form the flow's."""
    fields = {name: value for name, value in item.fields.items() if name not in HIDDEN}
    if item.kind == Kind.DEPLOYMENT:
        form = fields.pop("parameter_openapi_schema")
        fields["only"] = {name: each["enum"] for name, each in form["properties"].items() if "enum" in each}
    return fields


def form(name: str) -> dict[str, Any]:
    return dict(WANTED[name].fields["parameter_openapi_schema"])


def test_everything_registered_carries_our_mark() -> None:
    for item in WANTED.values():
        if item.kind == Kind.DEPLOYMENT:
            assert OWNER in item.fields["tags"]
        if item.kind == Kind.POOL:
            assert item.fields["description"].endswith("by the next registration.")


def test_a_deployment_is_for_its_mode_alone_and_the_server_holds_runs_to_it() -> None:
    jsonschema.validate({"mode": "same_day", "game_day": "2025-12-29"}, _resolved(form("daily/same-day")))
    with pytest.raises(jsonschema.ValidationError, match="overnight"):
        jsonschema.validate({"mode": "overnight"}, _resolved(form("daily/same-day")))
    assert WANTED["daily/same-day"].fields["enforce_parameter_schema"] is True


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if value is not None}


def test_the_form_says_what_each_parameter_of_a_day_means() -> None:
    silent = [name for name, field in form("daily/same-day")["properties"].items() if not field.get("description")]
    assert silent == []


def test_a_run_needs_no_parameter_where_a_schedule_starts_it() -> None:
    for item in DEPLOYMENTS:
        if item.schedules:
            given = WANTED[item.full_name].fields["parameters"]
            assert set(form(item.full_name).get("required", ())) <= set(given)


def test_the_phases_on_pools_are_deployments_of_that_name() -> None:
    [execution] = [item for item in ENVIRONMENT.blocks.values() if isinstance(item, Execution)]
    assert {f"{phase}/{phase}" for phase in execution.pools} <= set(WANTED)
