"""The registry's rules, against a server that only keeps variables; test_incident.py has a real one."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from deployments.integrity.envelope import Envelope
from deployments.integrity.guard import Question, Run, Verdict, verify
from deployments.integrity.manifest import Predicate, wrap
from deployments.integrity.record import RegistryError, expected_of, registered
from deployments.integrity.registry import Registry, Unreachable

from .conftest import KEY, NOW, STRANGER, Placed, with_release


class Variables:
    """The part of Prefect's API that the registry speaks: create-only variables with tags, and a clock."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.down = False
        self.now = NOW
        self.rows_asked = self.requests = 0

    def __call__(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("connection refused")
        stamp = {"date": self.now.strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if (method, path) == ("POST", "/variables/"):
            assert body is not None
            assert len(json.dumps(body["value"])) <= 5000
            if body["name"] in self.kept:
                return httpx.Response(409, json={"detail": "exists"}, headers=stamp)
            self.kept[body["name"]] = json.loads(json.dumps({**body, "created": len(self.kept)}))
            return httpx.Response(201, json=body, headers=stamp)
        assert (method, path) == ("POST", "/variables/filter")
        assert body is not None
        self.rows_asked += body["limit"]
        self.requests += 1
        wanted = set(body["variables"]["tags"]["all_"])
        by, _, way = body["sort"].partition("_")
        rows = [row for row in self.kept.values() if wanted <= set(row["tags"])]
        rows.sort(key=lambda row: row[by.lower()], reverse=way == "DESC")
        page = rows[body["offset"] : body["offset"] + body["limit"]]
        return httpx.Response(200, json=page, headers=stamp)


@pytest.fixture
def variables() -> Variables:
    return Variables()


@pytest.fixture
def registry(variables: Variables, placed: Placed) -> Registry:
    return Registry(variables, placed.site.keys)


def signed(placed: Placed, **changes: object) -> tuple[Envelope, Predicate]:
    predicate = with_release(placed.manifest(), **changes)
    return wrap(predicate).sign(KEY), predicate


def register(registry: Registry, placed: Placed, number: int, pools: tuple[str, ...] = ("pre",)) -> None:
    registry.register(*signed(placed, number=number), pools, KEY, NOW, "ada", "deploy")


def ask(placed: Placed, registry: Registry, question: Question | None = None, **more: Any) -> Verdict:
    return verify(placed.site, question or Question(pool="pre"), placed.now, connect=lambda site: registry, **more)


def codes(verdict: Verdict) -> set[str]:
    return {f.code for f in verdict.report.refused}


def test_a_registered_release_is_admitted_on_its_pool(registry: Registry, placed: Placed) -> None:
    register(registry, placed, 7)
    verdict = ask(placed, registry)
    assert verdict.report.findings == ()
    assert verdict.stamp()["integrity.release"].startswith("7+")


def test_a_pool_that_nobody_registered_is_refused(registry: Registry, placed: Placed) -> None:
    register(registry, placed, 7)
    assert codes(ask(placed, registry, Question(pool="other"))) == {"registry.empty"}


def test_a_pool_claimed_by_two_roles_is_refused(registry: Registry, placed: Placed) -> None:
    register(registry, placed, 7)
    predicate = placed.manifest().model_copy(update={"role": "analytics"})
    envelope = wrap(predicate).sign(KEY)
    with pytest.raises(RegistryError, match="pool pre is registered for kiosk/precompute: one pool, one role"):
        registry.register(envelope, predicate, ("pre",), KEY, NOW, "ada", "deploy")
    # Two deployers at the same moment: neither saw the other.
    record = registered(None, None, predicate, expected_of(envelope, predicate), ("pre",), NOW, "ada", "deploy")
    registry._append(record, KEY)
    assert codes(ask(placed, registry)) == {"registry.record"}


def test_asking_for_a_pool_costs_the_same_after_a_hundred_releases(
    registry: Registry, variables: Variables, placed: Placed
) -> None:
    register(registry, placed, 7)
    for number in range(8, 107):
        register(registry, placed, number)
    variables.rows_asked = variables.requests = 0
    found = registry.answer("", "", "pre")
    assert found is not None
    assert found[1].expected.number == 106
    assert (variables.requests, variables.rows_asked) == (1, 20)


def test_a_pool_that_moved_to_another_role_belongs_to_it_alone(registry: Registry, placed: Placed) -> None:
    for number in range(7, 40):
        register(registry, placed, number)
    register(registry, placed, 40, pools=("elsewhere",))
    assert registry.answer("", "", "pre") is None
    predicate = placed.manifest().model_copy(update={"role": "analytics"})
    registry.register(wrap(predicate).sign(KEY), predicate, ("pre",), KEY, NOW, "ada", "deploy")
    for number in range(41, 70):  # those who gave it up go on, and release more often than who has it
        register(registry, placed, number, pools=("elsewhere",))
    found = registry.answer("", "", "pre")
    assert found is not None
    assert found[1].role == "analytics"


def test_a_pool_is_found_behind_those_that_held_it_for_a_while(registry: Registry, placed: Placed) -> None:
    register(registry, placed, 7)
    predicate = placed.manifest().model_copy(update={"role": "analytics"})
    for number in range(1, 25):  # taken and given up again and again, past the check of `register`
        wrapped = wrap(with_release(predicate, number=number)).sign(KEY)
        head = registry.answer("kiosk", "analytics")
        before, digest = (head[1], head[0].digest) if head else (None, None)
        expected = expected_of(wrapped, with_release(predicate, number=number))
        pools = ("pre",) if number % 2 else ("else",)
        record = registered(before, digest, predicate, expected, pools, NOW, "ada", "deploy")
        registry._append(record, KEY, before)
    found = registry.answer("", "", "pre")
    assert found is not None
    assert found[1].role == "precompute"


def test_release_numbers_only_grow(registry: Registry, placed: Placed) -> None:
    register(registry, placed, 7)
    for number in (7, 6):
        with pytest.raises(RegistryError, match="not new"):
            registry.register(
                *signed(placed, number=number, expires_at=NOW + timedelta(days=50)),
                (),
                KEY,
                NOW,
                "ada",
                "deploy",
            )
    register(registry, placed, 8)
    assert [r.expected.number for r in registry.history("kiosk", "precompute")] == [7, 8]


def test_the_old_worker_is_refused_the_moment_a_newer_release_is_registered(registry: Registry, placed: Placed) -> None:
    register(registry, placed, 7)
    assert ask(placed, registry).report.ok
    register(registry, placed, 8)
    assert codes(ask(placed, registry)) == {"release.older"}


def test_a_rollback_is_explicit_recorded_and_withdraws_the_newer_release(registry: Registry, placed: Placed) -> None:
    register(registry, placed, 7)
    register(registry, placed, 8)
    registry.rollback("kiosk", "precompute", 7, KEY, NOW, "ada", "8 loses rows")
    assert ask(placed, registry).report.ok
    last = registry.history("kiosk", "precompute")[-1]
    assert (last.kind, last.by, last.reason, last.highest) == ("rollback", "ada", "8 loses rows", 8)
    placed.rewrite(lambda p: with_release(p, number=8))
    assert codes(ask(placed, registry)) == {"release.withdrawn"}


def test_a_rollback_to_what_was_never_registered_is_refused(registry: Registry, placed: Placed) -> None:
    register(registry, placed, 7)
    with pytest.raises(RegistryError, match="never registered"):
        registry.rollback("kiosk", "precompute", 3, KEY, NOW, "ada", "because")


def test_an_override_is_recorded_shown_and_expires(registry: Registry, placed: Placed) -> None:
    register(registry, placed, 7)
    (placed.root / "store" / "model.txt").write_text("refit\n")
    registry.override(
        "kiosk",
        "precompute",
        ("artifact.changed",),
        NOW + timedelta(hours=2),
        KEY,
        NOW,
        "ada",
        "refit by hand",
    )
    verdict = ask(placed, registry)
    assert verdict.report.ok
    assert "let through by ada" in verdict.report.text()
    assert "refit by hand" in verdict.stamp()["integrity.overridden"]
    placed.now = NOW + timedelta(hours=3)
    assert "artifact.changed" in codes(ask(placed, registry))


@pytest.mark.parametrize("code", ["envelope.signature", "manifest.role", "registry.unreachable"])
def test_what_the_guard_stands_on_cant_be_overridden(registry: Registry, placed: Placed, code: str) -> None:
    register(registry, placed, 7)
    with pytest.raises(RegistryError, match="can't be overridden"):
        registry.override("kiosk", "precompute", (code,), NOW + timedelta(hours=1), KEY, NOW, "ada", "in a hurry")


def test_a_record_that_is_not_signed_by_a_trusted_key_refuses_all_work(registry: Registry, placed: Placed) -> None:
    registry.register(*signed(placed, number=7), ("pre",), STRANGER, NOW, "eve", "mine now")
    assert codes(ask(placed, registry)) == {"registry.record"}


def test_a_record_copied_to_another_roles_chain_refuses_all_work(
    registry: Registry, placed: Placed, variables: Variables
) -> None:
    register(registry, placed, 7)
    (value,) = variables.kept.values()
    variables.kept["integrity__kiosk__analytics__00000001"] = {
        **value,
        "name": "integrity__kiosk__analytics__00000001",
        "tags": ["integrity", "integrity:kiosk/analytics"],
    }
    with pytest.raises(RegistryError, match="copied"):
        registry.answer("kiosk", "analytics")


def test_deleted_records_are_noticed(registry: Registry, placed: Placed, variables: Variables) -> None:
    for number in (7, 8, 9):
        register(registry, placed, number)
    del variables.kept["integrity__kiosk__precompute__00000002"]
    with pytest.raises(RegistryError, match="broken at record 2"):
        registry.history("kiosk", "precompute")


def test_a_registry_that_went_back_is_noticed_by_who_saw_it_before(
    registry: Registry, placed: Placed, variables: Variables
) -> None:
    register(registry, placed, 7)
    register(registry, placed, 8)
    ask(placed, registry)
    del variables.kept["integrity__kiosk__precompute__00000002"]
    assert codes(ask(placed, registry)) == {"registry.rewound"}


def test_a_pool_may_move_to_another_role(registry: Registry, placed: Placed) -> None:
    register(registry, placed, 7)
    register(registry, placed, 8)
    ask(placed, registry)
    register(registry, placed, 9, pools=("elsewhere",))
    predicate = placed.manifest().model_copy(update={"role": "analytics"})
    registry.register(wrap(predicate).sign(KEY), predicate, ("pre",), KEY, NOW, "ada", "move")
    assert codes(ask(placed, registry)) == {"manifest.role"}


def test_two_deployers_at_once_do_not_lose_a_record(registry: Registry, placed: Placed, variables: Variables) -> None:
    register(registry, placed, 7)
    late = Registry(lambda m, p, b: _stale(variables, m, p, b), placed.site.keys)
    variables_before = dict(variables.kept)

    def _stale(server: Variables, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        if path == "/variables/filter":
            current, server.kept = server.kept, variables_before
            try:
                return server(method, path, body)
            finally:
                server.kept = current
        return server(method, path, body)

    register(registry, placed, 8)
    with pytest.raises(RegistryError, match="someone else"):
        register(late, placed, 9)


def test_without_an_answer_the_last_one_stands_in_for_the_grace_and_no_longer(
    registry: Registry, placed: Placed, variables: Variables
) -> None:
    register(registry, placed, 7)
    ask(placed, registry)
    variables.down = True
    placed.now = NOW + timedelta(seconds=899)
    verdict = ask(placed, registry)
    assert verdict.report.ok
    assert [f.code for f in verdict.report.findings] == ["registry.unreachable"]
    placed.now = NOW + timedelta(seconds=901)
    assert codes(ask(placed, registry)) == {"registry.unreachable"}


def test_without_an_answer_ever_there_is_no_grace(registry: Registry, placed: Placed, variables: Variables) -> None:
    variables.down = True
    assert codes(ask(placed, registry)) == {"registry.unreachable"}


def test_a_memory_that_was_written_by_hand_gives_no_grace(
    registry: Registry, placed: Placed, variables: Variables
) -> None:
    register(registry, placed, 7)
    ask(placed, registry)
    (memory,) = placed.site.memory.glob("expected-*.json")
    memory.write_text(memory.read_text().replace('"sig": "', '"sig": "AAAA'))
    variables.down = True
    assert codes(ask(placed, registry)) == {"registry.unreachable"}


def test_an_error_of_the_server_is_no_answer(registry: Registry, placed: Placed) -> None:
    broken = Registry(lambda m, p, b: httpx.Response(503, text="maintenance"), placed.site.keys)
    with pytest.raises(Unreachable, match="503"):
        broken.answer("kiosk", "precompute")


def test_the_servers_clock_comes_with_its_answer(registry: Registry, placed: Placed, variables: Variables) -> None:
    register(registry, placed, 7)
    variables.now = NOW - timedelta(minutes=10)
    assert codes(ask(placed, registry)) == {"runtime.clock"}


@pytest.mark.parametrize(
    ("version", "refused"),
    [
        ("7+@COMMIT@", False),
        ("6+0123456789ab", False),
        ("8+0123456789ab", True),
        ("7+0123456789ab", True),
        ("", True),
        (None, True),
        ("d41d8cd98f00b204e9800998ecf8427e", True),
        ("build-", True),
    ],
)
def test_the_version_stamped_on_the_run_is_held_against_the_release(
    registry: Registry, placed: Placed, version: str | None, refused: bool
) -> None:
    register(registry, placed, 7)
    if version is not None:
        version = version.replace("@COMMIT@", placed.manifest().release.commit[:12])
    verdict = ask(placed, registry, run=Run(version, "kiosk_flows/precompute.py:precompute"))
    assert (codes(verdict) == {"run.version"}) is refused
    assert verdict.report.ok is not refused


def test_a_pinned_run_does_not_move_to_a_newer_release(registry: Registry, placed: Placed) -> None:
    placed.rewrite(lambda p: p.model_copy(update={"policy": p.policy.model_copy(update={"run_versions": "pinned"})}))
    registry.register(*placed.site.signed(), ("pre",), KEY, NOW, "ada", "deploy")
    assert codes(ask(placed, registry, run=Run("6+0123456789ab", None))) == {"run.version"}


def test_right_image_and_wrong_command_is_refused(registry: Registry, placed: Placed) -> None:
    register(registry, placed, 7)
    version = placed.manifest().release.version
    verdict = ask(placed, registry, run=Run(version, "kiosk_flows/analytics.py:analytics"))
    assert codes(verdict) == {"run.entrypoint"}
    module = ask(placed, registry, run=Run(version, "kiosk_flows.precompute.precompute"))
    assert module.report.ok
