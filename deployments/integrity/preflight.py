"""The check inside a flow: for runs without a pull step (local, served), and the stamp that a run carries
with it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .digest import compare, read_tree
from .envelope import EnvelopeError
from .finding import Finding, IntegrityError, Report
from .guard import Question, Run, Verdict, unsigned, verify
from .manifest import Predicate
from .project import read_project
from .release import Site
from .verifier import check_origin, check_place

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
    started by hand is held against the release file that lies here; in a working copy that holds none it is
    `unreleased`, with its digest.
    """
    now = now or datetime.now(UTC)
    site = Site.here(root)
    deployed = _deployed_run()
    if deployed is None and not site.release_file.is_file():
        return _unreleased(site, role)
    if deployed is None:
        verdict = _local(site, role)
    else:
        run, question = deployed
        question = question or Question(read_project(site.root).project, role or _claimed_role(site))
        verdict = verify(site, question, now, run=run, extra=lambda m: _loaded(site, m))
    manifest = verdict.proven()
    release, digest = manifest.release.version, manifest.code.digest
    return Fingerprint(manifest.project, manifest.role, release, digest, verdict.stamp(), site, manifest)


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


def accept_child(parent: Fingerprint, child: Mapping[str, object], allowed: tuple[str, ...] = ()) -> str:
    """The release of a child run, from its labels; IntegrityError if it is neither the parent's nor
    `allowed`.

    `allowed` lists release versions (`42+0123456789ab`) that the plan takes results from beside its own.
    """
    found = str(child.get("integrity.release") or "")
    if found and found in {parent.release, *allowed}:
        return found
    finding = Finding(
        "run.child",
        " or ".join([f"a result of release {parent.release}", *allowed]),
        f"one of release {found}" if found else "one that carries no release",
        "bring the child's pool to this release, or list its release in the plan",
    )
    raise IntegrityError(Report(f"{parent.project}/{parent.role}", (finding,)))


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


def _deployed_run() -> tuple[Run, Question | None] | None:
    """The current flow run, if a deployment made it, and whom to ask about: both as the server has them."""
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        return None
    with get_client(sync_client=True) as client:
        entrypoint = client.read_deployment(run.deployment_id).entrypoint
    project, role = (str(run.labels.get(f"integrity.{name}") or "") for name in ("project", "role"))
    question = None
    if project and role:
        question = Question(project, role)
    elif run.work_pool_name:
        question = Question(pool=run.work_pool_name)
    return Run(run.deployment_version, entrypoint), question
