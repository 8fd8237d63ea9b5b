"""The check inside a flow: what a run is stamped with, what it notices while it runs, whose results it takes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from deployments.integrity import preflight, steps
from deployments.integrity.finding import Finding, IntegrityError, Report
from deployments.integrity.guard import Question, Run, Verdict, verify
from deployments.integrity.manifest import wrap
from deployments.integrity.registry import Registry

from .conftest import KEY, NOW, Placed, record_for, with_release
from .test_registry import Variables

DEPLOYED = preflight._Deployed(UUID(int=7), Run("7+0123456789ab", None), None, "")


@pytest.fixture
def site(placed: Placed, monkeypatch: pytest.MonkeyPatch) -> Placed:
    """The placed release as the site that is found from outside: its settings, its memory."""
    for name, value in placed.site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("INTEGRITY_HOME", str(placed.site.memory))
    monkeypatch.setenv("INTEGRITY_ROOT", str(placed.root))
    return placed


def test_a_run_by_hand_is_held_against_the_release_that_lies_here(site: Placed) -> None:
    stamped = preflight.fingerprint(now=NOW)
    assert stamped.release == site.manifest().release.version
    assert stamped.labels["integrity.code"] == stamped.code == site.manifest().code.digest
    (site.root / "kiosk_steps" / "work.py").write_text("")
    with pytest.raises(IntegrityError, match=r"kiosk_steps/work\.py"):
        preflight.fingerprint(now=NOW)


def test_a_working_copy_without_a_release_says_so_and_carries_its_digest(site: Placed) -> None:
    digest = site.manifest().code.digest
    site.site.release_file.unlink()
    stamped = preflight.fingerprint("precompute", now=NOW)
    assert (stamped.release, stamped.code) == ("unreleased", digest)
    preflight.unchanged(stamped)
    assert preflight.fingerprint(now=NOW).code != digest, "without a role it is over all roles' files"


def test_a_release_file_that_nobody_signed_is_no_working_copy(site: Placed) -> None:
    site.rewrite(lambda p: p, key=None)
    with pytest.raises(IntegrityError, match="no signature"):
        preflight.fingerprint(now=NOW)


def test_the_role_a_flow_names_must_be_the_releases(site: Placed) -> None:
    with pytest.raises(IntegrityError, match="expected role analytics, found role precompute"):
        preflight.fingerprint("analytics", now=NOW)


def test_a_deployed_run_is_never_unreleased(site: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
    site.site.release_file.unlink()
    monkeypatch.setattr(preflight, "_deployed_run", lambda: DEPLOYED)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(IntegrityError, match=r"release\.json can't be read"):
        preflight.fingerprint(now=NOW)


def test_files_that_changed_under_a_run_are_noticed_at_its_end(site: Placed) -> None:
    stamped = preflight.fingerprint(now=NOW)
    preflight.unchanged(stamped)
    (site.root / "kiosk_steps" / "late.py").write_text("FEATURE_SET = 'v8'\n")
    with pytest.raises(IntegrityError, match=r"tree\.moved.*\n.*kiosk_steps/late\.py"):
        preflight.unchanged(stamped)


def test_a_childs_result_is_taken_from_the_same_release_or_one_the_plan_allows(site: Placed) -> None:
    parent = preflight.fingerprint(now=NOW)
    assert preflight.accept_child(parent.release, {"integrity.release": parent.release}) == parent.release
    other = {"integrity.release": "6+0123456789ab"}
    with pytest.raises(IntegrityError, match=r"run\.child.*6\+0123456789ab"):
        preflight.accept_child(parent.release, other)
    assert preflight.accept_child(parent.release, other, allowed=("6+0123456789ab",)) == "6+0123456789ab"


@pytest.mark.parametrize("labels", [{}, {"integrity.release": ""}, {"other": "x"}])
def test_a_child_that_carries_no_release_is_refused(site: Placed, labels: dict[str, str]) -> None:
    parent = preflight.fingerprint(now=NOW)
    with pytest.raises(IntegrityError, match="carries no release"):
        preflight.accept_child(parent.release, labels)


def test_the_pull_step_raises_where_there_is_no_run_to_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("INTEGRITY_ROOT", "PREFECT__FLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(IntegrityError, match=r"no integrity\.toml"):
        steps.verify_release("kiosk", "precompute")


def test_the_pull_step_raises_if_the_server_cant_be_told(site: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose state can't be set must end badly, not quietly."""

    class Unfit:
        id = "0"

    def down(*arguments: Any) -> None:
        raise ConnectionError("server is gone")

    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "00000000-0000-0000-0000-000000000000")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(steps, "_read_run", lambda run_id: (Unfit(), Run("", None)))
    monkeypatch.setattr(steps, "_log_of", lambda run: __import__("logging").getLogger("test"))
    monkeypatch.setattr(steps, "_refuse", down)
    with pytest.raises(ConnectionError):
        steps.verify_release("kiosk", "precompute")


@pytest.mark.parametrize(("times", "again"), [(None, True), (2, True), (3, False)])
def test_a_run_is_handed_back_a_few_times_and_then_refused(
    site: Placed, monkeypatch: pytest.MonkeyPatch, times: int | None, again: bool
) -> None:
    """A worker that never looks would take it again and again."""
    sent: list[Any] = []

    class Client:
        def __enter__(self) -> Client:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def update_flow_run_labels(self, run: UUID, labels: dict[str, int]) -> None:
            sent.append(labels)

        def set_flow_run_state(self, run: UUID, state: Any, force: bool) -> None:
            sent.append((state.type.value, state.name))

    monkeypatch.setattr(steps, "sync_client", Client)
    labels = {} if times is None else {steps.HANDED_BACK: times}
    run = SimpleNamespace(id=UUID(int=7), labels=labels, work_pool_name="pre")
    verdict = Verdict(Report("pool pre", (Finding("release.older", "release 8", "release 7", "deploy 8"),)))
    assert steps._hand_back(run, verdict, NOW) is again
    expected = [{steps.HANDED_BACK: (times or 0) + 1}, ("SCHEDULED", "AwaitingRelease")]
    assert sent == (expected if again else [])


def test_a_run_that_its_pull_step_admitted_ends_on_the_code_it_began_with(
    site: Placed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer release was registered since: that is no reason to stop a run that is under way."""
    envelope, manifest = site.site.signed()
    newer = with_release(manifest, number=8)
    record = record_for(wrap(newer).sign(KEY), newer)
    server = Variables()
    registry = Registry(server, site.site.keys)
    registry._append(record, KEY)
    monkeypatch.setattr(preflight, "verify", partial(verify, connect=lambda site: registry))
    question = Question("kiosk", "precompute")

    def begun(admitted: str) -> None:
        run = Run(manifest.release.version, None)
        monkeypatch.setattr(
            preflight, "_deployed_run", lambda: preflight._Deployed(UUID(int=7), run, question, admitted)
        )

    begun(envelope.digest)
    assert preflight.fingerprint(now=NOW).release == manifest.release.version
    begun("")
    with pytest.raises(IntegrityError, match=r"release\.older"):
        preflight.fingerprint(now=NOW)
    begun(envelope.digest)
    (site.root / "kiosk_steps" / "work.py").write_text("")
    with pytest.raises(IntegrityError, match=r"tree\.changed"):
        preflight.fingerprint(now=NOW)
