"""The small project on a real Prefect server: its environment, its deployments, the guard's commands."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.prefect_server import REPOSITORY, Server, serving

from .conftest import environment

ENTRY_POINTS = """
[prefect.collections]
integrity = deployments.integrity.worker

[prefect.plugins]
integrity = deployments.integrity.plugin
"""


def entry_points(folder: Path) -> Path:
    """An importable folder that carries the guard's entry points, as an installed distribution would."""
    info = folder / "integrity_entry_points-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: integrity-entry-points\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@dataclass
class KioskServer(Server):
    """A server, and what the tests do on it with the small project. `path` carries the guard's entry points."""

    path: Path

    def environment(self, root: Path, **more: str) -> dict[str, str]:
        """The environment of a process in a checkout at `root`."""
        found = {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(self.path)]), **environment(root), **more}
        return super().environment(root, **found)

    def deploy(self, root: Path, role: str, entrypoint: str, pool: str, version: str, **more: Any) -> str:
        """A deployment whose pull step is the guard's, as prefect.yaml would make it. Returns its id."""
        flow = self.post("/flows/", {"name": f"{role}-{pool}"})
        step = {"deployments.integrity.steps.verify_release": {"project": "kiosk", "role": role}}
        body = {
            "name": pool,
            "flow_id": flow["id"],
            "entrypoint": entrypoint,
            "work_pool_name": pool,
            "version": version,
            "pull_steps": [step],
            "enforce_parameter_schema": False,
        }
        return str(self.post("/deployments/", {**body, **more})["id"])

    def command(self, root: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`python -m deployments.integrity ...` in a checkout."""
        return subprocess.run(
            [sys.executable, "-m", "deployments.integrity", *arguments],
            cwd=root,
            env=self.environment(root, **more),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@contextmanager
def serving_kiosk(home: Path) -> Iterator[KioskServer]:
    """A running server for the small project."""
    with serving(home) as server:
        yield KioskServer(server.url, server.home, server.process, entry_points(home / "path"))


def statement(root: Path) -> dict[str, Any]:
    """The signed statement that lies at `root`."""
    return dict(json.loads(base64.b64decode(json.loads((root / "release.json").read_text())["payload"])))
