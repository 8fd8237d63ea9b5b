"""Seconds from a cause to its message, on a server of this machine: `python -m tests.alerting.measure`.

Where an alert waits for an absence, that wait is stated and is part of the seconds.
"""

from __future__ import annotations

import datetime as dt
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from deployments.automations import claim, send_heartbeat
from tasks.engine.incidents import Incident, IncidentEvent, IncidentKind, event_of
from tests.alerting.house import House, furnished, now
from tests.prefect_server import wait_for

Case = tuple[str, Callable[[], object], str]
SECOND = "second"
NOT_READY = ("prefect.work-pool.not-ready", "prefect.deployment.not-ready")


def measured(house: House, cause: Callable[[], object], subject: str) -> float:
    """Seconds until the message is there, on whichever channel."""
    channel = SECOND if subject.startswith(SECOND) else "alerts"
    started = time.monotonic()
    cause()
    house.heard(subject.removeprefix(f"{SECOND} "), 120, channel)
    return time.monotonic() - started


def failing(house: House, deployment: str) -> None:
    run = house.run(deployment)
    house.lives_through(run, "Pending", "Running")
    house.state(run, "FAILED", "Failed", "measured")


def running(house: House, deployment: str) -> str:
    run = house.run(deployment)
    house.lives_through(run, "Pending", "Running")
    return run


def beating(house: House, deployment: str) -> None:
    run = running(house, deployment)
    for _ in range(2):
        house.beats(deployment, run)


def done(house: House, deployment: str) -> None:
    house.lives_through(house.run(deployment), "Pending", "Running", "Completed")


def opened(kind: IncidentKind, edge: bool = True, game_day: dt.date | None = None) -> IncidentEvent:
    incident = Incident(kind=kind, subject="raw", game_day=game_day, what="-", since=START, impact="-", next_step="-")
    return event_of(incident, edge)


START = now()


def cases(house: House) -> Iterator[Case]:
    """What is measured: its name, the cause, and what the message says."""
    pipeline = {"prefect.resource.name": "pool pipeline"}
    guard = ("integrity.pool.pipeline", {})
    stuck, healed = IncidentKind.PHASE_STUCK, "self-heal/self-heal"
    yield "late, marked 2 s after it was due", lambda: house.run("daily/same-day"), "Late: daily/same-day"
    yield "still late, 10 s after", lambda: None, "Still late: daily/same-day"
    yield "failed", lambda: failing(house, "grade/grade"), "Failed: grade/grade"
    yield "failed, resolved", lambda: done(house, "grade/grade"), "grade/grade has completed"
    yield (
        "never started, 10 s",
        lambda: house.lives_through(house.run("train/train"), "Pending"),
        "Never started: train",
    )
    yield "never started, resolved", lambda: done(house, "train/train"), "train/train has completed"
    yield "zombie, 10 s", lambda: beating(house, "history/history"), "Heartbeats stopped: history/history"
    yield "zombie, resolved", lambda: done(house, "history/history"), "history/history has completed"
    slow = running(house, "predictions/predictions")
    yield "running too long, 10 s", lambda: None, "Running too long: predictions/predictions"
    yield (
        "running too long, resolved",
        lambda: house.state(slow, "COMPLETED", "Completed"),
        "predictions/predictions is no longer running",
    )
    yield "incident of the watch", lambda: house.tell(opened(stuck)), "Phase stuck: raw"
    yield "incident, resolved", lambda: house.tell(opened(stuck, False)), "Resolved Phase stuck: raw"
    yield (
        "refused by the guard",
        lambda: house.event("integrity.worker.blocked", *guard, **pipeline),
        "Refused by the guard",
    )
    yield (
        "refused by the guard, resolved",
        lambda: house.event("integrity.worker.attested", *guard, **pipeline),
        "The right release is at work",
    )
    edit = "backfill/backfill"
    yield "edited by hand, 10 s", lambda: house.edit(edit, entrypoint="a.py:b"), "Edited outside the code: backfill"
    yield "edited, resolved", lambda: claim(house.client, [edit], now()), "As the code says again: backfill"
    house.edit(healed, parameter_openapi_schema={"type": "object", "required": ["x"]}, enforce_parameter_schema=True)
    claim(house.client, [healed], now())
    yield (
        "an action has failed, 10 s",
        lambda: house.tell(opened(IncidentKind.OUTPUT_FAILED, game_day=dt.date(2025, 12, 1))),
        f"{SECOND} Not delivered: courtside: self-heal",
    )
    house.edit(healed, parameter_openapi_schema={"type": "object"}, enforce_parameter_schema=False)
    claim(house.client, [healed], now())
    yield (
        "an action has failed, resolved",
        lambda: house.tell(opened(IncidentKind.OUTPUT_FAILED, game_day=dt.date(2025, 12, 2))),
        f"{SECOND} Carried out again: courtside: self-heal",
    )
    yield "sign of life", lambda: send_heartbeat(now()), "Alerts arrive"
    yield "no sign of life, 30 s", lambda: None, f"{SECOND} No sign of life"
    yield "sign of life, resolved", lambda: send_heartbeat(now()), f"{SECOND} gives a sign of life again"


def pool(house: House, folder: Path) -> Iterator[tuple[str, float]]:
    """A worker that ends: until the server notices, which is its own affair, and from there to the message."""
    with house.worker("pipeline", folder / "one.log"):
        wait_for("a ready pool", lambda: house.pool_status("pipeline") == "READY", 60)
    gone = now()
    told = house.heard("Nobody polls the pool pipeline", 90).received
    noticed = min(
        dt.datetime.fromisoformat(event["occurred"])
        for name in NOT_READY
        for event in house.server.events(name)
        if dt.datetime.fromisoformat(event["occurred"]) > gone
    )
    yield "nobody polls: from worker's end to noticed", (noticed - gone).total_seconds()
    yield "nobody polls: from noticed to told", (told - noticed).total_seconds()
    with house.worker("pipeline", folder / "two.log"):
        back = wait_for("a ready pool", lambda: house.pool_status("pipeline") == "READY" and now(), 60)
        told = house.heard("The pool pipeline is polled", 60).received
        yield "nobody polls, resolved", (told - back).total_seconds()


def show(name: str, seconds: float) -> None:
    print(f"{name:45} {seconds:6.1f} s   load {os.getloadavg()[0]:4.1f}", flush=True)


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as name, furnished(Path(name)) as house:
        time.sleep(5)  # the server's own services are started when it first answers
        for case, cause, subject in cases(house):
            show(case, measured(house, cause, subject))
        for case, seconds in pool(house, Path(name)):
            show(case, seconds)


if __name__ == "__main__":
    main()
