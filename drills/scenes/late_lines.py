"""The same-day run comes before the bookmakers' lines."""

from __future__ import annotations

import datetime as dt

import polars as pl

from drills.scene import Scene
from drills.stage import Hands, Stage, StageError
from drills.story import BEGINS, GAME_DAY, Drill, Expected, Original, Result, at

ARRIVE = at(13, 5)
A_MINUTE = dt.timedelta(minutes=1)

DRILL = Drill(
    name="late-lines",
    title="No bookmaker has a line until 1:05 PM",
    original=Original(
        source="B5",
        what="Features were built before lines had arrived: 108 predictions, every one of them NO_LINE.",
        detected_by="a reader of the predictions",
        predictions=0.0,
    ),
    expected=Expected(detected_within=dt.timedelta(minutes=20), heard=False),
)


def play(stage: Stage) -> Result:
    """Run at 12:30 PM on lines that begin at 1:05 PM: it waits, goes on without them, and self-heal takes them in."""
    scene = Scene(DRILL, stage)
    data = stage.league(DRILL.name)
    file = data / "lines" / "points_lines.parquet"
    lines = pl.read_parquet(file)
    late = f"{ARRIVE:%Y-%m-%dT%H:%MZ}"
    tonights = (pl.col("game_date") == GAME_DAY) & (pl.col("snapshot") < late)
    stage.replace(file, lines.with_columns(snapshot=pl.when(tonights).then(pl.lit(late)).otherwise("snapshot")))
    home = stage.workspace(DRILL.name, data)
    scene.note("fault", "the run is due, and no bookmaker has a line for tonight", BEGINS)
    said = stage.act("daily", BEGINS, home, data=data)
    hands = Hands(home)
    noticed = hands.waited("prop_lines")
    if noticed is not None:
        scene.note("detected", "the run finds no lines, waits for them as long as there is time, and says so", noticed)
    priced, of = hands.priced()
    scene.note("step", f"published with {priced:,} of {of:,} lines, labelled degraded", hands.published() or BEGINS)
    scene.note("step", "the lines are in: what they are missing in is made again", ARRIVE)
    said += stage.act("heal", ARRIVE + A_MINUTE, home, data=data)
    priced, of = hands.priced()
    if not priced:
        raise StageError(f"none of {of:,} predictions has a line after the lines were in:\n{said[-800:]}")
    scene.note("healed", f"{priced:,} of {of:,} predictions have a line", hands.published())
    return scene.result(home)
