"""Releasing all roles of a tree in one step: one number, a folder for each, and nothing done twice."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.integrity.digest import read_tree
from deployments.integrity.envelope import key_id, public_text
from deployments.integrity.finding import IntegrityError
from deployments.integrity.guard import Question, verify, verify_local
from deployments.integrity.project import PROJECT_FILE, read_project
from deployments.integrity.record import RegistryError
from deployments.integrity.registry import Registry
from deployments.integrity.release import Site
from deployments.integrity.rollout import Rollout, local_key, roll_out
from tests.prefect_server import worker

from .conftest import KEY, NOW, STRANGER, environment, git, make_project, probe_once
from .server import KioskServer
from .test_registry import Variables

PRECOMPUTE = "kiosk_flows/precompute.py:precompute"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_project(tmp_path / "project")
    for name, value in environment(root).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("INTEGRITY_HOME", str(tmp_path / "memory"))
    monkeypatch.setattr("deployments.integrity.builder.edited_files", lambda here: [])
    monkeypatch.setattr("deployments.integrity.builder.run_probe", probe_once)
    return root


class Deployer:
    """Rolls out a project on a registry in memory."""

    def __init__(self, root: Path):
        self.root, self.into = root, root.parent / "releases"
        self.registry = Registry(Variables(), {key_id(k.public_key()): k.public_key() for k in (KEY, STRANGER)})

    def roll_out(self, *roles: str, key: object = KEY, allow_dirty: bool = False, hours: int = 0) -> Rollout:
        now = NOW + timedelta(hours=hours)
        pools = {"analytics": ("left",), "precompute": ("right",), "all": ("whole",)}
        return roll_out(
            self.root, self.into, key, now, "ada", "deploy", roles, pools, allow_dirty,  # type: ignore[arg-type]
            connect=lambda site: self.registry,
        )  # fmt: skip


def test_every_role_gets_one_number_a_folder_of_its_own_and_is_expected_on_its_pools(project: Path) -> None:
    deployer = Deployer(project)
    done = deployer.roll_out("analytics", "precompute")
    assert done.fresh
    assert set(done.roles) == {"analytics", "precompute"}
    for role, placed in done.roles.items():
        site = Site.here(placed.folder)
        assert placed.folder == deployer.into / done.version / role
        assert site.signed()[1].release.version == done.version
        for question in (Question("kiosk", role), Question(pool=placed.pools[0])):
            assert verify(site, question, NOW, connect=lambda site: deployer.registry).report.ok
        assert placed.environment() == {"INTEGRITY_ROOT": str(placed.folder), "PYTHONPATH": str(placed.folder)}
        assert set(read_tree(placed.folder, ["kiosk_flows/**"]).files) == {
            name for name in site.signed()[1].code.files if name.startswith("kiosk_flows/")
        }


def test_a_tree_that_is_expected_already_is_left_as_it_is(project: Path) -> None:
    deployer = Deployer(project)
    first = deployer.roll_out("analytics")
    (project / "README").write_text("Not shipped.\n")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "readme")
    second = deployer.roll_out("analytics", hours=1)
    assert (second.version, second.fresh, second.roles) == (first.version, False, first.roles)
    assert len(deployer.registry.history("kiosk", "analytics")) == 1


@pytest.mark.slow
def test_an_edited_tree_is_refused_or_marked_for_ever_and_gets_the_next_number(project: Path) -> None:
    deployer = Deployer(project)
    first = deployer.roll_out("analytics")
    work = project / "kiosk_steps" / "work.py"
    work.write_text(work.read_text() + "# edited\n")
    with pytest.raises(IntegrityError, match=r"source\.dirty"):
        deployer.roll_out("analytics")
    dirty = deployer.roll_out("analytics", allow_dirty=True)
    assert (first.version[:2], dirty.version[:2], dirty.version[-6:]) == ("1+", "2+", ".dirty")
    assert not deployer.roll_out("analytics", allow_dirty=True).fresh
    git(project, "commit", "-q", "-a", "-m", "edited")
    clean = deployer.roll_out("analytics")
    assert clean.version == f"3+{git(project, 'rev-parse', 'HEAD')[:12]}", "the same files, no longer dirty"
    assert verify_local(Site.here(first.roles["analytics"].folder)).ok, "an old release's folder is left alone"


@pytest.mark.slow
def test_a_damaged_folder_is_not_taken_for_the_release(project: Path) -> None:
    deployer = Deployer(project)
    first = deployer.roll_out("analytics")
    (first.roles["analytics"].folder / "kiosk_steps" / "work.py").write_text("")
    second = deployer.roll_out("analytics")
    assert second.fresh
    assert verify_local(Site.here(second.roles["analytics"].folder)).ok


def test_a_key_that_the_project_does_not_trust_is_trusted_only_where_its_owner_says_so(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployer = Deployer(project)
    placed = deployer.roll_out("analytics", key=STRANGER).roles["analytics"]
    question = Question("kiosk", "analytics")

    def codes() -> list[str]:
        verdict = verify(Site.here(placed.folder), question, NOW, connect=lambda site: deployer.registry)
        return [finding.code for finding in verdict.report.refused]

    assert codes() == ["envelope.signature"]
    assert placed.environment()["INTEGRITY_TRUSTED_KEYS"] == public_text(STRANGER.public_key())
    monkeypatch.setenv("INTEGRITY_TRUSTED_KEYS", placed.environment()["INTEGRITY_TRUSTED_KEYS"])
    assert codes() == []
    monkeypatch.setenv("INTEGRITY_TRUSTED_KEYS", public_text(KEY.public_key()))
    assert codes() == ["envelope.signature"], "what the service says replaces what the tree says"


def test_a_local_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "release.pem"
    made = local_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public_text(local_key(path).public_key()) == public_text(made.public_key())


def test_a_pool_that_another_role_holds_is_not_taken_silently(project: Path) -> None:
    deployer = Deployer(project)
    deployer.roll_out("analytics")
    envelope, manifest = Site.here(next(deployer.into.glob("*/analytics"))).signed()
    other = manifest.model_copy(update={"role": "precompute"})
    with pytest.raises(RegistryError, match="pool left is registered for kiosk/analytics"):
        deployer.registry.register(envelope, other, ("left",), KEY, NOW, "ada", "deploy")


@pytest.mark.slow
def test_the_command_releases_a_fresh_clone_whose_workers_then_run(server: KioskServer, tmp_path: Path) -> None:
    """Nothing is trusted before: the key is made on the way, and the workers are told of it."""
    root = make_project(tmp_path / "clone")
    text = (root / PROJECT_FILE).read_text().replace(public_text(KEY.public_key()), "")
    text = text.replace('trusted_keys = [""]', "trusted_keys = []").replace('project = "kiosk"', 'project = "fresh"')
    text = text.replace("[roles.precompute]\n", '[roles.precompute]\npools = ["fresh-right"]\n')
    (root / PROJECT_FILE).write_text(text)
    git(root, "commit", "-q", "-a", "-m", "no keys")
    assert read_project(root).trusted_keys == ()
    command = ("rollout", "--into", str(tmp_path / "releases"), "--key", str(tmp_path / "key.pem"), "--new-key")
    first = server.command(root, *command, "--json")
    assert first.returncode == 0, first.stdout + first.stderr
    said = json.loads(first.stdout)
    assert "expected already" in server.command(root, *command).stdout
    right = said["roles"]["precompute"]
    assert right["pools"] == ["fresh-right"]
    server.pool("fresh-right")
    step = {"deployments.integrity.steps.verify_release": {"project": "fresh", "role": "precompute"}}
    deployment = server.deploy(root, "precompute", PRECOMPUTE, "fresh-right", said["version"], pull_steps=[step])
    more = {**environment(root), **right["environment"]}
    more["PYTHONPATH"] += ":" + server.environment(root)["PYTHONPATH"]
    folder, ledger = Path(right["folder"]), tmp_path / "ledger"
    with worker(server, folder, "fresh-right", tmp_path / "fresh.log", **more) as process:
        run = server.start_run(deployment, day="2025-12-29", ledger=str(ledger))
        assert server.finished(run)["state"]["type"] == "COMPLETED", process.output()
    assert {json.loads(line)["release"] for line in ledger.read_text().splitlines()} == {said["version"]}
    untold = {**more, "INTEGRITY_TRUSTED_KEYS": ""}
    with worker(server, folder, "fresh-right", tmp_path / "untold.log", **untold) as process:
        assert process.exit_code(60) == 78, "a worker that was told of no key trusts none"


def test_the_command_line_says_what_is_missing(project: Path) -> None:
    command = [sys.executable, "-m", "deployments.integrity", "rollout", "--into", "x"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert (done.returncode, "no signing key" in done.stdout) == (1, True), done.stdout + done.stderr
