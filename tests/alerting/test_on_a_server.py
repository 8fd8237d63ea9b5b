"""Every alert on a real server, heard by a real receiver: once for its cause, its end once. Seconds for minutes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.events.schemas.automations import AutomationCore
from prefect.variables import Variable

from blocks.alerts import TONIGHT
from deployments.alerting.facts import facts_of
from deployments.automations import claim, register, send_heartbeat
from tasks.alerting.lateness import Cause, explain
from tasks.alerting.stake import Stake
from tasks.engine.incidents import Incident, IncidentKind, event_of
from tasks.engine.plan import EASTERN
from tasks.engine.processor import Mode
from tests.alerting.house import RUNBOOK, SCALED, House, furnished, now
from tests.prefect_server import wait_for

pytestmark = pytest.mark.slow
GAME_DAY = dt.date(2025, 12, 29)
HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with furnished(tmp_path_factory.mktemp("house")) as made:
        yield made
        assert made.dead_letters() == []


def test_registering_again_changes_nothing_and_an_edit_by_hand_is_put_back(house: House) -> None:
    def again(plan: bool = False) -> list[str]:
        return [change.text() for change in register(house.client, plan, RUNBOOK, SCALED)]

    assert again() == []
    automations = {item.name: item for item in house.client.read_automations()}
    mine = automations["courtside: run-zombie"]
    edited = mine.model_copy(update={"trigger": mine.trigger.model_copy(update={"within": dt.timedelta(hours=1)})})
    body = edited.model_dump(mode="json", exclude={"id", "owner_resource"})
    house.client.request("PUT", "/automations/{id}", path_params={"id": mine.id}, json=body)
    for name, tags in (("somebody's own", ["theirs"]), ("courtside: no longer declared", edited.tags)):
        house.client.create_automation(AutomationCore.model_validate({**body, "name": name, "tags": tags}))

    planned = again(plan=True)
    assert planned == [
        "update automation courtside: run-zombie\n    trigger.within: 3600.0 -> 20.0",
        "delete automation courtside: no longer declared",
    ]
    assert again() == planned
    assert again() == []
    names = {item.name for item in house.client.read_automations()}
    assert "somebody's own" in names
    assert len(names) == len(automations) + 1


def test_a_fine_day_and_a_day_without_games_are_silent(house: House) -> None:
    """Two runs of each daily deployment, the watch's ticks between them; a day without games completes at once."""
    for deployment in ("daily/overnight", "watch/watch", "daily/same-day", "watch/watch", "daily/same-day"):
        house.lives_through(house.run(deployment), "Pending", "Running", "Completed")
    house.settled()
    assert house.subjects() == []
    assert house.subjects("second") == []


def test_a_message_that_the_server_writes_says_who_is_affected_and_how_long_is_left(house: House) -> None:
    stake = Stake(game_day=now().astimezone(EASTERN).date(), games=11, players=342, due=now() + HOUR, published=False)
    Variable.set(TONIGHT, stake.as_variable(), overwrite=True)
    run = house.run("analytics/analytics")
    house.lives_through(run, "Pending", "Running")
    house.state(run, "FAILED", "Failed", "boom")
    told = house.heard("Failed: analytics/analytics").body
    assert "Tonight's 11 games and 342 players, due" in told
    assert "59 minutes left" in told
    house.lives_through(house.run("analytics/analytics"), "Pending", "Running", "Completed")
    house.heard("analytics/analytics has completed")


def test_an_action_that_fails_is_told_on_the_second_channel_and_its_next_success_ends_it(house: House) -> None:
    schema = {"type": "object", "properties": {}, "required": ["nobody gives this"]}
    unchanged = {"parameter_openapi_schema": {"type": "object", "properties": {}}, "enforce_parameter_schema": False}
    house.edit("self-heal/self-heal", parameter_openapi_schema=schema, enforce_parameter_schema=True)
    house.tell(event_of(incident("raw", dt.date(2025, 12, 1)), True))
    told = house.heard("Not delivered: courtside: self-heal after an incident", channel="second")
    assert "what it was to start" in told.body
    house.edit("self-heal/self-heal", **unchanged)
    claim(house.client, ["self-heal/self-heal"], now())
    house.tell(event_of(incident("raw", dt.date(2025, 12, 2)), True))
    house.heard("Carried out again: courtside: self-heal after an incident", channel="second")
    house.cancel("self-heal/self-heal")


def test_many_failures_of_one_deployment_are_one_message_and_its_completion_ends_it(house: House) -> None:
    before = len(house.runs_of("self-heal/self-heal"))
    for message in ("boom", "boom again", "and again"):
        run = house.run("daily/overnight")
        house.lives_through(run, "Pending", "Running")
        house.state(run, "FAILED", "Failed", message)
    assert "boom" in house.heard("Failed: daily/overnight").body
    house.lives_through(house.run("daily/overnight"), "Pending", "Running", "Completed")
    assert "[OK]" in house.heard("daily/overnight has completed").subject
    wait_for("self-heal's run", lambda: len(house.runs_of("self-heal/self-heal")) == before + 1, 20)
    house.cancel("self-heal/self-heal")


def test_a_run_that_never_starts_is_ended_and_told(house: House) -> None:
    run = house.run("grade/grade")
    house.lives_through(run, "Pending")
    assert "nothing began to run it" in house.heard("Never started: grade/grade").body
    assert house.server.run(run)["state"]["name"] == "NeverStarted"
    house.lives_through(house.run("grade/grade"), "Pending", "Running", "Completed")
    house.heard("grade/grade has completed")


def test_a_run_that_takes_too_long_is_told_and_its_end_too(house: House) -> None:
    run = house.run("predictions/predictions")
    house.lives_through(run, "Pending", "Running")
    assert "30 minutes" in house.heard("Running too long: predictions/predictions").body
    house.state(run, "COMPLETED", "Completed")
    assert "It ended as Completed" in house.heard("predictions/predictions is no longer running").body


def test_a_run_whose_heartbeats_stop_is_ended_and_told(house: House) -> None:
    run = house.run("train/train")
    house.lives_through(run, "Pending", "Running")
    for _ in range(2):
        house.beats("train/train", run)
    house.heard("Heartbeats stopped: train/train")
    assert house.server.run(run)["state"]["name"] == "Zombie"
    house.lives_through(house.run("train/train"), "Pending", "Running", "Completed")
    house.heard("train/train has completed")


def test_a_refused_worker_is_told_and_the_right_one_too(house: House) -> None:
    identity = {"expected": "courtside/all 42+abc", "found": "courtside/analytics 42+abc", "findings": []}
    labels = {"prefect.resource.name": "pool pipeline", "integrity.found": "courtside/all 42+abc"}
    for _ in range(3):
        house.event("integrity.worker.blocked", "integrity.pool.pipeline", identity, **labels)
    assert "found `courtside/analytics 42+abc`" in house.heard("Refused by the guard: pool pipeline").body
    house.event("integrity.worker.attested", "integrity.pool.pipeline", {}, **labels)
    house.heard("The right release is at work: pool pipeline")


def test_an_edit_by_hand_is_told_with_the_difference_and_one_by_registration_is_not(house: House) -> None:
    house.edit("validate-day/validate", entrypoint="somewhere_else.py:flow")
    house.edit("backfill/backfill", description="as registration has it", entrypoint="flow.py:backfill")
    claim(house.client, ["backfill/backfill"], now())
    told = house.heard("Edited outside the code: validate-day/validate")
    assert "*entrypoint* from `flow.py:nothing` to `somewhere_else.py:flow`" in told.body
    house.settled()
    assert not any("backfill" in subject for subject in house.subjects())
    claim(house.client, ["validate-day/validate"], now())
    house.heard("As the code says again: validate-day/validate")


def incident(subject: str, game_day: dt.date = GAME_DAY) -> Incident:
    return Incident(
        kind=IncidentKind.DEADLINE_MISSED,
        subject=subject,
        mode=Mode.SAME_DAY,
        game_day=game_day,
        what="predictions are not published",
        since=dt.datetime(2025, 12, 29, 18, 30, tzinfo=dt.UTC),
        impact="11 games, 342 players",
        next_step="prefect deployment run 'daily/same-day'",
    )


def test_an_incident_of_the_watch_is_told_once_however_often_it_says_so_and_starts_self_heal(house: House) -> None:
    before = len(house.runs_of("self-heal/self-heal"))
    opened, resolved = (event_of(incident("predictions"), edge) for edge in (True, False))
    for _ in range(3):
        house.tell(opened)
    assert "11 games, 342 players" in house.heard("Deadline missed: same_day, predictions (2025-12-29)").body
    house.tell(resolved)
    house.heard("Resolved Deadline missed: same_day, predictions (2025-12-29)")
    wait_for("self-heal's run", lambda: len(house.runs_of("self-heal/self-heal")) == before + 1, 20)
    house.cancel("self-heal/self-heal")


def test_the_daily_sign_of_life_comes_and_its_absence_is_told_on_the_second_channel(house: House) -> None:
    send_heartbeat(now())
    house.heard("Alerts arrive")
    house.heard("No sign of life from the alert path", 60, "second")
    send_heartbeat(now())
    house.heard("gives a sign of life again", channel="second")


def test_nobody_polling_twenty_late_runs_are_one_message_and_a_worker_ends_it(house: House, tmp_path: Path) -> None:
    runs = [house.run("daily/same-day") for _ in range(20)]
    late = house.heard("Late: daily/same-day")
    assert "No worker of the pool `pipeline`" in late.body
    still = house.heard("Still late: daily/same-day")
    assert "No worker polls the pool `pipeline`" in still.body
    assert explain(facts_of(house.client, UUID(runs[0]), now())).cause == Cause.NO_WORKER
    for run in runs[1:]:
        house.state(run, "CANCELLED", "Cancelled")
    with house.worker("pipeline", tmp_path / "worker-one.log"):
        house.heard("Runs of the pool pipeline start again", 60)
        assert house.server.finished(runs[0])["state"]["name"] == "Completed"
        wait_for("a ready pool", lambda: house.pool_status("pipeline") == "READY", 30)
    house.heard("Nobody polls the pool pipeline", 90)
    with house.worker("pipeline", tmp_path / "worker-two.log"):
        house.heard("The pool pipeline is polled", 60)
        house.settled()
        for subject in ("Nobody polls the pool pipeline", "The pool pipeline is polled"):
            house.heard(subject)  # one for the pool and its thirteen deployments


def test_a_paused_pool_is_named_as_the_cause(house: House) -> None:
    house.patch("/work_pools/analytics", {"is_paused": True})
    run = house.run("analytics/analytics")
    house.heard("Late: analytics/analytics")
    assert "The pool `analytics` is paused" in house.heard("Still late: analytics/analytics").body
    assert explain(facts_of(house.client, UUID(run), now())).words == "The pool analytics is paused."
    house.state(run, "CANCELLED", "Cancelled")
