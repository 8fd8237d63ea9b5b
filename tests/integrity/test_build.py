"""What `build` refuses, and what it writes down."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from deployments.integrity.builder import build
from deployments.integrity.digest import canonical_json
from deployments.integrity.finding import IntegrityError
from deployments.integrity.manifest import SCHEMA_FILE, json_schema

from .conftest import BUILT_AT, Placed, environment, git


@pytest.fixture
def project(built: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    shutil.copytree(built["precompute"], root)
    for name, value in environment(root).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("deployments.integrity.builder.edited_files", lambda here: [])
    return root


def commit(root: Path, path: str, text: str) -> None:
    (root / path).write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "change")


def refused(root: Path, role: str = "precompute") -> dict[str, tuple[str, ...]]:
    with pytest.raises(IntegrityError) as caught:
        build(root, role, BUILT_AT)
    return {f.code: f.names for f in caught.value.report.refused}


def test_a_dirty_tree_is_refused_and_its_files_named(project: Path) -> None:
    with (project / "kiosk_steps" / "work.py").open("a") as stream:
        stream.write("# note\n")
    (project / "kiosk_steps" / "new.py").write_text("")
    assert refused(project) == {"source.dirty": ("kiosk_steps/new.py", "kiosk_steps/work.py")}


def test_a_file_that_git_ignores_but_the_release_would_ship_makes_it_dirty(project: Path) -> None:
    commit(project, ".gitignore", "__pycache__/\nrelease.json\nstore/\nsecret.py\n")
    (project / "kiosk_steps" / "secret.py").write_text("X = 1\n")
    assert refused(project) == {"source.dirty": ("kiosk_steps/secret.py",)}


def test_a_dirty_tree_may_be_built_if_marked_and_is_marked_for_ever(project: Path) -> None:
    with (project / "kiosk_steps" / "work.py").open("a") as stream:
        stream.write("# note\n")
    built = build(project, "precompute", BUILT_AT, allow_dirty=True)
    assert built.predicate.release.dirty
    assert built.predicate.release.version.endswith(".dirty")


def test_the_reports_undefined_name_is_found_before_it_runs(project: Path) -> None:
    commit(
        project,
        "kiosk_steps/roster.py",
        "def save(rows: list[int]) -> None:\n    client = storage.Client()\n    client.write(rows)\n",
    )
    (names,) = refused(project).values()
    assert names == ("kiosk_steps/roster.py:2: name 'storage' is not defined",)


def test_a_failing_import_is_found(project: Path) -> None:
    commit(project, "kiosk_steps/roster.py", "import no_such_package\n")
    assert "No module named 'no_such_package'" in refused(project)["link.import"][0]


def test_an_entrypoint_that_does_not_load_is_refused(project: Path) -> None:
    text = (project / "kiosk_flows" / "precompute.py").read_text().replace("def precompute", "def compute")
    commit(project, "kiosk_flows/precompute.py", text)
    assert "link.entrypoint" in refused(project)


def test_an_entrypoint_that_is_no_flow_is_refused(project: Path) -> None:
    text = (project / "kiosk_flows" / "precompute.py").read_text().replace("@flow", "")
    commit(project, "kiosk_flows/precompute.py", text)
    assert "is not a Prefect flow" in refused(project)["link.entrypoint"][0]


def test_importing_what_the_role_does_not_ship_is_refused(project: Path) -> None:
    text = (project / "kiosk_flows" / "precompute.py").read_text()
    commit(project, "kiosk_flows/precompute.py", text + "\n\ndef lazy():\n    import kiosk_flows.analytics\n")
    assert "kiosk_flows.analytics is not shipped" in refused(project)["link.unshipped"][0]


def test_a_missing_model_is_refused(project: Path) -> None:
    (project / "store" / "model.txt").unlink()
    assert set(refused(project)) == {"artifact.missing"}


def test_the_manifest_says_what_was_built(project: Path) -> None:
    predicate = build(project, "precompute", BUILT_AT, number=7).predicate
    assert [e.name for e in predicate.entrypoints] == ["kiosk_flows/precompute.py:precompute"]
    assert predicate.facts["feature-set"].value == "v7"
    assert set(predicate.code.files) == {
        "integrity.toml",
        "kiosk_flows/__init__.py",
        "kiosk_flows/precompute.py",
        "kiosk_steps/__init__.py",
        "kiosk_steps/late.py",
        "kiosk_steps/work.py",
        "kiosk_steps/queries/days.sql",
    }
    assert predicate.release.version == f"7+{git(project, 'rev-parse', 'HEAD')[:12]}"
    assert "polars" in predicate.packages.installed


def test_a_changed_parameter_changes_the_entrypoints_digest(project: Path) -> None:
    before = build(project, "precompute", BUILT_AT).predicate.entrypoints[0].parameters
    text = (project / "kiosk_flows" / "precompute.py").read_text()
    commit(project, "kiosk_flows/precompute.py", text.replace("size: int = 3", "size: str = 'x'"))
    assert build(project, "precompute", BUILT_AT).predicate.entrypoints[0].parameters != before


def test_two_builds_of_one_tree_are_byte_for_byte_the_same(project: Path) -> None:
    one = build(project, "precompute", BUILT_AT).predicate
    two = build(project, "precompute", BUILT_AT).predicate
    assert canonical_json(one.model_dump(mode="json")) == canonical_json(two.model_dump(mode="json"))


def test_the_schema_in_the_repository_is_the_one_in_force() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema()


def test_a_real_manifest_satisfies_the_schema(placed: Placed) -> None:
    statement = json.loads(placed.site.envelope().payload)
    jsonschema.Draft202012Validator(json_schema()).validate(statement)


def test_an_installed_file_that_was_edited_is_found(tmp_path: Path) -> None:
    from deployments.integrity.packages import edited_files, installed

    site = tmp_path / "site"
    (site / "pkg").mkdir(parents=True)
    (site / "pkg" / "a.py").write_text("x = 1\n")
    info = site / "pkg-1.0.dist-info"
    info.mkdir()
    digest = "RdFOCAe7_QRWpb-SMgFCWlN-jk0O5y1z2zW0ik6JCSM"
    (info / "RECORD").write_text(f"pkg/a.py,sha256={digest},6\npkg/gone.py,sha256=x,1\n")
    assert edited_files(installed([str(site)])) == ["pkg: pkg/a.py", "pkg: pkg/gone.py is missing"]
