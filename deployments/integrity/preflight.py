"""The check inside a flow: for runs without a pull step (local, served), and the stamp that a run carries
with it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from .client import sync_client
from .digest import compare, read_tree
from .envelope import EnvelopeError
from .finding import Finding, IntegrityError, Report
from .guard import Question, Run, Verdict, unsigned, verify
from .manifest import Predicate
from .project import read_project
from .release import Site
from .verifier import SUPERSEDED, check_origin, check_place

UNRELEASED = "unreleased"


@dataclass(frozen=True)
class Fingerprint:
    """Which code a run is: stamp it on every row and result. `release` is `unreleased` in a working copy."""

    project: str
    role: str
    release: str
    code: str
    labels: Mapping[str, str]
    site: Site
    manifest: Predicate | None


def fingerprint(role: str | None = None, now: datetime | None = None, root: Path | None = None) -> Fingerprint:
    """Prove which release this flow run is; IntegrityError with every reason if it is not the expected one.

    A run that a deployment made must be the release that the registry expects of the role its pull step
    proved; where no pull step ran (`serve()`), of `role`, or else of the role the release file claims. A run
    that its pull step admitted goes on although a newer release is expected meanwhile: it ends on the code it
    began with. A run started by hand is held against the release file that lies here; in a working copy that
    holds none it is `unreleased`, with its digest.
    """
    now = now or datetime.now(UTC)
    site = Site.here(root)
    deployed = _deployed_run()
    if deployed is None and not site.release_file.is_file():
        return _unreleased(site, role)
    if deployed is None:
        verdict = _local(site, role)
    else:
        question = deployed.question or Question(read_project(site.root).project, role or _claimed_role(site))
        verdict = verify(site, question, now, run=deployed.run, extra=lambda m: _loaded(site, m))
        if deployed.admitted and verdict.envelope and verdict.envelope.digest == deployed.admitted:
            verdict = replace(verdict, report=verdict.report.without(SUPERSEDED))
    manifest = verdict.proven()
    release, digest, labels = manifest.release.version, manifest.code.digest, verdict.stamp()
    if deployed is not None and not deployed.admitted:
        _label(deployed.flow_run_id, labels)
    return Fingerprint(manifest.project, manifest.role, release, digest, labels, site, manifest)


def unchanged(stamped: Fingerprint) -> None:
    """The files are still those of the fingerprint: call it when the work is done. IntegrityError names those
    that are not, for code that was imported late may have come from another release.
    """
    if stamped.manifest is None:
        return
    code = stamped.manifest.code
    difference = compare(code.files, read_tree(stamped.site.root, code.ships, code.ignore).files)
    names = (*difference.changed, *difference.missing, *difference.added)
    if names:
        finding = Finding(
            "tree.moved",
            f"release {stamped.release} until the run's end",
            f"{len(names)} files that changed under it",
            "give each release a folder of its own; do not deploy into one that runs",
            names,
        )
        raise IntegrityError(Report(f"{stamped.project}/{stamped.role}", (finding,)))


def accept_child(release: str, child: Mapping[str, object], allowed: tuple[str, ...] = ()) -> str:
    """The release of a child run, from its labels; IntegrityError if it is neither the parent's `release` nor
    `allowed`.

    `allowed` lists release versions (`42+0123456789ab`) that the plan takes results from beside its own.
    """
    found = str(child.get("integrity.release") or "")
    if found and found in {release, *allowed}:
        return found
    finding = Finding(
        "run.child",
        " or ".join([f"a result of release {release}", *allowed]),
        f"one of release {found}" if found else "one that carries no release",
        "bring the child's pool to this release, or list its release in the plan",
    )
    raise IntegrityError(Report("child run", (finding,)))


def _unreleased(site: Site, role: str | None) -> Fingerprint:
    project = read_project(site.root)
    roles = [role] if role else sorted(project.roles)
    ships = dict.fromkeys(glob for name in roles for glob in project.role(name).ships)
    code = read_tree(site.root, ships, project.ignore).digest
    labels = {
        "integrity.project": project.project,
        "integrity.role": role or UNRELEASED,
        "integrity.release": UNRELEASED,
        "integrity.code": code,
    }
    return Fingerprint(project.project, role or UNRELEASED, UNRELEASED, code, labels, site, None)


def _claimed_role(site: Site) -> str:
    try:
        return site.unsigned()[1].role
    except EnvelopeError:
        return UNRELEASED  # no such role is registered: the check refuses and names the file


def _local(site: Site, role: str | None) -> Verdict:
    try:
        envelope, manifest = site.signed()
    except EnvelopeError as error:
        return Verdict(Report(str(site.root), (unsigned(error),)))
    findings = [*check_place(site, manifest), *_loaded(site, manifest)]
    if role is not None and manifest.role != role:
        fix = "build the release of this role here, or delete release.json to work unreleased"
        findings.append(Finding("manifest.role", f"role {role}", f"role {manifest.role}", fix))
    return Verdict(Report(f"{manifest.project}/{manifest.role}", tuple(findings)), manifest, envelope)


def _loaded(site: Site, manifest: Predicate) -> list[Finding]:
    return list(check_origin(site.root, manifest.code.roots, sys.path))


@dataclass(frozen=True)
class _Deployed:
    """The current flow run, if a deployment made it, as the server has it. `admitted` is the digest of the
    manifest that its pull step proved; a run without a work pool has no pull step that could.
    """

    flow_run_id: UUID
    run: Run
    question: Question | None
    admitted: str


def _deployed_run() -> _Deployed | None:
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow_run.deployment_id is None:
        return None
    with sync_client() as client:
        run = client.read_flow_run(context.flow_run.id)  # labels are younger than the run that the engine holds
        entrypoint = client.read_deployment(context.flow_run.deployment_id).entrypoint
    said = {name: str(run.labels.get(f"integrity.{name}") or "") for name in ("project", "role", "manifest")}
    question = None
    if said["project"] and said["role"]:
        question = Question(said["project"], said["role"])
    elif run.work_pool_name:
        question = Question(pool=run.work_pool_name)
    admitted = said["manifest"] if run.work_pool_name else ""
    return _Deployed(run.id, Run(run.deployment_version, entrypoint), question, admitted)


def _label(flow_run_id: UUID, labels: Mapping[str, str]) -> None:
    """Stamp a run that no pull step has stamped, so that whoever started it can see which release it was."""
    with sync_client() as client:
        client.update_flow_run_labels(flow_run_id, dict(labels))
