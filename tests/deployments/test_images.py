"""Releases out of images become the expected ones as they are; what does not belong to this tree is not registered."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deployments import metadata
from deployments.images import take_over
from deployments.integrity.builder import build_all
from deployments.integrity.envelope import key_id
from deployments.integrity.guard import Question, verify
from deployments.integrity.manifest import wrap
from deployments.integrity.project import read_project
from deployments.integrity.registry import Registry
from deployments.integrity.release import RELEASE_FILE, Site
from deployments.integrity.rollout import Rollout
from tests.integrity.conftest import KEY, NOW, STRANGER, environment, make_project, probe_once
from tests.integrity.test_registry import Variables


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_project(tmp_path / "project")
    for name, value in environment(root).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("INTEGRITY_HOME", str(tmp_path / "memory"))
    monkeypatch.setattr("deployments.integrity.builder.edited_files", lambda here: [])
    monkeypatch.setattr("deployments.integrity.builder.run_probe", probe_once)
    return root


@pytest.fixture
def built(project: Path, tmp_path: Path) -> Path:
    """The manifests of the images of every role, as they were built an hour ago."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    for role, item in build_all(project, read_project(project).roles, NOW).items():
        (folder / f"{role}.json").write_bytes(wrap(item.predicate).sign(KEY).to_bytes())
    return folder


@pytest.fixture
def taken(project: Path, built: Path) -> Callable[[], Rollout]:
    def take() -> Rollout:
        now = NOW + timedelta(hours=1)
        return take_over(project, built, KEY, now, "ada", "deploy", connect=lambda site: registry)

    registry = Registry(Variables(), {key_id(k.public_key()): k.public_key() for k in (KEY, STRANGER)})
    take.registry = registry  # type: ignore[attr-defined]
    return take


def test_an_image_is_admitted_after_its_own_release_was_registered(
    project: Path, built: Path, taken: Callable[[], Rollout]
) -> None:
    done = taken()
    assert done.fresh
    assert set(done.roles) == set(read_project(project).roles)
    for role in done.roles:
        (project / RELEASE_FILE).write_bytes((built / f"{role}.json").read_bytes())
        answer = verify(Site.here(project), Question("kiosk", role), NOW, connect=lambda site: taken.registry)  # type: ignore[attr-defined]
        assert answer.report.ok, answer.report.text()
    assert not taken().fresh


def test_a_stranger_s_manifest_is_not_taken(project: Path, built: Path, taken: Callable[[], Rollout]) -> None:
    item = build_all(project, ["precompute"], NOW)["precompute"]
    signed = wrap(item.predicate).sign(Ed25519PrivateKey.generate())
    (built / "precompute.json").write_bytes(signed.to_bytes())
    with pytest.raises(ValueError, match=r"is not the manifest of the image of role precompute, signed by a key that"):
        taken()


def test_a_missing_one_another_role_s_and_another_release_s_are_not_taken(
    project: Path, built: Path, taken: Callable[[], Rollout]
) -> None:
    kept = (built / "precompute.json").read_bytes()
    (built / "precompute.json").unlink()
    with pytest.raises(ValueError, match=r"precompute.json is not the manifest"):
        taken()
    (built / "precompute.json").write_bytes((built / "analytics.json").read_bytes())
    with pytest.raises(ValueError, match=r"precompute.json is of role analytics, not of precompute"):
        taken()
    item = build_all(project, ["precompute"], NOW, number=77)["precompute"]
    (built / "precompute.json").write_bytes(wrap(item.predicate).sign(KEY).to_bytes())
    with pytest.raises(ValueError, match=r"the images are of different releases, .*77"):
        taken()
    (built / "precompute.json").write_bytes(kept)
    assert taken().fresh


def test_images_of_other_code_than_the_deployments_are_not_taken(project: Path, taken: Callable[[], Rollout]) -> None:
    (path,) = project.glob("kiosk_flows/precompute.py")
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ValueError, match=r"of other code than this tree's: check out commit [0-9a-f]{12}, whose"):
        taken()


def test_the_guards_entry_points_are_found_by_the_metadata_alone(tmp_path: Path) -> None:
    info = metadata.write(tmp_path)
    (ours,) = importlib.metadata.distributions(path=[str(tmp_path)])
    found = {(point.group, point.name, point.value) for point in ours.entry_points}
    assert found == {
        ("prefect.collections", "integrity", "deployments.integrity.worker"),
        ("prefect.collections", "integrity_cloud", "deployments.integrity.worker_cloud"),
        ("prefect.plugins", "integrity", "deployments.integrity.plugin"),
    }
    assert info.name == "courtside-0.1.0.dist-info"
