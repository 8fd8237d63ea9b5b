"""The night as an artifact, so that users of Prefect's own UI see what status and dashboard show."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from prefect.artifacts import create_markdown_artifact

from flows.glance import glance
from flows.home import options_of
from tasks.tonight.markdown import markdown

KEY = "tonight"


def post_tonight(data: Path | None, home: Path, game_day: dt.date, now: dt.datetime) -> None:
    """Keep how the game day stands as the newest version of the artifact `tonight`."""
    night = glance(home, game_day, now, options=options_of(data, home))
    said = f"{night.verdict.level.capitalize()}: {night.verdict.says}"
    create_markdown_artifact(markdown(night), key=KEY, description=said)
