"""Seconds from a cause to its message, on a server of this machine: `python -m tests.alerting.measure`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from deployments.automations import claim, send_heartbeat
from tasks.engine.incidents import Incident, IncidentKind, event_of
from tests.alerting.house import House, furnished, now


def measured(house: House, cause: Callable[[], None], subject: str, channel: str = "alerts") -> float:
    """Seconds until the message is there."""
    started = time.monotonic()
    cause()
    house.heard(subject, 90, channel)
    return time.monotonic() - started


def failing(house: House, deployment: str) -> None:
    run = house.run(deployment)
    house.lives_through(run, "Pending", "Running")
    house.state(run, "FAILED", "Failed", "measured")


def cases(house: House) -> list[tuple[str, Callable[[], None], str]]:
    """What is measured: its name, the cause, and what the message says."""
    incident = Incident(
        kind=IncidentKind.PHASE_STUCK, subject="precompute", what="-", since=now(), impact="-", next_step="-"
    )
    labels = {"prefect.resource.name": "pool pipeline"}
    complete, edited = "grade/grade", "backfill/backfill"
    return [
        ("late, marked 2 s after it was due", lambda: house.run("daily/same-day") and None, "Late: daily/same-day"),
        ("still late, after 10 s", lambda: None, "Still late: daily/same-day"),
        ("failed", lambda: failing(house, complete), f"Failed: {complete}"),
        (
            "failed, resolved",
            lambda: house.lives_through(house.run(complete), "Pending", "Running", "Completed"),
            f"{complete} has completed",
        ),
        ("never started, 10 s", lambda: house.lives_through(house.run("train/train"), "Pending"), "Never started"),
        ("incident of the watch", lambda: house.tell(event_of(incident, True)), "Phase stuck: precompute"),
        ("incident, resolved", lambda: house.tell(event_of(incident, False)), "Resolved Phase stuck: precompute"),
        (
            "refused by the guard",
            lambda: house.event("integrity.worker.blocked", "integrity.pool.pipeline", {}, **labels),
            "Refused by the guard",
        ),
        ("edited by hand, after 10 s", lambda: house.edit(edited, entrypoint="a.py:b"), "Edited outside the code"),
        ("edited, resolved", lambda: claim(house.client, [edited], now()), "As the code says again"),
        ("sign of life", lambda: send_heartbeat(now()), "Alerts arrive"),
    ]


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder, furnished(Path(folder)) as house:
        time.sleep(5)  # the server's own services are started when it first answers
        for name, cause, subject in cases(house):
            print(f"{name:40} {measured(house, cause, subject):6.1f} s", flush=True)


if __name__ == "__main__":
    main()
