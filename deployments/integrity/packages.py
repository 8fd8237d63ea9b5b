"""Which distributions are installed, what the lock asks for, and how the two differ."""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .digest import sha256_bytes, sha256_file


def normalise(name: str) -> str:
    """A distribution's name in the one spelling of PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, slots=True)
class Distribution:
    """One installed distribution. `record` is the digest of its wheel's file list, empty if it carries none."""

    name: str
    version: str
    record: str
    folder: Path


def installed(search: Sequence[str] | None = None) -> dict[str, Distribution]:
    """Every distribution on the import path, by normalised name; the first on the path wins, as at import.

    Names and versions come from the folders' names, so that about 160 distributions take some 10 ms.
    """
    found: dict[str, Distribution] = {}
    for entry in dict.fromkeys(sys.path if search is None else search):
        try:
            names = sorted(n for n in os.listdir(entry or ".") if n.endswith(".dist-info"))
        except OSError:
            continue
        for folder in names:
            raw_name, _, version = folder.removesuffix(".dist-info").partition("-")
            name = normalise(raw_name)
            if name not in found:
                path = Path(entry or ".", folder)
                found[name] = Distribution(name, version, _record_digest(path), path)
    return found


def _record_digest(folder: Path) -> str:
    """Digest of RECORD without what an installer adds, so that pip and uv give the same one."""
    try:
        lines = (folder / "RECORD").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    kept = sorted(
        line
        for line in lines
        if ",sha256=" in line and ".dist-info/" not in line and not line.startswith(("../", '"../'))
    )
    return sha256_bytes("\n".join(kept).encode())[:32]


def read_lock(path: Path) -> dict[str, str]:
    """`name==version` lines of a requirements file, by normalised name, markers evaluated for this
    interpreter.

    ValueError if a line pins nothing, for an unpinned lock proves nothing.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    pins: dict[str, str] = {}
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for number, raw in enumerate(text.splitlines(), start=1):
        line = re.split(r"\s--hash|\s#", raw.strip())[0].strip()
        if not line or line.startswith(("#", "-")):
            continue
        try:
            requirement = Requirement(line)
        except InvalidRequirement as error:
            raise ValueError(f"{path.name}, logical line {number}: {error}") from None
        versions = [s.version for s in requirement.specifier if s.operator == "=="]
        if len(versions) != 1:
            raise ValueError(f"{path.name}, logical line {number}: {line!r} is not pinned with ==")
        if requirement.marker is None or requirement.marker.evaluate():
            pins[normalise(requirement.name)] = versions[0]
    return pins


@dataclass(frozen=True, slots=True)
class PackageDifference:
    """One distribution that is not as expected; an empty string stands for 'not there'."""

    name: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.name} {self.expected or 'absent'} -> {self.found or 'absent'}"


def differ_from_lock(
    pins: Mapping[str, str], here: Mapping[str, Distribution], allowed: Iterable[str]
) -> list[PackageDifference]:
    """Distributions that are missing, at another version, or in no line of the lock."""
    versions = {name: dist.version for name, dist in here.items()}
    return list(_differences(pins, versions, {normalise(name) for name in allowed}))


def _differences(
    expected: Mapping[str, str], found: Mapping[str, str], allowed: set[str]
) -> Iterator[PackageDifference]:
    for name in sorted(expected.keys() | found.keys()):
        want, have = expected.get(name, ""), found.get(name, "")
        if not want and name in allowed:
            continue
        if not _same_version(want, have):
            yield PackageDifference(name, want, have)


def _same_version(want: str, have: str) -> bool:
    # "1.0+cpu" and "1.0_cpu" are one version: a folder's name may not carry every character.
    return normalise(want.replace("+", "-")) == normalise(have.replace("+", "-"))


def differ_from_release(
    expected: Mapping[str, tuple[str, str]], here: Mapping[str, Distribution], allowed: Iterable[str]
) -> list[PackageDifference]:
    """Distributions whose version or content differs from a release's `name: (version, record)`."""
    found = {name: f"{dist.version} {dist.record}".strip() for name, dist in here.items()}
    wanted = {name: f"{version} {record}".strip() for name, (version, record) in expected.items()}
    return list(_differences(wanted, found, {normalise(name) for name in allowed}))


def edited_files(here: Mapping[str, Distribution]) -> list[str]:
    """Installed files whose content is not what their wheel's RECORD says; the full check, some seconds."""
    edited: list[str] = []
    for dist in here.values():
        record = dist.folder / "RECORD"
        if not record.is_file():
            continue
        for line in record.read_text(encoding="utf-8").splitlines():
            path, _, rest = line.rpartition(",sha256=")
            if not path or ".dist-info/" in path or path.startswith("../"):
                continue
            want = rest.partition(",")[0]
            file = dist.folder.parent / path.strip('"')
            try:
                digest = bytes.fromhex(sha256_file(file))
            except OSError:
                edited.append(f"{dist.name}: {path} is missing")
                continue
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != want:
                edited.append(f"{dist.name}: {path}")
    return edited
