"""The incident for real: a Prefect server, work pools, worker processes from checkouts of several roles."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.integrity.guard import Question, verify
from deployments.integrity.release import Site
from tests.prefect_server import running, wait_for, worker

from .conftest import environment, git, make_project
from .server import KioskServer, statement

pytestmark = pytest.mark.slow

PRECOMPUTE = "kiosk_flows/precompute.py:precompute"
ANALYTICS = "kiosk_flows/analytics.py:analytics"


@dataclass
class World:
    """A server with three pools and one released checkout per role."""

    server: KioskServer
    checkouts: dict[str, Path]
    key: Path

    def version(self, role: str) -> str:
        return str(release_of(self.checkouts[role]))


def release_of(root: Path) -> str:
    release = statement(root)["predicate"]["release"]
    return f"{release['number']}+{release['commit'][:12]}"


def run_command(server: KioskServer, root: Path, *arguments: str) -> str:
    done = server.command(root, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def release(server: KioskServer, root: Path, role: str, key: Path, *pools: str, number: int = 1) -> str:
    """Build, sign and register what lies at `root`, by the commands a deployer uses."""
    run_command(server, root, "build", "--role", role, "--release", str(number))
    run_command(server, root, "sign", "--key", str(key))
    run_command(server, root, "register", "--key", str(key), "--by", "ada", *[a for p in pools for a in ("--pool", p)])
    return release_of(root)


@pytest.fixture(scope="module")
def world(server: KioskServer, tmp_path_factory: pytest.TempPathFactory) -> World:
    base = tmp_path_factory.mktemp("world")
    key = base / "key.pem"
    from .conftest import KEY, Encoding, NoEncryption, PrivateFormat

    key.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    checkouts = {}
    for role in ("analytics", "precompute", "all"):
        root = make_project(base / role)
        release(server, root, role, key, role)
        server.pool(role)
        checkouts[role] = root
    return World(server, checkouts, key)


def test_december_29_the_wrong_worker_is_refused_and_the_right_one_beside_it_completes_the_run(
    world: World, tmp_path: Path
) -> None:
    server, wrong, right = world.server, world.checkouts["analytics"], world.checkouts["precompute"]
    deployment = server.deploy(right, "precompute", PRECOMPUTE, "precompute", world.version("precompute"))
    run = server.start_run(deployment, day="2025-12-29")
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with worker(server, wrong, "precompute", tmp_path / "wrong.log") as process:
        code = process.exit_code(60)
        took, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert code == 78, process.output()
    print(f"refused in {took:.2f} s, of which {busy:.2f} s on a processor\n{process.output()}")
    assert min(took, busy) < 5.0, "counted in processor time, so that a machine busy with other things does not count"
    assert "expected role precompute" in process.output()
    assert "found role analytics" in process.output()
    (event,) = wait_for("the event", lambda: server.events("integrity.worker.blocked"), 15)
    assert event["payload"]["expected"].startswith("kiosk/precompute 1+")
    assert event["payload"]["found"].startswith("kiosk/analytics 1+")
    assert server.run(run)["state"]["type"] == "SCHEDULED", "the wrong worker took the run"
    assert server.post("/work_pools/precompute/workers/filter", {}) == [], "it registered itself"
    with worker(server, wrong, "precompute", tmp_path / "again.log") as process:
        assert process.exit_code(60) == 78
        assert "was sent before today" in process.output()
    assert len(server.events("integrity.worker.blocked")) == 1, "a crash loop emits one event a day"
    with worker(server, right, "precompute", tmp_path / "right.log") as process:
        state = server.finished(run)["state"]
        assert (state["type"], state["name"]) == ("COMPLETED", "Completed"), process.output()
    assert server.run(run)["labels"]["integrity.release"] == world.version("precompute")
    (attested,) = wait_for("the attestation", lambda: server.events("integrity.run.attested"), 15)
    assert attested["payload"]["integrity.role"] == "precompute"
    assert wait_for("the worker's attestation", lambda: server.events("integrity.worker.attested"), 15)


def test_an_unguarded_worker_in_the_wrong_checkout_is_stopped_by_the_pull_step(world: World, tmp_path: Path) -> None:
    server, wrong = world.server, world.checkouts["analytics"]
    server.pool("unguarded", "process")
    version = world.version("precompute")
    deployment = server.deploy(wrong, "precompute", PRECOMPUTE, "unguarded", version)
    ledger = tmp_path / "ledger"
    run = server.start_run(deployment, day="2025-12-29", ledger=str(ledger))
    with worker(
        server, wrong, "unguarded", tmp_path / "unguarded.log", kind="process", INTEGRITY_ROOT=str(wrong)
    ) as process:
        ended = server.finished(run)
        wait_for("the log", lambda: "manifest.role" in server.logs(run), 15)
        wait_for("the event", lambda: server.events("integrity.run.blocked"), 15)
        time.sleep(2)  # long enough for a second attempt at a polling interval of one second
    state = server.run(run)["state"]
    assert (state["type"], state["name"]) == ("FAILED", "WrongRelease"), process.output()
    assert "expected role precompute" in state["message"]
    assert "found role analytics" in state["message"]
    assert server.run(run)["run_count"] == ended["run_count"] == 0, "the flow was started"
    assert not ledger.exists()


def test_a_pull_step_whose_package_is_missing_fails_closed(world: World, tmp_path: Path) -> None:
    server, right = world.server, world.checkouts["precompute"]
    server.pool("bare", "process")
    deployment = server.deploy(right, "precompute", PRECOMPUTE, "bare", world.version("precompute"))
    ledger = tmp_path / "ledger"
    run = server.start_run(deployment, day="2025-12-29", ledger=str(ledger))
    other = tmp_path / "another-image"  # it has something else of that name, so that the guard can't be imported
    other.mkdir()
    (other / "deployments.py").write_text("")
    settings = {"PYTHONPATH": str(other), "INTEGRITY_ROOT": str(right)}
    with worker(server, right, "bare", tmp_path / "bare.log", kind="process", **settings) as process:
        assert server.finished(run)["state"]["type"] == "CRASHED", process.output()
    assert not ledger.exists()


def test_a_new_release_while_a_run_is_in_progress_loses_no_run_and_mixes_no_code(world: World, tmp_path: Path) -> None:
    server, old = world.server, make_project(tmp_path / "old")
    old_version = release(server, old, "all", world.key, "rolling", number=2)
    server.pool("rolling")
    ledger, gate = tmp_path / "ledger.jsonl", tmp_path / "gate"
    new = tmp_path / "new"
    shutil.copytree(old, new)
    work = new / "kiosk_steps" / "work.py"
    work.write_text(work.read_text().replace('"v7"', '"v8"'))
    git(new, "commit", "-q", "-a", "-m", "next")

    by_pool = [{"deployments.integrity.steps.verify_release": {}}]
    deployment = server.deploy(old, "all", PRECOMPUTE, "rolling", old_version, pull_steps=by_pool)
    with worker(server, old, "rolling", tmp_path / "old.log") as first:
        run_1 = server.start_run(deployment, day="a", ledger=str(ledger), gate=str(gate))
        wait_for("the first run's start", ledger.exists, 60)
        new_version = release(server, new, "all", world.key, "rolling", number=3)
        run_2 = server.start_run(deployment, day="b", ledger=str(ledger))
        first.says("taking no new run")
        server.deploy(new, "all", PRECOMPUTE, "rolling", new_version, pull_steps=by_pool)
        with worker(server, new, "rolling", tmp_path / "new.log") as second:
            assert server.finished(run_2)["state"]["type"] == "COMPLETED", second.output()
            assert server.run(run_1)["state"]["type"] == "RUNNING", "the old run was not left alone"
            gate.touch()
            assert server.finished(run_1)["state"]["type"] == "COMPLETED", first.output()
            assert first.exit_code(60) == 75, first.output()
    with worker(server, old, "rolling", tmp_path / "late.log") as third:
        assert third.exit_code(60) == 78, "two releases in one pool: the older one does not start"
        assert f"release.older: expected release {new_version}, found release {old_version}" in third.output()
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [(r["at"], r["release"], r["feature_set"]) for r in rows] == [
        ("start", old_version, "v7"),
        ("start", new_version, "v8"),
        ("end", new_version, "v8"),
        ("end", old_version, "v7"),
    ]
    for version in (old_version, new_version):
        assert len({r["code"] for r in rows if r["release"] == version}) == 1


def test_a_run_taken_in_the_moment_of_a_rollout_is_handed_back_and_done_by_the_newer_release(
    world: World, tmp_path: Path
) -> None:
    """Between a worker's last look and the run's own a newer release is registered; here the worker never looks."""
    server, old, new = world.server, make_project(tmp_path / "before"), tmp_path / "after"
    version = release(server, old, "all", world.key, "handed", number=50)
    shutil.copytree(old, new)
    git(new, "commit", "-q", "--allow-empty", "-m", "next")
    server.pool("handed", "process")
    by_pool = [{"deployments.integrity.steps.verify_release": {}}]
    more: dict[str, object] = {"pull_steps": by_pool, "concurrency_limit": 1}
    deployment = server.deploy(old, "all", PRECOMPUTE, "handed", version, **more)
    newer = release(server, new, "all", world.key, "handed", number=51)
    ledger = tmp_path / "ledger.jsonl"
    run = server.start_run(deployment, day="a", ledger=str(ledger))
    settings = {"kind": "process", "INTEGRITY_ROOT": str(old)}
    with worker(server, old, "handed", tmp_path / "before.log", **settings) as process:
        wait_for("the run's return", lambda: server.run(run)["state"]["name"] == "AwaitingRelease", 60)
    assert "release.older" in server.run(run)["state"]["message"], process.output()
    with worker(server, new, "handed", tmp_path / "after.log", kind="process", INTEGRITY_ROOT=str(new)) as process:
        assert server.finished(run)["state"]["type"] == "COMPLETED", process.output()
    assert {json.loads(line)["release"] for line in ledger.read_text().splitlines()} == {newer}


def test_an_override_is_shown_on_the_run_it_let_through(world: World, tmp_path: Path) -> None:
    server, root = world.server, tmp_path / "refit"
    shutil.copytree(world.checkouts["precompute"], root)
    (root / "store" / "model.txt").write_text("refit by hand\n")
    assert "artifact.changed" in server.command(root, "verify").stdout
    said = ("--reason", "refit by hand", "--by", "grace", "--hours", "1", "--key", str(world.key))
    run_command(server, root, "override", "--role", "precompute", "--allow", "artifact.changed", *said)
    deployment = server.deploy(root, "precompute", PRECOMPUTE, "precompute", world.version("precompute"))
    with worker(server, root, "precompute", tmp_path / "refit.log") as process:
        run = server.start_run(deployment, day="2025-12-30")
        assert server.finished(run)["state"]["type"] == "COMPLETED", process.output()
    assert "let through by grace" in server.run(run)["labels"]["integrity.overridden"]
    mine = f"prefect.flow-run.{run}"

    def told() -> bool:
        used = server.events("integrity.override.used")
        return mine in {event["related"][0]["prefect.resource.id"] for event in used}

    wait_for("the event that tells of the override", told, 15)
    assert "grace" in run_command(server, root, "history", "--role", "precompute")


def test_a_clock_ten_minutes_off_the_real_servers_is_refused(world: World, tmp_path: Path) -> None:
    root = world.checkouts["precompute"]
    placed = Site.here(root, {**environment(root), "INTEGRITY_HOME": str(tmp_path)})
    question = Question("kiosk", "precompute")
    with temporary_settings({PREFECT_API_URL: world.server.url}):
        good = verify(placed, question, datetime.now(UTC))
        late = verify(placed, question, datetime.now(UTC) + timedelta(minutes=10))
    assert good.report.ok, good.report.text()
    print(f"the check with a real registry: {good.report.elapsed_ms:.0f} ms")
    assert [f.code for f in late.report.refused] == ["runtime.clock"]


SERVE = """
import sys
from kiosk_flows.precompute import precompute
precompute.serve(name="served", version=sys.argv[1], parameters={"day": "2025-12-29", "ledger": sys.argv[2]})
"""


@pytest.mark.parametrize("edited", [False, True])
def test_a_served_run_is_checked_by_its_flow(world: World, tmp_path: Path, edited: bool) -> None:
    server, root = world.server, tmp_path / "served"
    shutil.copytree(world.checkouts["precompute"], root)
    if edited:
        (root / "kiosk_steps" / "late.py").write_text("FEATURE_SET = 'v9'\n")
    ledger = tmp_path / "ledger"
    command = [sys.executable, "-c", SERVE, world.version("precompute"), str(ledger)]
    with running(command, root, server.environment(root), tmp_path / "serve.log") as process:
        found = wait_for(
            "the served deployment",
            lambda: server.post("/deployments/filter", {"deployments": {"name": {"any_": ["served"]}}}),
            60,
        )
        run = server.start_run(found[0]["id"])
        state = server.finished(run)["state"]
    assert state["type"] == ("FAILED" if edited else "COMPLETED"), process.output()
    assert ledger.exists() is not edited
    if edited:
        assert "tree.changed" in state["message"]


def test_a_file_changed_under_a_polling_worker_makes_it_leave(world: World, tmp_path: Path) -> None:
    server, root = world.server, tmp_path / "edited"
    shutil.copytree(world.checkouts["precompute"], root)
    (root / "store" / "model.txt").write_text((root / "store" / "model.txt").read_text())
    with worker(server, root, "precompute", tmp_path / "edited.log") as process:
        process.says("started!")
        with (root / "kiosk_steps" / "work.py").open("a") as stream:
            stream.write("# edited in place\n")
        assert process.exit_code(60) == 78, process.output()
    assert "tree.changed" in process.output()
    assert "kiosk_steps/work.py" in process.output()


@pytest.mark.parametrize("edited", [False, True])
def test_the_plugin_lets_every_prefect_process_of_a_wrong_image_refuse(
    world: World, tmp_path: Path, edited: bool
) -> None:
    root = tmp_path / "image"
    shutil.copytree(world.checkouts["precompute"], root)
    if edited:
        (root / "kiosk_steps" / "work.py").write_text("# nothing\n")
    plugins = {"PREFECT_PLUGINS_ENABLED": "1", "PREFECT_PLUGINS_STRICT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "import prefect; print('loaded')"],
        cwd=root,
        env=world.server.environment(root, **plugins),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ("loaded" in done.stdout) is not edited, done.stderr
    assert (done.returncode != 0) is edited
    assert ("tree.changed" in done.stderr) is edited


def test_the_plugin_refuses_what_is_expected_elsewhere(world: World) -> None:
    root = world.checkouts["analytics"]
    plugins = {"PREFECT_PLUGINS_ENABLED": "1", "PREFECT_PLUGINS_STRICT": "1"}
    settings = world.server.environment(root, **plugins, INTEGRITY_EXPECT="kiosk/precompute")
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "version"],
        cwd=root,
        env=settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "manifest.role: expected kiosk/precompute, found kiosk/analytics" in done.stderr


def test_an_unreachable_registry_stops_a_worker_that_never_had_an_answer(world: World, tmp_path: Path) -> None:
    root = world.checkouts["precompute"]
    done = world.server.command(root, "verify", PREFECT_API_URL="http://127.0.0.1:9/api", INTEGRITY_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "registry.unreachable" in done.stdout


def test_verify_and_diff_name_the_files(world: World, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(world.checkouts["precompute"], root)
    assert world.server.command(root, "verify", "--local").returncode == 0
    assert world.server.command(root, "verify", "--full").returncode == 0
    work = root / "kiosk_steps" / "work.py"
    work.write_text(work.read_text() + "\n")
    local = world.server.command(root, "verify", "--local")
    assert local.returncode == 1
    assert "kiosk_steps/work.py" in local.stdout
    diff = world.server.command(root, "diff", "release.json")
    assert (diff.returncode, diff.stdout) == (1, "changed: kiosk_steps/work.py\n")
