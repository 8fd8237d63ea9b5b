"""What the guard's commands say to somebody who mistypes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deployments.integrity.cli import main


@pytest.mark.parametrize(
    ("body", "why"),
    [(None, "No such file or directory"), (b"release 41", "not JSON"), (b"{}", "payload")],
    ids=["absent", "not JSON", "another file"],
)
def test_what_is_no_release_file_is_named_with_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], body: bytes | None, why: str
) -> None:
    path = tmp_path / "41"
    if body is not None:
        path.write_bytes(body)
    monkeypatch.setattr(sys, "argv", ["integrity", "diff", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = _run_together(capsys.readouterr().out)
    assert _run_together(f"{path} is no release file (") in said
    assert _run_together(why) in said
    assert said.endswith(_run_together("give the path of a release.json"))


def _run_together(text: str) -> str:
    """Without the line breaks that a narrow terminal makes."""
    return "".join(text.split())
