"""Registering in production, as far as it goes without a cloud: nothing is left to a default, the plan is kept to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner, Result

from blocks.workspace import LocalWorkspace
from deployments.alerting.receiver import Receiver
from deployments.integrity.builder import build_all
from deployments.integrity.envelope import public_text
from deployments.integrity.manifest import wrap
from deployments.integrity.project import read_project
from deployments.integrity.rollout import local_key
from deployments.register import ROOT, cli
from tests.alerting.house import SETTINGS, now
from tests.prefect_server import Server, serving

POOLS = ("analytics", "pipeline", "precompute", "predictions")
IMAGES = {pool: f"europe-docker.pkg.dev/p/courtside/{pool}@sha256:{'0' * 64}" for pool in POOLS}
HOME = "block:courtside-workspace/production"
WHOLE = {
    "--home": HOME,
    "--data": "live:tonight",
    "--pool-type": "guarded-cloud-run-v2",
    "--webhook": "http://127.0.0.1:9/alerts",
    "--second-webhook": "http://127.0.0.1:9/second",
    "--manifests": "manifests",
}


def registered(*more: str, images: dict[str, str] | None = None, without: str = "", **changed: str) -> Result:
    settings = {**WHOLE, **{f"--{name.replace('_', '-')}": value for name, value in changed.items()}}
    named = [part for name, value in settings.items() if name != without for part in (name, value)]
    for pool, image in (IMAGES if images is None else images).items():
        named += ["--image", f"{pool}={image}"]
    return CliRunner().invoke(cli, ["--env", "production", *named, *more])


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"without": "--home"}, "it needs its workspace: --home block:TYPE/NAME"),
        ({"without": "--data"}, "it needs its data: --data live:NAME or a folder of seasons"),
        ({"without": "--webhook"}, "it needs two channels: --webhook and --second-webhook"),
        ({"second_webhook": WHOLE["--webhook"]}, "its two channels are one"),
        ({"webhook": "slack"}, "the webhook of courtside-alerts is no http(s) URL"),
        ({"images": {}}, "start containers: give --image POOL=... for analytics, pipeline, precompute, predictions"),
        ({"images": {**IMAGES, "pipeline": "all:latest"}}, "by digest (POOL=NAME@sha256:...), not by tag: pipeline"),
        ({"images": {**IMAGES, "piepline": IMAGES["pipeline"]}}, "there is no work pool piepline: the pools are"),
        ({"without": "--manifests"}, "images carry releases of their own: --manifests FOLDER"),
        ({}, "no signing key: pass --key, or set INTEGRITY_SIGNING_KEY"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named_before_any_server_is_asked(
    result: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLACK_WEBHOOK", "SLACK_SECOND_WEBHOOK", "INTEGRITY_SIGNING_KEY", "COURTSIDE_HOME", "COURTSIDE_DATA"):
        monkeypatch.delenv(name, raising=False)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):  # nobody is there
        refused = registered("--plan", **result)
    assert reason in refused.output
    assert refused.exit_code == 1


def manifests_of_images(folder: Path, key: Ed25519PrivateKey) -> None:
    """What build_images.sh takes out of the images of every role, built of this tree."""
    folder.mkdir()
    for role, item in build_all(ROOT, read_project(ROOT).roles, now(), allow_dirty=True).items():
        (folder / f"{role}.json").write_bytes(wrap(item.predicate).sign(key).to_bytes())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "server", **SETTINGS) as server, temporary_settings({PREFECT_API_URL: server.url}):
        yield server


@pytest.mark.slow
def test_the_plan_of_production_is_shown_then_done_then_empty(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = local_key(tmp_path / "key.pem")
    monkeypatch.setenv("INTEGRITY_TRUSTED_KEYS", public_text(key.public_key()))
    manifests_of_images(tmp_path / "manifests", key)
    with Receiver(tmp_path / "messages.jsonl", now).listening() as address:

        def run(*more: str) -> Result:
            channels = {"webhook": f"{address}/alerts", "second_webhook": f"{address}/second"}
            key = ("--key", str(tmp_path / "key.pem"), "--releases", str(tmp_path / "releases"), "--allow-dirty")
            return registered(*key, *more, manifests=str(tmp_path / "manifests"), **channels)

        absent = run("--plan")
        assert "the workspace courtside-workspace/production cannot be loaded" in absent.output
        LocalWorkspace(folder=tmp_path / "home", ledger_url=f"sqlite:///{tmp_path}/ledger.sqlite").save("production")

        planned = run("--plan")
        assert planned.exit_code == 2, planned.output
        for line in (
            "create work pool pipeline",
            "create deployment daily/same-day",
            "create automation courtside: run-late",
        ):
            assert line in planned.output
        assert "nothing was written" in planned.output
        with get_client(sync_client=True) as client:
            assert client.read_deployments() == []
            assert client.read_automations() == []

        done = run()
        assert done.exit_code == 0, done.output
        with get_client(sync_client=True) as client:
            same_day = client.read_deployment_by_name("daily/same-day")
            assert same_day.job_variables["image"] == IMAGES["pipeline"]
            assert same_day.parameters["data"] == WHOLE["--data"]
            assert [schedule.active for schedule in same_day.schedules] == [True, True]
            assert {pool.type for pool in client.read_work_pools()} == {"guarded-cloud-run-v2"}
        again = run("--plan")
        assert (again.exit_code, "no change" in again.output) == (0, True), again.output
