"""Objects: bodies kept whole under a name and never changed; in a folder here, in a bucket in production.

Payloads and models are objects. Nothing here looks into them.
"""

from __future__ import annotations

import abc
from pathlib import Path

from prefect.blocks.core import Block
from pydantic import Field

from blocks.partition import locked, write_durably


class ObjectConflict(Exception):
    """An object of this name is there already, with another body."""


class Objects(Block, abc.ABC):
    """Where objects are kept. Once created, an object of a name is the same for ever."""

    _block_schema_capabilities = ["objects"]

    @abc.abstractmethod
    def create(self, name: str, body: bytes) -> None:
        """Keep `body` under `name`, whole or not at all. The same body again changes nothing.

        Raises ObjectConflict if the name holds another body, also one that somebody else created in this moment.
        """

    @abc.abstractmethod
    def get(self, name: str) -> bytes:
        """The body under `name`. Raises FileNotFoundError where there is none."""

    @abc.abstractmethod
    def names(self, prefix: str = "") -> list[str]:
        """The names of all objects that begin with `prefix`, sorted."""

    @abc.abstractmethod
    def address(self, name: str = "") -> str:
        """Where `name` is, in words or as a link that a person can follow."""


class LocalObjects(Objects):
    """Objects as files in a folder."""

    _block_type_name = "Local Objects"
    _block_type_slug = "local-objects"
    _description = "Courtside's embedded store of payloads and models: files in a folder."

    folder: Path = Field(description="Folder that holds the objects; created on first write.")

    def create(self, name: str, body: bytes) -> None:
        """See Objects.create."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.parent):
            if not path.exists():
                write_durably(path, body)
            elif path.read_bytes() != body:
                raise ObjectConflict(f"{path} exists and holds something else")

    def get(self, name: str) -> bytes:
        """See Objects.get."""
        return (self.folder / name).read_bytes()

    def names(self, prefix: str = "") -> list[str]:
        """See Objects.names."""
        below = self.folder / prefix.rpartition("/")[0]
        found = (path.relative_to(self.folder).as_posix() for path in below.rglob("*") if path.is_file())
        return sorted(name for name in found if name.startswith(prefix) and not _is_unfinished(name))

    def address(self, name: str = "") -> str:
        """See Objects.address."""
        return str(self.folder / name)


def _is_unfinished(name: str) -> bool:
    return name.rpartition("/")[2].startswith("_tmp-")
