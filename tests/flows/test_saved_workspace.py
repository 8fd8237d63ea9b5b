"""A workspace that is saved as a Prefect block: `--home block:TYPE/NAME` opens it wherever a folder would be given."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from blocks.objects import LocalObjects
from blocks.workspace import ORIGIN, LocalWorkspace, WorkspaceError, saved_workspace
from flows.run import Run


def test_a_saved_workspace_is_opened_by_its_type_and_name(tmp_path: Path) -> None:
    mine = LocalWorkspace(folder=tmp_path / "shared", ledger_url="postgresql://ledger.example/courtside")
    mine.save("by-name")
    assert saved_workspace("courtside-workspace/by-name") == mine
    for missing in ("courtside-workspace/nothing", "of-no-type/nothing"):
        with pytest.raises(WorkspaceError, match=f"{missing} cannot be loaded"):
            saved_workspace(missing)


def test_a_block_of_another_type_is_not_a_workspace(tmp_path: Path) -> None:
    LocalObjects(folder=tmp_path).save("elsewhere")
    with pytest.raises(WorkspaceError, match="local-objects/elsewhere is not a workspace"):
        saved_workspace("local-objects/elsewhere")


def test_a_run_works_in_the_saved_workspace_and_claims_it(tmp_path: Path, a_run: Run) -> None:
    LocalWorkspace(folder=tmp_path / "claimed", ledger_url=f"sqlite:///{tmp_path}/ledger.sqlite").save("claimed")
    run = a_run.model_copy(update={"home": Path("block:courtside-workspace/claimed")})
    again = Run.model_validate_json(run.model_dump_json())  # as it travels to another process
    assert again.workspace.ledger_url == f"sqlite:///{tmp_path}/ledger.sqlite"
    assert (tmp_path / "claimed" / ORIGIN).read_text() == "the simulated league"


@pytest.fixture
def a_run(tmp_path: Path) -> Run:
    """The parameters of some run on the simulated league."""
    return Run(
        run_id="same_day-2026-03-10-0000",
        mode="same_day",
        game_day=dt.date(2026, 3, 10),
        as_of="2026-03-10T17:30:00Z",
        home=tmp_path,
        fingerprint="none",
    )
