"""The report of drills: one page with the table of original against ours, and a picture of each timeline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from drills.story import BEGINS, DEADLINE, Moment, Result, at, clock, minutes
from tasks.tonight.page import asset

HERE = Path(__file__).parent
ENDS = at(14, 45)


@dataclass(frozen=True)
class Mark:
    """A mark on one of the two lines of a picture, in percent of its width."""

    at: float
    kind: str
    says: str
    line: int


@dataclass(frozen=True)
class Picture:
    """The original's course above, ours below, on one scale from 12:30 to 2:45 PM."""

    original: tuple[Mark, ...]
    ours: tuple[Mark, ...]
    deadline: float
    ticks: tuple[tuple[float, str], ...]


def write(path: Path, results: Sequence[Result]) -> None:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page = _environment().get_template("report.html.jinja").render(
        results=results,
        pictures=[picture(result) for result in results],
        passed=sum(not result.failures for result in results),
        style=Markup(asset("night.css")),
    )  # fmt: skip
    path.write_text(page, encoding="utf-8")


def picture(result: Result) -> Picture:
    """Where everything stands."""
    fault = result.first("fault")
    began = fault.at if fault else BEGINS
    original = result.drill.original
    course = [Mark(_place(began), "fault", "fault", 0)]
    for kind, after in (("detected", original.detected_after), ("healed", original.healed_after)):
        if after is not None:
            instant = began + dt.timedelta(minutes=after)
            late = instant > ENDS
            says = f"{kind} after {minutes(after)}" + (" →" if late else "")
            course.append(Mark(_place(instant), kind, says, len(course)))
    if original.detected_after is None:
        course.append(Mark(100.0, "fault", "nobody noticed that day →", len(course)))
    shown = [moment for moment in result.moments if moment.kind in ("fault", "detected", "healed", "complete")]
    return Picture(
        original=tuple(course),
        ours=tuple(_mark(moment, line) for line, moment in enumerate(shown)),
        deadline=_place(DEADLINE),
        ticks=tuple(
            (_place(hour), f"{clock(hour)[:-6]} PM") for hour in (at(12, 30), at(13), at(13, 30), at(14), at(14, 30))
        ),
    )


def _mark(moment: Moment, line: int) -> Mark:
    return Mark(_place(moment.at), moment.kind, f"{clock(moment.at)} {moment.kind}", line)


def _place(instant: dt.datetime) -> float:
    return round(100 * min(1.0, max(0.0, (instant - BEGINS) / (ENDS - BEGINS))), 3)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters.update(clock=clock, minutes=minutes)
    return made
