"""prefect.yaml is held against the flows before it reaches a server: each fault is named, and nothing else is."""

from __future__ import annotations

import asyncio
import datetime as dt
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from deployments.integrity.project import read_project
from deployments.specs import PROJECT_FILE, ROOT, Deployment, Schedule, SpecError, lint, load

VERSION = "42+31544709b3d4"
VALUES = {"RELEASE_VERSION": VERSION}
EASTERN = ZoneInfo("America/New_York")
ENTRYPOINTS = {name: role.entrypoints for name, role in read_project(ROOT).roles.items()}
DEPLOYMENTS = load(values=VALUES)


def same_day(**changed: Any) -> dict[str, Any]:
    """The entry of daily/same-day, with something changed."""
    [entry] = [item for item in yaml.safe_load(PROJECT_FILE.read_text())["deployments"] if item["name"] == "same-day"]
    return {**entry, "version": VERSION, **changed}


def scheduled(**changed: Any) -> dict[str, Any]:
    schedule = {"slug": "s", "cron": "30 10 * * *", "timezone": "America/New_York", **changed}
    return same_day(schedules=[schedule])


def loaded(entry: dict[str, Any], folder: Path) -> list[Deployment]:
    path = folder / "prefect.yaml"
    path.write_text(yaml.safe_dump({"deployments": [entry]}))
    return load(path, VALUES)


def test_what_this_code_declares_can_be_registered() -> None:
    assert lint(DEPLOYMENTS, ENTRYPOINTS) == []


def test_every_role_of_the_guard_has_a_pool_and_no_pool_has_two_roles() -> None:
    pools = {(item.work_pool.name, item.role) for item in DEPLOYMENTS}
    assert {role for _, role in pools} == set(ENTRYPOINTS)
    assert len(pools) == len({pool for pool, _ in pools})


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (same_day(job_variables={"env": {}}), "job_variables is not a key of a deployment; job_variables belong under"),
        (same_day(work_pool={"pool": "pipeline"}), "work_pool.name"),
        (same_day(version="{{ $GIT_SHA }}"), "{{ $GIT_SHA }} has no value"),
        (same_day(description=""), "description"),
        (scheduled(timezone="Europe/Berlin"), "timezone: Input should be 'America/New_York' or 'UTC'"),
        (same_day(tags=[]), "tags"),
    ],
)
def test_a_misplaced_or_missing_key_is_refused_by_name(entry: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        loaded(entry, tmp_path)
    assert refused.value.problems[0].startswith("same-day: ")
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (scheduled(parameters={"mode": "overnite"}), "Input should be 'overnight', 'same_day' or 'backfill'"),
        (scheduled(parameters={"gameday": "2025-12-29"}), "gameday"),
        (scheduled(parameters={"game_day": "tonight"}), "game_day"),
        (scheduled(cron="30 25 * * *"), "30 25 * * *"),
        (scheduled(timezone="UTC"), "must be in America/New_York, not UTC: the day's hours are New York's"),
        (scheduled(cron="*/5 * * * *"), "must be in UTC, not America/New_York: in a zone with daylight saving"),
        (same_day(parameters={}), "mode"),
        (same_day(parameters={"mode": "same_day", "days": 3}), "['days'] are not taken by daily"),
        (same_day(version="latest"), "'latest' names no release"),
        (same_day(version=""), "'' names no release"),
        (same_day(version="42+"), "'42+' names no release"),
        (same_day(concurrency_limit=None), "would race"),
        (same_day(pull=[]), "nothing runs before the release is proven"),
        (same_day(pull=[{"prefect.deployments.steps.git_clone": {}}]), "nothing runs before the release is proven"),
        (same_day(entrypoint="flows/train.py:train"), "flows/train.py:train is no entrypoint of the role all"),
        (
            same_day(pull=[{"deployments.integrity.steps.verify_release": {"role": "night"}}]),
            "the role 'night', which integrity.toml does not know",
        ),
        (
            same_day(pull=[{"deployments.integrity.steps.verify_release": {"role": "all", "requires": "courtside"}}]),
            "must not have `requires`",
        ),
    ],
)
def test_what_prefect_does_not_check_is_checked(entry: dict[str, Any], told: str, tmp_path: Path) -> None:
    roles = {**ENTRYPOINTS, "all": [name for name in ENTRYPOINTS["all"] if "train" not in name]}
    problems = lint(loaded(entry, tmp_path), roles)
    assert any(told in problem for problem in problems), problems
    assert all(problem.startswith(("daily/same-day: ", "train/same-day: ")) for problem in problems)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    entry = {**scheduled(parameters={"mode": "overnite"}), "version": "latest", "concurrency_limit": None}
    assert len(lint(loaded(entry, tmp_path), ENTRYPOINTS)) == 3


SCHEDULES = [(item.full_name, schedule) for item in DEPLOYMENTS for schedule in item.schedules]


@pytest.mark.parametrize(("name", "schedule"), SCHEDULES, ids=[f"{name}-{each.slug}" for name, each in SCHEDULES])
@pytest.mark.parametrize("change", [dt.date(2026, 3, 8), dt.date(2025, 11, 2)], ids=["spring", "autumn"])
def test_a_schedule_keeps_its_time_when_the_clocks_change(name: str, schedule: Schedule, change: dt.date) -> None:
    """Prefect's own schedule gives the dates: the wall clock stays, no run is left out, none comes twice."""
    start = dt.datetime.combine(change - dt.timedelta(days=2), dt.time(0), EASTERN)
    days = [change + dt.timedelta(days=number) for number in range(-2, 3)]
    end = dt.datetime.combine(days[-1], dt.time(23, 59), EASTERN)
    dates = asyncio.run(occurrences(schedule, start, end))
    if not schedule.has_hour:
        every = 300 if schedule.cron.startswith("*/5 ") else 3600
        assert {later.timestamp() - earlier.timestamp() for earlier, later in pairwise(dates)} == {every}, name
        return
    minute, hours, _, _, weekday = schedule.cron.split()
    days = [day for day in days if weekday in ("*", f"{day:%a}".upper())]
    assert days, name
    expected = [(day, int(hour), int(minute)) for day in days for hour in hours.split(",")]
    local = [date.astimezone(EASTERN) for date in dates]
    assert [(date.date(), date.hour, date.minute) for date in local] == expected


async def occurrences(schedule: Schedule, start: dt.datetime, end: dt.datetime) -> list[dt.datetime]:
    """The instants at which the server would schedule runs."""
    from prefect.server.schemas.schedules import CronSchedule

    clock = CronSchedule(**schedule.clock.model_dump())
    return await clock.get_dates(n=5000, start=start, end=end)


def test_a_clock_in_new_york_would_miss_an_hour_of_an_autumn_night() -> None:
    """Why what runs every few minutes is scheduled in UTC. Should this fail one day, that rule can go."""
    start = dt.datetime(2025, 11, 2, 4, tzinfo=dt.UTC)
    clock = Schedule(slug="s", cron="*/5 * * * *", timezone="America/New_York")
    dates = asyncio.run(occurrences(clock, start, start + dt.timedelta(hours=6)))
    assert max(later.timestamp() - earlier.timestamp() for earlier, later in pairwise(dates)) == 65 * 60
