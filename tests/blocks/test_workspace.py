"""What a workspace promises: it holds results from one origin only, whoever comes first and whatever is killed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from blocks.workspace import ORIGIN, Workspace, WorkspaceError


def test_a_workspace_keeps_everything_below_its_folder(tmp_path: Path) -> None:
    workspace = Workspace.embedded(tmp_path / "home", "the simulated league")
    places = (workspace.warehouse.folder, workspace.landing.folder, workspace.models, workspace.publications)
    assert {place.parent for place in places} == {tmp_path / "home"}
    assert workspace.ledger_url == f"sqlite:///{tmp_path}/home/ledger.sqlite"


def test_a_workspace_can_be_opened_again_for_the_same_data(tmp_path: Path) -> None:
    assert Workspace.embedded(tmp_path, "the simulated league") == Workspace.embedded(tmp_path, "the simulated league")


def test_simulated_and_real_days_never_mix(tmp_path: Path) -> None:
    Workspace.embedded(tmp_path, "the simulated league")
    with pytest.raises(WorkspaceError, match=r"holds results from the simulated league, not from the folder .*--home"):
        Workspace.embedded(tmp_path, "the folder data")


def test_of_many_who_open_a_new_workspace_at_once_one_origin_wins(tmp_path: Path) -> None:
    origins = ["the simulated league", "the folder data"] * 8

    def opened(origin: str) -> str | None:
        try:
            Workspace.embedded(tmp_path, origin)
        except WorkspaceError:
            return None
        return origin

    with ThreadPoolExecutor(16) as pool:
        winners = [origin for origin in pool.map(opened, origins) if origin is not None]
    assert len(winners) == 8
    assert set(winners) == {(tmp_path / ORIGIN).read_text()}


def test_a_claim_that_was_cut_short_claims_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        Workspace.embedded(tmp_path, "the simulated league")
    monkeypatch.undo()
    Workspace.embedded(tmp_path, "the folder data")
    assert (tmp_path / ORIGIN).read_text() == "the folder data"
