"""Holding what lies here against its manifest, and the manifest against what is expected. Pure: it reads
files, no net.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.machinery import PathFinder, all_suffixes
from pathlib import Path

from .artifacts import check_artifacts
from .bytecode import stale_bytecode
from .digest import compare, read_tree, sha256_file
from .envelope import Envelope
from .finding import Finding, Severity
from .manifest import Predicate
from .packages import differ_from_release, installed
from .record import Record
from .release import Site
from .runtime import check_clock, check_settings, check_zones, interpreter

NEVER_IMPORTED = {"tests", "test", "docs", "conftest", "setup", "noxfile", "tasks_local"}
EXPIRY_WARNING_DAYS = 7
SUPERSEDED = frozenset({"release.older", "release.withdrawn"})  # right in itself, and no longer the expected one


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the registry expects, when that was read, the server's time then, and whether it comes from the
    memory.
    """

    record: Record
    read_at: datetime
    server_time: datetime | None = None
    remembered: bool = False


def check_identity(envelope: Envelope, manifest: Predicate, expectation: Expectation) -> Iterator[Finding]:
    """Project, role and release of the manifest that lies here against the one that is expected."""
    record, release = expectation.record, manifest.release
    expected = record.expected
    if manifest.project != record.project:
        yield Finding(
            "manifest.project",
            f"project {record.project}",
            f"project {manifest.project}",
            "deploy the right image",
        )
        return
    if manifest.role != record.role:
        yield Finding(
            "manifest.role",
            f"role {record.role} (release {expected.version})",
            f"role {manifest.role} (release {release.version})",
            f"this image or checkout was built for {manifest.role}: start it on that role's pool, "
            f"or deploy the image of {record.role}",
        )
        return
    if envelope.digest == expected.manifest:
        return
    found = f"release {release.version}"
    want = f"release {expected.version}"
    if release.number == expected.number:
        yield Finding(
            "release.content",
            f"{want}, manifest {expected.manifest[:12]}",
            f"another manifest of that number, {envelope.digest[:12]}",
            "two builds carry one number: build again with the next number and register it",
        )
    elif release.number < expected.number:
        yield Finding(
            "release.older",
            want,
            found,
            "deploy the expected release here; to go back on purpose use `rollback`",
        )
    elif release.number <= record.highest:
        yield Finding("release.withdrawn", want, found, "this release was rolled back: deploy the expected one")
    else:
        yield Finding(
            "release.unregistered",
            want,
            found,
            "register it (`register`) once its smoke run is good, or deploy the expected release",
        )


def check_validity(manifest: Predicate, now: datetime) -> Iterator[Finding]:
    """Whether the release is expired or about to be, and whether it was built from uncommitted files."""
    release = manifest.release
    left = release.expires_at - now
    if left.total_seconds() <= 0:
        yield Finding(
            "release.expired",
            f"a release valid at {now.isoformat(timespec='seconds')}",
            f"one that expired at {release.expires_at.isoformat(timespec='seconds')}",
            "build, sign and register it again",
        )
    elif left.days < EXPIRY_WARNING_DAYS:
        yield Finding(
            "release.expires",
            f"more than {EXPIRY_WARNING_DAYS} days of validity",
            f"{left.days} days",
            "build and register a release before then",
            severity=Severity.WARN,
        )
    if release.dirty:
        yield Finding(
            "release.dirty",
            "a release built from a commit",
            f"{release.version}, built from uncommitted files",
            "build from a clean tree",
            severity=Severity.WARN,
        )


def check_tree(site: Site, manifest: Predicate) -> Iterator[Finding]:
    """Every shipped file against its digest; nothing missing, nothing added, nothing that shadows."""
    code = manifest.code
    tree = read_tree(site.root, code.ships, code.ignore)
    difference = compare(code.files, tree.files)
    fix = "deploy the release anew; nothing may be edited or copied into it"
    for kind, names in (
        ("changed", difference.changed),
        ("missing", difference.missing),
        ("added", difference.added),
    ):
        if names:
            yield Finding(
                f"tree.{kind}",
                f"the {len(code.files)} files of the release",
                f"{len(names)} {kind}",
                fix,
                names,
            )
    strangers = (*tree.strangers, *tree.linked_folders, *_shadows(site.root, code.files))
    if strangers:
        yield Finding(
            "tree.shadow",
            "no file that Python would import instead",
            f"{len(strangers)} that it would",
            "delete them, or start from a clean copy of the release",
            strangers,
        )
    stale = stale_bytecode(site.root, sorted(code.files), site.memory / "bytecode.json")
    if stale:
        yield Finding(
            "tree.bytecode",
            "compiled files that say what their source says",
            f"{len(stale)} stale",
            "delete the __pycache__ folders; in images use `compileall --invalidation-mode checked-hash`",
            tuple(stale),
        )


def _shadows(root: Path, files: Mapping[str, str]) -> list[str]:
    """Entries beside the packages that would be imported instead of a standard or installed module."""
    elsewhere = [entry for entry in sys.path if entry and Path(entry).resolve() != root]
    found = []
    with os.scandir(root) as entries:
        for entry in entries:
            suffix = next((s for s in all_suffixes() if entry.name.endswith(s)), "")
            name = entry.name.removesuffix(suffix)
            if suffix if not entry.is_dir() else (root / entry.name / "__init__.py").is_file():
                shipped = entry.name in files or f"{entry.name}/__init__.py" in files
                if shipped or name in NEVER_IMPORTED:
                    continue
                if name in sys.stdlib_module_names or PathFinder.find_spec(name, elsewhere) is not None:
                    found.append(entry.name)
    return sorted(found)


def check_packages(site: Site, manifest: Predicate) -> Iterator[Finding]:
    """The lock file and the installed distributions against those of the build."""
    packages = manifest.packages
    lock = site.root / packages.lock_path
    if lock.is_file() and sha256_file(lock) != packages.lock:
        yield Finding(
            "packages.lock",
            f"{packages.lock_path} of the release",
            "another content",
            "build a release from the new lock",
            (packages.lock_path,),
        )
    elif not lock.is_file():
        yield Finding("packages.lock", packages.lock_path, "no such file", "ship the lock with the release")
    wanted = {name: (p.version, p.record) for name, p in packages.installed.items()}
    differences = differ_from_release(wanted, installed(), packages.allowed)
    if differences:
        yield Finding(
            "packages.installed",
            f"the {len(wanted)} distributions of the release",
            f"{len(differences)} that differ",
            f"install exactly {packages.lock_path}, or build a release with these",
            tuple(map(str, differences)),
        )


def check_interpreter(manifest: Predicate) -> Iterator[Finding]:
    """Implementation, minor version and platform must be the build's; another patch version is only said."""
    here, built = interpreter(), manifest.runtime
    minor = built.python.rpartition(".")[0]
    same = here["implementation"] == built.implementation and here["python"].rpartition(".")[0] == minor
    if not same or here["platform"] != built.platform:
        yield Finding(
            "runtime.python",
            f"{built.implementation} {minor} on {built.platform}",
            f"{here['implementation']} {here['python']} on {here['platform']}",
            "run the release on the interpreter it was built for",
        )
    elif here["python"] != built.python:
        yield Finding(
            "runtime.python",
            built.python,
            here["python"],
            "build and run on one patch version",
            severity=Severity.WARN,
        )


def check_origin(root: Path, roots: Iterable[str], search: Sequence[str]) -> Iterator[Finding]:
    """Where Python would import the project's packages from, and where loaded ones did come from: only
    `root`.
    """
    strays = []
    for name in roots:
        spec = PathFinder.find_spec(name, list(search))
        places = list(spec.submodule_search_locations or []) if spec else []
        if spec and spec.origin and Path(spec.origin).exists():
            places.append(spec.origin)
        if places and not any(_inside(place, root) for place in places):
            strays.append(f"{name} from {places[0]}")
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in roots and file and not _inside(file, root):
            strays.append(f"{name} loaded from {file}")
    if strays:
        yield Finding(
            "tree.origin",
            f"the project's packages from {root}",
            "another copy first on the import path",
            "remove the other copy (an editable install?) or start in the release's root",
            tuple(strays),
        )


def _inside(place: str, root: Path) -> bool:
    return Path(place).resolve().is_relative_to(root.resolve())


def check_content(site: Site, manifest: Predicate) -> Iterator[Finding]:
    """What is in an image: files, packages, interpreter, artifacts, zone data."""
    yield from check_tree(site, manifest)
    yield from check_packages(site, manifest)
    yield from check_interpreter(manifest)
    yield from check_artifacts(site.root, manifest.artifacts, site.environment)
    yield from check_zones(manifest.runtime.zones)


def check_place(site: Site, manifest: Predicate) -> Iterator[Finding]:
    """All that can be seen here without a server: the content, and the settings of this service."""
    yield from check_content(site, manifest)
    yield from check_settings(manifest.runtime.settings, site.environment)


def check_expected(
    envelope: Envelope, manifest: Predicate, expectation: Expectation, now: datetime
) -> Iterator[Finding]:
    """All that needs the registry's answer: whose release this is, whether it is still good, and the server's clock."""
    yield from check_identity(envelope, manifest, expectation)
    yield from check_validity(manifest, now)
    yield from check_clock(expectation.read_at, expectation.server_time, manifest.policy.clock_skew_seconds)


def apply_overrides(findings: Iterable[Finding], record: Record, now: datetime) -> list[Finding]:
    """Findings that an active override names become `overridden`, and say in whose name and until when."""
    codes = {code: override for override in record.active_overrides(now) for code in override.codes}
    result = []
    for finding in findings:
        override = codes.get(finding.code)
        if override is not None and finding.severity is Severity.REFUSE:
            until = override.expires_at.isoformat(timespec="minutes")
            finding = replace(
                finding,
                severity=Severity.OVERRIDDEN,
                fix=f"let through by {override.by} until {until}: {override.reason}",
            )
        result.append(finding)
    return result
