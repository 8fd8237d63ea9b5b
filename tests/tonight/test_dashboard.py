"""The dashboard's server: it only reads, answers nobody who comes by another name, and tells what changes."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from flows.dashboard import Board, _changes, app_of, cli, version_of
from flows.glance import glance
from flows.proofs import stamps_of
from tasks.engine.expected import ExpectedOutputs, GameDay
from tasks.engine.ledger import Ledger
from tests.leagues import DAY
from tests.tonight.nights import at, graded


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace that knows the day and has run nothing of it."""
    _know(tmp_path, games=0)
    return tmp_path


def _know(home: Path, games: int) -> None:
    ledger = Ledger(f"sqlite:///{home / 'ledger.sqlite'}")
    day = GameDay(game_day=DAY, games=games, first_tip_off=at(19), deadline=at(13, 30), seen_at=at(4))
    assert ExpectedOutputs(ledger).seed([day], []) == 1
    ledger.connect().dispose()


def client(home: Path) -> TestClient:
    board = Board(home, clock=lambda: at(12))
    return TestClient(app_of(board, day=DAY), base_url="http://127.0.0.1")


def test_every_page_forbids_what_it_does_not_need(home: Path) -> None:
    for path in ("/", "/night", "/night.json", "/night.css", "/night.js"):
        answer = client(home).get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in policy
        assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", "no-store")


def test_a_foreign_name_for_this_machine_is_refused(home: Path) -> None:
    assert client(home).get("/", headers={"host": "evil.example"}).status_code == 400
    assert client(home).get("/", headers={"host": "localhost:4280"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(home: Path, method: str) -> None:
    assert client(home).request(method, "/").status_code == 405


def test_only_its_own_files_are_served_and_a_wrong_day_is_refused(home: Path) -> None:
    assert client(home).get("/page.html.jinja").status_code == 404
    assert client(home).get("/..%2fsnapshot.py").status_code == 404
    assert client(home).get("/?day=<script>").status_code == 422


def test_the_day_can_be_chosen(home: Path) -> None:
    assert client(home).get("/night.json").json()["game_day"] == str(DAY)
    assert client(home).get("/night.json?day=2025-12-30").json()["game_day"] == "2025-12-30"


def test_a_change_of_the_ledger_is_told_and_a_look_alone_is_not(home: Path) -> None:
    board = Board(home, clock=lambda: at(12))

    async def watch() -> list[str]:
        seen = version_of(await board.night(DAY))
        stream = _changes(board, DAY, seen)
        first = await anext(stream)
        told = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(1)
        quiet = not told.done()
        _know(home, games=3)
        return [first, str(quiet), await asyncio.wait_for(told, 10)]

    first, quiet, told = asyncio.run(watch())
    assert (first, quiet) == (": watching\n\n", "True")
    assert "event: changed" in told


def test_looks_that_show_the_same_are_one_version_however_late(home: Path) -> None:
    async def version(now: dt.datetime) -> str:
        return version_of(await Board(home, clock=lambda: now).night(DAY))

    assert asyncio.run(version(at(12))) == asyncio.run(version(at(12, 5)))


def test_a_server_that_does_not_answer_is_never_fine(home: Path) -> None:
    board = Board(home, api="http://127.0.0.1:9/api", clock=lambda: at(12))
    night = asyncio.run(board.night(DAY))
    assert night.verdict.level == "failing"
    assert "The Prefect server at http://127.0.0.1:9/api cannot be asked" in night.verdict.says


def proof(event: str, pool: str, findings: tuple[str, ...] = ()) -> dict[str, object]:
    listed = [{"code": code, "expected": "role precompute", "found": "role analytics"} for code in findings]
    return {
        "event": f"integrity.worker.{event}",
        "resource": {"prefect.resource.id": f"integrity.pool.{pool}"},
        "payload": {"expected": "courtside/precompute 42", "found": "courtside/analytics 42", "findings": listed},
    }


def test_a_refused_worker_is_told_with_both_identities_until_another_has_proved_itself() -> None:
    events = [
        proof("blocked", "precompute", ("manifest.role",)),
        proof("attested", "precompute"),
        proof("attested", "old"),
    ]
    [refused] = stamps_of(events, ["precompute"])
    assert refused.matches is False
    assert refused.refused == "manifest.role: expected role precompute, found role analytics"
    [proved] = stamps_of([proof("attested", "precompute"), *events], ["precompute"])
    assert proved.refused == ""


def test_the_accuracy_is_that_of_the_30_days_before_the_day_that_is_shown(tmp_path: Path) -> None:
    """Of one system, on the players who had a line; what came after that night is not of it."""
    graded(tmp_path)
    accuracy = glance(tmp_path, DAY, at(14), season=True).accuracy
    assert [day.game_day for day in accuracy] == [DAY - dt.timedelta(days=n) for n in range(30, -1, -1)]
    assert {day.error for day in accuracy} == {5.0, 5.2}
    assert [day.line_error for day in accuracy[-2:]] == [5.1, None]


def test_a_port_that_is_taken_is_said_in_a_sentence(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = CliRunner().invoke(cli, ["--home", str(home), "--port", str(port)])
    assert found.exit_code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in found.stderr
    assert "--port" in found.stderr
