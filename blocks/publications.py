"""Where publications appear: a game day's files replaced as one, so that a reader sees the old ones or the new ones.

Files of a version lie together under `.versions/<game day>/<version>/` and never change; what a reader opens under the
game day points there.
"""

from __future__ import annotations

import abc
import datetime as dt
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from blocks.partition import write_durably

MANIFEST = "manifest.json"
VERSIONS = ".versions"
KEPT_VERSIONS = 3  # a reader that is in the middle of an older one finds it still there


class Publications(abc.ABC):
    """A publication for each game day: a manifest and the files that it names."""

    @abc.abstractmethod
    def replace(self, game_day: dt.date, version: str, files: Mapping[str, bytes]) -> str:
        """Let the game day's publication be these files from now on, all at once, and return where a reader finds it.

        `files` holds the manifest too. `version` sorts by time of publication: an older never replaces a newer one.
        """

    @abc.abstractmethod
    def read(self, game_day: dt.date, name: str) -> bytes | None:
        """A file of the game day's publication, or None where there is none."""


@dataclass(frozen=True)
class LocalPublications(Publications):
    """Publications in a folder: `<folder>/<game day>` is a link to a complete version."""

    folder: Path

    def replace(self, game_day: dt.date, version: str, files: Mapping[str, bytes]) -> str:
        """See Publications.replace. The link is replaced in one step."""
        versions = self.folder / VERSIONS / game_day.isoformat()
        new = versions / version
        new.mkdir(parents=True)
        for name, body in files.items():
            write_durably(new / name, body)
        link = self.folder / game_day.isoformat()
        _point(link, max(versions.iterdir()))
        for old in sorted(versions.iterdir())[:-KEPT_VERSIONS]:
            shutil.rmtree(old)
        return str(link)

    def read(self, game_day: dt.date, name: str) -> bytes | None:
        """See Publications.read."""
        path = self.folder / game_day.isoformat() / name
        return path.read_bytes() if path.exists() else None


def _point(link: Path, version: Path) -> None:
    temporary = link.with_name(f"_link-{os.getpid()}-{link.name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(version, link.parent))
    temporary.replace(link)
