"""A workspace: where one pipeline keeps its tables, payloads, ledger, models and publications."""

from __future__ import annotations

from pathlib import Path

from prefect.blocks.core import Block
from pydantic import Field

from blocks.landing import LocalLanding
from blocks.partition import locked, write_durably
from blocks.warehouse import LocalWarehouse

ORIGIN = "ORIGIN"


class WorkspaceError(Exception):
    """A workspace that must not be used for what was asked, with what to do instead."""


class Workspace(Block):
    """Everything that outlives a run. The embedded one is a single folder."""

    _block_type_name = "Courtside Workspace"
    _block_type_slug = "courtside-workspace"
    _description = "Where one pipeline keeps its tables, payloads, ledger, models and publications."

    warehouse: LocalWarehouse
    landing: LocalLanding
    ledger_url: str = Field(description="SQLAlchemy URL of the ledger: sqlite:///... or postgresql://...")
    models: Path = Field(description="Folder of the trained models.")
    publications: Path = Field(description="Folder in which each game day's publication appears.")

    @classmethod
    def embedded(cls, home: Path, origin: str) -> Workspace:
        """The workspace in the folder `home`, created at first use for the data called `origin`.

        Raises WorkspaceError if `home` already holds results from other data: simulated and real days must never mix.
        """
        home.mkdir(parents=True, exist_ok=True)
        held = _origin_of(home, origin)
        if held != origin:
            raise WorkspaceError(
                f"{home} holds results from {held}, not from {origin}: give another folder with --home, "
                "or remove it to start anew"
            )
        return cls(
            warehouse=LocalWarehouse(folder=home / "warehouse"),
            landing=LocalLanding(folder=home / "landing"),
            ledger_url=f"sqlite:///{(home / 'ledger.sqlite').resolve()}",
            models=home / "models",
            publications=home / "publications",
        )


def _origin_of(home: Path, origin: str) -> str:
    """What the workspace's data comes from; in a new workspace that is `origin` from now on."""
    marker = home / ORIGIN
    with locked(home):
        if not marker.exists():
            write_durably(marker, origin.encode())
        return marker.read_text()
