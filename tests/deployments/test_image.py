"""What the image promises. Without an engine here, its steps are run in a root folder of their own (image_build.py)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from deployments.integrity.packages import normalise, read_lock
from deployments.start import USAGE, command
from tests.deployments.image_build import Stage, build, instructions
from tests.prefect_server import Server

REPOSITORY = Path(__file__).parents[2]
SOURCES = ("flows", "tasks", "blocks", "deployments")
RUNTIME_LOCK = "requirements-runtime.lock"
METADATA = "courtside-0.1.0.dist-info"
REFUSED = 78  # the guard's exit code


def test_a_container_starts_nothing_until_its_role_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deployments.start"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == USAGE
    assert done.stderr.startswith("no role was named: start this container as")
    with pytest.raises(ValueError, match=r"'analytic' is no role: .* all\|analytics\|precompute\|predictions"):
        command(["analytic"])


def test_a_role_becomes_the_guarded_worker_of_its_pool() -> None:
    assert command(["precompute"])[3:] == ["--type", "guarded-process", "--pool", "precompute"]
    assert command(["all", "guarded-kubernetes"])[3:] == ["--type", "guarded-kubernetes", "--pool", "pipeline"]


def test_the_base_is_named_by_who_builds_and_nothing_runs_as_root() -> None:
    steps = instructions(REPOSITORY / "Dockerfile")
    assert steps[0] == ("ARG", "PYTHON_IMAGE")
    assert next(rest for name, rest in steps if name == "FROM") == "${PYTHON_IMAGE} AS base"
    last = steps[max(n for n, (name, _) in enumerate(steps) if name == "FROM") :]
    assert ("USER", "10001") in last
    assert [name for name, _ in last].count("ENTRYPOINT") == 0


def test_images_install_the_tested_versions_and_no_test_tools() -> None:
    tested, shipped = (read_lock(REPOSITORY / name) for name in ("requirements.lock", RUNTIME_LOCK))
    assert shipped.items() <= tested.items()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = {Requirement(line).name for line in project["dependencies"] + project["optional-dependencies"]["dask"]}
    tools = {Requirement(line).name for line in project["optional-dependencies"]["dev"]}
    assert {normalise(name) for name in wanted} <= shipped.keys()
    assert {normalise(name) for name in tools} & shipped.keys() <= {"jsonschema", "pandas"}  # others need them too
    assert "://" not in (REPOSITORY / RUNTIME_LOCK).read_text(), "no registry's address"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed tree, as a builder has it."""
    folder = tmp_path_factory.mktemp("context") / "courtside"
    subprocess.run(["git", "clone", "-q", REPOSITORY, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where images' signing key will be."""
    return tmp_path_factory.mktemp("key") / "key.pem"


@pytest.fixture(scope="module")
def image(clone: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The image of one role, built step by step."""
    if os.geteuid() or not shutil.which("unshare") or subprocess.run(["unshare", "--mount", "true"]).returncode:
        pytest.skip("the image's steps need root and mount namespaces, and there is no engine to build it")
    folder = tmp_path_factory.mktemp("image")
    made = subprocess.run(
        [sys.executable, "-m", "deployments.integrity", "keygen", key],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    arguments = {"PYTHON_IMAGE": "this machine", "ROLE": "precompute", "TRUSTED_KEYS": made.stdout.strip()}
    try:
        yield build(clone, folder / "stages", arguments, {"signing_key": key})
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error.cmd}\n{error.stdout}\n{error.stderr}")
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
def test_the_image_holds_a_signed_release_of_its_role_that_verifies(image: Stage) -> None:
    done = image.run("python -m deployments.integrity verify --local --full && python -m deployments.integrity show")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "precompute" in done.stdout


@pytest.mark.slow
def test_the_image_starts_a_guarded_worker_that_the_server_admits(
    image: Stage, key: Path, prefect_server: Server, tmp_path: Path
) -> None:
    """Its release is registered as it came out of the image; then the worker in it takes work, and before that not."""
    prefect_server.pool("precompute")
    image.environment["PREFECT_API_URL"] = prefect_server.url
    start = f"{' '.join(command(['precompute']))} --run-once --install-policy never"
    unknown = image.run(start)
    assert unknown.returncode == REFUSED, unknown.stdout + unknown.stderr

    shutil.copyfile(image.root / "app/release.json", tmp_path / "release.json")
    shutil.copyfile(REPOSITORY / "integrity.toml", tmp_path / "integrity.toml")
    trusted = {"INTEGRITY_TRUSTED_KEYS": image.environment["INTEGRITY_TRUSTED_KEYS"]}
    registered = subprocess.run(
        [sys.executable, "-m", "deployments.integrity", "register", "--root", tmp_path, "--key", key],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
        env=prefect_server.environment(tmp_path, **trusted),
    )  # fmt: skip
    assert registered.returncode == 0, registered.stdout + registered.stderr
    admitted = image.run(start)
    assert admitted.returncode == 0, admitted.stdout + admitted.stderr
    assert [found["name"] for found in prefect_server.post("/work_pools/precompute/workers/filter", {})]


@pytest.mark.slow
def test_the_image_started_without_a_role_says_so(image: Stage) -> None:
    done = image.run(" ".join(image.command))
    assert (done.returncode, done.stderr[:18]) == (USAGE, "no role was named:")


@pytest.mark.slow
def test_the_image_holds_what_runs_and_no_tests_history_or_key(image: Stage) -> None:
    inside = {path.name for path in (image.root / "app").iterdir()}
    files = {"integrity.toml", "prefect.yaml", "pyproject.toml", RUNTIME_LOCK, "release.json", METADATA}
    assert inside == {*SOURCES, *files}
    assert list(image.root.rglob("*.pem")) == [
        path for path in image.root.rglob("*.pem") if "site-packages" in path.parts
    ]


@pytest.mark.slow
def test_the_image_s_bytecode_is_checked_against_its_source(image: Stage) -> None:
    compiled = list((image.root / "app" / "flows").rglob("*.pyc"))
    assert compiled
    checked = 0b11  # PEP 552: hash-based, and checked at import
    assert all(path.read_bytes()[4] == checked for path in compiled)


@pytest.mark.slow
def test_an_edit_in_the_image_is_refused(image: Stage) -> None:
    path = image.root / "app" / "tasks" / "lines.py"
    before = path.read_bytes()
    path.write_bytes(before + b"\n")
    try:
        done = image.run("python -m deployments.integrity verify --local")
        assert done.returncode == 1
        assert "tree.changed" in done.stdout
    finally:
        path.write_bytes(before)


@pytest.mark.slow
def test_an_image_without_a_role_is_not_built(clone: Path, image: Stage, tmp_path: Path) -> None:
    [step] = [rest for name, rest in instructions(clone / "Dockerfile") if name == "RUN" and "integrity build" in rest]
    done = image.run(step[step.index("test -n") :])
    assert done.returncode == 2
    assert "name the role: --build-arg ROLE=" in done.stderr
