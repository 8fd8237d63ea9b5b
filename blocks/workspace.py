"""A workspace: where one pipeline keeps its tables, payloads, ledger, models and publications."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Protocol, cast

from prefect.blocks.core import Block, UnknownBlockType
from pydantic import Field

from blocks.landing import Landing
from blocks.locks import Clock, FileLock, Lock
from blocks.objects import LocalObjects, Objects
from blocks.partition import locked, write_durably
from blocks.publications import LocalPublications, Publications
from blocks.warehouse import LocalWarehouse, Warehouse

SAVED = "block:"  # before <block type>/<name>, where a folder could be named
ORIGIN = "ORIGIN"
WORKSPACE = "workspace"  # the capability that block types of workspaces have
LOCAL, CLOUD = "courtside-workspace", "courtside-cloud-workspace"


class WorkspaceError(Exception):
    """A workspace that must not be used for what was asked, with what to do instead."""


class Workspace(Protocol):
    """Everything that outlives a run, and all that the pipeline knows of where it runs."""

    @property
    def warehouse(self) -> Warehouse:
        """The tables."""

    @property
    def landing(self) -> Landing:
        """The payloads as they were fetched."""

    @property
    def models(self) -> Objects:
        """The trained models."""

    @property
    def publications(self) -> Publications:
        """What readers are given."""

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""

    def lock(self, name: str, clock: Clock) -> Lock:
        """A lock of this name for everybody who works here, on however many machines that is, by their `clock`."""

    def claim(self, origin: str) -> None:
        """Hold results from the data called `origin`, from the first use on for ever.

        Raises WorkspaceError if it holds results from other data: simulated and real days must never mix.
        """


class LocalWorkspace(Block):
    """The embedded workspace: a single folder."""

    _block_type_name = "Courtside Workspace"
    _block_type_slug = LOCAL
    _description = "Where one pipeline on one machine keeps its tables, payloads, ledger, models and publications."

    _block_schema_capabilities = [WORKSPACE]

    folder: Path = Field(description="Folder of everything; created on first use.")
    ledger_url: str = Field(description="SQLAlchemy URL of the ledger: sqlite:///... or postgresql://...")

    @classmethod
    def embedded(cls, home: Path, origin: str) -> LocalWorkspace:
        """The workspace in the folder `home`, claimed for the data called `origin`. Raises WorkspaceError."""
        workspace = cls(folder=home, ledger_url=f"sqlite:///{(home / 'ledger.sqlite').resolve()}")
        workspace.claim(origin)
        return workspace

    def claim(self, origin: str) -> None:
        """See Workspace.claim."""
        self.folder.mkdir(parents=True, exist_ok=True)
        held = _origin_of(self.folder, origin)
        if held != origin:
            raise WorkspaceError(
                f"{self.folder} holds results from {held}, not from {origin}: give another folder with --home, "
                "or remove it to start anew"
            )

    @cached_property
    def warehouse(self) -> LocalWarehouse:
        """See Workspace.warehouse."""
        return LocalWarehouse(folder=self.folder / "warehouse")

    @property
    def landing(self) -> Landing:
        """See Workspace.landing."""
        return Landing(LocalObjects(folder=self.folder / "landing"))

    @property
    def models(self) -> LocalObjects:
        """See Workspace.models."""
        return LocalObjects(folder=self.folder / "models")

    @property
    def publications(self) -> LocalPublications:
        """See Workspace.publications."""
        return LocalPublications(self.folder / "publications")

    def lock(self, name: str, clock: Clock) -> FileLock:
        """See Workspace.lock. One machine's locks need no clock."""
        return FileLock(self.folder / "locks" / name)


def saved_workspace(reference: str) -> Workspace:
    """The workspace that was saved as a Prefect block: `<block type>/<name>`. Raises WorkspaceError."""
    if reference.startswith(f"{CLOUD}/"):
        import blocks.cloud  # noqa: F401  registers the type; not above, because Google's libraries take seconds
    try:
        block = cast(Block, Block.load(reference))
    except (ValueError, UnknownBlockType) as error:
        raise WorkspaceError(f"the workspace {reference} cannot be loaded: {error}") from error
    if WORKSPACE not in block.get_block_capabilities():
        raise WorkspaceError(f"the block {reference} is not a workspace: name one of type {LOCAL} or {CLOUD}")
    return cast(Workspace, block)


def _origin_of(home: Path, origin: str) -> str:
    """What the workspace's data comes from; in a new workspace that is `origin` from now on."""
    marker = home / ORIGIN
    with locked(home):
        if not marker.exists():
            write_durably(marker, origin.encode())
        return marker.read_text()
