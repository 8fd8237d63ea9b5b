"""Building a release: look at everything, refuse what is broken or uncommitted, and write down what is there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .artifacts import read_artifacts
from .digest import Tree, read_tree, sha256_file
from .finding import Finding, Report, Severity, raise_if_refused
from .manifest import (
    Artifact,
    Code,
    Entrypoint,
    Fact,
    Package,
    Packages,
    Predicate,
    Release,
    Runtime,
    expiry,
)
from .packages import PackageDifference, differ_from_lock, edited_files, installed, read_lock
from .probe import Probe, run_probe
from .project import ProjectSpec, RoleSpec, read_project
from .runtime import check_zones, interpreter
from .source import Source, read_source


@dataclass(frozen=True, slots=True)
class Built:
    """A manifest and what was said while it was made (warnings only; what refuses is raised)."""

    predicate: Predicate
    report: Report


def build(
    root: Path,
    role: str,
    now: datetime,
    number: int | None = None,
    allow_dirty: bool = False,
    lock: str | None = None,
) -> Built:
    """Build the manifest of `role` from the tree at `root`.

    Without `number` the release number is the count of commits; without `lock` the project file's lock is what was
    installed from. IntegrityError, with every reason, on a dirty tree (unless allowed, and then marked), an undefined
    name, a failing import, an entrypoint that does not load, an edited package; ValueError on a faulty project file or
    lock.
    """
    return build_all(root, [role], now, number, allow_dirty, lock)[role]


def build_all(
    root: Path,
    roles: Iterable[str],
    now: datetime,
    number: int | None = None,
    allow_dirty: bool = False,
    lock: str | None = None,
) -> dict[str, Built]:
    """Build several roles under one number. What they share is looked at once: packages, and equal trees."""
    started = time.perf_counter()
    project = read_project(root)
    specs = {role: project.role(role) for role in roles}
    source = read_source(root)
    trees = {role: read_tree(root, spec.ships, project.ignore) for role, spec in specs.items()}
    packages, differences = _packages(root, project, lock or project.lock)
    with ThreadPoolExecutor(1) as pool:  # hashing some 20,000 installed files goes on beside the imports
        edited = pool.submit(edited_files, installed())
        probes = _probe(root, project, specs, trees)
        shared = list(_package_findings(differences, edited.result()))
    made = {}
    for role, spec in specs.items():
        artifacts, artifact_findings = read_artifacts(root, spec.artifacts, os.environ)
        dirty = _dirty_paths(trees[role], source)
        findings = [
            *_tree_findings(trees[role], spec, dirty, allow_dirty),
            *shared,
            *probes[role].findings(),
            *artifact_findings,
            *check_zones(project.zones),
        ]
        elapsed = (time.perf_counter() - started) * 1000
        report = raise_if_refused(Report(f"build {project.project}/{role}", tuple(findings), elapsed))
        release = Release(
            number=source.height if number is None else number,
            commit=source.commit,
            dirty=bool(dirty),
            built_at=now,
            expires_at=expiry(now, project.policy),
        )
        predicate = _predicate(project, spec, role, release, trees[role], packages, probes[role], artifacts)
        made[role] = Built(predicate, report)
    return made


def _probe(
    root: Path, project: ProjectSpec, specs: Mapping[str, RoleSpec], trees: Mapping[str, Tree]
) -> dict[str, Probe]:
    """What importing and linking each role's tree showed; roles that ship the same files share one process."""
    seen: dict[str, Probe] = {}
    for digest in {tree.digest for tree in trees.values()}:
        alike = [spec for role, spec in specs.items() if trees[role].digest == digest]
        files = next(tree.files for tree in trees.values() if tree.digest == digest)
        entrypoints = sorted({name for spec in alike for name in spec.entrypoints})
        # A fact's name may mean something else in another role: its source is its name here.
        facts = {source: source for spec in alike for source in spec.facts.values()}
        seen[digest] = run_probe(root, files, project.roots, project.optional_imports, entrypoints, facts)
    return {role: seen[trees[role].digest].of_role(spec.entrypoints, spec.facts) for role, spec in specs.items()}


def _predicate(
    project: ProjectSpec,
    spec: RoleSpec,
    role: str,
    release: Release,
    tree: Tree,
    packages: Packages,
    probe: Probe,
    artifacts: Mapping[str, Artifact],
) -> Predicate:
    return Predicate(
        schema_version=1,
        project=project.project,
        role=role,
        release=release,
        code=Code(
            algorithm="sha256-list-v1",
            digest=tree.digest,
            ships=spec.ships,
            ignore=project.ignore,
            roots=project.roots,
            files=dict(tree.files),
        ),
        entrypoints=tuple(Entrypoint(name=n, parameters=d) for n, d in sorted(probe.entrypoints.items())),
        packages=packages,
        runtime=Runtime(**interpreter(), zones=dict(project.zones), settings=dict(spec.settings)),
        artifacts=dict(artifacts),
        facts={name: Fact(source=spec.facts[name], value=value) for name, value in probe.facts.items()},
        optional_imports=project.optional_imports,
        checks=spec.checks,
        policy=project.policy,
    )


def _packages(root: Path, project: ProjectSpec, name: str) -> tuple[Packages, list[PackageDifference]]:
    lock = root / name
    if not lock.is_file():
        raise ValueError(f"lock: {name} is not in {root}; name the pinned requirements file in integrity.toml")
    here = installed()
    allowed = (*project.allow_packages, project.project)
    differences = differ_from_lock(read_lock(lock), here, allowed)
    kept = {name: dist for name, dist in sorted(here.items()) if name not in allowed}
    return (
        Packages(
            lock_path=name,
            lock=sha256_file(lock),
            installed={name: Package(version=d.version, record=d.record) for name, d in kept.items()},
            unlocked=tuple(str(d) for d in differences),
            allowed=allowed,
        ),
        differences,
    )


def _dirty_paths(tree: Tree, source: Source) -> tuple[str, ...]:
    untracked = tree.files.keys() - source.tracked
    return tuple(sorted({*source.changed, *untracked}))


def _tree_findings(tree: Tree, spec: RoleSpec, dirty: tuple[str, ...], allow_dirty: bool) -> Iterator[Finding]:
    if not any(path.endswith(".py") for path in tree.files):
        yield Finding("tree.empty", "at least one shipped module", "none", f"correct `ships`: {', '.join(spec.ships)}")
    if dirty:
        yield Finding(
            "source.dirty",
            "a committed tree",
            f"{len(dirty)} uncommitted or untracked files",
            "commit them, or build with --allow-dirty: the release then says so for ever",
            dirty,
            Severity.WARN if allow_dirty else Severity.REFUSE,
        )
    if tree.strangers or tree.linked_folders:
        yield Finding(
            "tree.stranger",
            "source files only",
            "compiled modules without source, or linked folders",
            "delete them, or name extension modules in `ships`",
            (*tree.strangers, *tree.linked_folders),
        )


def _package_findings(differences: list[PackageDifference], edited: list[str]) -> Iterator[Finding]:
    if edited:
        yield Finding(
            "packages.edited",
            "installed files as their wheels had them",
            f"{len(edited)} edited or missing",
            "install the packages anew",
            tuple(edited),
        )
    if differences:
        yield Finding(
            "packages.unlocked",
            "what the lock pins",
            f"{len(differences)} packages that differ",
            "install from the lock; the differences are written into the manifest",
            tuple(map(str, differences)),
            Severity.WARN,
        )
