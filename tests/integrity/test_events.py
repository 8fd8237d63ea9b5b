"""Events of the guard: one per occasion, whoever asks; none lost where sending failed, and no alarm without its end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from deployments.integrity import events
from deployments.integrity.envelope import Envelope
from deployments.integrity.finding import Finding, Report
from deployments.integrity.guard import Question, Verdict
from deployments.integrity.registry import Registry
from deployments.integrity.release import Site

from .conftest import KEY, NOW, Placed

POOL = Question(pool="pre")
BLOCKED = Verdict(Report("pool pre", (Finding("manifest.role", "a", "b", "c"),)))


class Claims:
    """A server that keeps claims and forgets them on request."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}

    def __call__(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        if method == "DELETE":
            self.kept.pop(path.rpartition("/")[2])
            return httpx.Response(204)
        assert body is not None
        if path == "/variables/filter":
            wanted = set(body["variables"]["tags"]["all_"])
            rows = [row for row in self.kept.values() if wanted <= set(row["tags"])]
            return httpx.Response(200, json=rows[body["offset"] :][: body["limit"]])
        if body["name"] in self.kept:
            return httpx.Response(409)
        self.kept[body["name"]] = {**body, "created": NOW.isoformat()}
        return httpx.Response(201, json=body)


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def once(claims: Claims, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """`emit_once` against the claims; `once.sent` are the events that went out."""
    sent: list[str] = []
    monkeypatch.setattr(events, "emit", lambda event, *rest: sent.append(event))

    def emit(
        question: Question = POOL, at: datetime = NOW, event: str = events.WORKER_BLOCKED, verdict: Verdict = BLOCKED
    ) -> bool:
        return events.emit_once(Site.nowhere(), event, question, verdict, at, connect=lambda site: Registry(claims, {}))

    emit.sent = sent  # type: ignore[attr-defined]
    return emit


def test_a_crash_loop_emits_one_event_a_day(once: Any) -> None:
    assert [once() for _ in range(20)] == [True] + [False] * 19
    assert once(at=NOW + timedelta(days=1))
    assert once.sent == ["integrity.worker.blocked"] * 2


def test_another_pool_or_another_event_is_another_occasion(once: Any) -> None:
    assert all([once(), once(Question(pool="other")), once(event=events.WORKER_DRAINING)])


def test_a_worker_is_attested_at_each_start_and_a_crash_loop_at_most_six_times_an_hour(once: Any) -> None:
    starts = [once(event=events.WORKER_ATTESTED, at=NOW + timedelta(seconds=5 * n)) for n in range(720)]
    assert sum(starts) in {6, 7}, "an hour that begins within ten minutes touches seven of them"
    assert once(event=events.WORKER_ATTESTED, at=NOW + timedelta(hours=3)), "on the same day"


def test_every_refusal_is_followed_by_the_attestation_that_ends_its_alarm(once: Any) -> None:
    blocked = [Verdict(BLOCKED.report, envelope=Envelope("t", name)) for name in (b"one", b"two", b"three")]
    for minute, wrong in enumerate(blocked):
        assert once(at=NOW + timedelta(minutes=minute), verdict=wrong)
        right = [once(event=events.WORKER_ATTESTED, at=NOW + timedelta(minutes=minute, seconds=s)) for s in (20, 40)]
        assert right == [True, False]
    assert not once(at=NOW + timedelta(minutes=5), verdict=blocked[0]), "the same refusal is not told twice a day"
    assert once.sent == ["integrity.worker.blocked", "integrity.worker.attested"] * 3


def test_a_refusal_on_another_pool_does_not_repeat_an_attestation(once: Any) -> None:
    assert once(event=events.WORKER_ATTESTED)
    assert once(Question(pool="other"))
    assert not once(event=events.WORKER_ATTESTED)


def test_an_event_that_could_not_be_sent_is_sent_the_next_time(
    once: Any, claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> None:
        raise ConnectionError("the socket closed")

    with monkeypatch.context() as patch:
        patch.setattr(events, "emit", broken)
        with pytest.raises(ConnectionError):
            once()
    assert once()


def test_telling_never_hides_the_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> bool:
        raise ConnectionError("the socket closed")

    monkeypatch.setattr(events, "emit_once", broken)
    said = events.tell(Site.nowhere(), events.WORKER_BLOCKED, POOL, BLOCKED, NOW)
    assert "could not be sent: ConnectionError" in said


def test_old_claims_are_forgotten_when_a_release_is_registered(once: Any, claims: Claims, placed: Placed) -> None:
    once()
    registry = Registry(claims, placed.site.keys)
    registry.register(*placed.site.signed(), ("pre",), KEY, NOW + timedelta(days=29), "ada", "deploy")
    assert not once()
    placed.rewrite(lambda p: p.model_copy(update={"release": p.release.model_copy(update={"number": 8})}))
    registry.register(*placed.site.signed(), ("pre",), KEY, NOW + timedelta(days=31), "ada", "deploy")
    assert once()


def test_the_event_names_expected_and_found() -> None:
    assert events.resource_of(POOL, BLOCKED) == {
        "prefect.resource.id": "integrity.pool.pre",
        "prefect.resource.name": "pool pre",
        "integrity.expected": "unknown",
        "integrity.found": "no signed release",
    }
