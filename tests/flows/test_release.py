"""Which code a run is: on every row it writes, and never two of them in one run."""

from __future__ import annotations

import re
from types import SimpleNamespace
from uuid import uuid4

import pytest

from deployments.integrity import preflight
from deployments.integrity.finding import IntegrityError
from flows import release
from tasks.engine.ledger import Ledger
from tests.flows.conftest import Finished

STAMP = re.compile(r"unreleased sha256:[0-9a-f]{32}")


def test_every_prediction_and_every_ledger_row_carries_the_stamp_of_the_code(finished: Finished) -> None:
    stamped = set(finished.read("predictions")["release"])
    assert stamped == {release.stamp(release.prove())}
    assert all(STAMP.fullmatch(text) for text in stamped)
    rows = Ledger(f"sqlite:///{finished.home / 'ledger.sqlite'}").runs(run_id=finished.report.run_id)
    assert {row["fingerprint"] for row in rows} == stamped


def in_a_run(monkeypatch: pytest.MonkeyPatch, deployed: bool) -> None:
    """A flow run that its own deployment made, or a subflow of another run."""
    run = SimpleNamespace(deployment_id=uuid4() if deployed else None)
    monkeypatch.setattr(release.FlowRunContext, "get", lambda: SimpleNamespace(flow_run=run))
    monkeypatch.setattr(
        preflight, "fingerprint", lambda root: SimpleNamespace(labels={"integrity.release": "43+000000000000"})
    )


def test_a_phase_on_its_own_pool_declines_to_work_for_a_run_of_another_release(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_run(monkeypatch, deployed=True)
    release.hold_to("43+000000000000 sha256:7c30")
    with pytest.raises(IntegrityError, match=r"expected a result of release 42\+31544709b3d4, found one of .* 43\+0"):
        release.hold_to("42+31544709b3d4 sha256:7c30")


def test_a_phase_in_the_days_own_process_has_nothing_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_run(monkeypatch, deployed=False)
    release.hold_to("42+31544709b3d4 sha256:7c30")
    monkeypatch.setattr(release.FlowRunContext, "get", lambda: None)
    release.hold_to("42+31544709b3d4 sha256:7c30")
