"""What prefect.yaml declares, as typed values: loaded, its placeholders filled in, and held against the flows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ParameterBindError, ParameterTypeError, SignatureMismatchError
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import get_call_parameters
from pydantic import BaseModel, ConfigDict, Field, ValidationError

ROOT = Path(__file__).resolve().parent.parent
PROJECT_FILE = ROOT / "prefect.yaml"
ZONE = "America/New_York"
WHY = {
    ZONE: "the day's hours are New York's, in summer and winter",
    # Measured on Prefect's own schedule; tests/deployments/test_specs.py holds it.
    "UTC": "in a zone with daylight saving the hour that autumn repeats would have no runs the second time",
}
GUARD_STEP = "deployments.integrity.steps.verify_release"
# `42+31544709b3d4`, `42+31544709b3d4.dirty`: a number and a commit. A word such as `latest` names no code.
VERSION = re.compile(r"\d+\+[0-9a-f]{12}(\.dirty)?")
_PLACEHOLDER = re.compile(r"\{\{\s*\$(\w+)\s*\}\}")


class SpecError(Exception):
    """A declaration that must not reach a server: every problem, each with where it stands and what to do."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("prefect.yaml can't be registered:\n" + "\n".join(f"  {item}" for item in self.problems))


class _Strict(BaseModel):
    # Prefect ignores a key in the wrong place (`job_variables` beside `work_pool`); here it is an error.
    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(_Strict):
    """When a deployment runs by itself."""

    slug: str = Field(min_length=1)
    cron: str
    timezone: Literal["America/New_York", "UTC"]
    parameters: dict[str, Any] = {}

    @property
    def has_hour(self) -> bool:
        """Whether it is tied to hours of the day."""
        return self.cron.split()[1:2] != ["*"]

    @property
    def clock(self) -> CronSchedule:
        """Prefect's own model of the schedule."""
        return CronSchedule(cron=self.cron, timezone=self.timezone)


class Pool(_Strict):
    """Which workers run a deployment."""

    name: str = Field(min_length=1)
    job_variables: dict[str, Any] = {}


class Limit(_Strict):
    """How many runs of a deployment there may be at once, and what becomes of one too many."""

    limit: int = Field(ge=1)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"]


class Deployment(_Strict):
    """One entry of prefect.yaml."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    entrypoint: str = Field(pattern=r"^flows/\w+\.py:\w+$")
    version: str
    parameters: dict[str, Any] = {}
    tags: list[str] = Field(min_length=1)
    work_pool: Pool
    pull: list[dict[str, dict[str, Any]]]
    schedules: list[Schedule] = []
    concurrency_limit: Limit | None = None

    @property
    def flow(self) -> Flow[..., Any]:
        """The flow that it runs, from this tree."""
        return _flow(self.entrypoint)

    @property
    def full_name(self) -> str:
        """As Prefect names it: `daily/same-day`."""
        return f"{self.flow.name}/{self.name}"

    @property
    def role(self) -> str:
        """The role whose release may run it, from the guard's pull step; empty without one."""
        steps = [step[GUARD_STEP] for step in self.pull if GUARD_STEP in step]
        return str(steps[0].get("role", "")) if steps else ""


@lru_cache
def _flow(entrypoint: str) -> Flow[..., Any]:
    return load_flow_from_entrypoint(str(ROOT / entrypoint))


def load(path: Path = PROJECT_FILE, values: Mapping[str, str] | None = None) -> list[Deployment]:
    """The deployments of the file, `{{ $NAME }}` replaced from `values`. Raises SpecError."""
    text = yaml.safe_load(path.read_text())
    problems: list[str] = []
    found: list[Deployment] = []
    for number, entry in enumerate(text.get("deployments") or [], start=1):
        where = str(entry.get("name") or f"deployment {number}")
        try:
            found.append(Deployment.model_validate(_filled(entry, values or {}, where, problems)))
        except ValidationError as error:
            problems += [f"{where}: {_told(item)}" for item in error.errors()]
    if problems:
        raise SpecError(problems)
    return found


def lint(deployments: Iterable[Deployment], entrypoints: Mapping[str, Iterable[str]]) -> list[str]:
    """What is wrong with the deployments, each in a sentence; `entrypoints` lists what each role's release may run.

    It knows what Prefect does not check: parameters of schedules against the flow, versions that name no code, and
    pull steps that the guard is missing from.
    """
    deployments = list(deployments)
    names = [item.full_name for item in deployments]
    problems = [f"{name}: declared twice" for name in sorted({name for name in names if names.count(name) > 1})]
    for item in deployments:
        said = [*_version(item), *_pull(item, entrypoints), *_parameters(item), *_schedules(item)]
        problems += [f"{item.full_name}: {problem}" for problem in said]
    return problems


def _version(item: Deployment) -> Iterable[str]:
    if not VERSION.fullmatch(item.version):
        yield f"version {item.version!r} names no release; it is <number>+<commit>, as in 42+31544709b3d4"


def _pull(item: Deployment, entrypoints: Mapping[str, Iterable[str]]) -> Iterable[str]:
    if [list(step) for step in item.pull] != [[GUARD_STEP]]:
        yield f"pull must be the one step {GUARD_STEP}, so that nothing runs before the release is proven"
    elif item.role not in entrypoints:
        yield f"pull names the role {item.role!r}, which integrity.toml does not know"
    elif item.entrypoint not in entrypoints[item.role]:
        yield f"{item.entrypoint} is no entrypoint of the role {item.role} in integrity.toml: add it there"
    if any("requires" in arguments for step in item.pull for arguments in step.values()):
        yield "the guard's step must not have `requires`: Prefect would install the guard into a wrong container"


def _parameters(item: Deployment) -> Iterable[str]:
    flow = item.flow
    unknown = sorted(set(item.parameters) - set(flow.parameters.properties))
    if unknown:
        yield f"parameters {unknown} are not taken by {flow.name}: it takes {sorted(flow.parameters.properties)}"
    for schedule in item.schedules:
        given = {**item.parameters, **schedule.parameters}
        try:
            flow.validate_parameters(_bound(flow, given))
        except (ParameterBindError, ParameterTypeError, SignatureMismatchError, TypeError) as error:
            told = " ".join(str(error).split())
            yield f"schedule {schedule.slug}: {given} does not fit {flow.name}: {told}"


def _bound(flow: Flow[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """All parameters of a scheduled call: nobody is there to fill in a missing one."""
    return get_call_parameters(flow.fn, (), given)


def _schedules(item: Deployment) -> Iterable[str]:
    slugs = [schedule.slug for schedule in item.schedules]
    if len(set(slugs)) < len(slugs):
        yield f"two schedules share a slug: {slugs}"
    if item.schedules and item.concurrency_limit is None:
        yield "has schedules but no concurrency_limit: a late run and a fresh one would race"
    for schedule in item.schedules:
        zone = ZONE if schedule.has_hour else "UTC"
        if schedule.timezone != zone:
            yield f"schedule {schedule.slug}: {schedule.cron!r} must be in {zone}, not {schedule.timezone}: {WHY[zone]}"
        try:
            _ = schedule.clock
        except ValidationError as error:
            yield f"schedule {schedule.slug}: {schedule.cron!r}: {error.errors()[0]['msg']}"


def _filled(value: Any, values: Mapping[str, str], where: str, problems: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, values, where, problems) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values, where, problems) for item in value]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        name = match[1]
        if not values.get(name):
            # Prefect would leave it empty and make up a version from the flow's file.
            problems.append(f"{where}: {{{{ ${name} }}}} has no value")
        return values.get(name, "")

    return _PLACEHOLDER.sub(replaced, value)


def _told(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        hint = "; job_variables belong under work_pool" if place == "job_variables" else ""
        return f"{place} is not a key of a deployment{hint}"
    return f"{place}: {error['msg']} (found {error['input']!r})"
