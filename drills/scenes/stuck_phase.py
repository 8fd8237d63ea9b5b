"""A phase begins and never ends."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time

from deployments.stack import QUIET
from drills.scene import INCIDENT_SEEN, Scene
from drills.stage import ROOT, Hands, Stage, StageError
from drills.story import BEGINS, GAME_DAY, Drill, Expected, Original, Result

PRECOMPUTE = 4

DRILL = Drill(
    name="stuck-phase",
    title="The process dies in the middle of precompute without saying so",
    original=Original(
        source="B4",
        what="The time-out was looked at only when a message arrived, and none arrived.",
        detected_after=75,
        healed_after=115,
        predictions=0.43,
    ),
    expected=Expected(detected_within=dt.timedelta(minutes=40)),
)


def play(stage: Stage) -> Result:
    """Kill the day's process once precompute has begun; the watch alone finds it, self-heal goes on from there."""
    scene = Scene(DRILL, stage)
    home = stage.workspace(DRILL.name)
    hands = Hands(home)
    command = [sys.executable, "-m", "drills.act", "daily", "--at", BEGINS.isoformat(), "--home", str(home)]
    environment = {**os.environ, **QUIET, "PREFECT_API_URL": stage.stack.url}
    with (stage.folder / "stuck.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            killed = _once_precompute_runs(hands, process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    scene.note("fault", f"the process is killed while {killed[0]} runs", killed[1])
    scene.watched(home, killed[1] + INCIDENT_SEEN)
    seen = next((moment.at for moment in scene.moments if moment.kind == "detected"), killed[1])
    scene.healed(home, seen)
    return scene.result(home)


def _once_precompute_runs(hands: Hands, process: subprocess.Popen[bytes]) -> tuple[str, dt.datetime]:
    """Stop the process (it can do nothing more) as soon as the ledger says that precompute runs."""
    while process.poll() is None:
        for run in hands.ledger.runs(game_day=GAME_DAY):
            if run["phase"] == PRECOMPUTE and run["mode"] == "same_day" and run["state"] == "RUNNING":
                os.killpg(process.pid, signal.SIGSTOP)
                return run["processor"], run["started_at"]
        time.sleep(0.01)
    raise StageError("the day's process ended before precompute was seen to run")
