"""What a workspace promises: it holds results from one origin only, whoever comes first and whatever is killed."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from blocks.partition import write_durably
from blocks.workspace import ORIGIN, LocalWorkspace, WorkspaceError

REPOSITORY = Path(__file__).parents[2]
# Stands in for the server, which would give the saved values; what Prefect looks up is the class for them.
OPENED = """
from unittest.mock import patch
from prefect.blocks.core import Block
from blocks.workspace import saved_workspace
with patch.object(Block, "load", lambda reference: Block.get_block_class_from_key(reference.split("/")[0])):
    print(saved_workspace("courtside-cloud-workspace/production"))
"""


def test_a_workspace_keeps_everything_below_its_folder(tmp_path: Path) -> None:
    workspace = LocalWorkspace.embedded(tmp_path / "home", "the simulated league")
    places = (workspace.warehouse, workspace.models, workspace.publications, workspace.landing.objects)
    assert {place.folder.parent for place in places} == {tmp_path / "home"}  # type: ignore[attr-defined]
    assert workspace.ledger_url == f"sqlite:///{tmp_path}/home/ledger.sqlite"


def test_a_workspace_can_be_opened_again_for_the_same_data(tmp_path: Path) -> None:
    first, again = (LocalWorkspace.embedded(tmp_path, "the simulated league") for _ in range(2))
    assert first == again


def test_simulated_and_real_days_never_mix(tmp_path: Path) -> None:
    LocalWorkspace.embedded(tmp_path, "the simulated league")
    with pytest.raises(WorkspaceError, match=r"holds results from the simulated league, not from the folder .*--home"):
        LocalWorkspace.embedded(tmp_path, "the folder data")


def test_of_two_who_open_a_new_workspace_at_once_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes while the first is about to write down what the workspace is for."""
    opened = []

    def open_for(origin: str) -> None:
        with suppress(WorkspaceError):
            LocalWorkspace.embedded(tmp_path, origin)
            opened.append(origin)

    second = threading.Thread(target=open_for, args=["the folder data"])

    def meanwhile(path: Path, body: bytes) -> None:
        monkeypatch.undo()
        second.start()
        second.join(timeout=0.2)  # it has to wait for us; where nothing holds it back, it is done by then
        write_durably(path, body)

    monkeypatch.setattr("blocks.workspace.write_durably", meanwhile)
    open_for("the simulated league")
    second.join()
    assert opened == ["the simulated league"]
    assert (tmp_path / ORIGIN).read_text() == "the simulated league"


def test_a_claim_that_was_cut_short_claims_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        LocalWorkspace.embedded(tmp_path, "the simulated league")
    monkeypatch.undo()
    LocalWorkspace.embedded(tmp_path, "the folder data")
    assert (tmp_path / ORIGIN).read_text() == "the folder data"


def test_a_process_that_has_not_heard_of_google_opens_a_workspace_there() -> None:
    done = subprocess.run([sys.executable, "-c", OPENED], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.stdout == "<class 'blocks.cloud.CloudWorkspace'>\n", done.stderr
