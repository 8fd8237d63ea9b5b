"""The workspace that every drill begins with: the history of the bundled league, made once for the code as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from deployments.integrity.digest import read_tree
from deployments.stack import QUIET
from drills.story import GAME_DAY

ROOT = Path(__file__).resolve().parent.parent
BASE = Path(".pipeline") / "drill-base"
MADE_BY = "MADE_BY"  # the digest of the code that made the tables and the model
CODE = (
    *("blocks/**/*.py", "tasks/*.py", "tasks/engine/**/*.py", "tasks/sources/**/*.py", "tasks/raw/**/*.py"),
    *("tasks/analytics/**/*.py", "tasks/precompute/**/*.py", "tasks/predictions/**/*.py", "tasks/grading/**/*.py"),
)


# Prefect gives its temporary server 20 s to start, which a busy machine is not content with.
PATIENT = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300"}


class NotPrepared(Exception):
    """The history could not be made, with what was said."""


def prepared(console: Console, home: Path = BASE) -> Path:
    """The base, made now if there is none of this code. Drills work on copies of it."""
    code = read_tree(ROOT, CODE).digest
    marker = home / MADE_BY
    if not marker.exists() or marker.read_text() != code:
        console.print("the history of the bundled league, once for this code ...")
        shutil.rmtree(home, ignore_errors=True)
        command = [sys.executable, "-m", "flows.daily", "--mode", "same_day", "--game-day", str(GAME_DAY)]
        done = subprocess.run(
            [*command, "--home", str(home)],
            env={**os.environ, **QUIET, **PATIENT},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotPrepared(
                f"{' '.join(command[1:])} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-1500:]}"
            )
        marker.write_text(code)
    return home.resolve()
