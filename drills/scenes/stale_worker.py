"""A newer release is registered, and a worker of the older one is still up."""

from __future__ import annotations

import datetime as dt

from deployments.integrity.events import WORKER_DRAINING
from drills.scene import Scene
from drills.stage import Stage, StageError
from drills.story import Drill, Expected, Original, Result

POOL = "precompute"

DRILL = Drill(
    name="stale-worker",
    title="A release is registered while a worker of the one before is up",
    original=Original(
        source="A4",
        what="A service was 13 days and 49 commits behind; a backfill ran 12 hours before its fix was live.",
        detected_after=13 * 24 * 60,
    ),
    expected=Expected(detected_within=dt.timedelta(minutes=2), complete=False, heard=False),
)


def play(stage: Stage) -> Result:
    """Register the next number of the same tree: the old worker must stop taking work by itself, and say so."""
    scene = Scene(DRILL, stage)
    processes, name = stage.stack.processes, f"worker-{POOL}"
    if not processes.alive(name):
        raise StageError(f"{name} does not run")
    newer = stage.newer_release(POOL)
    scene.note("fault", f"release {newer.version} of {POOL} is registered; {stage.version} is still up")
    stage.until("the end of the old worker", lambda: not processes.alive(name), 90)
    scene.note("step", "the old worker stops polling, ends what it has, and exits")
    said = stage.until("the event of the draining worker", lambda: stage.event(WORKER_DRAINING, scene.began), 60)
    scene.note("detected", f"event {WORKER_DRAINING}: {said['payload']['expected']} is expected")
    processes.stop(name)
    began = dt.datetime.now(dt.UTC)
    stage.roles[POOL] = newer
    processes.ensure(stage.stack.worker(name, newer))
    stage.until("the new worker's first poll", lambda: stage.online(POOL, name, began), 180)
    scene.note("healed", "a worker of the newer release polls the pool")
    return scene.result()
