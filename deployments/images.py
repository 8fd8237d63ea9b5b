"""Releases that were built inside images: taken as they are, and made the expected ones.

An image carries its own signed manifest (Dockerfile). A manifest that is built anew, of the very same code, is another
one, and every image would be refused by it: what the server is to expect comes out of the images.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deployments.integrity.digest import read_tree
from deployments.integrity.envelope import Envelope, EnvelopeError
from deployments.integrity.guard import Connect, connect
from deployments.integrity.manifest import Predicate
from deployments.integrity.project import ProjectSpec, read_project
from deployments.integrity.release import Site
from deployments.integrity.rollout import Placed, Rollout


def take_over(
    root: Path,
    manifests: Path,
    key: Ed25519PrivateKey,
    now: datetime,
    by: str,
    reason: str,
    connect: Connect = connect,
) -> Rollout:
    """Make the release of every role's image expected. `manifests` holds each as `<role>.json` (build_images.sh).

    What is expected already is left as it is. ValueError for a manifest that is missing, of a stranger, of another role
    or release, or of other code than this tree's, whose deployments are registered with it; RegistryError or
    Unreachable from the server.
    """
    project = read_project(root)
    site = Site.here(root)
    found = {role: _read(site, manifests / f"{role}.json", project, role) for role in project.roles}
    versions = {predicate.release.version for _, predicate in found.values()}
    if len(versions) > 1:
        raise ValueError(f"the images are of different releases, {', '.join(sorted(versions))}: build them all of one")
    (version,) = versions
    fresh = False
    with connect(site) as registry:
        for role, (envelope, predicate) in found.items():
            answer = registry.answer(project.project, role)
            if answer is None or answer[1].expected.manifest != envelope.digest:
                registry.register(envelope, predicate, project.role(role).pools, key, now, by, reason)
                fresh = True
    placed = {role: Placed(role, version, manifests, project.role(role).pools, "") for role in found}
    return Rollout(version, placed, fresh)


def _read(site: Site, file: Path, project: ProjectSpec, role: str) -> tuple[Envelope, Predicate]:
    try:
        envelope, predicate = replace(site, release_file=file).signed()
    except (EnvelopeError, OSError) as error:
        raise ValueError(
            f"{file} is not the manifest of the image of role {role}, signed by a key that is trusted here "
            f"(INTEGRITY_TRUSTED_KEYS): {error}"
        ) from error
    if predicate.role != role:
        raise ValueError(f"{file} is of role {predicate.role}, not of {role}")
    spec = project.role(role)
    if read_tree(site.root, spec.ships, project.ignore).digest != predicate.code.digest:
        raise ValueError(
            f"{file} is release {predicate.release.version} of other code than this tree's: check out commit "
            f"{predicate.release.commit[:12]}, whose deployments belong to these images"
        )
    return envelope, predicate
