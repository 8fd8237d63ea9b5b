"""The source of the rosters gives something that cannot be read."""

from __future__ import annotations

import datetime as dt

from drills.scene import INCIDENT_SEEN, Scene
from drills.stage import Hands, Stage
from drills.story import BEGINS, Drill, Expected, Original, Result, at

BACK = at(12, 50)

DRILL = Drill(
    name="roster-down",
    title="The roster source is down from 12:30 to 12:50 PM",
    original=Original(
        source="B8, D1",
        what="One team that could not be read lost 29; one source's outage locked out 954 players for seven days.",
        detected_after=24 * 60,
        healed_after=7 * 24 * 60,
    ),
    expected=Expected(detected_within=dt.timedelta(minutes=15)),
)


def play(stage: Stage) -> Result:
    """Run without rosters, be told, and heal when the source is back."""
    scene = Scene(DRILL, stage)
    data = stage.league(DRILL.name)
    file = data / "rosters" / "rosters.parquet"
    good = file.read_bytes()
    file.unlink()  # a second name of the league's own file, which stays as it is
    file.write_bytes(b"502 Bad Gateway")
    home = stage.workspace(DRILL.name, data)
    scene.note("fault", "the roster source answers with rubbish", BEGINS)
    stage.act("daily", BEGINS, home, data=data)
    scene.watched(home, BEGINS + INCIDENT_SEEN, data=data)
    file.write_bytes(good)
    scene.note("step", "the roster source is back", BACK)
    scene.healed(home, BACK, data=data)
    there, of = Hands(home).predictions()
    scene.note("step", f"{there:,} of {of:,} predictions after the source was back", BACK)
    return scene.result(home)
