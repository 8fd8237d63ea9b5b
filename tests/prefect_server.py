"""A real Prefect server and real worker processes for the tests, on free ports, each with its own home.

Use the session fixture `prefect_server` (tests/conftest.py), or `serving(folder)` for one that a test may kill.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

REPOSITORY = Path(__file__).parents[1]
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """This process's environment without what it was told about Prefect, releases and tests."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "INTEGRITY", "PYTEST"))}


def wait_for(what: str, done: Callable[[], Any], seconds: float) -> Any:
    """Poll until `done()` is truthy and return that; AssertionError names what never came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := done():
            return result
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come within {seconds} s")


@dataclass
class Api:
    """A Prefect API and what a test asks of it."""

    url: str

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._request("POST", path, json=body)

    def get(self, path: str) -> Any:
        return self._request("GET", path)

    def _request(self, method: str, path: str, **more: Any) -> Any:
        """As Prefect's clients do: a busy SQLite server answers 503, which means to ask again."""

        def answer() -> httpx.Response | None:
            answered = httpx.request(method, self.url + path, timeout=30, **more)
            return None if answered.status_code == 503 else answered

        answered = wait_for(f"an answer to {method} {path}", answer, 60)
        answered.raise_for_status()
        return answered.json()

    def events(self, *names: str, since: dt.datetime | None = None) -> list[dict[str, Any]]:
        """The events of these names that the server has, newest first; those of half a year, or since then."""
        wanted: dict[str, Any] = {"event": {"name": list(names)}}
        if since is not None:
            wanted["occurred"] = {"since": since.isoformat(), "until": "2100-01-01T00:00:00Z"}
        return list(self.post("/events/filter", {"filter": wanted, "limit": 50})["events"])

    def pool(self, name: str, kind: str = "guarded-process") -> None:
        """Make a work pool whose workers run flows as processes."""
        from prefect.workers.process import ProcessWorker

        template = ProcessWorker.get_default_base_job_template()
        self.post("/work_pools/", {"name": name, "type": kind, "base_job_template": template})

    def start_run(self, deployment: str, **parameters: Any) -> str:
        run = self.post(f"/deployments/{deployment}/create_flow_run", {"parameters": parameters})
        return str(run["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        return dict(self.get(f"/flow_runs/{UUID(run_id)}"))

    def finished(self, run_id: str, seconds: float = 60) -> dict[str, Any]:
        """The run, once it is in a final state."""

        def done() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["state"]["type"] in FINAL else None

        return dict(wait_for(f"the end of run {run_id}", done, seconds))

    def logs(self, run_id: str) -> str:
        rows = self.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}})
        return "\n".join(row["message"] for row in rows)


@dataclass
class Server(Api):
    """A running Prefect server of a test's own."""

    home: Path
    process: Process

    def kill(self) -> None:
        """End it as a machine that loses power does."""
        os.killpg(self.process.popen.pid, signal.SIGKILL)
        self.process.popen.wait()

    def environment(self, root: Path, **more: str) -> dict[str, str]:
        """The environment of a process that works in the folder `root` and speaks to this server."""
        return {
            **clean_environment(),
            "PREFECT_API_URL": self.url,
            "PREFECT_HOME": str(self.home / root.name),
            "INTEGRITY_HOME": str(self.home / root.name),
            "PYTHONPATH": str(REPOSITORY),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_WORKER_PREFETCH_SECONDS": "1",
            **more,
        }


@contextmanager
def running(command: list[str], cwd: Path, environment: dict[str, str], log: Path) -> Iterator[Process]:
    """A process of a session of its own, ended with its children however the test goes."""
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield Process(process, log)
    finally:
        for number in (signal.SIGINT, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)


@dataclass
class Process:
    """A started process and its output."""

    popen: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        return self.log.read_text()

    def says(self, text: str, seconds: float = 30) -> None:
        wait_for(f"{text!r} in\n{self.output()}", lambda: text in self.output(), seconds)

    def exit_code(self, seconds: float) -> int:
        try:
            return self.popen.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s:\n{self.output()}") from None


def worker(
    server: Server, root: Path, pool: str, log: Path, kind: str = "guarded-process", limit: int = 100, **more: str
) -> Any:
    """`prefect worker start` in a checkout."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--type", kind, "--pool", pool]
    return running(
        [*command, "--name", log.stem, "--install-policy", "never", "--limit", str(limit)],
        root,
        server.environment(root, **more),
        log,
    )


@contextmanager
def serving(home: Path, port: int | None = None, **more: str) -> Iterator[Server]:
    """A server with its database in `home`, ready to answer. `more` are settings of it."""
    port = port or free_port()
    home.mkdir(parents=True, exist_ok=True)
    settings = {
        **clean_environment(),
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "1",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_API_URL": "",
        **more,
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with running([*command, "--no-ui"], home, settings, home / "server.log") as process:
        url = f"http://127.0.0.1:{port}/api"

        def healthy() -> bool:
            assert process.popen.poll() is None, process.output()
            with suppress(httpx.HTTPError):
                return httpx.get(f"{url}/health", timeout=2).status_code == 200
            return False

        wait_for("the Prefect server", healthy, 120)
        yield Server(url, home, process)
