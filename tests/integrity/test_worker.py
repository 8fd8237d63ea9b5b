"""The guard around a worker: what it does, without a server; real ones are in test_incident.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import anyio
import pytest
from prefect.workers.base import BaseWorker

from deployments.integrity import worker as worker_module
from deployments.integrity.envelope import Envelope
from deployments.integrity.finding import Finding, Report, Severity
from deployments.integrity.guard import Verdict
from deployments.integrity.release import Site
from deployments.integrity.worker import EXIT_DRAINED, EXIT_REFUSED, GuardedProcessWorker, _LeaveError
from deployments.integrity.worker_cloud import WORKERS

Says = Callable[..., None]


def verdict(*codes: str) -> Verdict:
    return Verdict(Report("pool pre", tuple(Finding(code, "a", "b", "c") for code in codes)))


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """A worker whose check says what the test sets, whose polls are counted, and whose events are kept."""
    worker = GuardedProcessWorker(work_pool_name="pre")
    worker.said: list[str] = []  # type: ignore[misc]
    worker.polls = 0
    worker.verdict = verdict()

    async def check(fully: bool) -> tuple[Site, Verdict]:
        return Site.nowhere(), worker.verdict

    async def poll(self: Any) -> list[Any]:
        worker.polls += 1
        return []

    def tell(site: Site, event: str, *rest: Any) -> str:
        worker.said.append(event)
        return "sent"

    monkeypatch.setattr(worker, "_check", check)
    monkeypatch.setattr(worker_module.ProcessWorker, "get_and_submit_flow_runs", poll)
    monkeypatch.setattr(worker_module.events, "tell", tell)
    return worker


def poll(worker: Any) -> None:
    anyio.run(worker.get_and_submit_flow_runs)


def test_a_good_worker_polls(guarded: Any) -> None:
    poll(guarded)
    poll(guarded)
    assert (guarded.polls, guarded.said) == (2, [])


def test_a_worker_that_became_wrong_takes_nothing_and_leaves_with_78(guarded: Any) -> None:
    guarded.verdict = verdict("tree.changed")
    with pytest.raises(_LeaveError):
        poll(guarded)
    assert (guarded.polls, guarded._leaving, guarded.said) == (0, EXIT_REFUSED, ["integrity.worker.blocked"])


def test_a_worker_waits_for_what_it_runs_before_it_leaves(guarded: Any) -> None:
    running = uuid4()
    guarded._running.add(running)
    guarded.verdict = verdict("release.older")
    poll(guarded)
    poll(guarded)
    assert (guarded.polls, guarded._leaving, guarded.said) == (0, EXIT_DRAINED, ["integrity.worker.draining"])
    guarded._running.discard(running)
    with pytest.raises(_LeaveError):
        poll(guarded)


def test_a_submission_under_way_is_waited_for_too(guarded: Any) -> None:
    guarded._submitting_flow_run_ids.add(uuid4())
    guarded.verdict = verdict("release.older")
    poll(guarded)
    assert guarded._leaving == EXIT_DRAINED


def test_a_newer_release_and_another_fault_is_not_a_mere_drain(guarded: Any) -> None:
    guarded.verdict = verdict("release.older", "tree.changed")
    with pytest.raises(_LeaveError):
        poll(guarded)
    assert guarded._leaving == EXIT_REFUSED


def test_a_release_put_in_the_place_of_the_one_it_started_with_makes_a_worker_leave(guarded: Any) -> None:
    guarded._proven = Envelope("t", b"one").digest
    guarded.verdict = Verdict(Report("pool pre"), envelope=Envelope("t", b"one"))
    poll(guarded)
    assert guarded.polls == 1
    guarded.verdict = Verdict(Report("pool pre"), envelope=Envelope("t", b"two"))
    with pytest.raises(_LeaveError):
        poll(guarded)
    assert (guarded.polls, guarded._leaving) == (1, EXIT_DRAINED)


def test_a_registry_out_of_reach_leaves_the_worker_waiting_with_empty_hands(
    guarded: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    guarded.verdict = verdict("registry.unreachable")
    poll(guarded)
    poll(guarded)
    assert (guarded.polls, guarded._leaving) == (0, None)
    assert capsys.readouterr().err.count("taking no work") == 1, "said once, not at every poll"
    guarded.verdict = verdict()
    poll(guarded)
    assert (guarded.polls, guarded.said) == (1, ["integrity.registry.unreachable"])


def test_inside_the_grace_a_worker_goes_on_and_says_so_once(guarded: Any, capsys: pytest.CaptureFixture[str]) -> None:
    late = Finding("registry.unreachable", "a", "b", "c", severity=Severity.WARN)
    guarded.verdict = Verdict(Report("pool pre", (late,)))
    poll(guarded)
    poll(guarded)
    assert (guarded.polls, guarded.said) == (2, [])
    assert capsys.readouterr().err.count("going on for the grace") == 1
    guarded.verdict = verdict()
    poll(guarded)
    assert guarded.said == ["integrity.registry.unreachable"], "once it can, it tells the server"


def test_a_refused_worker_never_starts(guarded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def started(self: Any, *args: Any, **kwargs: Any) -> None:
        raise AssertionError("it was started")

    monkeypatch.setattr(worker_module.ProcessWorker, "start", started)
    monkeypatch.setattr(worker_module.ProcessWorker, "setup", started)
    guarded.verdict = verdict("manifest.role")
    for begin in (guarded.start, guarded.setup):
        with pytest.raises(SystemExit) as caught:
            anyio.run(begin)
        assert caught.value.code == EXIT_REFUSED


def test_a_folder_that_holds_no_project_refuses_the_worker(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INTEGRITY_ROOT", raising=False)
    monkeypatch.setattr(worker_module.events, "tell", lambda *a: "not sent")
    with pytest.raises(SystemExit) as caught:
        anyio.run(GuardedProcessWorker(work_pool_name="pre").start)
    assert caught.value.code == EXIT_REFUSED
    assert "no integrity.toml" in capsys.readouterr().err


def test_the_worker_types_are_known_to_prefect() -> None:
    assert {"guarded-process", *WORKERS} <= set(BaseWorker.get_all_available_worker_types())
    assert "guarded-cloud-run-v2" in WORKERS


def test_a_guarded_cloud_run_worker_checks_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    worker: Any = WORKERS["guarded-cloud-run-v2"](work_pool_name="cloud")

    async def check(fully: bool) -> tuple[Site, Verdict]:
        assert fully
        return Site.nowhere(), verdict("release.older")

    monkeypatch.setattr(worker, "_check", check)
    monkeypatch.setattr(worker_module.events, "tell", lambda *a: "sent")
    with pytest.raises(SystemExit) as caught:
        anyio.run(worker.start)
    assert caught.value.code == EXIT_REFUSED
