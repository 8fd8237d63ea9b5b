"""Every run said complete, and more than half of the rows are not there."""

from __future__ import annotations

import datetime as dt

from drills.scene import INCIDENT_SEEN, Scene
from drills.stage import Hands, Stage, StageError
from drills.story import BEGINS, Drill, Expected, Original, Result

KEPT = 0.43

DRILL = Drill(
    name="lost-writes",
    title="57 % of the predictions are lost after the run has ended as complete",
    original=Original(
        source="C1",
        what="1,700 of 3,950 rows were written and 158 of 158 reported; a person found it in a downstream table.",
        detected_after=75,
        healed_after=115,
        predictions=0.43,
    ),
    expected=Expected(detected_within=dt.timedelta(minutes=10)),
)


def play(stage: Stage) -> Result:
    """Run the day, lose the rows, let the watch count and self-heal bring them back."""
    scene = Scene(DRILL, stage)
    home = stage.workspace(DRILL.name)
    said = stage.act("daily", BEGINS, home)
    hands = Hands(home)
    there, expected = hands.predictions()
    if not expected or there != expected:
        raise StageError(f"the day was not complete before the fault: {there} of {expected}\n{said[-1500:]}")
    published = hands.published()
    assert published is not None
    scene.note("step", f"the day's run ends as complete: {there:,} of {expected:,} predictions", published)
    kept, of = hands.lose_rows(KEPT)
    lost = scene.note(
        "fault", f"{of - kept:,} of {of:,} rows are lost; the run's record still says complete", published
    )
    scene.watched(home, lost + INCIDENT_SEEN)
    seen = next((moment.at for moment in scene.moments if moment.kind == "detected"), lost)
    scene.healed(home, seen)
    return scene.result(home)
