"""A small project with three roles, built and signed once; each test gets its own copy to damage."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deployments.integrity.builder import build
from deployments.integrity.envelope import Envelope, key_id, public_text
from deployments.integrity.finding import Finding
from deployments.integrity.manifest import Predicate, wrap
from deployments.integrity.probe import Probe, run_probe
from deployments.integrity.record import Record, expected_of, registered
from deployments.integrity.release import RELEASE_FILE, Site
from deployments.integrity.verifier import Expectation, apply_overrides, check_expected, check_place

if TYPE_CHECKING:
    from .server import KioskServer

REPOSITORY = Path(__file__).parents[2]
BUILT_AT = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
NOW = datetime(2026, 1, 12, 17, 30, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))

PROJECT_FILE = """
project = "kiosk"
trusted_keys = ["@KEY@"]
roots = ["kiosk_flows", "kiosk_steps"]
ships = ["kiosk_steps/**"]
allow_packages = ["pip", "setuptools", "wheel", "uv", "integrity-entry-points"]
settings = { KIOSK_STORE = "path", KIOSK_ALERTS = "url" }
zones = { "America/New_York" = [
    "2026-03-08T06:59:59+00:00 = 2026-03-08T01:59:59-05:00",
    "2026-03-08T07:00:00+00:00 = 2026-03-08T03:00:00-04:00",
] }

[roles.analytics]
ships = ["kiosk_flows/__init__.py", "kiosk_flows/analytics.py"]
entrypoints = ["kiosk_flows/analytics.py:analytics"]

[roles.precompute]
ships = ["kiosk_flows/__init__.py", "kiosk_flows/precompute.py"]
entrypoints = ["kiosk_flows/precompute.py:precompute"]
artifacts = { model = "${KIOSK_STORE}/model.txt" }
facts = { feature-set = "kiosk_steps.work:FEATURE_SET" }
checks = ["kiosk_steps.work:problems"]

[roles.all]
ships = ["kiosk_flows/**"]
entrypoints = ["kiosk_flows/analytics.py:analytics", "kiosk_flows/precompute.py:precompute"]
"""

FILES = {
    "kiosk_flows/__init__.py": "",
    "kiosk_flows/analytics.py": """
from prefect import flow

from kiosk_steps.work import add


@flow
def analytics(day: str = "2026-01-12") -> int:
    return add(1, 2)
""",
    "kiosk_flows/precompute.py": """
import json
import time
from pathlib import Path

from prefect import flow

from deployments.integrity import preflight
from kiosk_steps import work


@flow
def precompute(day: str, size: int = 3, ledger: str = "", gate: str = "") -> int:
    release = preflight.fingerprint()
    note(ledger, "start", release, work.FEATURE_SET)
    while gate and not Path(gate).exists():
        time.sleep(0.05)
    from kiosk_steps import late

    preflight.unchanged(release)
    note(ledger, "end", release, late.FEATURE_SET)
    return work.add(size, 1)


def note(ledger: str, at: str, release: preflight.Fingerprint, feature_set: str) -> None:
    if ledger:
        row = {"at": at, "release": release.release, "code": release.code, "feature_set": feature_set}
        with open(ledger, "a") as stream:
            stream.write(json.dumps(row) + chr(10))
""",
    "kiosk_steps/__init__.py": "",
    "kiosk_steps/work.py": """
import os

FEATURE_SET = "v7"


def add(a: int, b: int) -> int:
    return a + b


def problems() -> list[str]:
    missing = "KIOSK_BROKEN" in os.environ
    return ["the store's schema is version 3, not 4"] if missing else []
""",
    "kiosk_steps/late.py": "from kiosk_steps.work import FEATURE_SET as FEATURE_SET\n",
    "kiosk_steps/queries/days.sql": "select 1\n",
    ".gitignore": "__pycache__/\nrelease.json\nstore/\n",
}


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_project(root: Path) -> Path:
    """A git repository of the synthetic project, with this environment's lock and one commit."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "integrity.toml").write_text(PROJECT_FILE.replace("@KEY@", public_text(KEY.public_key())))
    shutil.copy(REPOSITORY / "requirements.lock", root / "requirements.lock")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    (root / "store").mkdir()
    (root / "store" / "model.txt").write_text("tree\nnum_leaves=3\n")
    return root


def environment(root: Path) -> dict[str, str]:
    return {"KIOSK_STORE": str(root / "store"), "KIOSK_ALERTS": "https://alerts.example.invalid/hook"}


def record_for(envelope: Envelope, predicate: Predicate, pools: tuple[str, ...] = ()) -> Record:
    expected = expected_of(envelope, predicate)
    return registered(None, None, predicate, expected, pools, BUILT_AT, "ada", "deploy")


@dataclass
class Placed:
    """One copy of a release on disk, and what a registry would expect of it."""

    site: Site
    record: Record
    now: datetime = NOW
    server_time: datetime | None = NOW

    @property
    def root(self) -> Path:
        return self.site.root

    def manifest(self) -> Predicate:
        return self.site.unsigned()[1]

    def rewrite(self, change: Callable[[Predicate], Predicate], key: Ed25519PrivateKey | None = KEY) -> None:
        """Put another manifest in place, signed by `key` or by nobody."""
        envelope = wrap(change(self.manifest()))
        self.site.release_file.write_bytes((envelope.sign(key) if key else envelope).to_bytes())

    def findings(self) -> list[Finding]:
        """What the whole check before a run says."""
        envelope, manifest = self.site.signed()
        expectation = Expectation(self.record, self.now, self.server_time)
        found = [*check_expected(envelope, manifest, expectation, self.now), *check_place(self.site, manifest)]
        return apply_overrides(found, self.record, self.now)

    def refusals(self) -> dict[str, Finding]:
        return {f.code: f for f in self.findings() if f.severity == "refuse"}


_probed: dict[str, Probe] = {}


def probe_once(root: Path, modules: Mapping[str, str], *more: object) -> Probe:
    """The real probe, asked once per request: the trees of these tests are alike, and each asking takes seconds."""
    request = repr((sorted(modules.items()), more))
    if request not in _probed:
        _probed[request] = run_probe(root, modules, *more)  # type: ignore[arg-type]
    return _probed[request]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The project built and signed for analytics and precompute, each in a folder of its own."""
    places = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deployments.integrity.builder.run_probe", probe_once)
        for role in ("analytics", "precompute"):
            root = make_project(tmp_path_factory.mktemp(role))
            for name, value in environment(root).items():
                patch.setenv(name, value)
            predicate = build(root, role, BUILT_AT, number=7).predicate
            (root / RELEASE_FILE).write_bytes(wrap(predicate).sign(KEY).to_bytes())
            places[role] = root
    return places


def place(source: Path, target: Path) -> Placed:
    shutil.copytree(source, target, symlinks=True)
    site = Site(
        root=target,
        release_file=target / RELEASE_FILE,
        environment=environment(target),
        keys={key_id(KEY.public_key()): KEY.public_key()},
        memory=target.parent / f"memory-{target.name}",
    )
    envelope, predicate = site.signed()
    return Placed(site, record_for(envelope, predicate))


@pytest.fixture
def placed(built: dict[str, Path], tmp_path: Path) -> Placed:
    """A good precompute release, expected by the registry."""
    return place(built["precompute"], tmp_path / "release")


def with_release(predicate: Predicate, **changes: object) -> Predicate:
    return predicate.model_copy(update={"release": predicate.release.model_copy(update=changes)})


def elsewhere(placed: Placed, **changes: object) -> Placed:
    return replace(placed, site=replace(placed.site, **changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KioskServer]:
    """One real Prefect server for all tests of the small project that need one."""
    from .server import serving_kiosk

    with serving_kiosk(tmp_path_factory.mktemp("server")) as running_server:
        yield running_server


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The signing key as a PEM file."""
    path = tmp_path / "key.pem"
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path
