"""The page of a night: HTML made of the snapshot alone, every text escaped, nothing fetched from anywhere else."""

from __future__ import annotations

import datetime as dt
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from tasks.publishing.wording import NONE, count, number, percent, said, signed, start
from tasks.tonight.geometry import curve, months, most_points, timeline
from tasks.tonight.snapshot import Tonight
from tasks.tonight.words import clock, countdown, release, row_count, span

ASSETS = {"night.css": "text/css", "night.js": "text/javascript"}


def page(night: Tonight, version: str = "", prefect_ui: str = "") -> str:
    """The whole document; `version` tells what it shows, `prefect_ui` is where runs are linked to, if anywhere."""
    return _render("page.html.jinja", night, prefect_ui, version)


def fragment(night: Tonight, prefect_ui: str = "") -> str:
    """What is inside of the document's main part, for putting in place of an older one."""
    return _render("night.html.jinja", night, prefect_ui)


@cache
def asset(name: str) -> str:
    """The style or the script. Raises KeyError for anything else."""
    if name not in ASSETS:
        raise KeyError(name)
    return (files("tasks.tonight") / "templates" / name).read_text(encoding="utf-8")


def _render(template: str, night: Tonight, prefect_ui: str, version: str = "") -> str:
    return (
        _environment()
        .get_template(template)
        .render(
            night=night,
            version=version,
            ui=prefect_ui.rstrip("/"),
            timeline=timeline(night),
            months=months(night.calendar),
            curve=curve(night.accuracy),
            scale=most_points(night.predictions),
            before=night.game_day - dt.timedelta(days=1),
            after=night.game_day + dt.timedelta(days=1),
        )
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("tasks.tonight"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(NONE=NONE)
    made.filters.update(
        clock=clock,
        count=count,
        countdown=countdown,
        number=number,
        percent=percent,
        release=release,
        said=said,
        signed=signed,
        span=span,
        start=start,
    )
    made.globals.update(row_count=row_count)
    return made
