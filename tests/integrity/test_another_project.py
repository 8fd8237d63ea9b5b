"""The guard in a project that knows nothing of this one, by the lines that docs/integrity.md gives, word for word."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.prefect_server import REPOSITORY, Server, clean_environment, running

from .conftest import git

pytestmark = pytest.mark.slow

ORDERS = """
from prefect import flow
from lib.prices import price

@flow
def orders(count: int = 2) -> int:
    return price() * count
"""


def documented(language: str, containing: str) -> str:
    """The block of the documentation's "In another project" that contains a text."""
    section = (REPOSITORY / "docs/integrity.md").read_text().partition("## In another project")[2].partition("\n## ")[0]
    blocks = re.findall(rf"^ *```{language}\n(.*?)^ *```", section, flags=re.S | re.M)
    (found,) = (block for block in blocks if containing in block)
    return textwrap.dedent(found)


@dataclass
class Shop:
    """Another project, in an environment of its own with every package of ours but ourselves."""

    root: Path
    python: Path
    server: Server

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **clean_environment(),
            "PREFECT_API_URL": self.server.url,
            "PREFECT_HOME": str(self.root.parent / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "ORDERS_URL": "https://orders.example.invalid",
            **more,
        }

    def command(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), "-m", *arguments],
            cwd=self.root, env=self.environment(**more), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def says(self, *arguments: str, **more: str) -> str:
        done = self.command(*arguments, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def environment_without_us(folder: Path) -> Path:
    """A virtual environment that sees every installed package but this project; returns its interpreter."""
    packages = folder / "packages"
    packages.mkdir(parents=True)
    for entry in Path(next(p for p in sys.path if p.endswith("site-packages"))).iterdir():
        if "courtside" not in entry.name:
            (packages / entry.name).symlink_to(entry)
    venv.create(folder / "venv", symlinks=True)
    (own,) = (folder / "venv").glob("lib/python*/site-packages")
    (own / "packages.pth").write_text(f"{packages}\n")
    # What installing the shop would leave: its entry points.
    info = own / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    text = documented("toml", "entry-points").replace('project.entry-points."', "").replace('"', "")
    (info / "entry_points.txt").write_text(text)
    return folder / "venv" / "bin" / "python"


@pytest.fixture
def shop(prefect_server: Server, tmp_path: Path) -> Shop:
    root = tmp_path / "shop"
    files = {"flows/__init__.py": "", "flows/orders.py": ORDERS, "lib/__init__.py": "", "lib/prices.py": ""}
    files["lib/prices.py"] = "def price() -> int:\n    return 21\n"
    files["integrity.toml"] = documented("toml", "project = ")
    files["prefect.yaml"] = documented("yaml", "verify_release")
    files[".gitignore"] = "__pycache__/\nreleases/\nkey.pem\n"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "deployments/integrity", root / "guard", ignore=ignored)
    shutil.copyfile(REPOSITORY / "requirements.lock", root / "requirements.lock")
    git(root, "init", "-q")
    return Shop(root, environment_without_us(tmp_path / "environment"), prefect_server)


def test_a_shop_takes_the_guard_home_and_is_guarded(shop: Shop, tmp_path: Path) -> None:
    public = shop.says("guard", "keygen", "key.pem").strip()
    project = shop.root / "integrity.toml"
    project.write_text(project.read_text().replace("<what keygen printed>", public))
    git(shop.root, "add", "-A")
    git(shop.root, "commit", "-q", "-m", "guarded")
    said = json.loads(shop.says("guard", "rollout", "--into", "releases", "--key", "key.pem", "--json"))
    version, placed = said["version"], said["roles"]["orders"]
    assert "INTEGRITY_TRUSTED_KEYS" not in placed["environment"], "the project trusts the key by itself"
    shop.says("prefect", "work-pool", "create", "orders", "--type", "guarded-process")
    shop.says("prefect", "--no-prompt", "deploy", "--all", RELEASE_VERSION=version)
    (deployment,) = shop.server.post("/deployments/filter", {"deployments": {"name": {"any_": ["orders"]}}})
    assert deployment["version"] == version, "so that Prefect's own pages show the release"

    command = [str(shop.python), "-m", "prefect", "worker", "start", "--type", "guarded-process", "--pool", "orders"]
    folder, told = Path(placed["folder"]), shop.environment(**placed["environment"])
    run = shop.server.start_run(deployment["id"], count=2)
    with running(command, folder, told, tmp_path / "worker.log") as process:
        assert shop.server.finished(run, 120)["state"]["type"] == "COMPLETED", process.output()
        assert shop.server.run(run)["labels"]["integrity.release"] == version
        (folder / "lib" / "prices.py").write_text("def price() -> int:\n    return 1\n")
        assert process.exit_code(60) == 78, process.output()
    with running(command, folder, told, tmp_path / "again.log") as process:
        assert process.exit_code(60) == 78, process.output()
        assert "tree.changed" in process.output()
        assert os.fspath(REPOSITORY) not in process.output()
