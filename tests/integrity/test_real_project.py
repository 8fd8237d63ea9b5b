"""Every fault that must be caught, on real manifests of this repository. INTEGRITY_TABLE=<file> writes the table."""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL

from deployments.integrity import verifier
from deployments.integrity.builder import build
from deployments.integrity.digest import sha256_file
from deployments.integrity.envelope import Envelope, key_id
from deployments.integrity.finding import Report, shorten
from deployments.integrity.guard import Question, Run, Verdict, verify, verify_fully, verify_local
from deployments.integrity.manifest import Artifact, Predicate, wrap
from deployments.integrity.probe import Probe
from deployments.integrity.project import PROJECT_FILE, read_project
from deployments.integrity.registry import Registry
from deployments.integrity.release import RELEASE_FILE, Site

from .conftest import BUILT_AT, KEY, NOW, REPOSITORY, STRANGER, git, with_release
from .test_registry import Variables

pytestmark = pytest.mark.slow

MODULE = "tasks/engine/plan.py"


def project_file() -> Path:
    return REPOSITORY / PROJECT_FILE


@dataclass
class Release:
    """A copy of a signed release of this repository, a registry that expects it, and what a test does to either."""

    site: Site
    registry: Registry
    variables: Variables
    role: str
    other: Path

    @property
    def root(self) -> Path:
        return self.site.root

    def expect(self, change: Callable[[Predicate], Predicate] = lambda p: p) -> None:
        """Register a manifest as the expected one."""
        predicate = change(self.site.unsigned()[1])
        self.registry.register(wrap(predicate).sign(KEY), predicate, (self.role,), KEY, NOW, "ada", "deploy")

    def lie(self, change: Callable[[Predicate], Predicate] = lambda p: p, key: Any = KEY) -> None:
        """Put another manifest in place, signed by `key` or by nobody."""
        envelope = wrap(change(self.site.unsigned()[1]))
        self.site.release_file.write_bytes((envelope.sign(key) if key else envelope).to_bytes())

    def verify(self, minutes: float = 0, run: Run | None = None) -> Verdict:
        now = NOW + timedelta(minutes=minutes)
        return verify(self.site, Question(pool=self.role), now, run=run, connect=lambda site: self.registry)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """This working tree, committed in a repository of its own, built and signed for two roles."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "flows", "tasks", "blocks", "deployments"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    tree = tmp_path_factory.mktemp("real") / "tree"
    for name in [*listed, "requirements.lock"]:
        if (REPOSITORY / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, tree / name)
    shutil.copyfile(project_file(), tree / PROJECT_FILE)
    (tree / ".gitignore").write_text("__pycache__/\nrelease.json\nmodel.txt\n")
    git(tree, "init", "-q")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "release")
    places = {}
    for role in ("analytics", "precompute"):
        places[role] = tree.with_name(role)
        shutil.copytree(tree, places[role])
        predicate = build(places[role], role, BUILT_AT, number=7).predicate
        (places[role] / RELEASE_FILE).write_bytes(wrap(predicate).sign(KEY).to_bytes())
    return places


@pytest.fixture
def release(real: dict[str, Path], tmp_path: Path) -> Release:
    """A good precompute release with a model and a required setting, and a registry that has not heard of it yet."""
    root = tmp_path / "release"
    shutil.copytree(real["precompute"], root)
    keys = {key_id(KEY.public_key()): KEY.public_key()}
    settings = {"ALERTS_URL": "https://alerts.example.invalid/hook"}
    site = Site(root, root / RELEASE_FILE, settings, keys, tmp_path / "memory")
    variables = Variables()
    made = Release(site, Registry(variables, keys), variables, "precompute", real["analytics"])
    (root / "model.txt").write_text("tree\n")
    model = Artifact(path="model.txt", sha256=sha256_file(root / "model.txt"))
    made.lie(
        lambda p: p.model_copy(
            update={
                "artifacts": {"model": model},
                "runtime": p.runtime.model_copy(update={"settings": {"ALERTS_URL": "url"}}),
            }
        )
    )
    return made


@contextmanager
def no_zone_data() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tzdata", None)
        zoneinfo.reset_tzpath(to=[])
        zoneinfo.ZoneInfo.clear_cache()
        try:
            yield
        finally:
            zoneinfo.reset_tzpath()
            zoneinfo.ZoneInfo.clear_cache()


def another_role(r: Release) -> Verdict:
    r.expect()
    shutil.copyfile(r.other / RELEASE_FILE, r.site.release_file)
    return r.verify()


def wrong_command(r: Release) -> Verdict:
    r.expect()
    version = r.site.unsigned()[1].release.version
    return r.verify(run=Run(version, "flows/phases.py:analytics"))


def older(r: Release) -> Verdict:
    r.expect(lambda p: with_release(p, number=8))
    return r.verify()


def unregistered(r: Release) -> Verdict:
    r.expect()
    r.lie(lambda p: with_release(p, number=8))
    return r.verify()


def one_byte(r: Release) -> Verdict:
    r.expect()
    path = r.root / MODULE
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    return r.verify()


def missing(r: Release) -> Verdict:
    r.expect()
    (r.root / MODULE).unlink()
    return r.verify()


def shadow(r: Release) -> Verdict:
    r.expect()
    (r.root / "polars.py").write_text("")
    return r.verify()


def added(r: Release) -> Verdict:
    r.expect()
    (r.root / MODULE.removesuffix(".py")).mkdir()
    (r.root / MODULE.removesuffix(".py") / "__init__.py").write_text("")
    return r.verify()


def stale(r: Release) -> Verdict:
    r.expect()
    source = r.root / MODULE
    good, facts = source.read_bytes(), source.stat()
    times = (facts.st_atime_ns, facts.st_mtime_ns)
    source.write_bytes(good.replace(b"return ", b"raise  ", 1))
    os.utime(source, ns=times)
    py_compile.compile(str(source))
    source.write_bytes(good)
    os.utime(source, ns=times)
    return r.verify()


def lock(r: Release) -> Verdict:
    r.expect()
    with (r.root / "requirements.lock").open("a") as stream:
        stream.write("left-pad==1.0\n")
    return r.verify()


def package(r: Release) -> Verdict:
    r.expect()
    here = dict(verifier.installed())
    here["lightgbm"] = replace(here["lightgbm"], version="4.3.0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verifier, "installed", lambda: here)
        return r.verify()


def model(r: Release) -> Verdict:
    r.expect()
    (r.root / "model.txt").write_text("another tree\n")
    return r.verify()


def settings(r: Release) -> Verdict:
    r.expect()
    r.site.environment.clear()  # type: ignore[attr-defined]
    return r.verify()


def zones(r: Release) -> Verdict:
    r.expect()
    with no_zone_data():
        return r.verify()


def clock(r: Release) -> Verdict:
    r.expect()
    return r.verify(minutes=10)


def edited(r: Release) -> Verdict:
    r.expect()
    envelope, predicate = r.site.unsigned()
    forged = Envelope(envelope.payload_type, wrap(with_release(predicate, number=8)).payload, envelope.signatures)
    r.site.release_file.write_bytes(forged.to_bytes())
    return r.verify()


def stripped(r: Release) -> Verdict:
    r.expect()
    r.lie(key=None)
    return r.verify()


def foreign_key(r: Release) -> Verdict:
    r.expect()
    r.lie(key=STRANGER)
    return r.verify()


def replayed(r: Release) -> Verdict:
    old = r.site.release_file.read_bytes()
    r.expect()
    r.lie(lambda p: with_release(p, number=9))
    r.expect()
    assert r.verify().report.ok
    r.site.release_file.write_bytes(old)
    return r.verify()


def other_project(r: Release) -> Verdict:
    r.expect()
    r.lie(lambda p: p.model_copy(update={"project": "other"}))
    return r.verify()


def unreachable(r: Release) -> Verdict:
    r.expect()
    assert r.verify().report.ok
    r.variables.down = True
    assert r.verify(minutes=14).report.ok, "inside the grace"
    return r.verify(minutes=16)


def two_releases(r: Release) -> Verdict:
    """Two workers in one pool, 7 and 8, and 8 is registered: the one on 8 works, the one on 7 is refused."""
    seven = r.site.release_file.read_bytes()
    r.expect()
    r.lie(lambda p: with_release(p, number=8))
    r.expect()
    assert r.verify().report.ok
    r.site.release_file.write_bytes(seven)
    return r.verify()


CASES = [
    ("another role's image", another_role, "manifest.role"),
    ("right image, wrong command or variable", wrong_command, "run.entrypoint"),
    ("older release", older, "release.older"),
    ("newer, unregistered release", unregistered, "release.unregistered"),
    ("one byte changed in one file", one_byte, "tree.changed"),
    ("one file missing", missing, "tree.missing"),
    ("one file added that shadows an installed package", shadow, "tree.shadow"),
    ("one file added that shadows a module", added, "tree.added"),
    ("stale bytecode", stale, "tree.bytecode"),
    ("changed lock", lock, "packages.lock"),
    ("one package at another version", package, "packages.installed"),
    ("model file swapped", model, "artifact.changed"),
    ("settings lost", settings, "runtime.setting"),
    ("zone data absent", zones, "runtime.zone"),
    ("clock 10 minutes off", clock, "runtime.clock"),
    ("manifest edited", edited, "envelope.signature"),
    ("signature stripped", stripped, "envelope.signature"),
    ("signed by another key", foreign_key, "envelope.signature"),
    ("old, validly signed manifest replayed", replayed, "release.older"),
    ("manifest of another project", other_project, "manifest.project"),
    ("registry unreachable beyond the grace", unreachable, "registry.unreachable"),
    ("two workers of different releases in one pool", two_releases, "release.older"),
]

REFUSED = "worker 78; run `WrongRelease`"
OUTCOMES = {
    "run.entrypoint": "run `WrongRelease`",
    "release.older": "worker 78 at start, 75 once it runs; run `WrongRelease`",
    "registry.unreachable": "worker 78 at start, waits once it runs; run `Crashed`",
}


@pytest.mark.parametrize(("case", "damage", "code"), CASES, ids=[c[0] for c in CASES])
def test_it_is_caught(release: Release, case: str, damage: Callable[[Release], Verdict], code: str) -> None:
    str(PREFECT_API_URL.value())  # so that no case pays for loading Prefect
    verdict = damage(release)
    assert {f.code for f in verdict.report.refused} == {code}, verdict.report.text()
    if table := os.environ.get("INTEGRITY_TABLE"):
        (finding, *_) = verdict.report.refused
        said = f"`{finding.code}`: expected {finding.expected}, found {finding.found}"
        said += f" ({shorten(finding.names)})" if finding.names else ""
        with Path(table).open("a") as stream:
            outcome = OUTCOMES.get(code, REFUSED)
            stream.write(f"| {case} | {said} | {outcome} | {verdict.report.elapsed_ms:.0f} |\n")


def test_the_undamaged_release_is_admitted(release: Release) -> None:
    release.expect()
    reports = [release.verify().report for _ in range(9)]
    assert {report.findings for report in reports} == {()}
    times = sorted(report.elapsed_ms for report in reports)
    print(f"{len(release.site.unsigned()[1].code.files)} files: median {times[4]:.1f} ms, worst {times[-1]:.1f} ms")


@pytest.mark.parametrize("mode", list(py_compile.PycInvalidationMode), ids=lambda mode: mode.name.lower())
def test_bytecode_of_the_whole_tree_is_admitted(release: Release, mode: py_compile.PycInvalidationMode) -> None:
    release.expect()
    for root in ("flows", "tasks", "blocks", "deployments"):
        compileall.compile_dir(release.root / root, quiet=2, invalidation_mode=mode)
    cold, warm = release.verify().report, release.verify().report
    assert cold.findings == warm.findings == ()
    print(f"{mode.name}: first {cold.elapsed_ms:.0f} ms, then {warm.elapsed_ms:.0f} ms")


def test_a_workers_start_links_every_module_once_and_remembers_it(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    release.lie(lambda p: p.model_copy(update={"checks": ()}))  # they ask a server, and here is none
    release.expect()

    def start() -> Report:
        question = Question(pool=release.role)
        return verify_fully(release.site, question, NOW, connect=lambda site: release.registry).report

    first, second = start(), start()
    assert first.findings == second.findings == ()
    print(f"imports, links, entrypoints and facts: first {first.elapsed_ms:.0f}, then {second.elapsed_ms:.0f} ms")
    asked: list[list[str]] = []

    def linked_without_a_fault(root: Path, modules: Iterable[str], *rest: object) -> Probe:
        asked.append(list(modules))
        return Probe(faults=(), entrypoints={}, facts={}, problems=())

    monkeypatch.setattr("deployments.integrity.probe.run_probe", linked_without_a_fault)
    other = {**verifier.installed()}
    other["polars"] = replace(other["polars"], record="0" * 32)
    monkeypatch.setattr("deployments.integrity.probe.installed", lambda: other)
    start()
    assert set(asked[0]) == set(release.site.unsigned()[1].code.files), "with another package everything is linked anew"
    start()
    assert asked[1:] == [[]], "and that is remembered too: only the facts are asked again"


def test_every_role_of_the_project_file_names_flows_that_exist(real: dict[str, Path]) -> None:
    project = read_project(real["analytics"])
    assert set(project.roles) == {"analytics", "precompute", "predictions", "all"}
    for role in project.roles.values():
        assert all((real["analytics"] / e.partition(":")[0]).is_file() for e in role.entrypoints)


def test_verify_local_needs_neither_key_nor_server_nor_settings(release: Release) -> None:
    site = replace(release.site, keys={}, environment={})
    assert verify_local(site).ok
    (release.root / MODULE).unlink()
    assert MODULE in verify_local(site).refused[0].names
