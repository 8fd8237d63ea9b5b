"""What git says about the tree at build time. Verification never asks git."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """The commit, how many commits lead to it, which paths differ from it, and which paths it holds."""

    commit: str
    height: int
    changed: tuple[str, ...]
    tracked: frozenset[str]


def read_source(root: Path) -> Source:
    """Ask git about `root`; ValueError if it is no repository or has no commit. Paths are relative to `root`."""
    prefix = _git(root, "rev-parse", "--show-prefix").strip()
    status = [line for line in _git(root, "status", "--porcelain", "-z", "--no-renames", ".").split("\0") if line]
    tracked = frozenset(path for path in _git(root, "ls-files", "-z").split("\0") if path)
    return Source(
        commit=_git(root, "rev-parse", "HEAD").strip(),
        height=int(_git(root, "rev-list", "--count", "HEAD")),
        changed=tuple(line[3:].removeprefix(prefix) for line in status),
        tracked=tracked,
    )


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "core.quotePath=false", *arguments]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=60)
    except FileNotFoundError:
        raise ValueError("git is not installed; a release is built where its history is") from None
    except subprocess.CalledProcessError as error:
        raise ValueError(f"git {arguments[0]} in {root}: {error.stderr.strip()}") from None
    return done.stdout
