"""Messages that meet a failing receiver or a dying server arrive afterwards, once, by real runs on a real worker."""

from __future__ import annotations

import datetime as dt
import time
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import pytest

from deployments.automations import claim
from tests.alerting.house import SCALED, SETTINGS, House, furnished, now
from tests.prefect_server import REPOSITORY, free_port, serving, wait_for

pytestmark = pytest.mark.slow
GRACE_SECONDS = 10
# Real runs take their real time here: only what the tests wait for is scaled.
TIMING = SCALED.model_copy(
    update={
        "start": dt.timedelta(minutes=10),
        "heartbeat": dt.timedelta(minutes=10),
        "still_late": dt.timedelta(seconds=60),
        "pace": 10.0,
    }
)


def with_redelivery(house: House) -> None:
    """Let the house's deployment be the real flow, from this tree."""
    house.edit(
        "redeliver/redeliver",
        path=str(REPOSITORY),
        entrypoint="flows/redeliver.py:redeliver",
        parameters={"grace_seconds": GRACE_SECONDS},
    )
    claim(house.client, ["redeliver/redeliver"], now())


def fail(house: House, deployment: str, message: str) -> None:
    run = house.run(deployment)
    house.lives_through(run, "Pending", "Running")
    house.state(run, "FAILED", "Failed", message)
    house.cancel("self-heal/self-heal")


def test_a_receiver_that_answers_500_for_a_minute_gets_every_message_afterwards_once(tmp_path: Path) -> None:
    with furnished(tmp_path, TIMING) as house, house.worker("pipeline", tmp_path / "worker.log"):
        with_redelivery(house)
        house.receiver.answer = HTTPStatus.INTERNAL_SERVER_ERROR
        started = time.monotonic()
        fail(house, "daily/overnight", "the database is gone")
        fail(house, "grade/grade", "so is this one")
        wait_for("four tries of each message", lambda: len(house.receiver.refused) >= 8, 60)
        # Only the second channel could say so, and it is as dead: the receiver refuses everything.
        wait_for("a minute of refusals", lambda: time.monotonic() - started > 60, 90)
        house.receiver.answer = HTTPStatus.OK

        first = house.heard("Failed: daily/overnight", 300)
        second = house.heard("Failed: grade/grade", 300)
        assert first.subject.startswith(":hourglass: Delayed")
        assert "the database is gone" in first.body
        assert "so is this one" in second.body
        house.heard("Delivered after all: courtside: run-failed", 120, "second")
        house.settled()
        for deployment in ("daily/overnight", "grade/grade"):
            house.heard(f"Failed: {deployment}")  # still the only one


def test_a_server_that_is_killed_in_the_middle_of_an_alarm_neither_loses_nor_doubles_it(tmp_path: Path) -> None:
    port = free_port()
    with furnished(tmp_path, TIMING, port) as house, ExitStack() as stack:
        run = house.run("daily/same-day")
        house.heard("Late: daily/same-day")
        house.receiver.answer = HTTPStatus.INTERNAL_SERVER_ERROR
        fail(house, "precompute/precompute", "told by nobody")  # of another pool: the late run's is not running
        wait_for("the alarm on record", lambda: house.has_gone_off("run-failed"), 60)

        house.server.kill()
        house.receiver.answer = HTTPStatus.OK
        stack.enter_context(serving(tmp_path / "server", port, **SETTINGS))

        house.heard("Still late: daily/same-day", 180)
        with_redelivery(house)
        house.state(run, "CANCELLED", "Cancelled")
        more = [house.run("redeliver/redeliver") for _ in range(2)]  # as many at once as there may be
        stack.enter_context(house.worker("pipeline", tmp_path / "worker.log"))
        assert "told by nobody" in house.heard("Failed: precompute/precompute", 300).body
        house.heard("Runs of the pool pipeline start again", 180)
        for redelivery in more:
            house.server.finished(redelivery, 180)
        house.settled()
        for subject in (
            "Still late: daily/same-day",
            "Failed: precompute/precompute",
            "Runs of the pool pipeline start again",
        ):
            house.heard(subject)  # still the only one
        house.heard("Not delivered: courtside: run-failed", channel="second")
        assert not [subject for subject in house.subjects("second") if "run-still-late" in subject]
