"""A rollout: roles of a tree built under one number, each laid in a folder of its own, signed and registered.

What a deployer does role by role with `build`, `sign` and `register`, as one step that can be repeated: a tree that
is expected already is left as it is. Releases lie in folders of their own, so that nothing is deployed under a run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .builder import build_all
from .digest import read_tree
from .envelope import Envelope, EnvelopeError, key_id, private_key, public_text
from .finding import Finding, Report, raise_if_refused
from .guard import Connect, connect, verify_local
from .manifest import Predicate, wrap
from .probe import remember_linked
from .project import ProjectSpec, read_project
from .record import Record
from .release import RELEASE_FILE, Site
from .source import Source, read_source


@dataclass(frozen=True, slots=True)
class Placed:
    """One role's release: where it lies, on which pools it is expected, what a process needs to run it."""

    role: str
    version: str
    folder: Path
    pools: tuple[str, ...]
    trusted: str

    def environment(self) -> dict[str, str]:
        """Variables for a worker of this release, to be started in `folder`: no other copy is imported.

        `trusted` stands among them only if the project file does not trust the signing key by itself.
        """
        trust = {"INTEGRITY_TRUSTED_KEYS": self.trusted} if self.trusted else {}
        return {"INTEGRITY_ROOT": str(self.folder), "PYTHONPATH": str(self.folder), **trust}


@dataclass(frozen=True, slots=True)
class Rollout:
    """All roles of one tree under one version; `fresh` is False if they were expected before."""

    version: str
    roles: Mapping[str, Placed]
    fresh: bool


def local_key(path: Path) -> Ed25519PrivateKey:
    """The signing key at `path`, made if there is none (mode 600). For a machine of one's own: what it signs is
    trusted only where INTEGRITY_TRUSTED_KEYS says so.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)
        key = Ed25519PrivateKey.generate()
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return private_key(path.read_bytes())


def roll_out(
    root: Path,
    into: Path,
    key: Ed25519PrivateKey,
    now: datetime,
    by: str,
    reason: str,
    roles: Iterable[str] | None = None,
    pools: Mapping[str, tuple[str, ...]] | None = None,
    allow_dirty: bool = False,
    connect: Connect = connect,
) -> Rollout:
    """Make what lies at `root` the expected release of `roles` (all of them), as `into`/<version>/<role>.

    `pools` replaces the pools of the project file, by role. All roles get one number, larger than any that was
    registered. IntegrityError with every reason if the tree is not fit, RegistryError or Unreachable from the server.
    """
    project, source = read_project(root), read_source(root)
    names = tuple(roles or project.roles)
    bound = {name: (pools or {}).get(name, project.role(name).pools) for name in names}
    places = _Places(root, into.resolve(), key, project, bound)
    with connect(places.site(root)) as registry:
        heads = {name: registry.answer(project.project, name) for name in names}
        expected = {name: head[1] for name, head in heads.items() if head}
        found = places.already(expected, source, now)
        if found:
            return Rollout(next(iter(found.values())).version, found, fresh=False)
        number = max([source.height, *(record.highest + 1 for record in expected.values())])
        built = build_all(root, names, now, number, allow_dirty)
        made = {name: places.lay(name, built[name].predicate) for name in names}
        for name, (envelope, _) in made.items():
            registry.register(envelope, built[name].predicate, bound[name], key, now, by, reason)
    placed = {name: item for name, (_, item) in made.items()}
    return Rollout(next(iter(placed.values())).version, placed, fresh=True)


@dataclass(frozen=True)
class _Places:
    """The folders of releases under `into`, and who is trusted in them."""

    root: Path
    into: Path
    key: Ed25519PrivateKey
    project: ProjectSpec
    pools: Mapping[str, tuple[str, ...]]

    @property
    def trusted(self) -> str:
        own = public_text(self.key.public_key())
        outside = os.environ.get("INTEGRITY_TRUSTED_KEYS", "").replace(",", " ").split()
        return "" if own in (outside or self.project.trusted_keys) else own

    def site(self, folder: Path) -> Site:
        """The release in `folder`, with the signing key trusted as its workers will trust it."""
        site = Site.here(folder)
        keys = {key_id(self.key.public_key()): self.key.public_key()} if self.trusted else site.keys
        return replace(site, keys=keys)

    def folder(self, version: str, role: str) -> Path:
        return self.into / version / role

    def already(self, expected: Mapping[str, Record], source: Source, now: datetime) -> dict[str, Placed]:
        """The roles as they lie there if every one of them is this very tree, whole, valid and expected; else none."""
        found = {}
        for role, pools in self.pools.items():
            record = expected.get(role)
            if record is None or not set(pools) <= set(record.pools):
                return {}
            folder = self.folder(record.expected.version, role)
            spec = self.project.role(role)
            try:
                envelope, manifest = self.site(folder).signed()
            except (EnvelopeError, ValueError):
                return {}
            same = read_tree(self.root, spec.ships, self.project.ignore).digest == manifest.code.digest
            clean = not manifest.release.dirty or bool(source.changed)
            known = envelope.digest == record.expected.manifest and manifest.release.expires_at > now
            if not (same and clean and known and verify_local(self.site(folder)).ok):
                return {}
            found[role] = Placed(role, manifest.release.version, folder, record.pools, self.trusted)
        return found if len({item.version for item in found.values()}) == 1 else {}

    def lay(self, role: str, predicate: Predicate) -> tuple[Envelope, Placed]:
        """Copy what the manifest names into the role's folder and sign it there; all of it appears at once."""
        version = predicate.release.version
        folder = self.folder(version, role)
        building = folder.with_name(f".{role}.{os.getpid()}")
        shutil.rmtree(building, ignore_errors=True)
        artifacts = [a.path for a in predicate.artifacts.values() if "${" not in a.path]
        for name in (*predicate.code.files, predicate.packages.lock_path, *artifacts):
            if not Path(name).is_absolute():
                (building / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.root / name, building / name)
        envelope = wrap(predicate).sign(self.key)
        (building / RELEASE_FILE).write_bytes(envelope.to_bytes())
        raise_if_refused(self._moved(verify_local(self.site(building))))
        shutil.rmtree(folder, ignore_errors=True)  # of a rollout that ended before it was registered
        building.rename(folder)
        remember_linked(self.site(folder), predicate)
        return envelope, Placed(role, version, folder, self.pools[role], self.trusted)

    @staticmethod
    def _moved(report: Report) -> Report:
        if report.ok:
            return report
        fix = "repeat the rollout once nobody writes into the tree"
        finding = Finding("tree.moved", "a tree that stays as it was built", "one that changed meanwhile", fix)
        return report.plus([finding])
