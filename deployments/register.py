"""One command that brings a Prefect server from nothing to ready, and from any earlier state to this code's.

Release, blocks, work pools, deployments, automations: what differs is changed, what left the code is removed there,
and the server is read back at the end. Nothing differs: nothing is written.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from rich.console import Console

from blocks.alerts import AlertChannelError
from blocks.workspace import SAVED, WorkspaceError, saved_workspace
from deployments import automations
from deployments.alerting.apply import AutomationsError
from deployments.alerting.apply import Change as AutomationChange
from deployments.changes import Change, Kind, Resource, changes
from deployments.desired import desired
from deployments.environments import Channels, Environment, local, production
from deployments.images import take_over
from deployments.integrity.digest import read_tree
from deployments.integrity.envelope import key_id, private_key
from deployments.integrity.finding import IntegrityError
from deployments.integrity.project import read_project
from deployments.integrity.registry import Registry, RegistryError, Unreachable
from deployments.integrity.release import Site
from deployments.integrity.rollout import Rollout, local_key, roll_out
from deployments.integrity.source import read_source
from deployments.server import RegistrationError, Server
from deployments.specs import ROOT, Deployment, SpecError, lint, load

LOCAL_KEY = ROOT / ".pipeline/stack/key.pem"
# What a person can put right, each with a sentence that says how.
Refused = (
    SpecError,
    RegistrationError,
    AutomationsError,
    AlertChannelError,
    WorkspaceError,
    IntegrityError,
    RegistryError,
    Unreachable,
    ValueError,
)
Say = Callable[[str], None]


def declared(version: str) -> list[Deployment]:
    """The deployments of this tree at a release, held against flows and guard. Raises SpecError."""
    deployments = load(values={"RELEASE_VERSION": version})
    roles = read_project(ROOT).roles
    problems = lint(deployments, {name: role.entrypoints for name, role in roles.items()})
    if problems:
        raise SpecError(problems)
    return deployments


@dataclass(frozen=True)
class Registered:
    """What a registration came to."""

    rollout: Rollout
    changes: tuple[Change, ...]
    automations: tuple[AutomationChange, ...]

    @property
    def changed(self) -> bool:
        """Whether anything had to be done."""
        return self.rollout.fresh or bool(self.changes) or bool(self.automations)


def register(
    environment: Environment,
    *,
    releases: Path,
    key: Ed25519PrivateKey,
    reason: str,
    allow_dirty: bool,
    say: Say,
    manifests: Path | None = None,
) -> Registered:
    """Bring the server of PREFECT_API_URL to this tree. Releases are laid as `releases`/<version>/<role>.

    Where images were built, their own releases are expected instead: `manifests` is the folder that holds them.

    Raises SpecError and IntegrityError for a tree that is not fit, before the server is touched, RegistrationError,
    RegistryError or Unreachable for a server that does not take it.
    """
    declared(next_version())
    now, by = datetime.now(UTC), getpass.getuser()
    if manifests is None:
        rollout = roll_out(ROOT, releases, key, now, by, reason, allow_dirty=allow_dirty)
    else:
        rollout = take_over(ROOT, manifests, key, now, by, reason)
    if rollout.fresh:
        say(f"expect release {rollout.version} of {', '.join(sorted(rollout.roles))}")
    done = apply(declared(rollout.version), environment, say)
    result = Registered(rollout, tuple(done), tuple(apply_automations(done, say)))
    if result.changed and environment.schedules_active:
        automations.send_heartbeat(datetime.now(UTC))  # from now on its absence is an alarm
    if not result.changed:
        say(f"no change: release {rollout.version} is registered as it is declared")
    return result


def next_version() -> str:
    """The version that this tree would be released as on a server that expects nothing yet."""
    source = read_source(ROOT)
    return f"{source.height}+{source.commit[:12]}" + (".dirty" if source.changed else "")


def expected_version(key: Ed25519PrivateKey | None) -> str | None:
    """The version that the server expects, if that is this very tree in every role."""
    project, site = read_project(ROOT), Site.here(ROOT)
    keys = {**site.keys, **({key_id(key.public_key()): key.public_key()} if key else {})}
    with Registry.connect(keys) as registry:
        answers = {name: registry.answer(project.project, name) for name in project.roles}
    versions = set()
    for name, answer in answers.items():
        spec = project.role(name)
        if answer is None or answer[1].expected.code != read_tree(ROOT, spec.ships, project.ignore).digest:
            return None
        versions.add(answer[1].expected.version)
    return versions.pop() if len(versions) == 1 else None


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


def apply_automations(done: Sequence[Change], say: Say) -> list[AutomationChange]:
    """The automations, and the word that these edits of deployments were a registration's."""
    edited = [item.resource.name for item in done if item.wanted and item.resource.kind == Kind.DEPLOYMENT]
    with get_client(sync_client=True) as client:
        if edited:
            automations.claim(client, edited, datetime.now(UTC))
        changed = automations.register(client)
    for change in changed:
        say(change.text())
    return changed


def plan_automations() -> list[AutomationChange]:
    """What would be done to the automations of the server of PREFECT_API_URL."""
    with get_client(sync_client=True) as client:
        return automations.register(client, plan=True)


def _differences(server: Server, wanted: list[Resource]) -> list[Change]:
    return changes(wanted, server.resources(wanted))


class Where(StrEnum):
    """The environments."""

    LOCAL = "local"
    PRODUCTION = "production"


cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def main(
    env: Annotated[Where, typer.Option(help="Where to register.")],
    plan_only: Annotated[bool, typer.Option("--plan", help="Show the difference and change nothing.")] = False,
    home: Annotated[
        str | None,
        typer.Option(
            envvar="COURTSIDE_HOME",
            help="The workspace: a folder, or block:TYPE/NAME. Default locally: .pipeline/simulated.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="COURTSIDE_DATA",
            help="Folder of seasons (docs/data.md), or live:NAME (docs/sources.md). Default locally: simulated.",
        ),
    ] = None,
    schedules: Annotated[bool, typer.Option(help="Locally: let schedules start runs by themselves.")] = False,
    pool_type: Annotated[
        str, typer.Option(envvar="COURTSIDE_POOL_TYPE", help="In production: the type of the workers.")
    ] = "guarded-process",
    image: Annotated[
        list[str] | None,
        typer.Option(envvar="COURTSIDE_IMAGES", help="In production: POOL=IMAGE@sha256:..., for each pool."),
    ] = None,
    manifests: Annotated[
        Path | None, typer.Option(help="With images: the folder in which build_images.sh has put their releases.")
    ] = None,
    releases: Annotated[Path, typer.Option(help="Folder in which releases are laid.")] = ROOT / ".pipeline/releases",
    key: Annotated[
        Path | None, typer.Option(envvar="INTEGRITY_SIGNING_KEY", help="PEM file of the key that signs releases.")
    ] = None,
    allow_dirty: Annotated[bool, typer.Option(help="Release uncommitted files too; marked for ever.")] = False,
    webhook: Annotated[
        str, typer.Option(envvar="SLACK_WEBHOOK", help="Incoming webhook that alerts go to; kept as a secret.")
    ] = "",
    second_webhook: Annotated[
        str, typer.Option(envvar="SLACK_SECOND_WEBHOOK", help="Another, for the day when the first does not answer.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why; kept in the registry.")] = "deploy",
) -> None:
    """Bring the Prefect server of PREFECT_API_URL to what this tree declares.

    Exit code 0: it is as declared. 1: it could not be brought there, with why. 2 with --plan: something differs.
    """
    console = Console(soft_wrap=True, highlight=False)
    channels = Channels(webhook, second_webhook)
    try:
        environment = (
            local(Path(home) if home else None, data, channels, schedules)
            if env == Where.LOCAL
            else production(home, data, channels, pool_type, image or [], _pools())
        )
        if image and manifests is None:
            raise RegistrationError(
                "images carry releases of their own: --manifests FOLDER, which build_images.sh wrote"
            )
        signing = _signing_key(env, key)
        if not PREFECT_API_URL.value():
            raise RegistrationError("PREFECT_API_URL is not set: say which server, or start one with `make up`")
        if home and home.startswith(SAVED):
            saved_workspace(home.removeprefix(SAVED))  # that it is there
        if plan_only:
            version = expected_version(signing)
            if version is None:
                console.print(f"expect release {next_version()} of {', '.join(read_project(ROOT).roles)}")
            found = plan(declared(version or next_version()), environment)
            todo = [item.text() for item in found] + [item.text() for item in plan_automations()]
            for text in todo:
                console.print(text)
            console.print("no change" if version and not todo else f"{len(todo)} changes; nothing was written")
            raise typer.Exit(0 if version and not todo else 2)
        register(
            environment,
            releases=releases,
            key=signing,
            reason=reason,
            allow_dirty=allow_dirty,
            say=console.print,
            manifests=manifests,
        )
    except Refused as error:
        console.print(f"[bold red]not registered:[/] {error}")
        raise typer.Exit(1) from None


def _pools() -> set[str]:
    return {item.work_pool.name for item in load(values={"RELEASE_VERSION": next_version()})}


def _signing_key(env: Where, path: Path | None) -> Ed25519PrivateKey:
    if path is not None:
        return private_key(path.read_bytes())
    if env == Where.LOCAL:
        return local_key(LOCAL_KEY)
    raise RegistrationError("no signing key: pass --key, or set INTEGRITY_SIGNING_KEY, to the PEM file of the deployer")


if __name__ == "__main__":
    cli()
