"""One command that brings a Prefect server from nothing to ready, and from any earlier state to this code's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prefect.client.orchestration import get_client

from deployments.changes import Change, Resource, changes
from deployments.desired import desired
from deployments.environments import Environment
from deployments.integrity.project import read_project
from deployments.server import RegistrationError, Server
from deployments.specs import ROOT, Deployment, SpecError, lint, load

Say = Callable[[str], None]


def declared(version: str) -> list[Deployment]:
    """The deployments of this tree at a release, held against flows and guard. Raises SpecError."""
    deployments = load(values={"RELEASE_VERSION": version})
    roles = read_project(ROOT).roles
    problems = lint(deployments, {name: role.entrypoints for name, role in roles.items()})
    if problems:
        raise SpecError(problems)
    return deployments


def plan(deployments: Sequence[Deployment], environment: Environment) -> list[Change]:
    """What would be done to the server of PREFECT_API_URL."""
    with get_client(sync_client=True) as client:
        return _differences(Server(client, environment.blocks), desired(deployments, environment))


def apply(deployments: Sequence[Deployment], environment: Environment, say: Say) -> list[Change]:
    """Bring the server of PREFECT_API_URL to the wanted state and read it back. Raises RegistrationError."""
    wanted = desired(deployments, environment)
    with get_client(sync_client=True) as client:
        server = Server(client, environment.blocks)
        todo = _differences(server, wanted)
        for change in todo:
            say(change.text())
            server.apply(change)
        left = _differences(server, wanted) if todo else []
        for name in server.paused():
            say(f"paused, and left so: {name} (prefect deployment resume {name})")
    if left:
        raise RegistrationError(
            "the server has not taken everything; it still differs in:\n" + "\n".join(change.text() for change in left)
        )
    return todo


def _differences(server: Server, wanted: list[Resource]) -> list[Change]:
    return changes(wanted, server.resources(wanted))
