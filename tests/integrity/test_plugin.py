"""Whom the net under everything refuses at `import prefect`, and whom it leaves to a check that is heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.integrity.plugin import setup_environment

GUARDED_WORKER = ["-m", "worker", "start", "--type", "guarded-process", "--pool", "precompute"]


@pytest.fixture(autouse=True)
def _unsigned_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without any release: nothing may run from it."""
    (tmp_path / "integrity.toml").write_text('project = "kiosk"\n')
    monkeypatch.setenv("INTEGRITY_ROOT", str(tmp_path))


def _started_as(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", arguments)
    setup_environment(ctx=None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve.py"],
        ["/usr/bin/prefect", "deploy", "--all"],
        ["-m", "flow-run", "execute"],
        ["-m", "worker", "start", "--type", "process", "--pool", "guarded-pool"],
        ["-m", "worker", "start", "--pool", "guarded-pool"],  # the server's pool would choose the type
        ["-m", "deployment", "run", "--type", "guarded-process"],
    ],
)
def test_every_process_of_a_wrong_place_is_refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="integrity"):
        _started_as(arguments, monkeypatch)


@pytest.mark.parametrize(
    "arguments",
    [
        GUARDED_WORKER,
        ["/usr/bin/prefect", "worker", "start", "--pool", "precompute", "--type=guarded-process"],
        ["/usr/bin/prefect", "worker", "start", "-p", "precompute", "-t", "guarded-cloud-run-v2"],
    ],
)
def test_a_guarded_worker_is_left_to_its_own_check_so_that_the_server_hears_of_its_refusal(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _started_as(arguments, monkeypatch)
