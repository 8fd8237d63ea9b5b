"""What the check must not mind: the same release somewhere else, as someone else, at another time."""

from __future__ import annotations

import compileall
import getpass
import os
import py_compile
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.integrity.packages import _record_digest
from deployments.integrity.record import Override
from deployments.integrity.release import Site

from .conftest import NOW, Placed, environment, git, record_for, with_release


def test_another_path_is_admitted(placed: Placed, tmp_path: Path) -> None:
    deeper = tmp_path / "another path" / "ünïcode" / "release"
    shutil.copytree(placed.root, deeper)
    placed.site = Site(deeper, deeper / "release.json", environment(deeper), placed.site.keys, placed.site.memory)
    assert placed.findings() == []


def test_nothing_of_the_machine_or_user_is_in_the_manifest(placed: Placed, built: dict[str, Path]) -> None:
    payload = placed.site.envelope().payload.decode()
    for trace in (str(built["precompute"]), str(Path.home()), f'"{getpass.getuser()}"', socket.gethostname()):
        assert trace not in payload


def test_another_umask_is_admitted(placed: Placed) -> None:
    for path in placed.root.rglob("*.py"):
        path.chmod(0o444)
    assert placed.findings() == []


def test_another_checkout_time_is_admitted(placed: Placed) -> None:
    for path in placed.root.rglob("*"):
        if ".git" not in path.parts:
            os.utime(path, (1_000_000_000, 1_000_000_000))
    assert placed.findings() == []


def test_another_line_of_git_history_is_admitted(placed: Placed) -> None:
    git(placed.root, "checkout", "-q", "--orphan", "elsewhere")
    git(placed.root, "commit", "-q", "--allow-empty", "-m", "same content, other history")
    assert placed.findings() == []
    shutil.rmtree(placed.root / ".git")
    assert placed.findings() == []


@pytest.mark.parametrize("mode", list(py_compile.PycInvalidationMode))
def test_bytecode_that_is_up_to_date_is_admitted(placed: Placed, mode: py_compile.PycInvalidationMode) -> None:
    for root in ("kiosk_flows", "kiosk_steps"):
        assert compileall.compile_dir(placed.root / root, quiet=2, invalidation_mode=mode)
    assert len(list(placed.root.rglob("*.pyc"))) == 6
    assert placed.findings() == []
    assert placed.findings() == [], "and again, from the memory"


def test_bytecode_written_by_an_ordinary_import_is_admitted(placed: Placed) -> None:
    program = "import kiosk_steps.work"
    ordinary = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", program], cwd=placed.root, env=ordinary, check=True, timeout=60)
    assert list(placed.root.rglob("work.*.pyc"))
    assert placed.findings() == []


def test_bytecode_that_python_would_reject_itself_is_admitted(placed: Placed) -> None:
    source = placed.root / "kiosk_steps" / "work.py"
    good = source.read_bytes()
    source.write_bytes(good + b"\n# older text\n")
    py_compile.compile(str(source), doraise=True)
    source.write_bytes(good)
    assert placed.findings() == []


def test_files_beside_the_packages_that_shadow_nothing_are_admitted(placed: Placed) -> None:
    (placed.root / "README.md").write_text("hello")
    (placed.root / "conftest.py").write_text("")
    (placed.root / "kiosk_tool.py").write_text("")
    (placed.root / "kiosk_steps" / ".DS_Store").write_bytes(b"\0")
    assert placed.findings() == []


def test_a_wheel_has_one_digest_under_pip_and_uv(tmp_path: Path) -> None:
    wheel = ["pkg/__init__.py,sha256=abc,10", "pkg/a.py,sha256=def,20"]
    for name, lines in {
        "pip": [
            *wheel,
            "pkg-1.dist-info/INSTALLER,sha256=zuu,4",
            "pkg/__pycache__/a.cpython-311.pyc,,",
            "../../../bin/pkg,sha256=pip,200",
            "pkg-1.dist-info/RECORD,,",
        ],
        "uv": [*wheel[::-1], "pkg-1.dist-info/INSTALLER,sha256=uvv,2", "../../../bin/pkg,sha256=uv,190"],
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "RECORD").write_text("\n".join(lines))
    assert _record_digest(tmp_path / "pip") == _record_digest(tmp_path / "uv") != ""


def test_a_clock_within_the_tolerance_is_admitted(placed: Placed) -> None:
    placed.server_time = NOW - timedelta(seconds=100)
    assert placed.findings() == []


def test_what_is_only_worth_knowing_warns_and_admits(placed: Placed) -> None:
    placed.now = placed.server_time = NOW + timedelta(days=84)
    (finding,) = placed.findings()
    assert (finding.code, finding.severity) == ("release.expires", "warn")


def test_a_dirty_release_says_so_on_every_check(placed: Placed) -> None:
    placed.rewrite(lambda p: with_release(p, dirty=True))
    envelope, predicate = placed.site.signed()
    placed.record = record_for(envelope, predicate)
    (finding,) = placed.findings()
    assert finding.code == "release.dirty"
    assert ".dirty" in finding.found


def test_an_override_lets_its_own_finding_through_until_it_expires_and_no_other(placed: Placed) -> None:
    (placed.root / "store" / "model.txt").write_text("other")
    (placed.root / "requirements.lock").write_text("x==1\n")
    override = Override(
        codes=("artifact.changed",), by="ada", reason="refit by hand", expires_at=NOW + timedelta(hours=1)
    )
    placed.record = placed.record.model_copy(update={"overrides": (override,)})
    by_code = {f.code: f for f in placed.findings()}
    assert by_code["artifact.changed"].severity == "overridden"
    assert "ada" in by_code["artifact.changed"].fix
    assert set(placed.refusals()) == {"packages.lock"}
    late = replace(placed, now=NOW + timedelta(hours=2), server_time=NOW + timedelta(hours=2))
    assert set(late.refusals()) == {"packages.lock", "artifact.changed"}
