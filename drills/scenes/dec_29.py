"""December 29, 2025, the whole day: one of five due, five awaited, and the wrong container on the precompute pool."""

from __future__ import annotations

import datetime as dt
import re

from drills.scene import Scene
from drills.scenes.wrong_container import refuse, start_the_right_one
from drills.stage import Stage, StageError
from drills.story import GAME_DAY, Drill, Expected, Original, Result

DRILL = Drill(
    name="dec-29",
    title="December 29, 2025: the run starts at 12:30 PM while the precompute pool has the wrong worker",
    original=Original(
        source="E",
        what="One of five processors was started and five were awaited; phase 4 ran analytics code. Found at 1:45 PM "
        "by hand, declared fixed at 2:25 PM with 57 % of the predictions missing.",
        detected_after=75,
        healed_after=115,
        predictions=0.43,
    ),
    expected=Expected(detected_within=dt.timedelta(minutes=2)),
)


def play(stage: Stage) -> Result:
    """The deployment runs on its pools; the wrong worker is refused; the run goes on with the right one."""
    scene = Scene(DRILL, stage)
    home = stage.folder / "stage"
    said = stage.prefect("deployment", "run", "daily/same-day", "-p", f"game_day={GAME_DAY}")
    run = re.search(r"UUID: ([0-9a-f-]{36})", said)
    if run is None:
        raise StageError(f"no run was made:\n{said[-800:]}")
    scene.note("step", "daily/same-day is due: five processors by the plan, and the same five are awaited")
    refuse(scene, "analytics")
    start_the_right_one(scene)
    state = stage.until("the end of the day's run", lambda: stage.final_state(run[1]), 600)
    if state != "COMPLETED":
        raise StageError(f"the day's run ended as {state}: {stage.said_of(run[1])}")
    scene.note("healed", "the day's run has gone on by itself and is completed")
    return scene.result(home, wall=True)
