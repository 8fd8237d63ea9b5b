"""Slack takes no messages any more."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus

from deployments import automations
from drills.scene import Scene
from drills.stage import Stage
from drills.story import Drill, Expected, Original, Result

ALIVE = "[ALIVE] Alerts arrive"

DRILL = Drill(
    name="silent-alerts",
    title="The alert channel answers with 500 to everything",
    original=Original(
        source="D7, A10",
        what="The webhook's secret was lost at a deploy; monitors ran for months and told nobody.",
        detected_after=60 * 24 * 60,
    ),
    expected=Expected(detected_within=dt.timedelta(minutes=3), complete=False, heard=False),
)


def play(stage: Stage) -> Result:
    """Break the first channel, hear of it on the second; mended, the channel gets what it missed."""
    scene = Scene(DRILL, stage)
    stage.first.answer = HTTPStatus.INTERNAL_SERVER_ERROR
    try:
        scene.note("fault", "the channel answers 500 to every message")
        with stage.stack.client():
            automations.send_heartbeat(dt.datetime.now(dt.UTC))
        stage.until("a refused message", lambda: [one for one in stage.first.refused if one >= scene.began], 60)
        scene.note("step", "the sign of life of that day does not arrive")
        heard = stage.until("word on the second channel", lambda: stage.heard("", scene.began, stage.second), 180)
        scene.note("detected", f"second channel: {heard.subject}", scene.at(heard.received))
    finally:
        stage.first.answer = HTTPStatus.OK
    mended = dt.datetime.now(dt.UTC)
    scene.note("step", "the channel takes messages again, and somebody tries it at once")
    with stage.stack.client():
        automations.send_heartbeat(mended)
    stage.until("the sign of life of now", lambda: ALIVE in stage.messages(mended), 60)
    scene.note("step", "the sign of life of now arrives")
    scene.told(f"Delayed {ALIVE}", "healed", since=mended, seconds=180)  # it is tried every minute
    return scene.result()
