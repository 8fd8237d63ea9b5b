"""Content digests: canonical JSON, one file, and the tree of files a role ships. Nothing here imports project
code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

ALGORITHM = "sha256-list-v1"
ALWAYS_IGNORED = ("**/__pycache__/**", "**/.DS_Store", "**/*.swp", "**/*~")


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no spaces, UTF-8, no floats that are not finite: one byte string for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of a byte string."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content; OSError if it can't be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_digest(files: Mapping[str, str]) -> str:
    """One digest over a whole tree: SHA-256 of the sorted lines `<sha256>  <path>`."""
    return sha256_bytes("".join(f"{files[path]}  {path}\n" for path in sorted(files)).encode())


@lru_cache(maxsize=256)
def glob_pattern(glob: str) -> re.Pattern[str]:
    """A glob over `/`-separated paths as a regular expression; `**` crosses folders, `*` and `?` do not."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    table = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(table.get(part, re.escape(part)) for part in parts) + r"\Z")


def matches(path: str, globs: Iterable[str]) -> bool:
    """Whether a relative path matches any of the globs."""
    return any(glob_pattern(glob).match(path) for glob in globs)


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a role as they lie on disk: relative posix path to SHA-256, and what may not lie among
    them.
    """

    root: Path
    files: Mapping[str, str]
    strangers: tuple[str, ...]
    linked_folders: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The digest over all files."""
        return tree_digest(self.files)


def read_tree(root: Path, ships: Iterable[str], ignore: Iterable[str] = ()) -> Tree:
    """Read every file under `root` that matches `ships` and not `ignore`.

    `strangers` are files that Python would import although no source stands behind them (compiled modules
    outside `__pycache__`, extension modules that no glob names) in folders that ship code. `linked_folders`
    are symbolic links to folders, which a digest can't follow and an import would.
    """
    ships, ignored = tuple(ships), (*ignore, *ALWAYS_IGNORED)
    files: dict[str, str] = {}
    strangers: list[str] = []
    linked: list[str] = []
    for path, relative, is_folder_link in _walk(root, ships):
        if is_folder_link:
            linked.append(relative)
        elif not matches(relative, ignored):
            if matches(relative, ships) and not relative.endswith(tuple(BYTECODE_SUFFIXES)):
                files[relative] = sha256_file(path)
            elif relative.endswith((*BYTECODE_SUFFIXES, *EXTENSION_SUFFIXES)):
                strangers.append(relative)
    return Tree(root, files, tuple(sorted(strangers)), tuple(sorted(linked)))


def _walk(root: Path, ships: tuple[str, ...]) -> Iterator[tuple[Path, str, bool]]:
    tops = {re.split(r"[*?]", glob)[0].rpartition("/")[0] for glob in ships if "/" in glob}
    tops = {top for top in tops if not any(top != other and top.startswith(f"{other}/") for other in tops)}
    if "" in tops:
        raise ValueError("ships: a glob must name a folder before its first wildcard, for instance 'flows/**'")
    for glob in ships:
        if "/" not in glob and (root / glob).is_file():
            yield root / glob, glob, False
    for top in sorted(tops):
        for folder, folders, names in os.walk(root / top):
            here = Path(folder)
            relative = here.relative_to(root).as_posix()
            for name in folders:
                if (here / name).is_symlink():
                    yield here / name, f"{relative}/{name}", True
            folders[:] = [name for name in folders if name != "__pycache__"]
            for name in names:
                yield here / name, f"{relative}/{name}", False


@dataclass(frozen=True, slots=True)
class TreeDifference:
    """What stands between two file lists."""

    changed: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.added)


def compare(expected: Mapping[str, str], found: Mapping[str, str]) -> TreeDifference:
    """Which files of `found` differ from `expected`, are missing or were added."""
    return TreeDifference(
        changed=tuple(sorted(p for p in expected.keys() & found.keys() if expected[p] != found[p])),
        missing=tuple(sorted(expected.keys() - found.keys())),
        added=tuple(sorted(found.keys() - expected.keys())),
    )
