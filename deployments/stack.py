"""The whole of production on one machine: a Prefect server, a guarded worker for every role, registered and ready."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import typer
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import WorkerStatus
from prefect.settings import PREFECT_API_URL, temporary_settings
from rich.console import Console

from deployments.alerting.receiver import PORT as RECEIVER_PORT
from deployments.environments import Channels, Environment, local
from deployments.integrity.rollout import Placed, local_key
from deployments.processes import NotReady, Processes, Service
from deployments.register import Refused, Registered, register
from deployments.specs import ROOT

PIPELINE = ROOT / ".pipeline"
USUAL_PORT = 4200  # Prefect's own
START_SECONDS = 180.0  # a server that makes its database on two busy cores
QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}

console = Console(soft_wrap=True, highlight=False)
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


class Stack:
    """The stack whose state, logs, keys and releases lie in `folder`."""

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self.folder = folder.resolve()
        self.processes = Processes(self.folder)
        self._database = database

    @property
    def url(self) -> str:
        """The server's API."""
        return f"http://127.0.0.1:{self._port('server')}/api"

    @property
    def receiver(self) -> str:
        """Where alerts go that no Slack is set for."""
        return f"http://127.0.0.1:{self._port('receiver')}/alerts"

    def up(self, environment: Callable[[Channels], Environment], port: int | None, webhooks: Channels) -> Registered:
        """Have everything running, registered and ready. What runs already as it should is left alone."""
        self._serve("server", port or USUAL_PORT, self._server, lambda: _answers(f"{self.url}/health"))
        if not all(webhooks):
            self._serve("receiver", RECEIVER_PORT, self._receiver, lambda: _listens(self._port("receiver")))
        channels = Channels(*(webhook or self.receiver for webhook in webhooks))
        with self.client():
            done = register(
                environment(channels),
                releases=self.folder / "releases",
                key=local_key(self.folder / "key.pem"),
                reason="make up",
                allow_dirty=True,
                say=console.print,
            )
            since = datetime.now(UTC)
            workers = {f"worker-{role}": placed for role, placed in done.rollout.roles.items()}
            started = {name for name, placed in workers.items() if self.processes.ensure(self.worker(name, placed))}
            for name, placed in workers.items():
                ready = partial(_online, placed.pools[0], name, since if name in started else None)
                self.processes.wait(name, "online", ready, START_SECONDS)
        return done

    def down(self) -> list[str]:
        """End every process; the database, logs and releases stay."""
        return self.processes.stop_all()

    @contextmanager
    def client(self) -> Iterator[None]:
        """Prefect in this process speaks to the stack's server."""
        with temporary_settings({PREFECT_API_URL: self.url}):
            yield

    def _serve(self, name: str, wished: int, service: Callable[[int], Service], ready: Callable[[], bool]) -> None:
        """Have a service running on a port that stays the same from one start to the next, where it is free."""
        port = self._port(name) if self.processes.alive(name) else _free_port(self._port(name) or wished)
        assert port is not None
        (self.folder / f"{name}.port").write_text(str(port))
        self.processes.ensure(service(port))
        self.processes.wait(name, "answering", ready, START_SECONDS)

    def _port(self, name: str) -> int | None:
        file = self.folder / f"{name}.port"
        return int(file.read_text()) if file.exists() else None

    def _server(self, port: int) -> Service:
        home = self.folder / "server"
        home.mkdir(exist_ok=True)
        # SQLite has one writer: without this broker an event that finds it locked is dropped, and its alarm with it.
        patient = {"PREFECT_MESSAGING_BROKER": "deployments.alerting.broker"}
        database = {"PREFECT_API_DATABASE_CONNECTION_URL": self._database} if self._database else patient
        return Service(
            name="server",
            command=(sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)),
            folder=home,
            environment={
                **QUIET,
                **database,
                # After a restart an event does not wait a quarter of an hour for one that the restart has swallowed.
                "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "deployments.alerting.ordering",
                "PREFECT_HOME": str(home),
                # The browser's pages speak to the API on their own: without this, to port 4200, whoever is there.
                "PREFECT_SERVER_UI_API_URL": self.url,
                "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
                # Leases of concurrency limits outlive a restart; in memory they would be lost and the slots with them.
                "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            },
        )

    def _receiver(self, port: int) -> Service:
        return Service(
            name="receiver",
            command=(
                *(sys.executable, "-m", "deployments.alerting", "receiver"),
                *("--port", str(port), "--file", str(self.folder / "alerts.jsonl")),
            ),
            folder=ROOT,
            environment=QUIET,
        )

    def worker(self, name: str, placed: Placed) -> Service:
        """A guarded worker of a release, to be started on its role's pool."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        return Service(
            name=name,
            command=(
                *(sys.executable, "-m", "prefect", "worker", "start", "--type", "guarded-process"),
                *("--pool", placed.pools[0], "--name", name, "--install-policy", "never"),
            ),
            folder=placed.folder,
            environment={
                **QUIET,
                **placed.environment(),
                "PREFECT_API_URL": self.url,
                "PREFECT_HOME": str(home),
                "INTEGRITY_HOME": str(self.folder),
                "PREFECT_PLUGINS_ENABLED": "1",
                "PREFECT_PLUGINS_STRICT": "1",
                "PREFECT_WORKER_QUERY_SECONDS": "2",
            },
        )


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _listens(port: int | None) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port or 0)) == 0


def _online(pool: str, name: str, since: datetime | None) -> bool:
    """Whether the worker polls: its heartbeat is there, and not that of a process before it."""
    with get_client(sync_client=True) as client:
        answer = client.request("POST", f"/work_pools/{pool}/workers/filter", json={})  # type: ignore[arg-type]
    return any(
        worker["name"] == name
        and worker["status"] == WorkerStatus.ONLINE.value
        and (since is None or datetime.fromisoformat(worker["last_heartbeat_time"]) >= since)
        for worker in answer.json()
    )


def _free_port(wished: int) -> int:
    """The wished port, or any other if somebody has it."""
    for port in (wished, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NotReady("no free port on 127.0.0.1")


Folder = Annotated[Path, typer.Option("--folder", help="Where the stack keeps its state, logs, key and releases.")]


@app.command()
def up(
    data: Annotated[
        Path | None, typer.Option(help="Folder of seasons (docs/data.md). Default: the bundled simulated league.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Folder of tables. Default: one per source in .pipeline.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the server. Default: 4200, or a free one.")] = None,
    database: Annotated[
        str | None, typer.Option(envvar="DATABASE", help="SQLAlchemy URL, as postgresql+asyncpg://. Default: SQLite.")
    ] = None,
    webhook: Annotated[
        str, typer.Option(envvar="SLACK_WEBHOOK", help="Where alerts go. Default: the receiver of this stack.")
    ] = "",
    second_webhook: Annotated[
        str, typer.Option(envvar="SLACK_SECOND_WEBHOOK", help="The same for the second channel.")
    ] = "",
    schedules: Annotated[bool, typer.Option(help="Let the schedules start runs by themselves.")] = False,
    folder: Folder = PIPELINE / "stack",
) -> None:
    """Start what is not running, register this tree, wait until everything is ready. Again: no change."""
    stack = Stack(folder, database)
    try:
        done = stack.up(
            lambda channels: local(home, data, channels, schedules), port, Channels(webhook, second_webhook)
        )
    except (NotReady, *Refused) as error:
        console.print(f"[bold red]not ready:[/] {error}")
        raise typer.Exit(1) from None
    console.print(f"\nrelease {done.rollout.version} on {', '.join(sorted(done.rollout.roles))}")
    console.print(f"Prefect   {stack.url.removesuffix('/api')}")
    console.print(f"alerts    {stack.folder}/alerts.jsonl" if not webhook else "alerts    to Slack")
    console.print(f"logs      {stack.folder}/*.log")
    console.print("\nRun a day through the workers:")
    prefect = Path(sys.executable).with_name("prefect")
    shown = prefect.relative_to(Path.cwd()) if prefect.is_relative_to(Path.cwd()) else prefect
    console.print(f"  PREFECT_API_URL={stack.url} {shown} deployment run daily/same-day -p game_day=2025-12-29 --watch")


@app.command()
def down(folder: Folder = PIPELINE / "stack") -> None:
    """End everything that `up` started, also what a crash has left over."""
    ended = Stack(folder).down()
    console.print(f"ended {', '.join(ended)}" if ended else "nothing was running")


@app.command()
def status(folder: Folder = PIPELINE / "stack") -> None:
    """Which processes run. Exit code 1 if one that was started does not."""
    stack = Stack(folder)
    states = {name: stack.processes.alive(name) for name in stack.processes.names()}
    for name, alive in states.items():
        console.print(f"{name:<20}{'running' if alive else '[red]gone[/]'}  {stack.processes.log(name)}")
    if not states:
        console.print("nothing was started")
    raise typer.Exit(0 if states and all(states.values()) else 1)


if __name__ == "__main__":
    app()
