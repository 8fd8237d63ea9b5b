"""What lies here: the release file of this tree, the keys this place trusts, where the guard keeps its
memory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .envelope import Envelope, EnvelopeError, open_envelope, trusted_keys
from .manifest import PAYLOAD_TYPE, Predicate, read_payload
from .project import PROJECT_FILE, find_root, read_project

RELEASE_FILE = "release.json"


@dataclass(frozen=True)
class Site:
    """One place where code lies: its root, the release file, the environment. `keys` are trusted public keys
    by id.
    """

    root: Path
    release_file: Path
    environment: Mapping[str, str]
    keys: Mapping[str, Ed25519PublicKey] = field(default_factory=dict)
    memory: Path = Path()

    @classmethod
    def here(cls, root: Path | None = None, environment: Mapping[str, str] | None = None) -> Site:
        """The site at `root`, or the nearest above the working folder. ValueError if there is no project
        file.

        INTEGRITY_TRUSTED_KEYS (base64 keys, separated by commas or spaces) replaces the project file's keys,
        so that trust can come from outside the image. INTEGRITY_HOME moves the memory.
        """
        environment = os.environ if environment is None else environment
        named = root or (Path(environment["INTEGRITY_ROOT"]) if environment.get("INTEGRITY_ROOT") else None)
        root = find_root(Path.cwd()) if named is None else named.resolve()
        outside = environment.get("INTEGRITY_TRUSTED_KEYS", "").replace(",", " ").split()
        home = environment.get("INTEGRITY_HOME") or environment.get("PREFECT_HOME") or "~/.prefect"
        return cls(
            root=root,
            release_file=root / RELEASE_FILE,
            environment=environment,
            keys=trusted_keys(outside or read_project(root).trusted_keys),
            memory=Path(home).expanduser() / "integrity",
        )

    @classmethod
    def nowhere(cls) -> Site:
        """A place without a readable project: good for nothing but saying so. It trusts no key."""
        return cls(Path(), Path(RELEASE_FILE), {})

    def envelope(self) -> Envelope:
        """The release file's envelope, not yet trusted; EnvelopeError if it is missing or not of the form."""
        try:
            return open_envelope(self.release_file.read_bytes())
        except OSError as error:
            raise EnvelopeError(
                f"{self.release_file.name} can't be read in {self.root} ({type(error).__name__}); "
                f"a release is made with `build` and `sign` from {PROJECT_FILE}"
            ) from None

    def signed(self) -> tuple[Envelope, Predicate]:
        """The envelope and the manifest in it, signature checked first."""
        envelope = self.envelope()
        return envelope, read_payload(envelope.verified_payload(self.keys, PAYLOAD_TYPE))

    def unsigned(self) -> tuple[Envelope, Predicate]:
        """The envelope and the manifest in it, whoever signed: for `show`, `sign` and `verify --local` only."""
        envelope = self.envelope()
        return envelope, read_payload(envelope.payload)
