"""A pool gets the image of another role."""

from __future__ import annotations

import datetime as dt

from drills.scene import Scene
from drills.stage import Stage, StageError
from drills.story import Drill, Expected, Original, Result

PRECOMPUTE, ANALYTICS, WRONG = "precompute", "analytics", "worker-wrong"

DRILL = Drill(
    name="wrong-container",
    title="The analytics pool is given a worker with the predictions release",
    original=Original(
        source="A1",
        what="Phase 4's service ran analytics code and answered 200 to health checks; each request was a 404.",
        detected_after=75,
        healed_after=115,
    ),
    expected=Expected(detected_within=dt.timedelta(minutes=2), complete=False),
)


def play(stage: Stage) -> Result:
    """Start the wrong worker, see it refused with both identities, then the right one polls."""
    scene = Scene(DRILL, stage)
    refuse(scene, "predictions", ANALYTICS)
    start_the_right_one(scene, ANALYTICS)
    scene.note("healed", f"the pool {ANALYTICS} is polled by its own release")
    return scene.result()


def refuse(scene: Scene, wrong: str, pool: str = PRECOMPUTE) -> None:
    """A worker of another role is started on the pool: it must end by itself, and somebody must hear of it.

    Refusals of one pool within two minutes are one message, so every drill has a pool of its own.
    """
    processes, stage = scene.stage.stack.processes, scene.stage
    processes.stop(f"worker-{pool}")
    scene.note("fault", f"a worker of the {wrong} release is started on the pool {pool}")
    processes.ensure(stage.worker(WRONG, pool, stage.roles[wrong]))
    stage.until("the end of the wrong worker", lambda: not processes.alive(WRONG))
    output = stage.output(WRONG)
    for said in ("REFUSED", f"expected role {pool}", f"found role {wrong}"):
        if said not in output:
            raise StageError(f"the wrong worker ended without saying {said!r}:\n{output[-800:]}")
    scene.note("step", "the worker names both identities and exits before its first poll")
    scene.told("Refused by the guard")
    processes.stop(WRONG)


def start_the_right_one(scene: Scene, pool: str = PRECOMPUTE) -> None:
    """What a person does when the message comes: the worker that belongs there, from the release that is expected."""
    stage, name = scene.stage, f"worker-{pool}"
    began = dt.datetime.now(dt.UTC)
    stage.stack.processes.ensure(stage.stack.worker(name, stage.roles[pool]))
    stage.until("the right worker's first poll", lambda: stage.online(pool, name, began), 180)
    scene.note("step", f"the right worker polls the pool {pool}")
