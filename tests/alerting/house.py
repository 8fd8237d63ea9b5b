"""A house with its alert path: a real Prefect server, the local receiver in Slack's place, deployments to alert on."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.alerts import ALERTS, SECOND_CHANNEL, channel
from deployments.alerting.apply import Change
from deployments.alerting.fleet import WATCHED
from deployments.alerting.receiver import Delivery, Receiver
from deployments.automations import Timing, register
from deployments.integrity import events
from tests.prefect_server import Server, serving, wait_for

RUNBOOK = "https://runbook.example.invalid/docs/runbook.md"
# The server looks for runs that are late every second, and for absences every second: fast enough to wait for.
SETTINGS = {
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "2",
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "2",
    "PREFECT_SERVER_SERVICES_FOREMAN_INACTIVITY_HEARTBEAT_MULTIPLE": "2",
    "PREFECT_SERVER_SERVICES_FOREMAN_FALLBACK_HEARTBEAT_INTERVAL_SECONDS": "4",
    "PREFECT_SERVER_SERVICES_FOREMAN_DEPLOYMENT_LAST_POLLED_TIMEOUT_SECONDS": "6",
    "PREFECT_SERVER_SERVICES_FOREMAN_WORK_QUEUE_LAST_POLLED_TIMEOUT_SECONDS": "6",
    "PREFECT_UI_URL": "http://prefect.example.invalid",
}
# Ten seconds is the shortest absence that a Prefect server knows. A scaled clock: minutes are seconds.
SCALED = Timing(
    burst=dt.timedelta(seconds=20),
    reminder=dt.timedelta(seconds=60),
    still_late=dt.timedelta(seconds=10),
    start=dt.timedelta(seconds=10),
    heartbeat=dt.timedelta(seconds=10),
    edit=dt.timedelta(seconds=10),
    delivery=dt.timedelta(seconds=10),
    heal=dt.timedelta(seconds=20),
    silence=dt.timedelta(seconds=30),
    memory=dt.timedelta(hours=1),
)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass
class House:
    """The server, its client, who hears, and what a test makes happen."""

    server: Server
    client: SyncPrefectClient
    receiver: Receiver
    deployments: dict[str, str] = field(default_factory=dict)

    def furnish(self, timing: Timing = SCALED) -> list[Change]:
        """Pools and deployments by their names, without code, and the automations."""
        for watched in WATCHED:
            flow_name, name = watched.deployment.split("/")
            pool = name if name in ("analytics", "precompute", "predictions") else "pipeline"
            if not self.deployments.get(pool):
                self.deployments[pool] = pool
                self.server.pool(pool, "process")
            flow = self.server.post("/flows/", {"name": flow_name})
            body = {
                "name": name,
                "flow_id": flow["id"],
                "work_pool_name": pool,
                "entrypoint": "flow.py:nothing",
                "path": str(self.server.home),
                "enforce_parameter_schema": False,
            }
            self.deployments[watched.deployment] = str(self.server.post("/deployments/", body)["id"])
        return register(self.client, runbook=RUNBOOK, timing=timing)

    def run(self, deployment: str, **parameters: Any) -> str:
        return self.server.start_run(self.deployments[deployment], **parameters)

    def state(self, run: str, kind: str, name: str, message: str = "") -> None:
        """Put a run into a state, as worker and engine do."""
        state = {"type": kind, "name": name, "message": message}
        self.server.post(f"/flow_runs/{run}/set_state", {"state": state, "force": True})

    def event(self, name: str, resource: str, payload: dict[str, Any] | None = None, **labels: str) -> None:
        events.emit(name, {"prefect.resource.id": resource, **labels}, payload or {}, now())

    def heard(self, subject: str, seconds: float = 40, channel: str = "alerts") -> Delivery:
        """The message that has `subject` in its heading, once it is there; it must be the only one."""

        def there() -> list[Delivery]:
            return [item for item in self.receiver.deliveries(channel) if subject in item.subject]

        try:
            found = wait_for(f"a message {subject!r}", there, seconds)
        except AssertionError as error:
            heard = "\n".join(item.subject for item in self.receiver.deliveries())
            raise AssertionError(f"{error}; heard were:\n{heard}") from None
        assert len(found) == 1, [item.subject for item in found]
        return found[0]

    def subjects(self, channel: str = "alerts") -> list[str]:
        return [item.subject for item in self.receiver.deliveries(channel)]


@contextmanager
def furnished(folder: Path, timing: Timing = SCALED, port: int | None = None) -> Iterator[House]:
    """A house on a server of its own, everything registered."""
    receiver = Receiver(folder / "messages.jsonl", now)
    with (
        serving(folder / "server", port=port, **SETTINGS) as server,
        receiver.listening() as address,
        temporary_settings({PREFECT_API_URL: server.url}),
        get_client(sync_client=True) as client,
    ):
        channel(f"{address}/alerts").save(ALERTS, overwrite=True, _sync=True)
        channel(f"{address}/second", SECOND_CHANNEL).save(SECOND_CHANNEL, overwrite=True, _sync=True)
        house = House(server, client, receiver)
        house.furnish(timing)
        yield house


def unique(prefix: str) -> str:
    return f"{prefix}.{uuid4()}"


def seconds_since(instant: dt.datetime) -> float:
    return (now() - instant).total_seconds()


__all__ = ["House", "furnished", "now", "seconds_since", "time", "unique"]
