"""Somebody edits a file of a release where it lies."""

from __future__ import annotations

import datetime as dt
import shutil

from drills.scene import Scene
from drills.stage import Stage, StageError
from drills.story import Drill, Expected, Original, Result

POOL, NAME, FILE = "predictions", "worker-tampered", "tasks/predictions/predictions.py"

DRILL = Drill(
    name="tampered-release",
    title="A file of the predictions release is edited where it lies",
    original=Original(
        source="A5",
        what="Deploys from dirty and half-copied trees ran for days; what was live was in no commit.",
    ),
    expected=Expected(detected_within=dt.timedelta(minutes=2), complete=False),
)


def play(stage: Stage) -> Result:
    """A copy of the release with one changed line: its worker must not start, and name the file."""
    scene = Scene(DRILL, stage)
    placed, processes = stage.roles[POOL], stage.stack.processes
    folder = stage.folder / "tampered"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(placed.folder, folder)
    with (folder / FILE).open("a") as file:
        file.write("\n# a quick fix, made on the machine\n")
    processes.stop(f"worker-{POOL}")
    scene.note("fault", f"{FILE} is edited in the release, and the pool's worker is started from there")
    processes.ensure(stage.worker(NAME, POOL, placed, folder))
    stage.until("the end of the worker", lambda: not processes.alive(NAME))
    if FILE not in stage.output(NAME):
        raise StageError(f"the worker ended without naming the file:\n{stage.output(NAME)[-800:]}")
    scene.note("step", "the worker names the file that differs and exits before its first poll")
    scene.told("tree.changed")
    processes.stop(NAME)
    began = dt.datetime.now(dt.UTC)
    processes.ensure(stage.stack.worker(f"worker-{POOL}", placed))
    stage.until("the right worker's first poll", lambda: stage.online(POOL, f"worker-{POOL}", began), 180)
    scene.note("healed", "the worker of the release as it was signed polls the pool")
    return scene.result()
