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

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.alerts import ALERTS, SECOND_CHANNEL, channel
from deployments.alerting.apply import Change
from deployments.alerting.fleet import WATCHED
from deployments.alerting.receiver import Delivery, Receiver
from deployments.automations import Timing, register
from deployments.integrity import events
from flows import alarm
from tasks.engine.incidents import Incident, IncidentEvent, IncidentKind, event_of
from tests.prefect_server import Server, serving, wait_for, worker

RUNBOOK = "https://runbook.example.invalid/docs/runbook.md"
# The server looks for runs that are late every second, and for absences every second: fast enough to wait for.
SETTINGS = {
    "PREFECT_MESSAGING_BROKER": "deployments.alerting.broker",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "deployments.alerting.ordering",
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
    pace=1 / 180,
    memory=dt.timedelta(hours=1),
)


MARKER = "settled"
SETTLING_SECONDS = 26  # the longest absence but the heartbeat's is 20 s, and the server looks every 5
FLOW = """
from prefect import flow


@flow
def nothing():
    return 1
"""


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

    def tell(self, event: IncidentEvent) -> None:
        """Send an incident's event, with its own id, as the watch does."""
        alarm.send(event.event, event.resource, event.payload, now(), event.id)

    def lives_through(self, run: str, *states: str) -> None:
        for name in states:
            self.state(run, name.upper(), name)

    def beats(self, deployment: str, run: str) -> None:
        """A heartbeat of a run, as its engine sends it: with its deployment's id and no name."""
        related = {
            "prefect.resource.id": f"prefect.deployment.{self.deployments[deployment]}",
            "prefect.resource.role": "deployment",
        }
        resource = {"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.name": "run"}
        events.emit("prefect.flow-run.heartbeat", resource, {}, now(), [related])

    def edit(self, deployment: str, **fields: Any) -> None:
        """Change a deployment as the UI does."""
        self.patch(f"/deployments/{self.deployments[deployment]}", fields)

    def patch(self, path: str, fields: dict[str, Any]) -> None:
        """As Prefect's clients do: a busy SQLite server answers 503, which means to ask again."""

        def done() -> bool:
            answer = httpx.patch(self.server.url + path, json=fields, timeout=30)
            return answer.status_code != 503 and bool(answer.raise_for_status())

        wait_for(f"an answer to PATCH {path}", done, 60)

    def runs_of(self, deployment: str) -> list[dict[str, Any]]:
        wanted = {"deployments": {"id": {"any_": [self.deployments[deployment]]}}}
        return list(self.server.post("/flow_runs/filter", wanted))

    def cancel(self, deployment: str) -> None:
        """End the waiting runs of a deployment: nobody is there to run them."""
        for run in self.runs_of(deployment):
            if run["state"]["type"] == "SCHEDULED":
                self.state(run["id"], "CANCELLED", "Cancelled")

    def pool_status(self, pool: str) -> str:
        return str(self.server.get(f"/work_pools/{pool}")["status"])

    def worker(self, pool: str, log: Path) -> Any:
        """A real worker of Prefect's own kind, in a folder with the flows of these deployments."""
        (self.server.home / "flow.py").write_text(FLOW)
        return worker(self.server, self.server.home, pool, log, "process")

    def settled(self) -> None:
        """Wait until whatever the events so far could set off has had its time: the longest absence, and a round."""
        marker = Incident(
            kind=IncidentKind.LEDGER_UNREADABLE,
            subject=f"{MARKER} {uuid4()}",
            what="The test goes on.",
            since=now(),
            impact="none",
            next_step="none",
        )
        time.sleep(SETTLING_SECONDS)  # an absence can only be waited for
        self.tell(event_of(marker, True))
        self.heard(marker.subject)

    def has_gone_off(self, name: str) -> bool:
        """Whether an alarm is on the server's record, which outlives the server."""
        gone_off = self.server.events("prefect.automation.triggered")
        return any(event["resource"]["prefect.resource.name"] == f"courtside: {name}" for event in gone_off)

    def dead_letters(self) -> list[str]:
        """Events and actions that the server has given up."""
        return [path.read_text()[:300] for path in (self.server.home / "dlq").glob("*")]

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
        """The headings on a channel, without those of `settled`."""
        return [item.subject for item in self.receiver.deliveries(channel) if MARKER not in item.subject]


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
